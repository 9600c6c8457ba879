// SPDX-License-Identifier: GPL-2.0-only
#include <linux/hrtimer.h>

void probe(struct hrtimer *timer);
void probe(struct hrtimer *timer)
{
	hrtimer_setup(timer, NULL, CLOCK_BOOTTIME, HRTIMER_MODE_ABS_HARD);
}
