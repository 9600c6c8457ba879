/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that failed: who is told, and how it becomes good again. */
#ifndef WEFT_POISON_H
#define WEFT_POISON_H

#include <linux/fs.h>
#include <linux/types.h>

struct iov_iter;
struct weft_device;
struct weft_location;
struct weft_segment;

/*
 * [offset, offset + length) of the device failed: each page of it becomes bad, what
 * maps it is unmapped by the unit and signalled, and an event goes out. May sleep.
 */
int weft_poison_report(struct weft_device *dev, u64 offset, u64 length, int mf_flags);

/*
 * Writes one whole bad page from @iter, and makes it good if all of it was written.
 * REQUIRES: i_rwsem, exclusive; iocb->ki_pos at the start of the page, which @at is.
 */
ssize_t weft_poison_write(struct kiocb *iocb, struct iov_iter *iter, struct weft_segment *seg,
			  const struct weft_location *at);

/*
 * Zeroes the bad pages that are wholly in [pos, pos + length), inside one unit, and
 * makes them good. -EIO if one is there only in part. REQUIRES: i_rwsem, exclusive.
 */
int weft_poison_zero(struct weft_segment *seg, loff_t pos, u64 length,
		     const struct weft_location *at);

#endif
