/* SPDX-License-Identifier: MIT */
/* The machine as a domain of libvirt. Everything that isn't ours goes through put_text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

/** As text or attribute of XML. False: XML can't hold it. */
static bool put_text(FILE *f, const char *text)
{
	json_t *check = json_string(text); /* UTF-8? */

	if (!check)
		return false;
	json_decref(check);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < ' ' && *p != '\t' && *p != '\n' && *p != '\r')
			return false;
		if (p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe) /* U+FFFE, U+FFFF */
			return false;
		if (*p < ' ' || strchr("<>&\"'", *p))
			fprintf(f, "&#%u;", *p);
		else
			fputc(*p, f);
	}
	return true;
}

/* The few features that libvirt writes otherwise than QEMU. */
static const char *feature_name(const char *feature)
{
	static const char *const names[][2] = {
	    {"lahf-lm", "lahf_lm"},
	    {"fxsr-opt", "fxsr_opt"},
	    {"cmp-legacy", "cmp_legacy"},
	    {"tsc-adjust", "tsc_adjust"},
	    {"perfctr-core", "perfctr_core"},
	    {"pclmulqdq", "pclmuldq"},
	    {"sse3", "pni"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i][0], feature) == 0)
			return names[i][1];
	return feature;
}

static void put_cpu(struct run_machine *m, FILE *f)
{
	size_t len = strlen(m->cpu);
	const char *version = strstr(m->cpu, "-v");

	if (!m->cpu[0]) {
		fprintf(f, "  <cpu mode=\"%s\"%s>\n", m->is_kvm ? "host-passthrough" : "maximum",
			m->n_features ? "" : "/");
		if (!m->n_features)
			return;
	} else {
		/* "Haswell-v2" is QEMU's; libvirt knows the model. */
		if (version && strspn(version + 2, "0123456789") == strlen(version + 2)) {
			len = (size_t)(version - m->cpu);
			run_note(m, "libvirt has no versions of processor models: %s", m->cpu);
		}
		fprintf(f,
			"  <cpu mode=\"custom\" match=\"minimum\">\n"
			"    <model fallback=\"allow\">%.*s</model>\n",
			(int)len, m->cpu);
	}
	for (size_t i = 0; i < m->n_features; i++)
		fprintf(f, "    <feature policy=\"require\" name=\"%s\"/>\n",
			feature_name(m->features[i]));
	fputs("  </cpu>\n", f);
}

static void put_firmware(const struct run_machine *m, FILE *f)
{
	fprintf(f, "  <os%s>\n    <type arch=\"%s\" machine=\"%s\">hvm</type>\n",
		m->is_efi ? " firmware=\"efi\"" : "", m->arch->name, m->type);
	if (m->is_secure)
		fputs("    <firmware>\n      <feature enabled=\"yes\" name=\"secure-boot\"/>\n"
		      "      <feature enabled=\"yes\" name=\"enrolled-keys\"/>\n    </firmware>\n"
		      "    <loader secure=\"yes\"/>\n",
		      f);
	fputs("  </os>\n  <features>\n    <acpi/>\n", f);
	if (m->arch->is_pc)
		fputs("    <apic/>\n", f);
	if (m->is_secure)
		fputs("    <smm state=\"on\"/>\n", f);
	fputs("  </features>\n", f);
}

static int put_disk(struct run_machine *m, FILE *f)
{
	const char *bus = m->bus->name;

	if (strcmp(bus, "nvme") == 0)
		return run_wrong(m, "hardware.disk.bus nvme: libvirt can't put a file on it; use "
				    "--format qemu");
	fprintf(f,
		"    <disk type=\"%s\" device=\"disk\">\n"
		"      <driver name=\"qemu\" type=\"raw\" discard=\"unmap\"/>\n      <source %s=\"",
		m->is_device ? "block" : "file", m->is_device ? "dev" : "file");
	if (!put_text(f, m->disk))
		return run_wrong(m, "the path of the disk has characters that XML can't hold");
	fprintf(f, "\"/>\n      <target dev=\"%s\" bus=\"%s\"/>\n", m->bus->libvirt_target, bus);
	if (m->sector_size != 512)
		fprintf(f,
			"      <blockio logical_block_size=\"%" PRIu32
			"\" physical_block_size=\"%" PRIu32 "\"/>\n",
			m->sector_size, m->sector_size);
	fputs("      <boot order=\"1\"/>\n    </disk>\n", f);
	if (strcmp(bus, "scsi") == 0)
		fputs("    <controller type=\"scsi\" index=\"0\" model=\"virtio-scsi\"/>\n", f);
	if (strcmp(bus, "usb") == 0)
		fputs("    <controller type=\"usb\" index=\"0\" model=\"qemu-xhci\"/>\n", f);
	return 0;
}

static void put_cards(struct run_machine *m, FILE *f)
{
	static const char *const types[] = {[RUN_NET_USER] = "user",
					    [RUN_NET_ISOLATED] = "user",
					    [RUN_NET_BRIDGE] = "bridge",
					    [RUN_NET_TAP] = "ethernet",
					    [RUN_NET_NONE] = "user"};

	for (size_t i = 0; i < m->n_nics; i++) {
		const struct run_nic *nic = &m->nics[i];

		fprintf(f, "    <interface type=\"%s\">\n", types[nic->net]);
		if (nic->mac[0])
			fprintf(f, "      <mac address=\"%s\"/>\n", nic->mac);
		if (nic->net == RUN_NET_BRIDGE)
			fprintf(f, "      <source bridge=\"%s\"/>\n", nic->device);
		if (nic->net == RUN_NET_TAP)
			fprintf(f, "      <target dev=\"%s\" managed=\"no\"/>\n", nic->device);
		fprintf(f, "      <model type=\"%s\"/>\n", nic->model->name);
		if (nic->net == RUN_NET_ISOLATED || nic->net == RUN_NET_NONE)
			fputs("      <link state=\"down\"/>\n", f);
		if (nic->net == RUN_NET_ISOLATED)
			run_note(m,
				 "card %zu: libvirt's user networking always leads out, so its "
				 "link is down",
				 i);
		fputs("    </interface>\n", f);
	}
}

static void put_gpu(const char *address, FILE *f)
{
	unsigned domain, bus, slot, function;

	if (sscanf(address, "%4x:%2x:%2x.%1x", &domain, &bus, &slot, &function) != 4)
		return;
	fprintf(f,
		"    <hostdev mode=\"subsystem\" type=\"pci\" managed=\"yes\">\n      <source>\n"
		"        <address domain=\"0x%04x\" bus=\"0x%02x\" slot=\"0x%02x\" "
		"function=\"0x%x\"/>\n      </source>\n    </hostdev>\n",
		domain & 0xffff, bus & 0xff, slot & 0x1f, function & 7);
}

static int put_devices(struct run_machine *m, FILE *f)
{
	fputs("  <devices>\n", f);
	if (put_disk(m, f))
		return -1;
	put_cards(m, f);
	fputs("    <serial type=\"pty\"/>\n    <console type=\"pty\"/>\n", f);
	if (m->tpm)
		fprintf(f,
			"    <tpm model=\"%s\">\n      <backend type=\"emulator\" "
			"version=\"%s\"/>\n    </tpm>\n",
			strcmp(m->tpm, "2.0") == 0 && m->arch->is_pc ? "tpm-crb" : "tpm-tis",
			m->tpm);
	for (size_t i = 0; i < m->n_gpus; i++)
		put_gpu(m->gpus[i], f);
	if (m->arch->is_pc)
		fputs("    <video>\n      <model type=\"vga\"/>\n    </video>\n", f);
	fputs("  </devices>\n", f);
	return 0;
}

char *run_libvirt_xml(struct run_machine *m)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	int rc;

	if (!f) {
		run_wrong(m, "out of memory");
		return NULL;
	}
	fprintf(f, "<domain type=\"%s\">\n  <name>%s</name>\n", m->is_kvm ? "kvm" : "qemu",
		m->name);
	fprintf(f, "  <memory unit=\"MiB\">%" PRIu64 "</memory>\n  <vcpu>%" PRIu64 "</vcpu>\n",
		m->memory_mib, m->n_cpus);
	put_firmware(m, f);
	put_cpu(m, f);
	fprintf(f, "  <clock offset=\"%s\"/>\n", m->has_local_time ? "localtime" : "utc");
	rc = put_devices(m, f);
	fputs("</domain>\n", f);
	if (fclose(f) && !rc)
		rc = run_wrong(m, "out of memory");
	if (!rc)
		return text;
	free(text);
	return NULL;
}
