// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two timers on CLOCK_BOOTTIME, which goes on while the host sleeps. The first, at
 * the deadline, raises weft_fence in hard interrupt, so that every later fault and
 * piece of read or write is refused, and wakes a thread of its own (a workqueue can
 * stall behind others) that unmaps. The second, at deadline + bound, asks whether
 * that is done.
 */
#include "deadman.h"

#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "compat/compat.h"
#include "events.h"
#include "revoke.h"
#include "segment.h"
#include "tracepoints.h"

static char *fence_action = "reboot";
module_param(fence_action, charp, 0444);
MODULE_PARM_DESC(fence_action,
		 "When a revoke is not done at deadline + bound: reboot (default) or report");

u64 weft_fence;

static struct {
	raw_spinlock_t lock;		/* guards all below; taken in hard interrupt */
	u32 state;			/* WEFT_DEADMAN_* */
	u32 action;			/* WEFT_FENCE_REPORT or WEFT_FENCE_REBOOT */
	u64 deadline_ns;
	u64 bound_ns;
	u64 fired;
	u64 fired_ns;
	u64 done_ns;
	u64 elapsed_max_ns;
	struct hrtimer first;
	struct hrtimer second;
	struct task_struct *thread;
} deadman = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(deadman.lock),
};

static bool weft_deadman_is_firing(void)
{
	u32 state = READ_ONCE(deadman.state);

	return state == WEFT_DEADMAN_FIRED || state == WEFT_DEADMAN_FAILED;
}

/* REQUIRES: deadman.lock, state ARMED. */
static void weft_deadman_fire(u64 now)
{
	lockdep_assert_held(&deadman.lock);
	WRITE_ONCE(weft_fence, weft_fence + 1);
	WRITE_ONCE(deadman.state, WEFT_DEADMAN_FIRED);
	deadman.fired++;
	deadman.fired_ns = now;
	deadman.done_ns = 0;
	wake_up_process(deadman.thread);
}

static enum hrtimer_restart weft_deadman_first(struct hrtimer *timer)
{
	unsigned long flags;
	u64 now;

	raw_spin_lock_irqsave(&deadman.lock, flags);
	now = ktime_get_boottime_ns();
	/* It may have been set anew while this interrupt waited for the lock. */
	if (deadman.state == WEFT_DEADMAN_ARMED && now >= deadman.deadline_ns)
		weft_deadman_fire(now);
	raw_spin_unlock_irqrestore(&deadman.lock, flags);
	return HRTIMER_NORESTART;
}

static enum hrtimer_restart weft_deadman_second(struct hrtimer *timer)
{
	unsigned long flags;
	bool reboot = false;

	raw_spin_lock_irqsave(&deadman.lock, flags);
	if (deadman.state == WEFT_DEADMAN_FIRED &&
	    ktime_get_boottime_ns() >= deadman.deadline_ns + deadman.bound_ns) {
		WRITE_ONCE(deadman.state, WEFT_DEADMAN_FAILED);
		reboot = deadman.action == WEFT_FENCE_REBOOT;
		wake_up_process(deadman.thread);
	}
	raw_spin_unlock_irqrestore(&deadman.lock, flags);
	if (reboot) {
		pr_emerg("revokes not done %llu ns after the lease ran out: restarting\n",
			 deadman.bound_ns);
		emergency_restart();
	}
	return HRTIMER_NORESTART;
}

static void weft_deadman_cut_all(void)
{
	struct weft_segment *seg;
	u64 id;

	for (id = 0; (seg = weft_segment_next(&id)); id++) {
		weft_segment_cut(seg);
		weft_segment_put(seg);
	}
}

/* The id of a segment that is not settled yet, or 0. */
static u64 weft_deadman_settle_all(void)
{
	struct weft_segment *seg;
	u64 id, left = 0, flushed = 0;

	for (id = 0; (seg = weft_segment_next(&id)); id++) {
		mutex_lock(&seg->lock);
		if (weft_segment_settle(seg, &flushed))
			left = seg->id;
		mutex_unlock(&seg->lock);
		weft_segment_put(seg);
	}
	return left;
}

static void weft_deadman_emit(u32 type, u64 length, u64 segment_id)
{
	struct weft_event event = {
		.type = type,
		.length = length,
		.segment_id = segment_id,
	};

	trace_weft_deadman(type, length);
	weft_event_emit(&event);
}

static void weft_deadman_finish(void)
{
	unsigned long flags;
	u64 elapsed;

	raw_spin_lock_irqsave(&deadman.lock, flags);
	deadman.done_ns = ktime_get_boottime_ns();
	elapsed = deadman.done_ns - deadman.deadline_ns;
	deadman.elapsed_max_ns = max(deadman.elapsed_max_ns, elapsed);
	WRITE_ONCE(deadman.state, WEFT_DEADMAN_DONE);
	raw_spin_unlock_irqrestore(&deadman.lock, flags);
	weft_deadman_emit(WEFT_EVENT_DEADMAN_DONE, elapsed, 0);
}

/* All access goes first, so that no flush of one segment delays the unmap of another. */
static void weft_deadman_revoke_all(void)
{
	bool reported = false;
	u64 left;

	weft_deadman_emit(WEFT_EVENT_DEADMAN_FIRED, deadman.bound_ns, 0);
	weft_deadman_cut_all();
	while ((left = weft_deadman_settle_all())) {
		if (!reported && READ_ONCE(deadman.state) == WEFT_DEADMAN_FAILED) {
			pr_err("segment %llu has pinned pages past the bound\n", left);
			weft_deadman_emit(WEFT_EVENT_FENCE_FAILED, 0, left);
			reported = true;
		}
		usleep_range(1000, 2000);
	}
	weft_deadman_finish();
}

static int weft_deadman_thread(void *unused)
{
	while (!kthread_should_stop()) {
		set_current_state(TASK_IDLE);
		if (!weft_deadman_is_firing() && !kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
		if (weft_deadman_is_firing())
			weft_deadman_revoke_all();
	}
	return 0;
}

int weft_deadman_admit(u64 *fence)
{
	unsigned long flags;
	int err = 0;

	raw_spin_lock_irqsave(&deadman.lock, flags);
	if (deadman.state == WEFT_DEADMAN_ARMED || deadman.state == WEFT_DEADMAN_OFF)
		*fence = weft_fence;
	else
		err = -ETIME;
	raw_spin_unlock_irqrestore(&deadman.lock, flags);
	return err;
}

static bool weft_deadman_has_users(void)
{
	struct weft_segment *seg;
	bool live = false;
	u64 id;

	for (id = 0; !live && (seg = weft_segment_next(&id)); id++) {
		live = !(seg->id & WEFT_SEGMENT_INTERNAL) && !weft_segment_check(seg);
		weft_segment_put(seg);
	}
	return live;
}

/* REQUIRES: deadman.lock. */
static int weft_deadman_may_change(u64 now)
{
	if (weft_deadman_is_firing())
		return -EBUSY;
	/* Too late to renew, although the interrupt has not come yet. */
	if (deadman.state == WEFT_DEADMAN_ARMED && now >= deadman.deadline_ns) {
		weft_deadman_fire(now);
		return -EBUSY;
	}
	return 0;
}

static int weft_deadman_disarm(void)
{
	unsigned long flags;
	int err;

	if (weft_deadman_has_users())
		return -EBUSY;
	raw_spin_lock_irqsave(&deadman.lock, flags);
	err = weft_deadman_may_change(ktime_get_boottime_ns());
	if (!err)
		WRITE_ONCE(deadman.state, WEFT_DEADMAN_OFF);
	raw_spin_unlock_irqrestore(&deadman.lock, flags);
	return err;
}

int weft_deadman_set(const struct weft_deadman_set *arg)
{
	unsigned long flags;
	u64 now;
	int err;

	if (arg->fence_action > WEFT_FENCE_REBOOT)
		return -EINVAL;
	if (arg->flags & WEFT_DEADMAN_DISARM) {
		if (arg->deadline_ns || arg->bound_ns || arg->fence_action)
			return -EINVAL;
		return weft_deadman_disarm();
	}
	if (!arg->bound_ns || arg->bound_ns > WEFT_MAX_BOUND_NS ||
	    arg->deadline_ns > KTIME_MAX - arg->bound_ns)
		return -EINVAL;

	raw_spin_lock_irqsave(&deadman.lock, flags);
	now = ktime_get_boottime_ns();
	err = weft_deadman_may_change(now);
	if (!err && now >= arg->deadline_ns)
		err = -ETIME;
	if (!err) {
		deadman.deadline_ns = arg->deadline_ns;
		deadman.bound_ns = arg->bound_ns;
		if (arg->fence_action != WEFT_FENCE_KEEP)
			deadman.action = arg->fence_action;
		WRITE_ONCE(deadman.state, WEFT_DEADMAN_ARMED);
		hrtimer_start(&deadman.first, ns_to_ktime(arg->deadline_ns),
			      HRTIMER_MODE_ABS_HARD);
		hrtimer_start(&deadman.second, ns_to_ktime(arg->deadline_ns + arg->bound_ns),
			      HRTIMER_MODE_ABS_HARD);
	}
	raw_spin_unlock_irqrestore(&deadman.lock, flags);
	return err;
}

void weft_deadman_get(struct weft_deadman_get *arg)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&deadman.lock, flags);
	arg->state = deadman.state;
	arg->fence_action = deadman.action;
	arg->deadline_ns = deadman.deadline_ns;
	arg->bound_ns = deadman.bound_ns;
	arg->fired = deadman.fired;
	arg->fired_ns = deadman.fired_ns;
	arg->done_ns = deadman.done_ns;
	arg->elapsed_max_ns = deadman.elapsed_max_ns;
	raw_spin_unlock_irqrestore(&deadman.lock, flags);
	arg->revoke_max_ns = weft_revoke_max_ns();
}

int weft_deadman_init(void)
{
	if (!strcmp(fence_action, "reboot"))
		deadman.action = WEFT_FENCE_REBOOT;
	else if (!strcmp(fence_action, "report"))
		deadman.action = WEFT_FENCE_REPORT;
	else
		return -EINVAL;
	hrtimer_setup(&deadman.first, weft_deadman_first, CLOCK_BOOTTIME, HRTIMER_MODE_ABS_HARD);
	hrtimer_setup(&deadman.second, weft_deadman_second, CLOCK_BOOTTIME, HRTIMER_MODE_ABS_HARD);
	deadman.thread = kthread_create(weft_deadman_thread, NULL, "weft_deadman");
	if (IS_ERR(deadman.thread))
		return PTR_ERR(deadman.thread);
	sched_set_fifo(deadman.thread);
	wake_up_process(deadman.thread);
	return 0;
}

void weft_deadman_exit(void)
{
	hrtimer_cancel(&deadman.first);
	hrtimer_cancel(&deadman.second);
	kthread_stop(deadman.thread);
}
