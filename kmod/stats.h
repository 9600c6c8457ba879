/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_STATS_H
#define WEFT_STATS_H

#include <linux/atomic.h>
#include <linux/types.h>

struct weft_stats;

/* One for each member of struct weft_stats, in its order. */
enum weft_counter {
	WEFT_FAULTS_2M,
	WEFT_FAULTS_4K,
	WEFT_FAULTS_REFUSED,
	WEFT_READS,
	WEFT_WRITES,
	WEFT_REVOKES,
	WEFT_FLUSHES,
	WEFT_FLUSHED_BYTES,
	WEFT_ZEROED_BYTES,
	WEFT_MEMORY_FAILURES,
	WEFT_RECOVERED_PAGES,
	WEFT_COUNTERS,
};

struct weft_counters {
	atomic64_t value[WEFT_COUNTERS];
};

static inline void weft_counters_add(struct weft_counters *counters, enum weft_counter which,
				     u64 n)
{
	atomic64_add(n, &counters->value[which]);
}

void weft_counters_read(struct weft_counters *counters, struct weft_stats *out);

#endif
