/* SPDX-License-Identifier: MIT */
/*
 * Zeroing, giving space back, reserving it, and finding data between holes. What a store turns
 * out not to have is remembered, said once, and done without.
 */
#include "io/io.h"

#include "base/checked.h"
#include "base/message.h"

/* Never written to; in .bss it costs no memory of its own. */
#define N_ZEROS ((size_t)256 << 10)
static uint8_t zeros[N_ZEROS] __attribute__((aligned(4096)));

static int write_zeros(struct vd_io *io, uint64_t offset, uint64_t len, struct vd_error *err)
{
	while (len) {
		/* All but the first and the last are whole and aligned. */
		uint64_t n = vd_min64(len, N_ZEROS - offset % N_ZEROS);
		int ret = vd_io_write(io, zeros, (size_t)n, offset, err);

		if (ret)
			return ret;
		offset += n;
		len -= n;
	}
	return 0;
}

typedef int (*space_fn)(void *state, uint64_t offset, uint64_t len);

/* Call punch, zero or allocate of the store. Returns a negative errno; *ret is set if it isn't
 * the store that said no. */
static int call_space(struct vd_io *io, space_fn fn, uint64_t offset, uint64_t len, int *ret,
		      struct vd_error *err)
{
	struct vd_io_range range;
	int result = 0;

	*ret = vd_io_range_enter(io, &range, offset, offset + len, false, err);
	if (*ret)
		return 0;
	do {
		*ret = vd_io_check_change(io, err);
		if (!*ret) {
			result = fn(io->state, offset, len);
			vd_io_count(&vd_io_own_stripe(io)->n_punches, 1);
		}
	} while (!*ret && result == -EINTR);
	vd_io_range_leave(io, &range);
	return result;
}

/* Zero by `fn` the units that lie wholly in the range, and by writing what is left at both ends.
 * -EOPNOTSUPP: the store can't; nothing was done. */
static int zero_by(struct vd_io *io, space_fn fn, uint32_t lack, const char *doing, uint64_t offset,
		   uint64_t len, struct vd_error *err)
{
	uint64_t end = offset + len;
	uint64_t first = vd_align_up(offset, io->granule), last = vd_align_down(end, io->granule);
	int result, ret;

	if (!fn || vd_io_lacks(io, lack))
		return -EOPNOTSUPP;
	if (first >= last)
		return write_zeros(io, offset, len, err);
	result = call_space(io, fn, first, last - first, &ret, err);
	if (ret)
		return ret;
	if (vd_io_is_unsupported(result)) {
		if (vd_io_note_lack(io, lack))
			vd_message(VD_MESSAGE_INFO,
				   "%s: the host can't %s here, so it is done "
				   "without",
				   io->name, doing);
		return -EOPNOTSUPP;
	}
	if (result)
		return vd_io_fail(io, doing, first, last - first, result, err);
	ret = write_zeros(io, offset, first - offset, err);
	return ret ? ret : write_zeros(io, last, end - last, err);
}

static int check_space(struct vd_io *io, uint64_t offset, uint64_t len, struct vd_error *err)
{
	uint64_t length;
	int ret = vd_io_check_change(io, err);

	if (!ret)
		ret = vd_io_length(io, &length, err);
	if (ret || vd_is_within(offset, len, length))
		return ret;
	return vd_error_set(err, VD_ERANGE, 0, offset,
			    "%s: %llu bytes at offset %llu don't lie within its %llu bytes",
			    io->name, (unsigned long long)len, (unsigned long long)offset,
			    (unsigned long long)length);
}

static int punch_hole(struct vd_io *io, uint64_t offset, uint64_t len, struct vd_error *err)
{
	return zero_by(io, io->ops.punch, VD_IO_LACKS_PUNCH, "punch a hole of", offset, len, err);
}

int vd_io_zero(struct vd_io *io, uint64_t offset, uint64_t len, enum vd_io_zero how,
	       struct vd_error *err)
{
	int ret = check_space(io, offset, len, err);

	if (ret || !len)
		return ret;
	if (io->under)
		return vd_io_zero(io->under, io->base + offset, len, how, err);
	ret = how == VD_IO_ZERO_PUNCH ? punch_hole(io, offset, len, err) : -EOPNOTSUPP;
	if (ret == -EOPNOTSUPP)
		ret = zero_by(io, io->ops.zero, VD_IO_LACKS_ZERO, "zero a range of", offset, len,
			      err);
	return ret == -EOPNOTSUPP ? write_zeros(io, offset, len, err) : ret;
}

int vd_io_punch(struct vd_io *io, uint64_t offset, uint64_t len, struct vd_error *err)
{
	int ret = check_space(io, offset, len, err);

	if (ret || !len)
		return ret;
	if (io->under)
		return vd_io_punch(io->under, io->base + offset, len, err);
	ret = punch_hole(io, offset, len, err);
	if (ret != -EOPNOTSUPP)
		return ret;
	return vd_error_set(err, VD_EUNSUPPORTED, EOPNOTSUPP, offset,
			    "%s: the host can't take back space here", io->name);
}

int vd_io_allocate(struct vd_io *io, uint64_t offset, uint64_t len, struct vd_error *err)
{
	int result, ret = vd_io_check_change(io, err);

	if (ret || !len)
		return ret;
	if (!vd_io_is_sane(offset, len))
		return vd_error_set(err, VD_ERANGE, 0, offset, "%s: no store can be so long",
				    io->name);
	if (io->under) {
		ret = vd_io_window_check(io, offset, len, err);
		return ret ? ret : vd_io_allocate(io->under, io->base + offset, len, err);
	}
	if (vd_io_lacks(io, VD_IO_LACKS_ALLOCATE))
		return 0;
	result = io->ops.allocate ? call_space(io, io->ops.allocate, offset, len, &ret, err)
				  : -EOPNOTSUPP;
	if (ret || !result)
		return ret;
	if (!vd_io_is_unsupported(result))
		return vd_io_fail(io, "reserve", offset, len, result, err);
	if (vd_io_note_lack(io, VD_IO_LACKS_ALLOCATE))
		vd_message(VD_MESSAGE_WARNING,
			   "%s: space can't be reserved here; a write may later find the host full",
			   io->name);
	return 0;
}

/* Where holes can't be told: everything before the end of the store. */
static int all_is_data(struct vd_io *io, uint64_t offset, uint64_t limit, uint64_t *start,
		       uint64_t *end, struct vd_error *err)
{
	uint64_t length;
	int ret = vd_io_length(io, &length, err);

	if (ret)
		return ret;
	length = vd_min64(length, limit);
	*start = offset < length ? offset : limit;
	*end = offset < length ? length : limit;
	return 0;
}

int vd_io_next_data(struct vd_io *io, uint64_t offset, uint64_t limit, uint64_t *start,
		    uint64_t *end, struct vd_error *err)
{
	int result, ret;

	*start = *end = limit;
	ret = vd_io_check_go_on(io, err);
	if (ret || offset >= limit || offset > VD_IO_MAX_OFFSET)
		return ret;
	if (io->under)
		return vd_io_window_next_data(io, offset, limit, start, end, err);
	if (!io->ops.next_data || vd_io_lacks(io, VD_IO_LACKS_HOLES))
		return all_is_data(io, offset, limit, start, end, err);
	do {
		result = io->ops.next_data(io->state, offset, start, end);
	} while (result == -EINTR && !(ret = vd_io_check_go_on(io, err)));
	if (ret)
		return ret;
	if (vd_io_is_unsupported(result)) {
		vd_io_note_lack(io, VD_IO_LACKS_HOLES);
		return all_is_data(io, offset, limit, start, end, err);
	}
	if (result && result != -ENXIO)
		return vd_io_fail(io, "look for data", VD_NO_OFFSET, 0, result, err);
	if (result == -ENXIO || *start >= limit)
		*start = *end = limit;
	*start = vd_max64(*start, offset);
	*end = vd_min64(*end, limit);
	if (*start < *end || *start == limit)
		return 0;
	return vd_error_set(err, VD_EIO, 0, offset,
			    "%s: the store's answer about data at offset "
			    "%llu makes no sense",
			    io->name, (unsigned long long)offset);
}

int vd_io_allocated(struct vd_io *io, uint64_t *bytes, struct vd_error *err)
{
	int result = -EOPNOTSUPP, ret = vd_io_check_go_on(io, err);

	if (ret)
		return ret;
	if (!io->under && io->ops.allocated)
		result = io->ops.allocated(io->state, bytes);
	if (!vd_io_is_unsupported(result))
		return result ? vd_io_fail(io, "tell the used space", VD_NO_OFFSET, 0, result, err)
			      : 0;
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "%s: can't tell how much space it uses", io->name);
}
