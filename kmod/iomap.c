// SPDX-License-Identifier: GPL-2.0-only
#include <linux/iomap.h>

#include "device.h"
#include "file.h"
#include "segment.h"

/*
 * Cuts @at off at its first bad page, on every kernel alike: the dax devices of some
 * know of none. -EHWPOISON or, for read and write, -EIO if that is the first page.
 */
static int weft_iomap_avoid_bad(struct weft_location *at, unsigned int flags)
{
	pgoff_t first = PHYS_PFN(at->offset);
	pgoff_t last = PHYS_PFN(at->offset + at->length - 1);
	pgoff_t bad;

	if (!weft_bad_any(at->dev->bad, first, last))
		return 0;
	bad = weft_bad_next(at->dev->bad, first, last);
	if (bad == first)
		return flags & IOMAP_FAULT ? -EHWPOISON : -EIO;
	at->length = PFN_PHYS(bad) - at->offset;
	return 0;
}

/* REQUIRES: i_rwsem or the invalidate_lock. Allocates nothing. */
static int weft_iomap_begin(struct inode *inode, loff_t pos, loff_t length, unsigned int flags,
			    struct iomap *iomap, struct iomap *srcmap)
{
	struct weft_segment *seg = weft_segment_of(inode);
	loff_t start = ALIGN_DOWN(pos, PAGE_SIZE);
	struct weft_location at;
	int err;

	if (pos >= seg->map->size)
		return -EIO;
	weft_map_resolve(seg->map, start, &at);
	err = weft_iomap_avoid_bad(&at, flags);
	if (err)
		return err;
	iomap->type = IOMAP_MAPPED;
	iomap->dax_dev = at.dev->dax_dev;
	iomap->offset = start;
	iomap->addr = at.offset;
	iomap->length = at.length;
	return 0;
}

const struct iomap_ops weft_iomap_ops = {
	.iomap_begin = weft_iomap_begin,
};
