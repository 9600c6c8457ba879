// SPDX-License-Identifier: GPL-2.0-only
#include "events.h"

#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

struct weft_reader {
	struct list_head list;		/* in weft_readers */
	struct mutex read_lock;		/* one read(2) at a time: it peeks, copies, pops */
	spinlock_t lock;		/* guards what follows */
	wait_queue_head_t wait;
	u32 head;			/* events taken */
	u32 tail;			/* events queued; tail - head <= WEFT_MAX_EVENTS */
	u64 lost;			/* since the ring was full, not yet reported */
	struct weft_event ring[WEFT_MAX_EVENTS];
};

static LIST_HEAD(weft_readers);
static DEFINE_SPINLOCK(weft_readers_lock);
static u64 weft_event_sequence;		/* under weft_readers_lock */

/*
 * Once an event is lost, those after it are too until the reader has taken what was
 * queued and the overflow itself: it has to list again anyway.
 */
static void weft_reader_push(struct weft_reader *reader, const struct weft_event *event)
{
	spin_lock(&reader->lock);
	if (reader->lost || reader->tail - reader->head == WEFT_MAX_EVENTS)
		reader->lost++;
	else
		reader->ring[reader->tail++ % WEFT_MAX_EVENTS] = *event;
	spin_unlock(&reader->lock);
	wake_up_interruptible(&reader->wait);
}

void weft_event_emit(struct weft_event *event)
{
	struct weft_reader *reader;

	event->size = sizeof(*event);
	event->time_ns = ktime_get_boottime_ns();
	spin_lock(&weft_readers_lock);
	event->sequence = ++weft_event_sequence;
	list_for_each_entry(reader, &weft_readers, list)
		weft_reader_push(reader, event);
	spin_unlock(&weft_readers_lock);
}

struct weft_reader *weft_reader_create(void)
{
	struct weft_reader *reader = kvzalloc(sizeof(*reader), GFP_KERNEL_ACCOUNT);

	if (!reader)
		return NULL;
	mutex_init(&reader->read_lock);
	spin_lock_init(&reader->lock);
	init_waitqueue_head(&reader->wait);
	spin_lock(&weft_readers_lock);
	list_add(&reader->list, &weft_readers);
	spin_unlock(&weft_readers_lock);
	return reader;
}

void weft_reader_destroy(struct weft_reader *reader)
{
	spin_lock(&weft_readers_lock);
	list_del(&reader->list);
	spin_unlock(&weft_readers_lock);
	kvfree(reader);
}

static bool weft_reader_peek(struct weft_reader *reader, struct weft_event *event)
{
	bool any = true;

	spin_lock(&reader->lock);
	if (reader->head != reader->tail)
		*event = reader->ring[reader->head % WEFT_MAX_EVENTS];
	else if (reader->lost)
		*event = (struct weft_event) {
			.size = sizeof(*event),
			.type = WEFT_EVENT_OVERFLOW,
			.time_ns = ktime_get_boottime_ns(),
			.length = reader->lost,
		};
	else
		any = false;
	spin_unlock(&reader->lock);
	return any;
}

static void weft_reader_pop(struct weft_reader *reader, const struct weft_event *event)
{
	spin_lock(&reader->lock);
	if (event->type == WEFT_EVENT_OVERFLOW)
		reader->lost -= event->length;
	else
		reader->head++;
	spin_unlock(&reader->lock);
}

static bool weft_reader_empty(struct weft_reader *reader)
{
	return READ_ONCE(reader->head) == READ_ONCE(reader->tail) && !READ_ONCE(reader->lost);
}

/* Copies out what is queued; the number of bytes, 0 if nothing was, or -EFAULT. */
static ssize_t weft_reader_drain(struct weft_reader *reader, char __user *to, size_t count)
{
	struct weft_event event;
	ssize_t done = 0;

	mutex_lock(&reader->read_lock);
	while (count - done >= sizeof(event) && weft_reader_peek(reader, &event)) {
		if (copy_to_user(to + done, &event, sizeof(event))) {
			done = done ?: -EFAULT;
			break;
		}
		weft_reader_pop(reader, &event);
		done += sizeof(event);
	}
	mutex_unlock(&reader->read_lock);
	return done;
}

ssize_t weft_reader_read(struct weft_reader *reader, char __user *to, size_t count,
			 bool nonblock)
{
	ssize_t done;

	if (count < sizeof(struct weft_event))
		return -EINVAL;
	for (;;) {
		done = weft_reader_drain(reader, to, count);
		if (done)
			return done;
		if (nonblock)
			return -EAGAIN;
		if (wait_event_interruptible(reader->wait, !weft_reader_empty(reader)))
			return -ERESTARTSYS;
	}
}

__poll_t weft_reader_poll(struct weft_reader *reader, struct file *file, poll_table *table)
{
	poll_wait(file, &reader->wait, table);
	return weft_reader_empty(reader) ? 0 : EPOLLIN | EPOLLRDNORM;
}
