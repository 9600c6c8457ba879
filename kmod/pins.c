// SPDX-License-Identifier: GPL-2.0-only
#include "pins.h"

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "compat/compat.h"
#include "device.h"
#include "segment.h"

static u64 weft_unit_pins(const struct weft_location *at)
{
	u64 pins = 0;
	void *kaddr;
	int id, i;

	id = dax_read_lock();
	if (!weft_device_kaddr(at->dev, at->offset, WEFT_UNIT_BYTES, &kaddr)) {
		for (i = 0; i < WEFT_UNIT_PAGES;) {
			struct folio *folio = page_folio(virt_to_page(kaddr + i * PAGE_SIZE));
			int refs = folio_ref_count(folio) - WEFT_IDLE_PAGE_REFS;

			pins += max(refs, 0);
			i += folio_nr_pages(folio);
		}
	}
	dax_read_unlock(id);
	return pins;
}

/* The pins of unit @unit; if there are none and @reap, its entries are deleted. */
static u64 weft_unit_scan(struct weft_segment *seg, unsigned long unit,
			  const struct weft_location *at, bool reap)
{
	loff_t pos = (loff_t)unit * WEFT_UNIT_BYTES;
	u64 pins = weft_unit_pins(at);

	if (reap && !pins) {
		weft_delete_entries(seg->inode.i_mapping, pos, pos + WEFT_UNIT_BYTES - 1);
		clear_bit(unit, seg->whole);
		clear_bit(unit, seg->touched);
	}
	return pins;
}

static u64 weft_segment_scan(struct weft_segment *seg, struct weft_device *dev, bool reap)
{
	u64 units = seg->map->size / WEFT_UNIT_BYTES;
	unsigned long unit;
	u64 pins = 0;

	for_each_set_bit(unit, seg->touched, units) {
		struct weft_location at;

		weft_map_resolve(seg->map, (u64)unit * WEFT_UNIT_BYTES, &at);
		if (!dev || at.dev == dev)
			pins += weft_unit_scan(seg, unit, &at, reap);
		cond_resched();
	}
	return pins;
}

u64 weft_segment_pins(struct weft_segment *seg)
{
	return weft_segment_scan(seg, NULL, false);
}

u64 weft_segment_reap(struct weft_segment *seg, struct weft_device *dev)
{
	lockdep_assert_held_write(&seg->inode.i_rwsem);
	return weft_segment_scan(seg, dev, true);
}

void weft_unit_reap(struct weft_segment *seg, loff_t pos)
{
	unsigned long unit = pos / WEFT_UNIT_BYTES;
	struct weft_location at;

	if (!test_bit(unit, seg->touched))
		return;
	weft_map_resolve(seg->map, (u64)unit * WEFT_UNIT_BYTES, &at);
	weft_unit_scan(seg, unit, &at, true);
}
