// SPDX-License-Identifier: MIT
/* Which operating system a root file system holds: os-release, and what stands beside it. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "guest/guest_bytes.h"
#include "image/scan.h"

static int slurp_os_release(struct vd_guest_fs *fs, char **text, struct vd_error *err)
{
	static const char *const places[] = {"/etc/os-release", "/usr/lib/os-release"};
	size_t len;
	int rc = VD_ENOENT;

	/* One that is there but can't be read isn't the same as none. */
	for (size_t i = 0; i < 2; i++) {
		struct vd_error why = VD_ERROR_INIT;
		int got = vd_guest_fs_slurp(fs, places[i], VD_SCAN_SMALL_MAX, text, &len, &why);

		if (!got)
			return 0;
		if (rc == VD_ENOENT)
			rc = vd_error_set(err, got, why.sys_errno, why.offset, "%s", why.text);
		if (rc == VD_ENOMEM)
			break;
	}
	return rc;
}

/* Debian's os-release says "12", /etc/debian_version "12.5". */
static void refine_debian(struct vd_scan *scan)
{
	static const char path[] = "/etc/debian_version";
	char *text VD_AUTO_FREE = NULL;
	struct vd_error why = VD_ERROR_INIT;
	struct vd_scan_os *os = &scan->os;
	char version[64];
	size_t len, major = strlen(os->version);
	int rc;

	if (strcmp(os->distro, "debian") != 0)
		return;
	rc = vd_guest_fs_slurp(scan->root->guest, path, 4096, &text, &len, &why);
	vd_scan_missed(scan, path, rc, &why);
	if (rc)
		return;
	vd_scan_clean(version, sizeof(version), text, len);
	if (major && strncmp(version, os->version, major) == 0 && version[major] == '.' &&
	    vd_scan_is_version(version))
		memcpy(os->version, version, sizeof(version));
}

int vd_scan_read_os_release(struct vd_guest_fs *fs, struct vd_scan_os *os, struct vd_error *err)
{
	char *text VD_AUTO_FREE = NULL;
	char version_id[64];
	int rc = slurp_os_release(fs, &text, err);

	if (rc)
		return rc;
	memset(os, 0, sizeof(*os));
	vd_scan_shell_value(text, "ID", os->distro, sizeof(os->distro));
	vd_scan_shell_value(text, "NAME", os->name, sizeof(os->name));
	vd_scan_shell_value(text, "PRETTY_NAME", os->pretty, sizeof(os->pretty));
	vd_scan_shell_value(text, "VERSION_ID", version_id, sizeof(version_id));
	vd_scan_shell_value(text, "VERSION_CODENAME", os->codename, sizeof(os->codename));
	vd_scan_shell_value(text, "VARIANT", os->edition, sizeof(os->edition));
	vd_scan_shell_value(text, "BUILD_ID", os->build, sizeof(os->build));
	if (!vd_scan_is_name(os->distro))
		os->distro[0] = '\0';
	if (!vd_scan_is_version(os->build))
		os->build[0] = '\0';
	if (vd_scan_is_version(version_id))
		memcpy(os->version, version_id, sizeof(version_id));
	vd_scan_osinfo_id(os->distro, os->version, os->name, os->id, sizeof(os->id));
	snprintf(os->family, sizeof(os->family), "linux");
	if (!os->pretty[0])
		snprintf(os->pretty, sizeof(os->pretty), "%.180s%s%s",
			 os->name[0] ? os->name : os->distro, os->version[0] ? " " : "",
			 os->version);
	return 0;
}

/* ---- the machine ---- */

/* ELF's e_machine, as Linux and libosinfo call it; a bit says 64-bit where that makes two. */
static const struct {
	uint16_t machine;
	uint8_t elf_class; /* 1: 32 bits, 2: 64 bits; 0: any */
	const char *name;
} machines[] = {
    {62, 2, "x86_64"}, {62, 1, "x32"},      {3, 0, "i686"},          {183, 0, "aarch64"},
    {40, 0, "armv7l"}, {243, 2, "riscv64"}, {243, 1, "riscv32"},     {22, 2, "s390x"},
    {20, 0, "ppc"},    {8, 0, "mips"},      {258, 0, "loongarch64"},
};

static void name_machine(const uint8_t *elf, struct vd_scan_os *os)
{
	bool is_big = elf[5] == 2;
	uint16_t machine = is_big ? vd_be16_at(elf + 18) : vd_le16_at(elf + 18);

	if (machine == 21)
		snprintf(os->arch, sizeof(os->arch), is_big ? "ppc64" : "ppc64le");
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (machines[i].machine == machine &&
		    (!machines[i].elf_class || machines[i].elf_class == elf[4]))
			snprintf(os->arch, sizeof(os->arch), "%s", machines[i].name);
}

static void read_arch(struct vd_scan *scan)
{
	static const char *const programs[] = {"/bin/sh", "/usr/bin/env", "/sbin/init",
					       "/bin/busybox", "/usr/bin/dpkg"};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]) && !scan->os.arch[0]; i++) {
		struct vd_error why = VD_ERROR_INIT;
		uint8_t elf[20];
		size_t n;
		int rc =
		    vd_guest_fs_read(scan->root->guest, programs[i], elf, sizeof(elf), 0, &n, &why);

		vd_scan_missed(scan, programs[i], rc, &why);
		if (!rc && n == sizeof(elf) && memcmp(elf, "\177ELF", 4) == 0)
			name_machine(elf, &scan->os);
	}
}

static int newer_kernel(void *user, const char *name, const struct vd_file_info *info)
{
	struct vd_scan_os *os = user;

	if (info->type == VD_FILE_FOLDER && strlen(name) < sizeof(os->kernel) &&
	    vd_scan_is_version(name) && name[0] >= '0' && name[0] <= '9' &&
	    strverscmp(name, os->kernel) > 0)
		memcpy(os->kernel, name, strlen(name) + 1);
	return 0;
}

void vd_scan_read_machine(struct vd_scan *scan)
{
	static const char *const modules[] = {"/lib/modules", "/usr/lib/modules"};
	static const char name[] = "/etc/hostname";
	struct vd_guest_fs *fs = scan->root->guest;
	struct vd_error why = VD_ERROR_INIT;
	struct vd_scan_os *os = &scan->os;
	char *text VD_AUTO_FREE = NULL;
	size_t len, at = 0;
	int rc = VD_ENOENT;

	refine_debian(scan);
	read_arch(scan);
	for (size_t i = 0; i < 2 && rc; i++) {
		rc = vd_guest_fs_list(fs, modules[i], newer_kernel, os, &why);
		vd_scan_missed(scan, modules[i], rc, &why);
	}
	rc = vd_guest_fs_slurp(fs, name, 4096, &text, &len, &why);
	vd_scan_missed(scan, name, rc, &why);
	if (rc)
		return;
	while (text[at] == '#' || text[at] == '\n') {
		at += strcspn(text + at, "\n");
		at += strspn(text + at, "\n");
	}
	vd_scan_clean(os->hostname, sizeof(os->hostname), text + at, strcspn(text + at, "\n"));
	if (!vd_scan_is_name(os->hostname))
		os->hostname[0] = '\0';
}
