// SPDX-License-Identifier: GPL-2.0-only
/*
 * read(2) and write(2), in pieces inside one unit.
 *
 * The user's pages are faulted in with no lock held, and each piece is copied with
 * page faults disabled: a buffer that is backed by userfaultfd or FUSE can keep its
 * owner waiting for ever, but neither a revoke nor the removal of a device. Every
 * piece asks again whether the handle is good, under the lock that a revoke takes.
 */
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "device.h"
#include "file.h"
#include "handle.h"
#include "poison.h"
#include "segment.h"

/* REQUIRES: i_rwsem, page faults disabled. @iter is no longer than the piece. */
static ssize_t weft_write_piece(struct kiocb *iocb, struct iov_iter *iter,
				struct weft_segment *seg)
{
	struct weft_location at;

	weft_map_resolve(seg->map, iocb->ki_pos, &at);
	if (!weft_bad_any(at.dev->bad, PHYS_PFN(at.offset), PHYS_PFN(at.offset)))
		return dax_iomap_rw(iocb, iter, &weft_iomap_ops);
	/* A bad page is good again once it was written whole. */
	if (offset_in_page(iocb->ki_pos) || iov_iter_count(iter) < PAGE_SIZE)
		return -EIO;
	return weft_poison_write(iocb, iter, seg, &at);
}

static void weft_count_piece(struct weft_segment *seg, loff_t pos, bool write)
{
	enum weft_counter which = write ? WEFT_WRITES : WEFT_READS;
	struct weft_location at;

	weft_map_resolve(seg->map, pos, &at);
	weft_counters_add(&seg->stats, which, 1);
	weft_counters_add(&at.dev->stats, which, 1);
}

static ssize_t weft_locked_piece(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct weft_handle *handle = iocb->ki_filp->private_data;
	struct weft_segment *seg = handle->seg;
	loff_t pos = iocb->ki_pos;
	ssize_t ret;

	if (write)
		inode_lock(&seg->inode);
	else
		inode_lock_shared(&seg->inode);
	ret = weft_handle_check(handle);
	if (!ret) {
		pagefault_disable();
		ret = write ? weft_write_piece(iocb, iter, seg) :
			      dax_iomap_rw(iocb, iter, &weft_iomap_ops);
		pagefault_enable();
	}
	if (ret > 0)
		weft_count_piece(seg, pos, write);
	if (write)
		inode_unlock(&seg->inode);
	else
		inode_unlock_shared(&seg->inode);
	return ret;
}

/* How much of the user's memory could be brought in, of @size bytes. */
static size_t weft_fault_in(struct iov_iter *iter, size_t size, bool write)
{
	size_t left = write ? fault_in_iov_iter_readable(iter, size) :
			      fault_in_iov_iter_writeable(iter, size);

	return size - left;
}

/* Moves at most @size bytes. Fewer than asked for is no error, none at all is. */
static ssize_t weft_piece(struct kiocb *iocb, struct iov_iter *iter, size_t size, bool write)
{
	size_t held_back;
	ssize_t ret;

	size = weft_fault_in(iter, size, write);
	if (!size)
		return -EFAULT;
	held_back = iov_iter_count(iter) - size;
	iov_iter_truncate(iter, size);
	ret = weft_locked_piece(iocb, iter, write);
	iov_iter_reexpand(iter, iov_iter_count(iter) + held_back);
	return ret;
}

/*
 * A piece that moves nothing although the user's memory could be brought in is tried
 * again: it may have been taken away in between. Not for ever: copying fails too where
 * memory has gone bad and nobody has been told yet.
 */
#define WEFT_PIECE_TRIES	16

static ssize_t weft_rw(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	loff_t size = i_size_read(file_inode(iocb->ki_filp));
	int tries = WEFT_PIECE_TRIES;
	ssize_t done = 0, ret = 0;

	while (iov_iter_count(iter) && iocb->ki_pos < size) {
		u64 to_unit = WEFT_UNIT_BYTES - (iocb->ki_pos & (WEFT_UNIT_BYTES - 1));

		ret = weft_piece(iocb, iter, min_t(u64, iov_iter_count(iter), to_unit), write);
		if (ret == -EFAULT && --tries && !fatal_signal_pending(current) &&
		    weft_fault_in(iter, 1, write))
			continue;
		if (ret <= 0)
			break;
		tries = WEFT_PIECE_TRIES;
		done += ret;
		cond_resched();
	}
	return done ?: ret;
}

ssize_t weft_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	return weft_rw(iocb, to, false);
}

ssize_t weft_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	loff_t size = i_size_read(file_inode(iocb->ki_filp));
	ssize_t ret;

	if (iocb->ki_flags & IOCB_APPEND)
		iocb->ki_pos = size;
	if (iov_iter_count(from) && iocb->ki_pos >= size)
		return -ENOSPC;
	ret = weft_rw(iocb, from, true);
	return ret > 0 ? generic_write_sync(iocb, ret) : ret;
}
