/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bad pages of one device. This list, not PageHWPoison, is the truth: on fs-dax
 * pages the kernel sets that flag on the first page of a mapping entry, which need
 * not be the bad one, and has no list of its own for dax devices.
 *
 * Reading is lock-free, for the fault path. The memory that an entry takes is less
 * than the page that it records has lost, so the list needs no limit.
 *
 * Lifetime: counted. The owner of the device's driver binding holds one reference
 * (pages fail before anybody adds the device), struct weft_device another.
 */
#ifndef WEFT_BAD_H
#define WEFT_BAD_H

#include <linux/kref.h>
#include <linux/xarray.h>

struct weft_bad {
	struct kref ref;
	struct xarray pages;		/* by page offset on the device; the values mean nothing */
	atomic64_t count;
};

struct weft_bad *weft_bad_create(void);
void weft_bad_get(struct weft_bad *bad);
void weft_bad_put(struct weft_bad *bad);

/* True if the page was not listed before. */
bool weft_bad_add(struct weft_bad *bad, pgoff_t page);

/*
 * The page of kernel address @kaddr may be read and written again: clears what the
 * machine check handler left on it. It stays listed until weft_bad_remove(), so
 * that a recovery which does not finish leaves the page bad.
 */
void weft_bad_unpoison(void *kaddr);

/* True if the page was listed. */
bool weft_bad_remove(struct weft_bad *bad, pgoff_t page);

/* The first bad page in [first, last], or @last + 1. */
pgoff_t weft_bad_next(struct weft_bad *bad, pgoff_t first, pgoff_t last);

static inline bool weft_bad_any(struct weft_bad *bad, pgoff_t first, pgoff_t last)
{
	return !xa_empty(&bad->pages) && weft_bad_next(bad, first, last) <= last;
}

#endif
