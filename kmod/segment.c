// SPDX-License-Identifier: GPL-2.0-only
#include "segment.h"

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "deadman.h"
#include "device.h"
#include "flush.h"
#include "pins.h"
#include "revoke.h"
#include "tracepoints.h"

DEFINE_XARRAY(weft_segments);

static u32 weft_nr_segments;		/* under weft_lock */

struct weft_segment *weft_segment_find(u64 id)
{
	struct weft_segment *seg;

	rcu_read_lock();
	seg = xa_load(&weft_segments, id);
	if (seg && !igrab(&seg->inode))
		seg = NULL;
	rcu_read_unlock();
	return seg;
}

struct weft_segment *weft_segment_next(u64 *id)
{
	struct weft_segment *seg;
	unsigned long index = *id;

	rcu_read_lock();
	for (seg = xa_find(&weft_segments, &index, ULONG_MAX, XA_PRESENT);
	     seg && !igrab(&seg->inode);
	     seg = xa_find_after(&weft_segments, &index, ULONG_MAX, XA_PRESENT))
		;
	rcu_read_unlock();
	*id = index;
	return seg;
}

void weft_segment_put(struct weft_segment *seg)
{
	iput(&seg->inode);
}

int weft_segment_check(const struct weft_segment *seg)
{
	if (READ_ONCE(seg->dead) || READ_ONCE(seg->revoked) ||
	    READ_ONCE(seg->fence) != weft_fence_now())
		return -ESTALE;
	return 0;
}

u32 weft_segment_state(const struct weft_segment *seg)
{
	if (READ_ONCE(seg->dead))
		return WEFT_STATE_DEAD;
	if (!weft_segment_check(seg))
		return WEFT_STATE_LIVE;
	return READ_ONCE(seg->settled) ? WEFT_STATE_REVOKED : WEFT_STATE_REVOKING;
}

int weft_segment_check_token(const struct weft_segment *seg, const struct weft_token *token)
{
	lockdep_assert_held(&seg->lock);
	if (xa_load(&weft_segments, seg->id) != seg)
		return -ENOENT;
	return weft_token_compare(token, &seg->last_token) < 0 ? -ESTALE : 0;
}

/* Room for a bit per unit of @map. */
static unsigned long *weft_bits_create(const struct weft_map *map)
{
	return kvcalloc(BITS_TO_LONGS(map->size / WEFT_UNIT_BYTES), sizeof(long),
			GFP_KERNEL_ACCOUNT);
}

/* What create and extend share: all that can fail before anything is changed. */
struct weft_growth {
	struct weft_batch *batch;
	struct weft_map *map;
	unsigned long *touched;
	unsigned long *whole;
};

static void weft_growth_drop(struct weft_growth *grow)
{
	kvfree(grow->touched);
	kvfree(grow->whole);
	if (!IS_ERR_OR_NULL(grow->map))
		kvfree(grow->map);
	if (!IS_ERR_OR_NULL(grow->batch))
		weft_batch_free(grow->batch);
}

/*
 * The new extents, as memory that this host's caches know nothing of. Takes long for
 * large ones on devices coherent by software: no lock may be held.
 */
static int weft_growth_begin(struct weft_growth *grow, struct weft_segment *seg,
			     const struct weft_segment_create *arg,
			     const struct weft_extent *extents)
{
	*grow = (struct weft_growth) {};
	grow->batch = weft_batch_create(seg, extents, arg->extents, arg->stripe_chunk_bytes,
					arg->stripe_ways);
	if (IS_ERR(grow->batch))
		return PTR_ERR(grow->batch);
	weft_flush_batch(grow->batch);
	return 0;
}

/* REQUIRES: seg->lock, or that nobody else knows the segment. */
static int weft_growth_prepare(struct weft_growth *grow, struct weft_segment *seg)
{
	grow->map = weft_map_create(seg->map, grow->batch);
	if (IS_ERR(grow->map))
		return PTR_ERR(grow->map);
	grow->touched = weft_bits_create(grow->map);
	grow->whole = weft_bits_create(grow->map);
	return grow->touched && grow->whole ? 0 : -ENOMEM;
}

static bool weft_batch_is_dead(const struct weft_batch *batch)
{
	u32 i;

	for (i = 0; i < batch->count; i++)
		if (READ_ONCE(batch->pieces[i].dev->dead))
			return true;
	return false;
}

/*
 * Gives the segment what was prepared and claimed. Mappings stay; cannot fail. What faults
 * have noted is taken over only now, when none is under way.
 */
static void weft_growth_commit(struct weft_growth *grow, struct weft_segment *seg)
{
	struct weft_map *old_map = seg->map;

	weft_segment_freeze(seg);
	if (old_map) {
		unsigned long units = old_map->size / WEFT_UNIT_BYTES;

		bitmap_copy(grow->touched, seg->touched, units);
		bitmap_copy(grow->whole, seg->whole, units);
	}
	weft_map_adopt(grow->map, old_map, grow->batch);
	seg->map = grow->map;
	swap(seg->touched, grow->touched);
	swap(seg->whole, grow->whole);
	i_size_write(&seg->inode, grow->map->size);
	/* A device that died after the claim may have looked for its segments before. */
	if (weft_batch_is_dead(grow->batch))
		seg->dead = true;
	weft_segment_thaw(seg);
	kvfree(grow->touched);
	kvfree(grow->whole);
	kvfree(old_map);
}

/* What the extents' earlier tokens are compared with, if at all. */
static const struct weft_token *weft_create_order(const struct weft_segment_create *arg)
{
	return arg->flags & WEFT_CREATE_IN_ORDER ? &arg->token : NULL;
}

/*
 * Claims the extents and puts the segment into the table, whole: others may find and
 * freeze it from then on.
 */
static int weft_segment_insert(struct weft_segment *seg, struct weft_growth *grow,
			       const struct weft_segment_create *arg)
{
	int err;

	lockdep_assert_held(&weft_lock);
	if (weft_nr_segments == WEFT_MAX_SEGMENTS)
		return -ENOSPC;
	if (xa_load(&weft_segments, seg->id))
		return -EEXIST;
	err = xa_reserve(&weft_segments, seg->id, GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	err = weft_batch_claim(grow->batch, weft_create_order(arg));
	if (err) {
		xa_release(&weft_segments, seg->id);
		return err;
	}
	weft_growth_commit(grow, seg);
	xa_store(&weft_segments, seg->id, seg, GFP_KERNEL);
	weft_nr_segments++;
	__module_get(THIS_MODULE);
	trace_weft_segment_create(seg, seg->map->size);
	return 0;
}

static int weft_create_check(const struct weft_segment_create *arg, bool internal)
{
	static const struct weft_token none;

	if (internal)
		return 0;
	if (!arg->segment_id || arg->segment_id & WEFT_SEGMENT_INTERNAL ||
	    !weft_token_compare(&arg->token, &none))
		return -EINVAL;
	if (arg->mode != WEFT_MODE_READ && arg->mode != WEFT_MODE_READ_WRITE)
		return -EINVAL;
	return 0;
}

static struct weft_segment *weft_segment_alloc(const struct weft_segment_create *arg, u64 fence)
{
	struct weft_segment *seg = weft_segment_new();

	if (!seg)
		return NULL;
	seg->id = arg->segment_id;
	seg->token = arg->token;
	seg->last_token = arg->token;
	seg->mode = arg->mode;
	seg->fence = fence;
	return seg;
}

int weft_segment_create(struct weft_segment_create *arg, const struct weft_extent *extents,
			bool internal)
{
	struct weft_growth grow;
	struct weft_segment *seg;
	u64 fence;
	int err;

	err = weft_create_check(arg, internal);
	if (!err)
		err = weft_deadman_admit(&fence);
	if (err)
		return err;
	seg = weft_segment_alloc(arg, fence);
	if (!seg)
		return -ENOMEM;

	err = weft_growth_begin(&grow, seg, arg, extents);
	if (!err)
		err = weft_growth_prepare(&grow, seg);
	if (err)
		goto drop;
	arg->segment_bytes = grow.map->size;
	mutex_lock(&weft_lock);
	err = weft_segment_insert(seg, &grow, arg);
	mutex_unlock(&weft_lock);
	if (!err)
		return 0;

drop:
	weft_growth_drop(&grow);
	weft_segment_put(seg);
	return err;
}

/* REQUIRES: seg->lock. */
static int weft_extend_locked(struct weft_segment *seg, const struct weft_segment_create *arg,
			      struct weft_growth *grow)
{
	int err;

	err = weft_segment_check_token(seg, &arg->token);
	if (!err)
		err = weft_segment_check(seg);
	if (!err)
		err = weft_growth_prepare(grow, seg);
	if (err)
		return err;
	mutex_lock(&weft_lock);
	err = weft_batch_claim(grow->batch, weft_create_order(arg));
	mutex_unlock(&weft_lock);
	if (err)
		return err;
	weft_growth_commit(grow, seg);
	seg->last_token = arg->token;
	return 0;
}

int weft_segment_extend(struct weft_segment_create *arg, const struct weft_extent *extents)
{
	struct weft_growth grow;
	struct weft_segment *seg;
	int err;

	if (arg->mode || arg->segment_id & WEFT_SEGMENT_INTERNAL)
		return -EINVAL;
	seg = weft_segment_find(arg->segment_id);
	if (!seg)
		return -ENOENT;
	err = weft_growth_begin(&grow, seg, arg, extents);
	if (!err) {
		mutex_lock(&seg->lock);
		err = weft_extend_locked(seg, arg, &grow);
		arg->segment_bytes = seg->map->size;
		mutex_unlock(&seg->lock);
	}
	if (err)
		weft_growth_drop(&grow);
	else
		trace_weft_segment_extend(seg, arg->segment_bytes);
	weft_segment_put(seg);
	return err;
}

/* Takes the segment out of the tables, when nothing of it is in use any more. */
static void weft_segment_remove(struct weft_segment *seg)
{
	struct weft_batch *batch;

	mutex_lock(&weft_lock);
	xa_erase(&weft_segments, seg->id);
	weft_nr_segments--;
	weft_map_for_each_batch(batch, seg->map)
		weft_batch_release(batch, &seg->last_token);
	mutex_unlock(&weft_lock);
}

/* REQUIRES: seg->lock. */
static int weft_destroy_locked(struct weft_segment *seg, const struct weft_token *token)
{
	u64 flushed = 0;
	int err;

	err = weft_segment_check_token(seg, token ?: &seg->last_token);
	if (err)
		return err;
	if (token)
		seg->last_token = *token;
	weft_segment_cut(seg);
	if (weft_segment_settle(seg, &flushed))
		return -EBUSY;
	weft_segment_freeze(seg);
	err = weft_segment_reap(seg, NULL) ? -EBUSY : 0;
	if (!err)
		seg->dead = true;
	weft_segment_thaw(seg);
	if (!err)
		weft_segment_remove(seg);
	return err;
}

int weft_segment_destroy(u64 id, const struct weft_token *token)
{
	struct weft_segment *seg = weft_segment_find(id);
	int err;

	if (!seg)
		return -ENOENT;
	mutex_lock(&seg->lock);
	err = weft_destroy_locked(seg, token);
	mutex_unlock(&seg->lock);
	if (!err) {
		trace_weft_segment_destroy(seg, seg->map->size);
		weft_segment_put(seg);
		module_put(THIS_MODULE);
	}
	weft_segment_put(seg);
	return err;
}

void weft_segment_info(struct weft_segment *seg, struct weft_segment_info *info)
{
	mutex_lock(&seg->lock);
	*info = (struct weft_segment_info) {
		.segment_id = seg->id,
		.size_bytes = seg->map->size,
		.token = seg->token,
		.last_token = seg->last_token,
		.mode = seg->mode,
		.state = weft_segment_state(seg),
		.handles = atomic_read(&seg->nr_handles),
		.extents = seg->map->nr_pieces,
		.pages_pinned = seg->pinned,
	};
	mutex_unlock(&seg->lock);
	weft_counters_read(&seg->stats, &info->stats);
}
