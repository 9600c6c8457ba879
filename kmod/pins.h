/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages that somebody still uses although nothing maps them: O_DIRECT and the like. */
#ifndef WEFT_PINS_H
#define WEFT_PINS_H

#include <linux/types.h>

struct weft_device;
struct weft_segment;

/*
 * How many references others hold on pages of the segment. Only pages that were ever
 * mapped through it are looked at: nobody can pin another. dax_layout_busy_page() would not do:
 * before 7.0 it looks at nothing when no mapping is left.
 *
 * REQUIRES: seg->lock or frozen, and nothing of it mapped, or the answer means nothing.
 */
u64 weft_segment_pins(struct weft_segment *seg);

/*
 * Deletes the mapping entries of all units (on @dev, if given) that have no pinned page, and
 * returns how many pins kept the others. REQUIRES: frozen, cut.
 */
u64 weft_segment_reap(struct weft_segment *seg, struct weft_device *dev);

/* The same for the one unit that has byte @pos. REQUIRES: invalidate_lock, nothing maps it. */
void weft_unit_reap(struct weft_segment *seg, loff_t pos);

#endif
