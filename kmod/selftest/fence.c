// SPDX-License-Identifier: GPL-2.0-only
/*
 * weft_fence: lets the dead-man fire over a page that stays pinned, with the fence action
 * that the module was loaded with. Returns only if the module reports instead of restarting
 * the machine.
 */
#include <stdio.h>
#include <sys/ioctl.h>

#include "harness.h"
#include "pin.h"
#include "segment.h"

int main(void)
{
	struct weft_deadman_set set = {
		.size = sizeof(set),
		.bound_ns = 200 * 1000000ULL,
		.fence_action = WEFT_FENCE_KEEP,
	};
	int events;
	char *bytes;

	env_setup();
	events = events_open();
	bytes = map_rw(segment_open(segment_make(1), WEFT_MODE_READ_WRITE), UNIT);
	pin_take(bytes, 1);
	set.deadline_ns = now_ns() + 100 * 1000000ULL;
	CHECK_EQ(ioctl(control, WEFT_DEADMAN_SET, &set), 0);
	event_wait(events, WEFT_EVENT_FENCE_FAILED);
	printf("# the module only reported\n");
	return 1;
}
