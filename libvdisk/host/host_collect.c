/* SPDX-License-Identifier: MIT */
/* What a machine is, from the files of its kernel and its OS. Nothing is started, and of what can't
 * be read nothing is said. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "host/host_facts.h"
#include "xml/field_os.h"

/* ---- files and facts ---- */

void host_put(struct host_collect *c, const char *field, uint32_t group, const char *value)
{
	if (c->rc || !value[0])
		return;
	c->rc = host_add(c->host, field, value, group, c->err);
	if (c->rc != VD_ENOMEM)
		c->rc = 0;
}

void host_put_number(struct host_collect *c, const char *field, uint32_t group, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	host_put(c, field, group, text);
}

char *host_slurp(struct host_collect *c, const char *path, size_t max)
{
	char *text = NULL;
	size_t len;

	if (!c->rc && vd_io_tree_read(c->tree, path, max, &text, &len, c->err) == VD_ENOMEM)
		c->rc = VD_ENOMEM;
	return text;
}

bool host_line(struct host_collect *c, const char *path, char line[HOST_LINE_MAX])
{
	char *text VD_AUTO_FREE = host_slurp(c, path, HOST_LINE_MAX - 1);
	size_t from, len;

	line[0] = '\0';
	if (!text)
		return false;
	from = strspn(text, " \t");
	len = strcspn(text + from, "\n");
	while (len && isspace((unsigned char)text[from + len - 1]))
		len--;
	memcpy(line, text + from, len);
	line[len] = '\0';
	return len > 0;
}

bool host_number(struct host_collect *c, const char *path, uint64_t *n)
{
	char line[HOST_LINE_MAX], *end;

	if (!host_line(c, path, line) || !isdigit((unsigned char)line[0]))
		return false;
	*n = strtoull(line, &end, line[0] == '0' && (line[1] | 0x20) == 'x' ? 16 : 10);
	return !*end;
}

bool host_keyed(const char *text, const char *key, char *to, size_t size)
{
	size_t key_len = strlen(key);

	to[0] = '\0';
	for (const char *line = text; *line; line += strspn(line, "\n")) {
		size_t len = strcspn(line, "\n");
		const char *p = line + key_len;

		if (len > key_len && strncmp(line, key, key_len) == 0) {
			p += strspn(p, " \t");
			if (*p == ':') {
				p++;
				p += strspn(p, " \t");
				snprintf(to, size, "%.*s", (int)(line + len - p), p);
				return to[0] != '\0';
			}
		}
		line += len;
	}
	return false;
}

/* ---- the machine ---- */

/* Programs that are there on each machine, and ELF's words for what they run on. */
static bool arch_of_programs(struct host_collect *c, char *arch, size_t size)
{
	static const char *const programs[] = {"bin/sh", "usr/bin/env", "bin/busybox", "sbin/init"};
	static const struct {
		unsigned machine, elf_class;
		const char *name;
	} known[] = {
	    {62, 2, "x86_64"}, {3, 1, "i686"},      {183, 2, "aarch64"},     {40, 1, "armv7l"},
	    {22, 2, "s390x"},  {243, 2, "riscv64"}, {258, 2, "loongarch64"},
	};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		char *elf VD_AUTO_FREE = NULL;
		const unsigned char *e;
		unsigned machine;
		size_t len;

		if (vd_io_tree_read(c->tree, programs[i], 64, &elf, &len, NULL) || len < 20 ||
		    memcmp(elf, "\177ELF", 4) != 0)
			continue;
		e = (const unsigned char *)elf;
		machine = e[5] == 2 ? (unsigned)e[18] << 8 | e[19] : (unsigned)e[19] << 8 | e[18];
		if (machine == 21)
			snprintf(arch, size, e[5] == 2 ? "ppc64" : "ppc64le");
		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			if (known[k].machine == machine && known[k].elf_class == e[4])
				snprintf(arch, size, "%s", known[k].name);
		if (arch[0])
			return true;
	}
	return false;
}

/* The kernel's own word; older kernels (before 6.1) have no file for it. uname() can be made to lie
 * by a personality, so a 64-bit program overrules it. */
static void collect_arch(struct host_collect *c)
{
	char line[HOST_LINE_MAX], of_programs[32] = "";
	struct utsname names;

	if (host_line(c, "proc/sys/kernel/arch", line)) {
		snprintf(c->arch, sizeof(c->arch), "%.31s", line);
	} else {
		arch_of_programs(c, of_programs, sizeof(of_programs));
		if (c->asks_kernel && !strstr(of_programs, "64") && !uname(&names))
			snprintf(c->arch, sizeof(c->arch), "%.31s", names.machine);
		else
			snprintf(c->arch, sizeof(c->arch), "%s", of_programs);
	}
	if (strcmp(c->arch, "arm64") == 0)
		snprintf(c->arch, sizeof(c->arch), "aarch64");
	host_put(c, "host.arch", 0, c->arch);
}

/* Words of the firmware's tables that only virtual machines have. */
static bool is_virtual_by_name(const char *text)
{
	static const char *const makers[] = {"QEMU",
					     "KVM",
					     "VMware",
					     "innotek GmbH",
					     "VirtualBox",
					     "Xen",
					     "Bochs",
					     "Parallels",
					     "BHYVE",
					     "Amazon EC2",
					     "Virtual Machine",
					     "OpenStack",
					     "Alibaba Cloud ECS",
					     "Google Compute Engine",
					     "Firecracker"};

	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		if (strcasestr(text, makers[i]))
			return true;
	return false;
}

/* dom0 of Xen has a hypervisor below itself and is the machine all the same. */
static bool is_xen_host(struct host_collect *c)
{
	char line[HOST_LINE_MAX];

	return host_line(c, "proc/xen/capabilities", line) && strstr(line, "control_d");
}

/** by_cpu: -1 it doesn't know, 0 or 1. */
static void collect_machine(struct host_collect *c, int by_cpu)
{
	static const char *const tables[] = {
	    "sys/class/dmi/id/sys_vendor",
	    "sys/class/dmi/id/product_name",
	    "sys/class/dmi/id/chassis_vendor",
	    "sys/class/dmi/id/bios_vendor",
	    "proc/device-tree/hypervisor/compatible",
	};
	char line[HOST_LINE_MAX];
	bool is_virtual = by_cpu == 1, is_known = by_cpu >= 0;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && !is_virtual; i++) {
		if (!host_line(c, tables[i], line))
			continue;
		is_known = true;
		/* The cloud's name stands on its real machines, too: there the processor knows. */
		if (by_cpu == 0 && strstr(line, "Amazon EC2"))
			continue;
		is_virtual = strstr(tables[i], "hypervisor") || is_virtual_by_name(line);
	}
	if (!is_virtual && host_line(c, "sys/hypervisor/type", line))
		is_virtual = is_known = true;
	if (!is_known && vd_io_tree_has(c->tree, "proc/device-tree/model"))
		is_known = true;
	if (is_xen_host(c))
		is_virtual = false;
	if (is_known)
		host_put(c, "host.machine", 0, is_virtual ? "virtual" : "physical");
}

static void collect_firmware(struct host_collect *c)
{
	if (vd_io_tree_has(c->tree, "sys/firmware/efi"))
		host_put(c, "host.firmware", 0, "efi");
	else if (strcmp(c->arch, "x86_64") == 0 || strcmp(c->arch, "i686") == 0)
		host_put(c, "host.firmware", 0, "bios");
}

static void collect_tpm(struct host_collect *c)
{
	char line[HOST_LINE_MAX];

	if (host_line(c, "sys/class/tpm/tpm0/tpm_version_major", line))
		host_put(c, "host.tpm", 0, strcmp(line, "1") == 0 ? "1.2" : "2.0");
	else if (host_line(c, "sys/class/tpm/tpm0/device/caps", line) ||
		 host_line(c, "sys/class/tpm/tpm0/caps", line))
		host_put(c, "host.tpm", 0, "1.2");
}

/* ---- the operating system ---- */

static bool is_name(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_.,:+/@-", *p))
			return false;
	return text[0] != '\0';
}

/* Debian's os-release says "12", /etc/debian_version "12.5". */
static void refine_debian(struct host_collect *c, char *version, size_t size)
{
	size_t major = strlen(version);
	char line[HOST_LINE_MAX];

	if (host_line(c, "etc/debian_version", line) && major &&
	    strncmp(line, version, major) == 0 && line[major] == '.')
		snprintf(version, size, "%.63s", line);
}

static void collect_os(struct host_collect *c)
{
	char *text VD_AUTO_FREE = host_slurp(c, "etc/os-release", 64u << 10);
	char distro[64], version[64], name[256], id[64];

	if (!text)
		text = host_slurp(c, "usr/lib/os-release", 64u << 10);
	if (text) {
		vd_os_release_value(text, "ID", distro, sizeof(distro));
		vd_os_release_value(text, "VERSION_ID", version, sizeof(version));
		vd_os_release_value(text, "NAME", name, sizeof(name));
		vd_os_release_id(distro, version, name, id, sizeof(id));
		if (is_name(id))
			host_put(c, "host.os.id", 0, id);
		host_put(c, "host.os.name", 0, name);
		if (strcmp(distro, "debian") == 0)
			refine_debian(c, version, sizeof(version));
		host_put(c, "host.os.version", 0, version);
	}
	if (text || c->kernel[0])
		host_put(c, "host.os.family", 0, "linux");
}

static void collect_names(struct host_collect *c)
{
	char line[HOST_LINE_MAX];

	if (host_line(c, "proc/sys/kernel/hostname", line) || host_line(c, "etc/hostname", line))
		host_put(c, "host.name", 0, line);
	if (host_line(c, "proc/sys/kernel/osrelease", line)) {
		snprintf(c->kernel, sizeof(c->kernel), "%.127s", line);
		host_put(c, "host.kernel", 0, c->kernel);
	}
}

int vd_host_collect(struct vd_host **out, const struct vd_host_opts *opts, struct vd_error *err)
{
	const char *root = opts && opts->root ? opts->root : "/";
	struct host_collect c = {.asks_kernel = !(opts && opts->root), .err = err};
	int rc;

	*out = NULL;
	if (opts && opts->size < sizeof(*opts))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "vd_host_collect: options of %u bytes; set size to %zu",
				    opts->size, sizeof(*opts));
	rc = vd_io_tree_open(&c.tree, root, err);
	if (rc && rc != VD_ENOMEM) {
		if (err)
			err->code = VD_EINVAL;
		return VD_EINVAL;
	}
	if (!rc)
		rc = host_create(&c.host, err);
	if (!rc) {
		collect_names(&c);
		collect_arch(&c);
		collect_os(&c);
		collect_machine(&c, host_collect_cpu(&c));
		collect_firmware(&c);
		collect_tpm(&c);
		host_collect_hypervisors(&c);
		host_collect_gpus(&c);
		host_collect_network(&c);
		rc = c.rc;
	}
	vd_io_tree_close(c.tree);
	if (rc) {
		vd_host_free(c.host);
		return rc;
	}
	host_seal(c.host);
	*out = c.host;
	return 0;
}
