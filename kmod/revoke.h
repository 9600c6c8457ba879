/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_REVOKE_H
#define WEFT_REVOKE_H

#include <linux/types.h>

struct weft_device;
struct weft_segment;
struct weft_segment_resume;
struct weft_segment_revoke;

/* The commands. -EINTR of revoke comes with the result filled in. */
int weft_revoke(struct weft_segment_revoke *arg);
int weft_resume(struct weft_segment_resume *arg);

/*
 * Takes all access through the segment away. When it returns no mapping is left and
 * no read or write is under way; pages may still be pinned. Waits for no user.
 */
void weft_segment_cut(struct weft_segment *seg);

/*
 * What remains to be done after a cut: flushes the caches once no page is pinned.
 * Returns how many are (0: the revoke is complete, or there is nothing revoked) and
 * adds what it flushed to *flushed. REQUIRES: seg->lock.
 */
u64 weft_segment_settle(struct weft_segment *seg, u64 *flushed);

/* For weft_device_die(): everything on @dev, for good; returns when none is pinned. */
void weft_revoke_device(struct weft_device *dev);

/* Longest time that any revoke took, waiting for pins not counted. */
u64 weft_revoke_max_ns(void);

#endif
