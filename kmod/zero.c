// SPDX-License-Identifier: GPL-2.0-only
/* Zeroing and writing back: both go through the kernel's mapping, unit by unit. */
#include <linux/bitops.h>
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/sched/signal.h>

#include "device.h"
#include "file.h"
#include "flush.h"
#include "handle.h"
#include "poison.h"
#include "segment.h"

static u64 weft_to_unit_end(loff_t pos)
{
	return WEFT_UNIT_BYTES - (pos & (WEFT_UNIT_BYTES - 1));
}

/* REQUIRES: i_rwsem, exclusive. The range is inside one unit. */
static int weft_zero_piece(struct weft_segment *seg, loff_t pos, u64 length)
{
	struct weft_location at;
	int err;

	weft_map_resolve(seg->map, pos, &at);
	err = weft_poison_zero(seg, pos, length, &at);
	if (!err)
		err = dax_zero_range(&seg->inode, pos, length, NULL, &weft_iomap_ops);
	if (!err)
		err = weft_write_back(&at, length);
	if (!err) {
		weft_counters_add(&seg->stats, WEFT_ZEROED_BYTES, length);
		weft_counters_add(&at.dev->stats, WEFT_ZEROED_BYTES, length);
	}
	return err;
}

int weft_zero(const struct weft_handle *handle, loff_t pos, u64 length, u64 *done)
{
	struct weft_segment *seg = handle->seg;
	int err = 0;

	for (*done = 0; *done < length && !err;) {
		u64 size = min(length - *done, weft_to_unit_end(pos + *done));

		if (signal_pending(current))
			return -EINTR;
		inode_lock(&seg->inode);
		err = weft_handle_check(handle);
		if (!err)
			err = weft_zero_piece(seg, pos + *done, size);
		inode_unlock(&seg->inode);
		if (!err)
			*done += size;
		cond_resched();
	}
	return err;
}

/*
 * Only units that were mapped can have dirty lines: write(2) and zeroing leave none.
 * The flush is done here because fsdev_dax never turns dax_flush() on.
 */
static int weft_sync_piece(struct weft_segment *seg, loff_t pos, u64 length)
{
	struct weft_location at;

	if (!test_bit(pos / WEFT_UNIT_BYTES, seg->touched))
		return 0;
	weft_map_resolve(seg->map, pos, &at);
	return weft_write_back(&at, length);
}

int weft_sync(const struct weft_handle *handle, loff_t start, loff_t end)
{
	struct weft_segment *seg = handle->seg;
	loff_t size = i_size_read(&seg->inode);
	loff_t last = min(end, size - 1);
	loff_t pos = start;
	int err = 0;

	while (pos <= last && !err) {
		u64 length = min_t(u64, last - pos + 1, weft_to_unit_end(pos));

		inode_lock_shared(&seg->inode);
		err = weft_handle_check(handle);
		if (!err)
			err = weft_sync_piece(seg, pos, length);
		inode_unlock_shared(&seg->inode);
		pos += length;
		cond_resched();
	}
	return err;
}
