// SPDX-License-Identifier: GPL-2.0-only
#include "handle.h"

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "events.h"
#include "file.h"
#include "segment.h"
#include "tracepoints.h"

static atomic64_t weft_last_handle_id;

int weft_handle_check(const struct weft_handle *handle)
{
	const struct weft_segment *seg = handle->seg;

	if (READ_ONCE(handle->revoked) || handle->grant != READ_ONCE(seg->grant))
		return -ESTALE;
	return weft_segment_check(seg);
}

void weft_handle_info(const struct weft_handle *handle, struct weft_handle_info *info)
{
	*info = (struct weft_handle_info) {
		.handle_id = handle->id,
		.segment_id = handle->seg->id,
		.token = handle->token,
		.cookie = handle->cookie,
		.mode = handle->mode,
		.state = weft_segment_state(handle->seg),
	};
	if (info->state == WEFT_STATE_LIVE && weft_handle_check(handle))
		info->state = WEFT_STATE_REVOKED;
}

/* REQUIRES: seg->lock, so that the grant stays what it is. */
static struct weft_handle *weft_handle_create(struct weft_segment *seg,
					      const struct weft_segment_open *arg)
{
	struct weft_handle *handle;
	int err;

	if (atomic_read(&seg->nr_handles) >= WEFT_MAX_SEGMENT_HANDLES)
		return ERR_PTR(-ENOSPC);
	handle = kzalloc(sizeof(*handle), GFP_KERNEL_ACCOUNT);
	if (!handle)
		return ERR_PTR(-ENOMEM);
	handle->seg = seg;
	handle->id = atomic64_inc_return(&weft_last_handle_id);
	handle->grant = seg->grant;
	handle->token = seg->token;
	handle->cookie = arg->cookie;
	handle->mode = arg->mode;
	err = xa_insert(&seg->handles, handle->id, handle, GFP_KERNEL_ACCOUNT);
	if (err) {
		kfree(handle);
		return ERR_PTR(err);
	}
	atomic_inc(&seg->nr_handles);
	return handle;
}

static void weft_handle_free(struct weft_handle *handle)
{
	/* Whoever found it in the table did so under the table's lock. */
	xa_erase(&handle->seg->handles, handle->id);
	atomic_dec(&handle->seg->nr_handles);
	kfree(handle);
}

void weft_handle_release(struct weft_handle *handle)
{
	struct weft_event event = {
		.type = WEFT_EVENT_HANDLE_RELEASED,
		.segment_id = handle->seg->id,
		.handle_id = handle->id,
		.cookie = handle->cookie,
	};

	trace_weft_handle_release(handle);
	weft_handle_free(handle);
	weft_event_emit(&event);
}

/* REQUIRES: seg->lock. */
static int weft_open_check(struct weft_segment *seg, const struct weft_segment_open *arg)
{
	if (weft_segment_check(seg) || weft_token_compare(&arg->token, &seg->token))
		return -ESTALE;
	return arg->mode > seg->mode ? -EACCES : 0;
}

struct file *weft_handle_open(struct weft_segment_open *arg)
{
	struct weft_handle *handle;
	struct weft_segment *seg;
	struct file *file;
	int err;

	if (arg->mode != WEFT_MODE_READ && arg->mode != WEFT_MODE_READ_WRITE)
		return ERR_PTR(-EINVAL);
	seg = weft_segment_find(arg->segment_id);
	if (!seg)
		return ERR_PTR(-ENOENT);

	mutex_lock(&seg->lock);
	err = weft_open_check(seg, arg);
	handle = err ? ERR_PTR(err) : weft_handle_create(seg, arg);
	mutex_unlock(&seg->lock);
	if (IS_ERR(handle)) {
		weft_segment_put(seg);
		return ERR_CAST(handle);
	}

	arg->handle_id = handle->id;
	file = weft_file_create(handle);
	if (IS_ERR(file)) {
		weft_handle_free(handle);
		weft_segment_put(seg);
		return file;
	}
	trace_weft_handle_open(handle);
	return file;
}
