/* SPDX-License-Identifier: GPL-2.0-only */
/* What happened, for whoever reads /dev/weft. */
#ifndef WEFT_EVENTS_H
#define WEFT_EVENTS_H

#include <linux/poll.h>

#include "uapi/weft.h"

struct weft_reader;

/*
 * Queues @event (type and what applies of the rest; size, sequence and time are
 * filled in) for every reader. Never sleeps, never fails: a full queue counts it as
 * lost. Any context but hard interrupt.
 */
void weft_event_emit(struct weft_event *event);

/* One reader for each open of /dev/weft. */
struct weft_reader *weft_reader_create(void);
void weft_reader_destroy(struct weft_reader *reader);
ssize_t weft_reader_read(struct weft_reader *reader, char __user *to, size_t count,
			 bool nonblock);
__poll_t weft_reader_poll(struct weft_reader *reader, struct file *file, poll_table *table);

#endif
