// SPDX-License-Identifier: GPL-2.0-only
/*
 * weft_peer writer|taker CHANNEL: one of two hosts that share fabric memory. The script that
 * starts them stands for the coordinator and for the writer's daemon and machine room: it
 * says a word on the CHANNEL (a character device) for what comes next, and is answered with
 * the role and a word. Nothing is looked at twice: who waits is blocked in a read.
 *
 *   script            writer                               taker
 *                     fills the segment: filled
 *                                                          sees these bytes: seen
 *   > store           stores in a loop, renewing its
 *                     dead-man; after a round: storing
 *   > cut             stops renewing, goes on storing
 *                     until SIGBUS: fenced
 *   > expire                                               waits a lease out: expired
 *   > copy                                                 copies the segment: copied
 *   > try             stores 100 rounds more: tried
 *   > judge, record                                        how many bytes have changed?
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "segment.h"

#define UNITS 4
#define LENGTH (UNITS * UNIT)
/* T, and B: what is left to guests that wait for a processor is never a lease. */
#define LEASE_MS 30000
#define BOUND_MS 5000

static int channel;
static const char *role;

static void tell(const char *what)
{
	CHECK(dprintf(channel, "%s %s\n", role, what) > 0);
	printf("# %s\n", what);
}

/* The next word, which @word has room for; waits for it. */
static void listen_for(char *word, int size)
{
	int length = 0;

	do {
		CHECK(length < size);
		CHECK_EQ(read(channel, word + length, 1), 1);
	} while (word[length++] != '\n');
	word[length - 1] = 0;
}

static void await(const char *expected)
{
	char word[16];

	listen_for(word, sizeof(word));
	if (strcmp(word, expected))
		FAIL("told to %s, not to %s", word, expected);
}

static bool is_told(void)
{
	struct pollfd waiting = { .fd = channel, .events = POLLIN };

	return poll(&waiting, 1, 0) > 0;
}

/* Stores into every page in turn; returns how many stores got SIGBUS. */
static uint64_t store_round(char *bytes, char value)
{
	uint64_t refused = 0;

	for (uint64_t at = 0; at < LENGTH; at += PAGE)
		refused += store(bytes + at, value).signal == SIGBUS;
	return refused;
}

/* Renews as a daemon does: its lease runs from when it was sent, less a tenth. */
static int renew(void)
{
	return deadman_arm_at(now_ns() + LEASE_MS * 900000ULL, BOUND_MS);
}

static void writer(void)
{
	char *bytes = map_rw(segment_open(segment_make(UNITS), WEFT_MODE_READ_WRITE), LENGTH);
	int events = events_open();
	char value = 0;

	fill(bytes, LENGTH, 42);
	tell("filled");
	await("store");
	CHECK_EQ(renew(), 0);
	CHECK_EQ(store_round(bytes, value++), 0);
	tell("storing");
	/* A host that was frozen may find its lease run out before it is told. */
	while (!is_told() && !renew())
		store_round(bytes, value++);
	await("cut");
	while (!store_round(bytes, value++))
		;
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	tell("fenced");
	await("try");
	for (int round = 0; round < 100; round++)
		CHECK_EQ(store_round(bytes, value++), LENGTH / PAGE);
	tell("tried");
	printf("ok 1 - two_host.a_writer_that_is_cut_off_gets_sigbus\n");
}

/* By this host's clock no other has a right left that it had when this was called. */
static void lease_wait(void)
{
	uint64_t end = now_ns() + (LEASE_MS + BOUND_MS) * 1001000ULL;
	struct timespec until = {
		.tv_sec = end / 1000000000,
		.tv_nsec = end % 1000000000,
	};

	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL))
		;
}

static uint64_t changed_pages(const char *bytes, const char *copy)
{
	uint64_t changed = 0;

	for (uint64_t at = 0; at < LENGTH; at += PAGE)
		changed += !!memcmp(bytes + at, copy + at, PAGE);
	return changed;
}

static void taker(void)
{
	char *bytes = map_rw(segment_open(segment_make(UNITS), WEFT_MODE_READ_WRITE), LENGTH);
	char *copy = malloc(LENGTH), word[16];

	check_filled(bytes, LENGTH, 42);
	printf("ok 1 - two_host.bytes_of_one_host_are_seen_by_the_other\n");
	tell("seen");
	listen_for(word, sizeof(word));
	if (!strcmp(word, "expire")) {
		lease_wait();
		tell("expired");
		listen_for(word, sizeof(word));
	}
	CHECK(!strcmp(word, "copy"));
	memcpy(copy, bytes, LENGTH);
	tell("copied");
	listen_for(word, sizeof(word));
	printf("# %llu pages changed after the fence\n",
	       (unsigned long long)changed_pages(bytes, copy));
	/* What a timer cannot do: recorded, not judged. */
	if (!strcmp(word, "record"))
		return;
	CHECK(!strcmp(word, "judge"));
	CHECK_EQ(changed_pages(bytes, copy), 0);
	printf("ok 2 - two_host.no_byte_lands_after_the_fence\n");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	CHECK(argc == 3);
	role = argv[1];
	channel = open(argv[2], O_RDWR | O_CLOEXEC);
	CHECK(channel >= 0);
	env_setup();
	if (!strcmp(role, "writer"))
		writer();
	else
		taker();
	return 0;
}
