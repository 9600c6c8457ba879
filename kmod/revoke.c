// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking access back, and giving it again.
 *
 * A revoke is a lock, not only a flag: a fault that has asked weft_handle_check()
 * holds the invalidate_lock until its entry is in the page table, so the unmap that
 * follows under the exclusive lock finds it; a fault that comes later sees the flag.
 * The same with i_rwsem for pieces of read and write. Only then do pins mean
 * anything: fast GUP checks the page table entry again after taking its reference.
 */
#include "revoke.h"

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "deadman.h"
#include "device.h"
#include "events.h"
#include "flush.h"
#include "handle.h"
#include "pins.h"
#include "segment.h"
#include "tracepoints.h"

/* How long to sleep before looking at the pins again. */
#define WEFT_PIN_POLL_US	1000

static atomic64_t weft_revoke_max;

u64 weft_revoke_max_ns(void)
{
	return atomic64_read(&weft_revoke_max);
}

static void weft_revoke_took(u64 ns)
{
	s64 max = atomic64_read(&weft_revoke_max);

	while ((s64)ns > max && !atomic64_try_cmpxchg(&weft_revoke_max, &max, ns))
		;
}

static void weft_count_revoke(struct weft_segment *seg)
{
	struct weft_device *dev;
	unsigned long id;

	weft_counters_add(&seg->stats, WEFT_REVOKES, 1);
	rcu_read_lock();
	xa_for_each(&weft_devices, id, dev)
		if (weft_map_is_on(seg->map, dev))
			weft_counters_add(&dev->stats, WEFT_REVOKES, 1);
	rcu_read_unlock();
}

static void weft_segment_unmap(struct weft_segment *seg)
{
	unmap_mapping_range(seg->inode.i_mapping, 0, 0, 1);
}

void weft_segment_cut(struct weft_segment *seg)
{
	weft_segment_freeze(seg);
	if (!seg->revoked) {
		seg->revoked = true;
		weft_count_revoke(seg);
	}
	weft_segment_unmap(seg);
	weft_segment_thaw(seg);
}

u64 weft_segment_settle(struct weft_segment *seg, u64 *flushed)
{
	struct weft_event event = {
		.type = WEFT_EVENT_SEGMENT_REVOKED,
		.segment_id = seg->id,
	};

	lockdep_assert_held(&seg->lock);
	if (!seg->revoked || seg->dead || seg->settled)
		return 0;
	seg->pinned = weft_segment_pins(seg);
	if (seg->pinned)
		return seg->pinned;
	weft_flush_map(seg->map, NULL, &event.length);
	*flushed += event.length;
	seg->settled = true;
	weft_event_emit(&event);
	return 0;
}

static int weft_handle_revoke(struct weft_segment *seg, u64 id)
{
	struct weft_handle *handle;

	xa_lock(&seg->handles);
	handle = xa_load(&seg->handles, id);
	if (handle)
		handle->revoked = true;
	xa_unlock(&seg->handles);
	if (!handle)
		return -ENOENT;
	weft_count_revoke(seg);
	return 0;
}

static int weft_revoke_begin(struct weft_segment *seg, const struct weft_segment_revoke *arg)
{
	int err;

	mutex_lock(&seg->lock);
	err = weft_segment_check_token(seg, &arg->token);
	if (!err && arg->handle_id)
		err = weft_handle_revoke(seg, arg->handle_id);
	else if (!err)
		weft_segment_cut(seg);
	if (!err)
		seg->last_token = arg->token;
	mutex_unlock(&seg->lock);
	return err;
}

/* Unmaps everybody, so that the handle is, and counts before the others come back. */
static u64 weft_handle_cut(struct weft_segment *seg)
{
	u64 pins;

	weft_segment_freeze(seg);
	weft_segment_unmap(seg);
	pins = weft_segment_pins(seg);
	weft_segment_thaw(seg);
	return pins;
}

/* One attempt at completing the revoke; fills in the result. True when complete. */
static bool weft_revoke_step(struct weft_segment *seg, struct weft_segment_revoke *arg)
{
	mutex_lock(&seg->lock);
	if (arg->handle_id) {
		arg->pages_pinned = weft_handle_cut(seg);
		arg->state = arg->pages_pinned ? WEFT_STATE_REVOKING : WEFT_STATE_REVOKED;
	} else {
		arg->pages_pinned = weft_segment_settle(seg, &arg->flushed_bytes);
		arg->state = weft_segment_state(seg);
	}
	mutex_unlock(&seg->lock);
	return arg->state != WEFT_STATE_REVOKING;
}

static int weft_revoke_wait(struct weft_segment *seg, struct weft_segment_revoke *arg)
{
	u64 end = ktime_get_ns() + (u64)arg->timeout_ms * NSEC_PER_MSEC;

	while (!weft_revoke_step(seg, arg)) {
		if (ktime_get_ns() >= end)
			return 0;
		if (signal_pending(current))
			return -EINTR;
		usleep_range(WEFT_PIN_POLL_US, 2 * WEFT_PIN_POLL_US);
	}
	return 0;
}

int weft_revoke(struct weft_segment_revoke *arg)
{
	u64 start = ktime_get_ns();
	struct weft_segment *seg;
	int err;

	if (arg->timeout_ms > WEFT_MAX_WAIT_MS)
		return -EINVAL;
	seg = weft_segment_find(arg->segment_id);
	if (!seg)
		return -ENOENT;
	arg->flushed_bytes = 0;
	err = weft_revoke_begin(seg, arg);
	if (!err)
		err = weft_revoke_wait(seg, arg);
	arg->elapsed_ns = ktime_get_ns() - start;
	if (!err && !arg->timeout_ms)
		weft_revoke_took(arg->elapsed_ns);
	trace_weft_revoke(arg, err);
	weft_segment_put(seg);
	return err;
}

static int weft_handle_resume(struct weft_segment *seg, const struct weft_segment_resume *arg)
{
	struct weft_handle *handle;
	int err = 0;

	if (weft_token_compare(&arg->token, &seg->token))
		return -ESTALE;
	xa_lock(&seg->handles);
	handle = xa_load(&seg->handles, arg->handle_id);
	if (!handle)
		err = -ENOENT;
	else if (handle->grant != seg->grant)
		err = -ESTALE;
	else
		handle->revoked = false;
	xa_unlock(&seg->handles);
	return err;
}

/* Makes the segment live as of @fence, under a new grant if @mode is one. */
static int weft_segment_revive(struct weft_segment *seg, u64 fence, u32 mode)
{
	int err = 0;

	weft_segment_freeze(seg);
	if (seg->dead) {
		err = -ENODEV;
	} else if (fence != weft_fence_now()) {
		err = -ETIME;
	} else {
		if (mode) {
			seg->grant++;
			seg->mode = mode;
		}
		seg->fence = fence;
		seg->revoked = false;
		seg->settled = false;
		seg->pinned = 0;
	}
	weft_segment_thaw(seg);
	return err;
}

static int weft_segment_resume(struct weft_segment *seg, const struct weft_segment_resume *arg)
{
	int order = weft_token_compare(&arg->token, &seg->token);
	u64 fence, flushed;
	int err;

	err = weft_deadman_admit(&fence);
	if (err)
		return err;
	if (!order)
		return weft_segment_revive(seg, fence, 0);
	if (arg->mode != WEFT_MODE_READ && arg->mode != WEFT_MODE_READ_WRITE)
		return -EINVAL;
	if (!seg->settled)
		return -EBUSY;
	/* What others wrote meanwhile must not be hidden by what was cached before. */
	err = weft_flush_map(seg->map, &fence, &flushed);
	if (!err)
		err = weft_segment_revive(seg, fence, arg->mode);
	if (!err)
		seg->token = arg->token;
	return err;
}

int weft_resume(struct weft_segment_resume *arg)
{
	struct weft_segment *seg = weft_segment_find(arg->segment_id);
	int err;

	if (!seg)
		return -ENOENT;
	mutex_lock(&seg->lock);
	err = weft_segment_check_token(seg, &arg->token);
	if (!err)
		err = arg->handle_id ? weft_handle_resume(seg, arg) :
				       weft_segment_resume(seg, arg);
	if (!err)
		seg->last_token = arg->token;
	mutex_unlock(&seg->lock);
	trace_weft_resume(arg, err);
	weft_segment_put(seg);
	return err;
}

static void weft_segment_kill(struct weft_segment *seg, struct weft_device *dev)
{
	weft_segment_freeze(seg);
	if (weft_map_is_on(seg->map, dev)) {
		seg->dead = true;
		weft_segment_unmap(seg);
	}
	weft_segment_thaw(seg);
}

static u64 weft_segment_reap_from(struct weft_segment *seg, struct weft_device *dev)
{
	u64 pins;

	weft_segment_freeze(seg);
	pins = weft_segment_reap(seg, dev);
	weft_segment_thaw(seg);
	return pins;
}

static void weft_segment_drain(struct weft_segment *seg, struct weft_device *dev)
{
	unsigned long next_log = jiffies + HZ;
	u64 pins;

	while ((pins = weft_segment_reap_from(seg, dev))) {
		if (time_after_eq(jiffies, next_log)) {
			pr_warn("device %u:%u: unbinding waits for %llu pinned pages of segment %llu\n",
				MAJOR(dev->devt), MINOR(dev->devt), pins, seg->id);
			next_log = jiffies + HZ;
		}
		usleep_range(WEFT_PIN_POLL_US, 2 * WEFT_PIN_POLL_US);
	}
}

void weft_revoke_device(struct weft_device *dev)
{
	struct weft_segment *seg;
	u64 id;

	/* All access ends before the first wait. */
	for (id = 0; (seg = weft_segment_next(&id)); id++) {
		weft_segment_kill(seg, dev);
		weft_segment_put(seg);
	}
	for (id = 0; (seg = weft_segment_next(&id)); id++) {
		weft_segment_drain(seg, dev);
		weft_segment_put(seg);
	}
}
