// SPDX-License-Identifier: GPL-2.0-only
#include "poison.h"

#include <linux/dax.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "bad.h"
#include "compat/compat.h"
#include "device.h"
#include "events.h"
#include "pins.h"
#include "segment.h"
#include "tracepoints.h"

/* The segment that has byte @offset of the device, with a reference; its position there. */
static struct weft_segment *weft_segment_at(struct weft_device *dev, u64 offset, u64 *pos)
{
	struct weft_segment *seg = NULL;
	struct weft_piece *piece;

	mutex_lock(&weft_lock);
	piece = weft_piece_at(dev, offset);
	if (piece && igrab(&piece->seg->inode)) {
		seg = piece->seg;
		*pos = weft_piece_position(piece, offset);
	}
	mutex_unlock(&weft_lock);
	return seg;
}

static void weft_unmap_unit(struct weft_segment *seg, loff_t pos)
{
	unmap_mapping_range(seg->inode.i_mapping, ALIGN_DOWN(pos, WEFT_UNIT_BYTES),
			    WEFT_UNIT_BYTES, 1);
}

/*
 * The page is in the list already: faults that come now get BUS_MCEERR_AR, and they
 * alone. mf_dax_kill_procs() signals the process that hit the page, and those that
 * want to know early (BUS_MCEERR_AO); it finds them by what they have mapped, so it
 * comes before the unmap, and it unmaps nothing where it finds nobody, so that comes
 * after. Faults that were under way are then over, and who asks for the unit again
 * gets 4 KiB pages.
 */
static int weft_segment_lose_page(struct weft_segment *seg, loff_t pos, int mf_flags)
{
	struct address_space *mapping = seg->inode.i_mapping;
	int err;

	weft_counters_add(&seg->stats, WEFT_MEMORY_FAILURES, 1);
	err = mf_dax_kill_procs(mapping, pos >> PAGE_SHIFT, 1, mf_flags);
	filemap_invalidate_lock(mapping);
	weft_unmap_unit(seg, pos);
	filemap_invalidate_unlock(mapping);
	return err;
}

static int weft_device_lose_page(struct weft_device *dev, u64 offset, int mf_flags)
{
	struct weft_event event = {
		.type = WEFT_EVENT_MEMORY_FAILURE,
		.device_id = dev->id,
		.offset = offset,
		.length = PAGE_SIZE,
	};
	struct weft_segment *seg;
	int err = 0;

	weft_bad_add(dev->bad, PHYS_PFN(offset));
	weft_counters_add(&dev->stats, WEFT_MEMORY_FAILURES, 1);
	seg = weft_segment_at(dev, offset, &event.segment_offset);
	if (seg) {
		event.segment_id = seg->id;
		err = weft_segment_lose_page(seg, event.segment_offset, mf_flags);
		weft_segment_put(seg);
	}
	trace_weft_memory_failure(&event);
	weft_event_emit(&event);
	return err;
}

int weft_poison_report(struct weft_device *dev, u64 offset, u64 length, int mf_flags)
{
	u64 page = ALIGN_DOWN(offset, PAGE_SIZE);
	int err = 0, ret;

	for (; page < offset + length && page < dev->capacity; page += PAGE_SIZE) {
		ret = weft_device_lose_page(dev, page, mf_flags);
		err = err ?: ret;
	}
	return err;
}

/*
 * A unit whose last bad page became good may be mapped by 2 MiB again: its 4 KiB
 * entries go, unless a page is pinned. (A page table of 4 KiB entries stays where a
 * process has one already; that process goes on with 4 KiB.)
 */
static void weft_unit_heal(struct weft_segment *seg, loff_t pos, const struct weft_location *at)
{
	pgoff_t first = PHYS_PFN(ALIGN_DOWN(at->offset, WEFT_UNIT_BYTES));

	if (weft_bad_any(at->dev->bad, first, first + WEFT_UNIT_PAGES - 1))
		return;
	filemap_invalidate_lock(seg->inode.i_mapping);
	weft_unmap_unit(seg, pos);
	weft_unit_reap(seg, pos);
	filemap_invalidate_unlock(seg->inode.i_mapping);
}

static void weft_page_heal(struct weft_segment *seg, loff_t pos, const struct weft_location *at)
{
	weft_bad_remove(at->dev->bad, PHYS_PFN(at->offset));
	weft_counters_add(&seg->stats, WEFT_RECOVERED_PAGES, 1);
	weft_counters_add(&at->dev->stats, WEFT_RECOVERED_PAGES, 1);
	trace_weft_recover(seg->id, pos, at->dev->id, at->offset);
	weft_unit_heal(seg, pos, at);
}

ssize_t weft_poison_write(struct kiocb *iocb, struct iov_iter *iter, struct weft_segment *seg,
			  const struct weft_location *at)
{
	loff_t pos = iocb->ki_pos;
	size_t written = 0;
	void *kaddr;
	int id, err;

	id = dax_read_lock();
	err = weft_device_kaddr(at->dev, at->offset, PAGE_SIZE, &kaddr);
	if (!err) {
		weft_bad_unpoison(kaddr);
		written = dax_recovery_write(at->dev->dax_dev, PHYS_PFN(at->offset), kaddr,
					     PAGE_SIZE, iter);
		arch_wb_cache_pmem(kaddr, PAGE_SIZE);
	}
	dax_read_unlock(id);
	if (err)
		return err;
	/* Half of a page does not make it good; what of it was written is not told. */
	if (written < PAGE_SIZE) {
		iov_iter_revert(iter, written);
		return -EFAULT;
	}
	weft_page_heal(seg, pos, at);
	iocb->ki_pos += PAGE_SIZE;
	return PAGE_SIZE;
}

static int weft_page_zero(struct weft_segment *seg, loff_t pos, const struct weft_location *at)
{
	void *kaddr;
	int id, err;

	id = dax_read_lock();
	err = weft_device_kaddr(at->dev, at->offset, PAGE_SIZE, &kaddr);
	if (!err) {
		weft_bad_unpoison(kaddr);
		memset(kaddr, 0, PAGE_SIZE);
		arch_wb_cache_pmem(kaddr, PAGE_SIZE);
	}
	dax_read_unlock(id);
	if (!err)
		weft_page_heal(seg, pos, at);
	return err;
}

int weft_poison_zero(struct weft_segment *seg, loff_t pos, u64 length,
		     const struct weft_location *at)
{
	pgoff_t first = PHYS_PFN(at->offset);
	pgoff_t last = PHYS_PFN(at->offset + length - 1);
	pgoff_t page;
	int err = 0;

	while (!err && (page = weft_bad_next(at->dev->bad, first, last)) <= last) {
		struct weft_location here = { .dev = at->dev, .offset = PFN_PHYS(page) };

		if (here.offset < at->offset || here.offset + PAGE_SIZE > at->offset + length)
			return -EIO;
		err = weft_page_zero(seg, pos + (here.offset - at->offset), &here);
	}
	return err;
}
