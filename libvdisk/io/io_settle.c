/* SPDX-License-Identifier: MIT */
/*
 * Transfers that a ring carries out: may they begin, and how did they end? What the kernel didn't
 * do as a whole is done again by the loops of io_transfer.c, from its beginning: reading or writing
 * the same bytes twice does no harm, and short transfers are rare.
 */
#include "io/io_engine.h"

int vd_transfer_check(const struct vd_transfer *transfer, struct vd_error *err)
{
	return transfer->is_write ? vd_io_check_change(transfer->io, err)
				  : vd_io_check_go_on(transfer->io, err);
}

static void count(const struct vd_transfer *transfer)
{
	struct vd_io_stripe *own = vd_io_own_stripe(transfer->io);
	uint64_t n = transfer->result > 0 ? (uint64_t)transfer->result : 0;

	vd_io_count(transfer->is_write ? &own->n_writes : &own->n_reads, 1);
	vd_io_count(transfer->is_write ? &own->bytes_written : &own->bytes_read, n);
}

int vd_transfer_settle(const struct vd_transfer *transfer, struct vd_error *err)
{
	int result = transfer->result;

	count(transfer);
	if (result >= 0)
		return (size_t)result == transfer->len ? 0 : VD_TRANSFER_AGAIN;
	switch (-result) {
	case EINTR:
	case EAGAIN:
	case ECANCELED:
	case ENOMEM: /* the kernel's, for the asynchronous way */
	case EINVAL: /* an operation or a file that io_uring doesn't know: the calls will tell */
	case ENOSYS:
	case EPERM:
	case EACCES:
	case EOPNOTSUPP:
		return VD_TRANSFER_AGAIN;
	default:
		return vd_io_fail(transfer->io, transfer->is_write ? "write" : "read",
				  transfer->offset, transfer->len, result, err);
	}
}

int vd_transfer_do(const struct vd_transfer *transfer, struct vd_error *err)
{
	return transfer->is_write ? vd_io_writev(transfer->io, transfer->iov, transfer->n_iov,
						 transfer->offset, err)
				  : vd_io_readv(transfer->io, transfer->iov, transfer->n_iov,
						transfer->offset, err);
}
