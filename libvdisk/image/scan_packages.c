// SPDX-License-Identifier: MIT
/*
 * Installed packages as package URLs: dpkg's status (and status.d of images without dpkg), apk's
 * database. An RPM database is found and told, not read: no library reads its SQLite and Berkeley
 * forms from memory without dragging all of RPM in.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "image/scan.h"

#define PACKAGES_MAX 100000u
#define FOLDER_FILES 20000u

/* One paragraph of a database. */
struct package {
	char name[256], version[256], arch[64];
	bool is_installed;
};

struct reading {
	struct vd_scan *scan;
	const char *type; /* "deb", "apk" */
	const char *space;
	struct package package;
	size_t n, n_broken;
	bool has_status; /* dpkg's status says which are installed; in status.d all are */
};

static void keep_value(char *to, size_t size, const char *value)
{
	size_t len = strlen(value);

	while (len && (value[len - 1] == ' ' || value[len - 1] == '\r'))
		len--;
	/* A value that is cut is another value. */
	if (len >= size)
		len = 0;
	memcpy(to, value, len);
	to[len] = '\0';
}

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

/* A paragraph ends. */
static int end_package(struct reading *reading, struct vd_error *err)
{
	struct package *package = &reading->package;
	bool is_meant = package->name[0] && (package->is_installed || !reading->has_status);
	char purl[1024];
	int rc = 0;

	if (is_meant && reading->n < PACKAGES_MAX) {
		if (!package->version[0] || !is_plain(package->name) ||
		    !is_plain(package->version) || !is_plain(package->arch) ||
		    !vd_scan_purl(purl, sizeof(purl), reading->type, reading->space, package->name,
				  package->version, package->arch))
			reading->n_broken++;
		else
			rc = vd_scan_keep_purl(reading->scan, purl, err);
		reading->n++;
	}
	memset(package, 0, sizeof(*package));
	return rc;
}

static const char *value_of(const char *line, const char *key)
{
	size_t len = strlen(key);

	if (strncasecmp(line, key, len) != 0 || line[len] != ':')
		return NULL;
	return line + len + 1 + strspn(line + len + 1, " \t");
}

static void dpkg_line(struct package *package, const char *line)
{
	const char *value;

	if ((value = value_of(line, "Package")))
		keep_value(package->name, sizeof(package->name), value);
	else if ((value = value_of(line, "Version")))
		keep_value(package->version, sizeof(package->version), value);
	else if ((value = value_of(line, "Architecture")))
		keep_value(package->arch, sizeof(package->arch), value);
	else if ((value = value_of(line, "Status"))) {
		/* "install ok installed": want, flag, state. */
		const char *state = strrchr(value, ' ');

		package->is_installed = state && strcmp(state, " installed") == 0;
	}
}

static void apk_line(struct package *package, const char *line)
{
	if (line[0] && line[1] == ':') {
		char *to = line[0] == 'P'   ? package->name
			   : line[0] == 'V' ? package->version
			   : line[0] == 'A' ? package->arch
					    : NULL;

		if (to)
			keep_value(to,
				   line[0] == 'A' ? sizeof(package->arch) : sizeof(package->name),
				   line + 2);
	}
}

static int read_paragraphs(struct reading *reading, const char *path,
			   void (*take)(struct package *package, const char *line),
			   struct vd_error *err)
{
	struct vd_scan_lines *lines VD_AUTO_FREE = NULL;
	struct vd_error why = VD_ERROR_INIT;
	bool is_cut = false;
	char *line;
	int rc = vd_scan_lines_open(&lines, reading->scan->root->guest, path, VD_SCAN_STATUS_MAX,
				    &is_cut, &why);

	if (rc == VD_ENOENT)
		return rc;
	reading->scan->has_packages = true;
	while (!rc) {
		rc = vd_scan_next_line(lines, &line, &why);
		if (rc <= 0)
			break;
		rc = 0;
		if (line[0])
			take(&reading->package, line);
		else
			rc = end_package(reading, &why);
	}
	/* The last paragraph needs no empty line, but one that was cut off isn't a whole one. */
	if (!rc && !is_cut)
		rc = end_package(reading, &why);
	if (rc == VD_ENOMEM)
		return vd_error_set(err, rc, 0, VD_NO_OFFSET, "%s", why.text);
	if (rc)
		vd_scan_tell(reading->scan, "packages: read up to where it failed: %s", why.text);
	if (is_cut)
		vd_scan_tell(reading->scan, "%s: only its first %u MiB were read", path,
			     VD_SCAN_STATUS_MAX >> 20);
	return 0;
}

static void tell_counts(struct reading *reading, const char *path)
{
	if (reading->n_broken)
		vd_scan_tell(reading->scan,
			     "%s: %zu packages without a name or version that can be read", path,
			     reading->n_broken);
	if (reading->n == PACKAGES_MAX)
		vd_scan_tell(reading->scan, "%s: only its first %u packages were read", path,
			     PACKAGES_MAX);
}

/* ---- the databases ---- */

static int read_dpkg(struct vd_scan *scan, struct vd_error *err)
{
	static const char path[] = "/var/lib/dpkg/status";
	struct reading reading = {.scan = scan, .type = "deb", .has_status = true};
	int rc;

	reading.space = scan->os.distro[0] ? scan->os.distro : "debian";
	rc = read_paragraphs(&reading, path, dpkg_line, err);
	if (rc)
		return rc == VD_ENOENT ? 0 : rc;
	tell_counts(&reading, path);
	return 0;
}

struct status_folder {
	struct reading *reading;
	struct vd_error *err;
	size_t n;
};

/* "Images without a shell" keep a file per package there. */
static int read_status_file(void *user, const char *name, const struct vd_file_info *info)
{
	struct status_folder *folder = user;
	size_t len = strlen(name);
	char path[600];
	int rc;

	if (info->type != VD_FILE_REGULAR || len > 500 ||
	    (len > 8 && strcmp(name + len - 8, ".md5sums") == 0))
		return 0;
	if (++folder->n > FOLDER_FILES)
		return 1;
	snprintf(path, sizeof(path), "/var/lib/dpkg/status.d/%s", name);
	rc = read_paragraphs(folder->reading, path, dpkg_line, folder->err);
	return rc == VD_ENOENT ? 0 : rc;
}

static int read_status_folder(struct vd_scan *scan, struct vd_error *err)
{
	static const char path[] = "/var/lib/dpkg/status.d";
	struct reading reading = {.scan = scan, .type = "deb"};
	struct status_folder folder = {&reading, err, 0};
	struct vd_error why = VD_ERROR_INIT;
	int rc;

	reading.space = scan->os.distro[0] ? scan->os.distro : "debian";
	rc = vd_guest_fs_list(scan->root->guest, path, read_status_file, &folder, &why);
	if (rc == VD_ENOMEM)
		return vd_no_memory(err, 0, "packages");
	if (rc < 0)
		vd_scan_missed(scan, path, rc, &why);
	if (folder.n > FOLDER_FILES)
		vd_scan_tell(scan, "%s: only %u of its files were read", path, FOLDER_FILES);
	tell_counts(&reading, path);
	return 0;
}

static int read_apk(struct vd_scan *scan, struct vd_error *err)
{
	static const char *const paths[] = {"/lib/apk/db/installed", "/usr/lib/apk/db/installed"};
	int rc = VD_ENOENT;

	for (size_t i = 0; i < 2 && rc == VD_ENOENT; i++) {
		struct reading reading = {.scan = scan, .type = "apk"};

		reading.space = scan->os.distro[0] ? scan->os.distro : "alpine";
		rc = read_paragraphs(&reading, paths[i], apk_line, err);
		if (!rc)
			tell_counts(&reading, paths[i]);
	}
	return rc == VD_ENOENT ? 0 : rc;
}

static void look_for_others(struct vd_scan *scan)
{
	static const struct {
		const char *path, *what;
	} others[] = {
	    {"/usr/lib/sysimage/rpm/rpmdb.sqlite", "an RPM database"},
	    {"/var/lib/rpm/rpmdb.sqlite", "an RPM database"},
	    {"/var/lib/rpm/Packages.db", "an RPM database"},
	    {"/var/lib/rpm/Packages", "an RPM database"},
	    {"/var/lib/pacman/local/ALPM_DB_VERSION", "a pacman database"},
	    {"/nix/var/nix/db/db.sqlite", "a Nix store"},
	    {"/var/db/pkg", "a Portage database"},
	    {"/var/lib/snapd/state.json", "snaps"},
	    {"/var/lib/flatpak/repo/config", "Flatpaks"},
	};
	const char *told = "";

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct vd_file_info info;

		if (strcmp(told, others[i].what) != 0 &&
		    !vd_guest_fs_stat(scan->root->guest, others[i].path, &info, NULL)) {
			vd_scan_tell(scan, "%s (%s) was found, not read", others[i].what,
				     others[i].path);
			told = others[i].what;
		}
	}
}

int vd_scan_read_packages(struct vd_scan *scan, struct vd_error *err)
{
	int rc = read_dpkg(scan, err);

	if (!rc)
		rc = read_status_folder(scan, err);
	if (!rc)
		rc = read_apk(scan, err);
	if (rc)
		return rc;
	look_for_others(scan);
	if (scan->purls.n_left_out)
		vd_scan_tell(scan, "%zu packages more than a document of 1 MiB can list",
			     scan->purls.n_left_out);
	scan->result->n_packages = scan->purls.n;
	return 0;
}
