// SPDX-License-Identifier: MIT
/*
 * Which Windows it is: by the registry hive SOFTWARE, read with libhivex (scan_hivex.h) where that
 * is installed. libhivex wants a file of the host, so the hive is copied into one that has no name
 * and lies in memory; a hive has 50 to 200 MiB.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include <vdisk/sys/io.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "guest/guest_bytes.h"
#include "image/scan_hivex.h"
#include "image/scan_windows.h"

#define CONFIG    "/Windows/System32/config/"
#define HIVE_MAX  (512u << 20)
#define PIECE     (1u << 20)
#define VALUE_MAX 4096u

/* ---- the machine ---- */

static void read_machine(struct vd_scan *scan, struct vd_guest_fs *fs, struct vd_scan_os *os)
{
	static const char path[] = "/Windows/System32/ntoskrnl.exe";
	struct vd_error why = VD_ERROR_INIT;
	uint8_t head[64], pe[6];
	size_t n;
	int rc = vd_guest_fs_read(fs, path, head, sizeof(head), 0, &n, &why);

	if (!rc && (n < sizeof(head) || memcmp(head, "MZ", 2) != 0))
		return;
	if (!rc)
		rc = vd_guest_fs_read(fs, path, pe, sizeof(pe), vd_le32_at(head + 60), &n, &why);
	vd_scan_missed(scan, path, rc, &why);
	if (rc || n < sizeof(pe) || memcmp(pe, "PE\0\0", 4) != 0)
		return;
	switch (vd_le16_at(pe + 4)) {
	case 0x8664:
		snprintf(os->arch, sizeof(os->arch), "x86_64");
		break;
	case 0xaa64:
		snprintf(os->arch, sizeof(os->arch), "aarch64");
		break;
	case 0x014c:
		snprintf(os->arch, sizeof(os->arch), "i686");
		break;
	default:
		break;
	}
}

#ifdef VD_HAS_HIVEX

/* ---- a hive as a file ---- */

static int copy_hive(struct vd_guest_fs *fs, const char *path, struct vd_io *io,
		     struct vd_error *err)
{
	uint8_t *piece VD_AUTO_FREE = vd_malloc(PIECE);

	if (!piece)
		return vd_no_memory(err, PIECE, "a registry hive");
	for (uint64_t at = 0; at <= HIVE_MAX; at += PIECE) {
		size_t n;
		int rc = vd_guest_fs_read(fs, path, piece, PIECE, at, &n, err);

		if (!rc && n)
			rc = vd_io_write(io, piece, n, at, err);
		if (rc || n < PIECE)
			return rc;
	}
	return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET, "%s: longer than %u MiB", path,
			    HIVE_MAX >> 20);
}

static int open_hive(hive_h **hive, const struct scan_hivex *hivex, struct vd_guest_fs *fs,
		     const char *path, struct vd_error *err)
{
	int fd VD_AUTO_FD = memfd_create("hive", MFD_CLOEXEC);
	struct vd_file_info info;
	struct vd_io *io;
	char name[40];
	int rc;

	if (fd < 0)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "no memory for a hive");
	rc = vd_guest_fs_stat(fs, path, &info, err);
	if (rc)
		return rc;
	if (info.size > HIVE_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "%s: %" PRIu64 " bytes, at most %u MiB are read", path,
				    info.size, HIVE_MAX >> 20);
	rc = vd_io_open_fd(&io, fd, path, VD_IO_WRITE, err);
	if (rc)
		return rc;
	rc = copy_hive(fs, path, io, err);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (!rc) {
		*hive = hivex->open(name, 0);
		if (!*hive)
			rc = vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
					  "%s: no registry hive that libhivex reads", path);
	}
	vd_io_close(io);
	return rc;
}

/* ---- values ---- */

struct key {
	const struct scan_hivex *hivex;
	hive_h *hive;
	hive_node_h node;
};

static bool enter_key(struct key *key, const char *const *path)
{
	key->node = key->hivex->root(key->hive);
	for (; *path && key->node; path++)
		key->node = key->hivex->child(key->hive, key->node, *path);
	return key->node != 0;
}

/* Bytes of a value; 0 if it isn't there. libhivex's memory is libc's, so it is copied. */
static size_t value_bytes(const struct key *key, const char *name, hive_type wanted,
			  uint8_t bytes[static VALUE_MAX])
{
	hive_value_h value = key->hivex->value(key->hive, key->node, name);
	hive_type type;
	size_t len;
	char *data = value ? key->hivex->bytes(key->hive, value, &type, &len) : NULL;

	if (!data)
		return 0;
	if (type != wanted || len > VALUE_MAX)
		len = 0;
	memcpy(bytes, data, len);
	(free)(data);
	return len;
}

static void text_value(const struct key *key, const char *name, char *to, size_t size)
{
	uint8_t bytes[VALUE_MAX];
	char text[1024];
	size_t len = value_bytes(key, name, hive_t_REG_SZ, bytes);

	vd_guest_text_utf16(text, sizeof(text), bytes, len, false);
	vd_scan_clean(to, size, text, strlen(text));
}

static bool number_value(const struct key *key, const char *name, uint32_t *x)
{
	uint8_t bytes[VALUE_MAX];

	if (value_bytes(key, name, hive_t_REG_DWORD, bytes) != 4)
		return false;
	*x = vd_le32_at(bytes);
	return true;
}

/* ---- which one ---- */

static const struct {
	uint32_t build;
	const char *client, *server; /* as libosinfo calls what begins with that build */
} builds[] = {
    {6002, "winvista", "win2k8"},  {7600, "win7", "win2k8r2"},  {9200, "win8", "win2k12"},
    {9600, "win8.1", "win2k12r2"}, {10240, "win10", "win2k16"}, {17763, "win10", "win2k19"},
    {20348, "win10", "win2k22"},   {22000, "win11", "win2k22"}, {26100, "win11", "win2k25"},
};

static void describe(const struct key *key, struct vd_scan_os *os)
{
	char build[16], kind[64], version[32];
	uint32_t number, major, minor, revision;
	bool is_server;

	text_value(key, "ProductName", os->name, sizeof(os->name));
	text_value(key, "EditionID", os->edition, sizeof(os->edition));
	text_value(key, "DisplayVersion", os->codename, sizeof(os->codename));
	text_value(key, "InstallationType", kind, sizeof(kind));
	text_value(key, "CurrentVersion", version, sizeof(version));
	text_value(key, "CurrentBuildNumber", build, sizeof(build));
	is_server = strncmp(kind, "Server", 6) == 0;
	if (strcmp(kind, "Server Core") == 0)
		snprintf(os->edition, sizeof(os->edition), "%s", kind);
	number = (uint32_t)strtoul(build, NULL, 10);
	for (size_t i = 0; i < sizeof(builds) / sizeof(builds[0]); i++)
		if (number >= builds[i].build)
			snprintf(os->id, sizeof(os->id), "%s",
				 is_server ? builds[i].server : builds[i].client);
	/* Windows 11 still calls itself 10 there. */
	if (!is_server && number >= 22000 && strncmp(os->name, "Windows 10", 10) == 0)
		os->name[9] = '1';
	if (number_value(key, "CurrentMajorVersionNumber", &major) &&
	    number_value(key, "CurrentMinorVersionNumber", &minor))
		snprintf(version, sizeof(version), "%" PRIu32 ".%" PRIu32, major, minor);
	if (vd_scan_is_version(version))
		snprintf(os->version, sizeof(os->version), "%s", version);
	if (number && number_value(key, "UBR", &revision))
		snprintf(os->build, sizeof(os->build), "%" PRIu32 ".%" PRIu32, number, revision);
	else if (number)
		snprintf(os->build, sizeof(os->build), "%" PRIu32, number);
	if (os->name[0])
		snprintf(os->pretty, sizeof(os->pretty), "%.200s (%.40s)", os->name,
			 os->build[0] ? os->build : version);
}

static void read_software(struct vd_scan *scan, struct vd_guest_fs *fs, struct vd_scan_os *os)
{
	static const char *const path[] = {"Microsoft", "Windows NT", "CurrentVersion", NULL};
	struct key key = {.hivex = scan_hivex()};
	struct vd_error why = VD_ERROR_INIT;

	if (!key.hivex) {
		vd_scan_tell(scan, "Windows found, its version not read: install libhivex (Debian "
				   "package libhivex0)");
		return;
	}
	if (open_hive(&key.hive, key.hivex, fs, CONFIG "SOFTWARE", &why)) {
		vd_scan_tell(scan, "Windows: its version isn't known: %s", why.text);
		return;
	}
	if (enter_key(&key, path))
		describe(&key, os);
	else
		vd_scan_tell(scan, "Windows: its registry doesn't say which version it is");
	key.hivex->close(key.hive);
}

static void read_hostname(struct vd_scan *scan, struct vd_guest_fs *fs, struct vd_scan_os *os)
{
	static const char *const path[] = {"ControlSet001", "Control", "ComputerName",
					   "ComputerName", NULL};
	struct key key = {.hivex = scan_hivex()};
	struct vd_error why = VD_ERROR_INIT;
	int rc = key.hivex ? open_hive(&key.hive, key.hivex, fs, CONFIG "SYSTEM", &why) : VD_ENOENT;

	vd_scan_missed(scan, CONFIG "SYSTEM", rc, &why);
	if (rc)
		return;
	if (enter_key(&key, path))
		text_value(&key, "ComputerName", os->hostname, sizeof(os->hostname));
	if (!vd_scan_is_name(os->hostname))
		os->hostname[0] = '\0';
	key.hivex->close(key.hive);
}

#else

static void read_software(struct vd_scan *scan, struct vd_guest_fs *fs, struct vd_scan_os *os)
{
	(void)fs, (void)os;
	vd_scan_tell(scan, "Windows found, its version not read: this build has no reader for the "
			   "registry (it wants Debian package libhivex-dev when it is made)");
}

static void read_hostname(struct vd_scan *scan, struct vd_guest_fs *fs, struct vd_scan_os *os)
{
	(void)scan, (void)fs, (void)os;
}

#endif

int vd_scan_read_windows(struct vd_scan *scan, struct vd_guest_fs *fs, struct vd_scan_os *os,
			 struct vd_error *err)
{
	struct vd_file_info info;
	int rc = vd_guest_fs_stat(fs, CONFIG "SOFTWARE", &info, err);

	if (rc)
		return rc;
	memset(os, 0, sizeof(*os));
	snprintf(os->family, sizeof(os->family), "winnt");
	snprintf(os->name, sizeof(os->name), "Windows");
	snprintf(os->pretty, sizeof(os->pretty), "Windows");
	read_software(scan, fs, os);
	read_hostname(scan, fs, os);
	read_machine(scan, fs, os);
	vd_scan_tell(scan, "installed programs and updates of Windows aren't listed");
	return 0;
}
