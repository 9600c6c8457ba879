/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One open of a segment: what a segment's file has as private_data. The file holds it;
 * the segment's table finds it from the open until the release, no longer.
 */
#ifndef WEFT_HANDLE_H
#define WEFT_HANDLE_H

#include <linux/types.h>

#include "uapi/weft.h"

struct file;
struct weft_segment;

struct weft_handle {
	struct weft_segment *seg;	/* held by the file */
	u64 id;
	u64 grant;			/* the segment's when it was opened */
	struct weft_token token;
	u64 cookie;
	u32 mode;
	bool revoked;			/* changed under the xa_lock of seg->handles */
};

/* A new file with its handle, not yet installed as a descriptor; sets arg->handle_id. */
struct file *weft_handle_open(struct weft_segment_open *arg);
void weft_handle_release(struct weft_handle *handle);

/*
 * 0 if the memory may be used through the handle, else -ESTALE. Holds until the
 * caller lets go of the segment's i_rwsem or invalidate_lock.
 */
int weft_handle_check(const struct weft_handle *handle);

void weft_handle_info(const struct weft_handle *handle, struct weft_handle_info *info);

#endif
