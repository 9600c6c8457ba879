// SPDX-License-Identifier: GPL-2.0-only
#include "stats.h"

#include <linux/build_bug.h>

#include "uapi/weft.h"

static_assert(sizeof(struct weft_stats) == WEFT_COUNTERS * sizeof(__u64),
	      "enum weft_counter names each member of struct weft_stats");

void weft_counters_read(struct weft_counters *counters, struct weft_stats *out)
{
	__u64 *value = (__u64 *)out;
	int i;

	for (i = 0; i < WEFT_COUNTERS; i++)
		value[i] = atomic64_read(&counters->value[i]);
}
