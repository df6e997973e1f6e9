/* SPDX-License-Identifier: MIT */
/*
 * Has somebody written to the image while it was checked? Locks tell of most writers before the
 * check begins; this tells of those that take none, or where the file system has none. Whoever
 * changes the map of a VHDX writes to what is compared here: a header, the region tables or the
 * log, or makes the file longer.
 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/span.h"
#include "format/vhdx/vhdx_check.h"

#define PIECE ((size_t)1 << 20)
#define UNIT  ((size_t)4096)

/* The units that aren't zero, by where they are. A hole counts as zeros do: on XFS reserved space
 * that is only read may be a hole before and data afterwards. */
static void add_units(const uint8_t *piece, uint64_t off, size_t n, uint32_t *crc)
{
	for (size_t i = 0; i < n; i += UNIT) {
		size_t len = n - i < UNIT ? n - i : UNIT;
		uint64_t at = off + i;

		if (vd_is_zero(piece + i, len))
			continue;
		*crc = vd_crc32c(*crc, &at, sizeof(at));
		*crc = vd_crc32c(*crc, piece + i, len);
	}
}

/* The data of [off, end), which are multiples of UNIT. */
static int add_range(struct vd_io *io, uint64_t off, uint64_t end, uint8_t *piece, uint32_t *crc,
		     struct vd_error *err)
{
	while (off < end) {
		uint64_t start, data_end;
		int rc = vd_io_next_data(io, off, end, &start, &data_end, err);

		if (rc)
			return rc;
		if (start >= end || start >= data_end)
			return 0;
		off = start / UNIT * UNIT;
		data_end = vd_min64((data_end + UNIT - 1) / UNIT * UNIT, end);
		while (off < data_end) {
			size_t n = (size_t)vd_min64(PIECE, data_end - off);

			rc = vd_io_read(io, piece, n, off, err);
			if (rc)
				return rc;
			add_units(piece, off, n, crc);
			off += n;
		}
	}
	return 0;
}

int vhdx_mark_take(struct vd_io *io, struct vhdx_mark *mark, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *piece = vd_malloc(PIECE);
	struct vhdx_headers headers = {0};
	const struct vhdx_header *header;
	struct vd_error why = VD_ERROR_INIT;
	int rc;

	mark->crc = 0;
	if (!piece)
		return vd_no_memory(err, PIECE, "comparing the image with itself");
	rc = vd_io_length(io, &mark->len, err);
	if (!rc)
		rc = add_range(io, VHDX_HEADER_OFF(0), VHDX_HEAD_END, piece, &mark->crc, err);
	if (rc)
		return rc;
	rc = vhdx_headers_read(io, &headers, &why);
	if (rc == VD_ECORRUPT || rc == VD_EUNSUPPORTED)
		return 0; /* no log to look at */
	if (rc)
		return vd_error_set(err, rc, why.sys_errno, why.offset, "%s", why.text);
	header = &headers.slot[headers.current];
	if (!vd_is_within(header->log_off, header->log_len, INT64_MAX))
		return 0;
	return add_range(io, header->log_off, header->log_off + header->log_len, piece, &mark->crc,
			 err);
}
