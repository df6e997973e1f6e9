// SPDX-License-Identifier: MIT
/* What a scan found as documents: content and patches, in the vocabulary of their schemas. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "image/scan.h"

/* XML that grows. A failure of memory is kept until the end. */
struct xml {
	char *text;
	size_t len, size;
	bool is_failed;
};

static void put_bytes(struct xml *xml, const char *bytes, size_t len)
{
	size_t size = xml->size ? xml->size : 4096;
	char *larger;

	while (size < xml->len + len + 1)
		size *= 2;
	if (size > xml->size && !xml->is_failed) {
		larger = vd_realloc(xml->text, size);
		xml->is_failed = !larger;
		if (larger) {
			xml->text = larger;
			xml->size = size;
		}
	}
	if (xml->is_failed)
		return;
	memcpy(xml->text + xml->len, bytes, len);
	xml->len += len;
	xml->text[xml->len] = '\0';
}

static void put(struct xml *xml, const char *text)
{
	put_bytes(xml, text, strlen(text));
}

/* Texts are valid UTF-8 without control characters; U+FFFE and U+FFFF are no characters of XML. */
static void put_escaped(struct xml *xml, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			put(xml, "&lt;");
		else if (*text == '>')
			put(xml, "&gt;");
		else if (*text == '&')
			put(xml, "&amp;");
		else if (*text == '"')
			put(xml, "&quot;");
		else if (strncmp(text, "\xef\xbf\xbe", 3) == 0 ||
			 strncmp(text, "\xef\xbf\xbf", 3) == 0) {
			put(xml, "\xef\xbf\xbd");
			text += 2;
		} else {
			put_bytes(xml, text, 1);
		}
	}
}

/* An attribute, unless it is empty. */
static void put_line(struct xml *xml, const char *name, const char *value)
{
	char clean[1024];

	vd_scan_clean(clean, sizeof(clean), value, strlen(value));
	if (!clean[0])
		return;
	put(xml, " ");
	put(xml, name);
	put(xml, "=\"");
	put_escaped(xml, clean);
	put(xml, "\"");
}

static void put_name(struct xml *xml, const char *name, const char *value)
{
	if (vd_scan_is_name(value))
		put_line(xml, name, value);
}

static void put_version(struct xml *xml, const char *name, const char *value)
{
	if (vd_scan_is_version(value))
		put_line(xml, name, value);
}

static void put_size(struct xml *xml, const char *name, uint64_t value)
{
	char text[24];

	if (value > INT64_MAX)
		return;
	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_line(xml, name, text);
}

static bool is_uuid(const char *text)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(text) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; form[i]; i++)
		if (form[i] == '-' ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
			return false;
	return true;
}

/* ---- content ---- */

static void put_os(struct xml *xml, const struct vd_scan_os *os)
{
	put(xml, "  <os");
	put_name(xml, "id", os->id);
	put_line(xml, "name", os->name);
	put_version(xml, "version", os->version);
	put_version(xml, "build", os->build);
	put_line(xml, "codename", os->codename);
	put_line(xml, "edition", os->edition);
	put_name(xml, "family", os->family);
	put_name(xml, "arch", os->arch);
	put_version(xml, "kernel", os->kernel);
	put_name(xml, "hostname", os->hostname);
	put(xml, "/>\n");
}

static void put_partitions(struct xml *xml, const struct vd_layout *layout)
{
	put(xml, "  <partitions");
	put_name(xml, "scheme", vd_scheme_name(layout->scheme));
	put_name(xml, "id", layout->disk_uuid);
	put(xml, ">\n");
	for (size_t i = 0; i < layout->n_partitions; i++) {
		const struct vd_partition *partition = &layout->partitions[i];
		bool is_bootable = layout->scheme == VD_SCHEME_MBR ? partition->attributes & 1
								   : partition->attributes & 4;

		if (!partition->number)
			continue;
		put(xml, "    <partition");
		put_size(xml, "number", partition->number);
		put_size(xml, "start", partition->start);
		put_size(xml, "size", partition->length);
		put_name(xml, "type", partition->type);
		put_line(xml, "type-name", partition->type_name);
		if (is_uuid(partition->uuid))
			put_line(xml, "uuid", partition->uuid);
		put_line(xml, "name", partition->name);
		if (is_bootable)
			put_line(xml, "bootable", "true");
		put(xml, "/>\n");
	}
	put(xml, "  </partitions>\n");
}

static void put_filesystems(struct xml *xml, const struct vd_scan *scan)
{
	put(xml, "  <filesystems>\n");
	for (size_t i = 0; i < scan->n_fs; i++) {
		const struct vd_partition *partition = scan->fs[i].partition;
		const struct vd_filesystem *fs = scan->fs[i].guest
						     ? vd_guest_fs_info(scan->fs[i].guest)
						     : &partition->filesystem;

		if (!vd_scan_is_name(fs->type))
			continue;
		put(xml, "    <filesystem");
		put_line(xml, "type", fs->type);
		put_version(xml, "version", fs->version);
		put_size(xml, "partition", partition->number);
		put_line(xml, "label", fs->label);
		put_name(xml, "uuid", fs->uuid);
		if (fs->size)
			put_size(xml, "size", fs->size);
		put_size(xml, "used", fs->used);
		put_line(xml, "mount", scan->fs[i].mount);
		if (fs->is_dirty)
			put_line(xml, "dirty", "true");
		put(xml, "/>\n");
	}
	put(xml, "  </filesystems>\n");
}

static void put_software(struct xml *xml, const struct vd_scan_purls *purls)
{
	put(xml, "  <software>\n");
	for (size_t at = 0; at < purls->len; at += strlen(purls->text + at) + 1) {
		put(xml, "    <package>");
		put_escaped(xml, purls->text + at);
		put(xml, "</package>\n");
	}
	put(xml, "  </software>\n");
}

static int hand_over(struct xml *xml, char **text, size_t *len, struct vd_error *err)
{
	if (xml->is_failed) {
		vd_free(xml->text);
		return vd_no_memory(err, xml->size * 2, "a document");
	}
	*text = xml->text;
	*len = xml->len;
	return 0;
}

int vd_scan_content(const struct vd_scan *scan, char **text, size_t *len, struct vd_error *err)
{
	struct xml xml = {0};

	put(&xml, "<content xmlns=\"urn:libvdisk:content:1\">\n");
	if (scan->root)
		put_os(&xml, &scan->os);
	put_partitions(&xml, scan->layout);
	put_filesystems(&xml, scan);
	if (scan->has_packages)
		put_software(&xml, &scan->purls);
	put(&xml, "</content>\n");
	return hand_over(&xml, text, len, err);
}

int vd_scan_patches(const struct vd_scan *scan, char **text, size_t *len, struct vd_error *err)
{
	time_t now = (time_t)scan->now;
	struct xml xml = {0};
	char stamp[40];
	struct tm tm;

	if (!gmtime_r(&now, &tm) || !strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm))
		stamp[0] = '\0';
	put(&xml, "<patches xmlns=\"urn:libvdisk:patches:1\">\n  <scan");
	put_line(&xml, "time", stamp);
	put_line(&xml, "tool", "libvdisk " VD_VERSION);
	put(&xml, "/>\n</patches>\n");
	return hand_over(&xml, text, len, err);
}
