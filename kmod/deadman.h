/* SPDX-License-Identifier: GPL-2.0-only */
/* The timer that takes everything back when the daemon does not come in time. */
#ifndef WEFT_DEADMAN_H
#define WEFT_DEADMAN_H

#include <linux/compiler.h>
#include <linux/types.h>

struct weft_deadman_get;
struct weft_deadman_set;

/*
 * One more at each firing, in the timer's interrupt: a segment whose own number is
 * smaller is revoked from that moment, whatever else is still to be done, and stays
 * so until it is resumed.
 */
extern u64 weft_fence;

static inline u64 weft_fence_now(void)
{
	return READ_ONCE(weft_fence);
}

int weft_deadman_init(void);
void weft_deadman_exit(void);

/*
 * Whether grants may be made and resumed: 0 and the number they hold for in *fence, or
 * -ETIME from the firing until the deadline is set again.
 */
int weft_deadman_admit(u64 *fence);

int weft_deadman_set(const struct weft_deadman_set *arg);
void weft_deadman_get(struct weft_deadman_get *arg);

#endif
