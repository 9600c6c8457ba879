// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists are given out entry by entry, by their key, with no lock held while user
 * memory is written: a cursor, not a snapshot.
 */
#include "list.h"

#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "device.h"
#include "handle.h"
#include "segment.h"

struct weft_list_writer {
	struct weft_list *arg;
	u32 room;
};

static int weft_list_begin(struct weft_list_writer *out, struct weft_list *arg, bool has_object,
			   size_t smallest)
{
	if (!arg->entries || arg->entries > WEFT_MAX_LIST_ENTRIES ||
	    arg->entry_size < smallest || arg->entry_size > PAGE_SIZE ||
	    (!has_object && arg->object_id))
		return -EINVAL;
	out->arg = arg;
	out->room = arg->entries;
	arg->entries = 0;
	return 0;
}

static bool weft_list_is_full(const struct weft_list_writer *out)
{
	return out->arg->entries == out->room;
}

static int weft_list_put(struct weft_list_writer *out, const void *entry, size_t size)
{
	struct weft_list *arg = out->arg;
	size_t known = min_t(size_t, size, arg->entry_size);
	u8 __user *to = u64_to_user_ptr(arg->entries_ptr) + (u64)arg->entries * arg->entry_size;

	if (copy_to_user(to, entry, known) || clear_user(to + known, arg->entry_size - known))
		return -EFAULT;
	arg->entries++;
	return fatal_signal_pending(current) ? -EINTR : 0;
}

int weft_list_devices(struct weft_list *arg)
{
	struct weft_list_writer out;
	struct weft_device_info info;
	struct weft_device *dev;
	unsigned long id = arg->cursor;
	int err;

	err = weft_list_begin(&out, arg, false, sizeof(info));
	arg->cursor = 0;
	while (!err && xa_find(&weft_devices, &id, ULONG_MAX, XA_PRESENT)) {
		if (weft_list_is_full(&out)) {
			arg->cursor = id;
			break;
		}
		dev = weft_device_find(id);
		if (dev) {
			weft_device_info(dev, &info);
			weft_device_put(dev);
			err = weft_list_put(&out, &info, sizeof(info));
		}
		id++;
	}
	return err;
}

int weft_list_bad_ranges(struct weft_list *arg)
{
	struct weft_list_writer out;
	struct weft_bad_range range;
	struct weft_device *dev;
	pgoff_t page = PHYS_PFN(PAGE_ALIGN(arg->cursor)), last;
	int err;

	err = weft_list_begin(&out, arg, true, sizeof(range));
	if (err)
		return err;
	dev = weft_device_find(arg->object_id);
	if (!dev)
		return -ENODEV;
	arg->cursor = 0;
	last = PHYS_PFN(dev->capacity) - 1;
	while (!err && page <= last && (page = weft_bad_next(dev->bad, page, last)) <= last) {
		pgoff_t end = page + 1;

		if (weft_list_is_full(&out)) {
			arg->cursor = PFN_PHYS(page);
			break;
		}
		while (end <= last && weft_bad_next(dev->bad, end, end) == end)
			end++;
		range.offset = PFN_PHYS(page);
		range.length = PFN_PHYS(end - page);
		err = weft_list_put(&out, &range, sizeof(range));
		page = end;
	}
	weft_device_put(dev);
	return err;
}

int weft_list_segments(struct weft_list *arg)
{
	struct weft_list_writer out;
	struct weft_segment_info info;
	struct weft_segment *seg;
	u64 id = arg->cursor;
	int err;

	err = weft_list_begin(&out, arg, false, sizeof(info));
	arg->cursor = 0;
	while (!err && (seg = weft_segment_next(&id))) {
		if (weft_list_is_full(&out)) {
			arg->cursor = id;
			weft_segment_put(seg);
			break;
		}
		weft_segment_info(seg, &info);
		weft_segment_put(seg);
		err = weft_list_put(&out, &info, sizeof(info));
		id++;
	}
	return err;
}

/* The handle with the smallest id of at least *@id, described; false if there is none. */
static bool weft_handle_next(struct weft_segment *seg, unsigned long *id,
			     struct weft_handle_info *info)
{
	struct weft_handle *handle;

	xa_lock(&seg->handles);
	handle = xa_find(&seg->handles, id, ULONG_MAX, XA_PRESENT);
	if (handle)
		weft_handle_info(handle, info);
	xa_unlock(&seg->handles);
	return handle;
}

int weft_list_handles(struct weft_list *arg)
{
	struct weft_list_writer out;
	struct weft_handle_info info;
	struct weft_segment *seg;
	unsigned long id = arg->cursor;
	int err;

	err = weft_list_begin(&out, arg, true, sizeof(info));
	if (err)
		return err;
	seg = weft_segment_find(arg->object_id);
	if (!seg)
		return -ENOENT;
	arg->cursor = 0;
	while (!err && weft_handle_next(seg, &id, &info)) {
		if (weft_list_is_full(&out)) {
			arg->cursor = id;
			break;
		}
		err = weft_list_put(&out, &info, sizeof(info));
		id++;
	}
	weft_segment_put(seg);
	return err;
}

/* Extent number @index of the segment; false past the last. REQUIRES: seg->lock. */
static bool weft_extent_at(struct weft_segment *seg, u64 index, struct weft_extent_info *info)
{
	const struct weft_batch *batch;

	weft_map_for_each_batch(batch, seg->map) {
		const struct weft_piece *piece = &batch->pieces[index];

		if (index >= batch->count) {
			index -= batch->count;
			continue;
		}
		*info = (struct weft_extent_info) {
			.extent = { piece->dev->id, piece->offset, piece->length },
			.stripe_chunk_bytes = piece->chunk,
			.stripe_ways = piece->ways,
		};
		return true;
	}
	return false;
}

int weft_list_extents(struct weft_list *arg)
{
	struct weft_list_writer out;
	struct weft_extent_info info;
	struct weft_segment *seg;
	u64 index = arg->cursor;
	bool found;
	int err;

	err = weft_list_begin(&out, arg, true, sizeof(info));
	if (err)
		return err;
	seg = weft_segment_find(arg->object_id);
	if (!seg)
		return -ENOENT;
	arg->cursor = 0;
	while (!err) {
		mutex_lock(&seg->lock);
		found = weft_extent_at(seg, index, &info);
		mutex_unlock(&seg->lock);
		if (!found)
			break;
		if (weft_list_is_full(&out)) {
			arg->cursor = index;
			break;
		}
		err = weft_list_put(&out, &info, sizeof(info));
		index++;
	}
	weft_segment_put(seg);
	return err;
}
