/* SPDX-License-Identifier: GPL-2.0-only */
/* What this host's caches hold of a segment. */
#ifndef WEFT_FLUSH_H
#define WEFT_FLUSH_H

#include <linux/types.h>

struct weft_batch;
struct weft_location;
struct weft_map;

/*
 * Writes back and invalidates the extents that lie on devices coherent by software;
 * *flushed is how many bytes. Line by line, or the whole caches at once above
 * flush_all_mib, never that under a hypervisor: KVM makes wbinvd a no-op. Given up
 * with -ETIME when weft_fence is no longer *@fence (NULL: never).
 */
int weft_flush_map(const struct weft_map *map, const u64 *fence, u64 *flushed);

/* As weft_flush_map(), for extents that nobody has yet: forgets what they held. */
void weft_flush_batch(const struct weft_batch *batch);

/* Writes [at, at + length) back, inside one unit. -ENODEV if the device is gone. */
int weft_write_back(const struct weft_location *at, u64 length);

#endif
