/* SPDX-License-Identifier: MIT */
/* Check what a parent locator says beyond what a reader needs of it (MS-VHDX 2.6.2.6). */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "format/vhdx/vhdx_check.h"
#include "format/vhdx/vhdx_ondisk.h"

#define KEYS "MS-VHDX 2.6.2.6.3"

/* "{...}" in lower case, as the specification wants it encoded. */
static bool is_linkage_form(const char *text)
{
	size_t n = strlen(text);

	if (n != VD_GUID_TEXT + 1 || text[0] != '{' || text[n - 1] != '}')
		return false;
	for (size_t i = 0; i < n; i++)
		if (text[i] != (char)tolower((unsigned char)text[i]))
			return false;
	return true;
}

static void check_linkage(struct vhdx_checker *c, const struct vd_parent_hint *hint, uint64_t at)
{
	struct vd_guid id;

	if (!is_linkage_form(hint->linkage))
		vhdx_report(c, VD_FINDING_NOTE, "vhdx-locator-linkage", KEYS, at,
			    "a GUID in lower case and in braces", "parent_linkage is \"%s\"",
			    hint->linkage);
	if (vd_guid_parse(hint->linkage, &id) && vd_guid_is_nil(id))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-locator-linkage", KEYS, at,
			    "the parent's DataWriteGuid", "parent_linkage is all zeros");
	if (hint->linkage2[0])
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-locator-linkage2", KEYS, at,
			    "no parent_linkage2",
			    "parent_linkage2 is \"%s\": a merge into the parent was under way",
			    hint->linkage2);
}

static void check_paths(struct vhdx_checker *c, const struct vd_parent_hint *hint, uint64_t at)
{
	const char *relative = hint->relative_path, *volume = hint->volume_path;
	const char *absolute = hint->absolute_win32_path;

	if (relative[0] == '\\' || (relative[0] && relative[1] == ':') || strchr(relative, '/'))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-locator-relative-path", KEYS, at,
			    "a path from the image's own folder, with \"\\\" between its parts",
			    "relative_path is \"%s\"", relative);
	if (volume[0] && strncasecmp(volume, "\\\\?\\Volume{", 11) != 0)
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-locator-volume-path", KEYS, at,
			    "a path that begins with \"\\\\?\\Volume{\"", "volume_path is \"%s\"",
			    volume);
	if (absolute[0] && strncmp(absolute, "\\\\?\\", 4) != 0)
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-locator-absolute-path", KEYS, at,
			    "a path that begins with \"\\\\?\\\"", "absolute_win32_path is \"%s\"",
			    absolute);
}

void vhdx_check_locator(struct vhdx_checker *c, struct vd_span content, uint64_t at)
{
	const struct vhdx_disk_locator *disk = (const void *)content.p;
	const struct vd_parent_hint *hint = c->params.parent;
	uint32_t n_known = 0;

	if (content.len < sizeof(*disk))
		return;
	if (vd_get16(disk->reserved))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-locator-reserved", "MS-VHDX 2.6.2.6.1",
			    at + 16, "0", "the parent locator's reserved field is set");
	/* Without a linkage it didn't decode, which has been told. */
	if (!hint || !hint->linkage[0])
		return;
	check_linkage(c, hint, at);
	check_paths(c, hint, at);
	n_known += hint->linkage[0] != '\0';
	n_known += hint->linkage2[0] != '\0';
	n_known += hint->relative_path[0] != '\0';
	n_known += hint->volume_path[0] != '\0';
	n_known += hint->absolute_win32_path[0] != '\0';
	if (vd_get16(disk->n_pairs) > n_known)
		vhdx_report(c, VD_FINDING_NOTE, "vhdx-locator-key", KEYS, at + 18,
			    "keys of the specification, with values that fit",
			    "%" PRIu32 " of %u pairs of the parent locator are ignored",
			    vd_get16(disk->n_pairs) - n_known, vd_get16(disk->n_pairs));
}
