/* SPDX-License-Identifier: MIT */
/* The documents of machines: hardware, host, network, configuration, state. */
#include "corpus.h"

static void open_root(struct corpus_doc *doc, const char *name)
{
	fprintf(doc->xml, "<%s xmlns=\"urn:libvdisk:%s:1\">\n", name, name);
}

static void list_item(struct corpus_doc *doc, const char *tag, const char *attr, const char *field,
		      unsigned group, const char *value)
{
	fprintf(doc->xml, "    <%s", tag);
	corpus_attr(doc, attr, field, group, "%s", value);
	fputs("/>\n", doc->xml);
}

static void inner(struct corpus_doc *doc, const char *tag, const char *field, unsigned group,
		  const char *value)
{
	fprintf(doc->xml, "    <%s>%s</%s>\n", tag, value, tag);
	corpus_fact(doc, field, group, "%s", value);
}

static void write_machine(struct corpus_doc *doc, unsigned k, unsigned group)
{
	static const char *const arches[3] = {"x86_64", "aarch64", "riscv64"};
	static const char *const machines[3] = {"q35", "virt", "virt"};
	static const char *const models[4] = {"Haswell", "EPYC", "cortex-a72", "max"};
	unsigned i = doc->i;

	fputs("    <machine", doc->xml);
	corpus_attr(doc, "arch", "hardware.arch", group, "%s", arches[(i + k) % 3]);
	corpus_attr(doc, "type", "hardware.machine", group, "%s", machines[(i + k) % 3]);
	corpus_attr(doc, "firmware", "hardware.firmware", group, "%s",
		    (i + k) % 2 ? "bios" : "efi");
	if ((i + k) % 2 == 0)
		corpus_attr(doc, "secure-boot", "hardware.secure-boot", group, "%s",
			    i % 5 ? "false" : "true");
	fputs("/>\n    <cpu", doc->xml);
	corpus_attr(doc, "model", "hardware.cpu.model", group, "%s", models[(i + k) % 4]);
	corpus_attr(doc, "count", "hardware.cpu.count", group, "%u", 1u << ((i + k) % 5));
	fputs(">\n", doc->xml);
	if ((i + k) % 3 == 0)
		inner(doc, "feature", "hardware.cpu.feature", group, "avx2");
	if ((i + k) % 2)
		inner(doc, "feature", "hardware.cpu.feature", group, "aes");
	fputs("    </cpu>\n", doc->xml);
}

static void write_alternative(struct corpus_doc *doc, unsigned k)
{
	unsigned i = doc->i, group = ++doc->last_group;
	char text[64];

	fputs("  <alternative", doc->xml);
	if (k)
		corpus_attr(doc, "name", "hardware.name", group, "Ｎo. %u", k);
	fputs(">\n", doc->xml);
	write_machine(doc, k, group);
	snprintf(text, sizeof(text), "%llu", (1ull + (i * 7 + k * 3) % 16) << 30);
	inner(doc, "memory", "hardware.memory", group, text);
	list_item(doc, "disk", "bus", "hardware.disk.bus", group, "virtio");
	if (i % 2)
		list_item(doc, "disk", "bus", "hardware.disk.bus", group, "scsi");
	list_item(doc, "nic", "model", "hardware.nic.model", group, k ? "e1000e" : "virtio");
	if (i % 10 == 1 && k == 0) {
		fputs("    <gpu", doc->xml);
		corpus_attr(doc, "count", "hardware.gpu.count", group, "%u", 1 + i / 10 % 4);
		corpus_attr(doc, "memory", "hardware.gpu.memory", group, "%llu", 8ull << 30);
		corpus_attr(doc, "model", "hardware.gpu.model", group, "NVIDIA L4");
		fputs(">\n", doc->xml);
		inner(doc, "api", "hardware.gpu.api", group, "cuda");
		inner(doc, "api", "hardware.gpu.api", group, "vulkan");
		fputs("    </gpu>\n", doc->xml);
	}
	if (i % 6 < 2) {
		list_item(doc, "tpm", "version", "hardware.tpm", group, i % 6 ? "1.2" : "2.0");
	}
	fputs("  </alternative>\n", doc->xml);
}

void corpus_hardware(struct corpus_doc *doc)
{
	if (!corpus_has_metadata(doc->i) || doc->i % 4 == 3)
		return;
	open_root(doc, "hardware");
	for (unsigned k = 0; k <= doc->i % 3; k++)
		write_alternative(doc, k);
	fputs("</hardware>\n", doc->xml);
}

void corpus_host(struct corpus_doc *doc)
{
	unsigned i = doc->i, group;

	if (!corpus_has_metadata(i) || i % 5)
		return;
	open_root(doc, "host");
	/* An entry of one fact has no group. */
	list_item(doc, "os", "id", "compatible.os", 0, "linux");
	if (i % 10 == 0) {
		group = ++doc->last_group;
		fputs("  <os", doc->xml);
		corpus_attr(doc, "id", "compatible.os", group, "winnt");
		corpus_attr(doc, "min", "compatible.os.min", group, "10.0.%u", 20348 + i);
		fputs("/>\n", doc->xml);
	}
	group = ++doc->last_group;
	fputs("  <hypervisor", doc->xml);
	corpus_attr(doc, "id", "compatible.hypervisor", group, "qemu");
	corpus_attr(doc, "min", "compatible.hypervisor.min", group, "%u.2", 5 + i / 5 % 4);
	corpus_attr(doc, "max", "compatible.hypervisor.max", group, "9.2");
	fputs("/>\n</host>\n", doc->xml);
}

static void write_nic(struct corpus_doc *doc, unsigned k)
{
	unsigned i = doc->i, group = ++doc->last_group;
	char text[64];

	fputs("  <nic", doc->xml);
	corpus_attr(doc, "name", "network.nic", group, "eth%u", k);
	corpus_attr(doc, "mac", "network.mac", group, "52:54:00:%02X:%02X:%02x", k, i >> 8,
		    i & 255);
	corpus_attr(doc, "network", "network.network", group, "net-%u", (i + k) % 4);
	corpus_attr(doc, "vlan", "network.vlan", group, "%u", 10 * (k + 1) + i / 6 % 4);
	if (k == 1)
		corpus_attr(doc, "role", "network.role", group, "Storage & backup");
	fputs(">\n", doc->xml);
	snprintf(text, sizeof(text), "10.%u.%u.5/24", i % 256, k);
	inner(doc, "address", "network.address", group, text);
	snprintf(text, sizeof(text), "2001:DB8::%x/64", i);
	inner(doc, "address", "network.address", group, text);
	fputs("  </nic>\n", doc->xml);
}

void corpus_network(struct corpus_doc *doc)
{
	unsigned group;

	if (!corpus_has_metadata(doc->i) || doc->i % 6 != 1)
		return;
	open_root(doc, "network");
	for (unsigned k = 0; k <= doc->i % 4 % 3; k++)
		write_nic(doc, k);
	group = ++doc->last_group;
	fputs("  <segment", doc->xml);
	corpus_attr(doc, "name", "network.segment", group, "net-0");
	corpus_attr(doc, "forward", "network.segment.forward", group, "%s",
		    doc->i % 4 ? "nat" : "bridge");
	fputs("/>\n", doc->xml);
	list_item(doc, "segment", "name", "network.segment", 0, "lonely net");
	fputs("</network>\n", doc->xml);
}

void corpus_configuration(struct corpus_doc *doc)
{
	unsigned i = doc->i, group = ++doc->last_group;

	if (!corpus_has_metadata(i) || i % 11)
		return;
	open_root(doc, "configuration");
	fputs("  <file", doc->xml);
	corpus_attr(doc, "name", "configuration.file", group, "domain.xml");
	corpus_attr(doc, "media-type", "configuration.file.media-type", group, "application/xml");
	corpus_attr(doc, "size", "configuration.file.size", group, "%u", 1000 + i);
	corpus_attr(doc, "uri", "configuration.file.uri", group, "conf/domain-%u.xml", i);
	corpus_attr(doc, "role", "configuration.file.role", group, "libvirt-domain");
	fputs("/>\n</configuration>\n", doc->xml);
}

void corpus_state(struct corpus_doc *doc)
{
	unsigned i = doc->i, group = ++doc->last_group;

	if (!corpus_has_metadata(i) || i % 13)
		return;
	open_root(doc, "state");
	fputs("  <saved", doc->xml);
	corpus_attr(doc, "name", "state.file", group, "before upgrade %u", i);
	corpus_attr(doc, "size", "state.file.size", group, "%llu", 2ull << 30);
	corpus_attr(doc, "uri", "state.file.uri", group, "%u.state", i);
	fprintf(doc->xml, " time=\"%s\"", corpus_time(CORPUS_NOW - i * 60, i));
	corpus_fact(doc, "state.time", group, "%s", corpus_time_normal(CORPUS_NOW - i * 60));
	corpus_attr(doc, "hypervisor", "state.hypervisor", group, "qemu");
	corpus_attr(doc, "version", "state.version", group, "7.2.%u", i % 26);
	fputs(" disk=\"6F1D3C0E-9B5A-4A51-8A3E-3F0A6B1C2D3E\"", doc->xml);
	corpus_fact(doc, "state.disk", group, "6f1d3c0e-9b5a-4a51-8a3e-3f0a6b1c2d3e");
	fputs("/>\n</state>\n", doc->xml);
}
