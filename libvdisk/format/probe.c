/* SPDX-License-Identifier: MIT */
/*
 * Which format is it? Signatures at the start or the end of the store. What holds content rather
 * than being a disk format of its own (a file system, LUKS, an ISO image) is raw.
 */
#include "format/formats.h"

#include <string.h>

#include "base/checked.h"

static const struct vd_format_ops *const formats[] = {&vhdx_format_ops, &raw_format_ops};
#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

/* Foreign formats, by a signature at a fixed place. An offset below 0 counts from the end. */
static const struct signature {
	const char *name;
	int offset;
	size_t len;
	const char *bytes;
} signatures[] = {
    {"vhd", 0, 8, "conectix"},
    {"vhd", -512, 8, "conectix"},
    {"vhd", -511, 8, "conectix"}, /* Virtual PC before 2004 wrote 511 bytes of footer */
    {"qcow", 0, 8, "QFI\xfb\0\0\0\1"},
    {"qcow2", 0, 4, "QFI\xfb"},
    {"qed", 0, 4, "QED\0"},
    {"vdi", 64, 4, "\x7f\x10\xda\xbe"},
    {"vmdk", 0, 4, "KDMV"},
    {"vmdk", 0, 4, "COWD"},
    {"vmdk", 0, 21, "# Disk DescriptorFile"},
    {"parallels", 0, 16, "WithoutFreeSpace"},
    {"parallels", 0, 16, "WithouFreSpacExt"},
    {"bochs", 0, 22, "Bochs Virtual HD Image"},
    {"cloop", 0, 23, "#!/bin/sh\n#V2.0 Format\n"},
    {"dmg", -512, 4, "koly"},
};

static bool has_signature(const struct signature *s, const uint8_t *head, size_t n_head,
			  const uint8_t *tail, size_t n_tail)
{
	size_t at = s->offset < 0 ? (size_t)-s->offset : (size_t)s->offset;

	if (s->offset >= 0)
		return vd_is_within(at, s->len, n_head) && !memcmp(head + at, s->bytes, s->len);
	return at <= n_tail && !memcmp(tail + n_tail - at, s->bytes, s->len);
}

/* A VMDK descriptor is text: QEMU takes any file for one whose first line that isn't blank or a
 * comment says version=1, 2 or 3. */
static bool is_vmdk_text(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n && (p[i] == '#' || p[i] == ' ' || p[i] == '\r' || p[i] == '\n')) {
		if (p[i] == '#')
			while (i < n && p[i] != '\n')
				i++;
		else
			i++;
	}
	return i + 10 <= n && !memcmp(p + i, "version=", 8) && p[i + 8] >= '1' && p[i + 8] <= '3' &&
	       (p[i + 9] == '\n' || p[i + 9] == '\r');
}

const struct vd_format_ops *vd_format_find(const char *name)
{
	for (size_t i = 0; i < N_FORMATS; i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	return NULL;
}

const char *vd_format_recognise(const uint8_t *head, size_t n_head, const uint8_t *tail,
				size_t n_tail)
{
	for (size_t i = 0; i < N_FORMATS; i++)
		if (formats[i]->probe && formats[i]->probe(head, n_head, tail, n_tail))
			return formats[i]->name;
	for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
		if (has_signature(&signatures[i], head, n_head, tail, n_tail))
			return signatures[i].name;
	if (is_vmdk_text(head, n_head))
		return "vmdk";
	return VD_FORMAT_RAW;
}

int vd_format_probe(struct vd_io *io, const char **name, struct vd_error *err)
{
	uint8_t head[VD_PROBE_HEAD], tail[VD_PROBE_TAIL];
	size_t n_head, n_tail;
	uint64_t length;
	int ret = vd_io_length(io, &length, err);

	if (ret)
		return ret;
	n_head = (size_t)vd_min64(length, sizeof(head));
	n_tail = (size_t)vd_min64(length, sizeof(tail));
	ret = vd_io_read(io, head, n_head, 0, err);
	if (ret)
		return ret;
	/* Where the head says enough, the end is left alone: that is often the guest's data. */
	*name = vd_format_recognise(head, n_head, NULL, 0);
	if (strcmp(*name, VD_FORMAT_RAW) != 0 && vd_format_find(*name))
		return 0;
	ret = vd_io_read(io, tail, n_tail, length - n_tail, err);
	if (!ret)
		*name = vd_format_recognise(head, n_head, tail, n_tail);
	return ret;
}

int vd_probe(struct vd_io *io, const char **format, struct vd_error *err)
{
	return vd_format_probe(io, format, err);
}
