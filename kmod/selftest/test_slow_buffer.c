// SPDX-License-Identifier: GPL-2.0-only
/*
 * read and write must not hold revoke up, however long the user's buffer takes: a buffer
 * backed by userfaultfd (or FUSE) may never come.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "harness.h"
#include "segment.h"
#include "slow_buffer.h"

/* Far more than a revoke takes here; far less than a buffer that never comes. */
#define PROMPT_NS (10 * 1000000000ULL)

struct transfer {
	int fd;
	struct slow_buffer buffer;
	bool write;
	ssize_t result;
	int error;
	pthread_t thread;
};

static void *transfer_run(void *argument)
{
	struct transfer *transfer = argument;
	struct slow_buffer *buffer = &transfer->buffer;

	if (transfer->write)
		transfer->result = pwrite(transfer->fd, buffer->bytes, buffer->length, 0);
	else
		transfer->result = pread(transfer->fd, buffer->bytes, buffer->length, 0);
	transfer->error = errno;
	return NULL;
}

/* Starts a read or write that waits for its buffer. */
static void transfer_start(struct transfer *transfer, int fd, bool write)
{
	transfer->fd = fd;
	transfer->write = write;
	transfer->buffer = slow_buffer_make(UNIT);
	CHECK_EQ(pthread_create(&transfer->thread, NULL, transfer_run, transfer), 0);
	slow_buffer_await_access(&transfer->buffer);
}

/* Gives it the buffer: it must find the segment revoked. */
static void transfer_finish_stale(struct transfer *transfer)
{
	slow_buffer_provide(&transfer->buffer, 0x55);
	CHECK_EQ(pthread_join(transfer->thread, NULL), 0);
	CHECK_EQ(transfer->result, -1);
	CHECK_EQ(transfer->error, ESTALE);
}

static void revoke_during(bool write)
{
	uint64_t segment = segment_make(2), before, i;
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, UNIT);
	struct transfer transfer;

	fill(bytes, UNIT, 3);
	transfer_start(&transfer, fd, write);
	before = now_ns();
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 30000).state, WEFT_STATE_REVOKED);
	CHECK(now_ns() - before < PROMPT_NS);
	transfer_finish_stale(&transfer);
	CHECK_EQ(segment_resume(segment, 0, FIRST), 0);
	check_filled(bytes, UNIT, 3);
	for (i = 0; !write && i < UNIT; i += PAGE)
		CHECK_EQ(transfer.buffer.bytes[i], 0x55);
}

TEST(userfaultfd, a_write_from_it_does_not_delay_revoke_nor_land_after)
{
	revoke_during(true);
}

TEST(userfaultfd, a_read_into_it_does_not_delay_revoke_nor_leak_after)
{
	revoke_during(false);
}

TEST(userfaultfd, does_not_delay_the_deadman)
{
	uint64_t segment = segment_make(2);
	struct transfer transfer;
	int events = events_open();
	struct weft_event event;

	transfer_start(&transfer, segment_open(segment, WEFT_MODE_READ_WRITE), true);
	CHECK_EQ(deadman_arm(50, 20000), 0);
	event = event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	CHECK(event.length < PROMPT_NS);
	transfer_finish_stale(&transfer);
}

TEST(userfaultfd, does_not_delay_unbind)
{
	uint64_t segment = segment_make(2), before;
	struct transfer transfer;

	transfer_start(&transfer, segment_open(segment, WEFT_MODE_READ_WRITE), true);
	before = now_ns();
	CHECK_EQ(dax_bind(dax[0].name, ""), 0);
	CHECK(now_ns() - before < PROMPT_NS);
	slow_buffer_provide(&transfer.buffer, 0x55);
	CHECK_EQ(pthread_join(transfer.thread, NULL), 0);
	CHECK_EQ(transfer.result, -1);
	(void)segment;
}

TEST(userfaultfd, goes_on_when_not_revoked)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, UNIT);
	struct transfer transfer;

	transfer_start(&transfer, fd, true);
	slow_buffer_provide(&transfer.buffer, 0x55);
	CHECK_EQ(pthread_join(transfer.thread, NULL), 0);
	CHECK_EQ(transfer.result, UNIT);
	for (uint64_t at = 0; at < UNIT; at += 512)
		CHECK_EQ(bytes[at], 0x55);
}
