// SPDX-License-Identifier: GPL-2.0-only
/*
 * weft_peer writer|taker DIRECTORY: one of two hosts that share fabric memory. They and the
 * script that starts them talk through files in DIRECTORY. Each makes the one of its role's
 * name when its devices are there.
 *
 *   writer                                taker
 *   fills the segment ........ filled -->  reads it through a mapping of its own:
 *                                          same bytes ..................... seen -->
 *   stores in a loop, renewing
 *   its dead-man until the script
 *   makes .................... cut
 *   the dead-man revokes ..... fenced -->  copies the segment
 *   goes on trying ........... tried  -->  not one byte has changed ....... done -->
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "segment.h"

#define UNITS 4
#define LENGTH (UNITS * UNIT)
#define LEASE_MS 3000
#define BOUND_MS 20000

static void tell(const char *what)
{
	int fd = open(what, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	CHECK(fd >= 0);
	close(fd);
	printf("# %s\n", what);
}

static bool told(const char *what)
{
	return !access(what, F_OK);
}

/* Looks again and again; the script that started the guest bounds it. */
static void await(const char *what)
{
	while (!told(what))
		sched_yield();
}

/* Stores into every page in turn; returns how many stores got SIGBUS. */
static uint64_t store_round(char *bytes, char value)
{
	uint64_t refused = 0;

	for (uint64_t at = 0; at < LENGTH; at += PAGE)
		refused += store(bytes + at, value).signal == SIGBUS;
	return refused;
}

static void writer(void)
{
	char *bytes = map_rw(segment_open(segment_make(UNITS), WEFT_MODE_READ_WRITE), LENGTH);
	int events = events_open();
	char value = 0;

	fill(bytes, LENGTH, 42);
	tell("filled");
	await("seen");
	while (!told("cut")) {
		CHECK_EQ(deadman_arm(LEASE_MS, BOUND_MS), 0);
		CHECK_EQ(store_round(bytes, value++), 0);
	}
	while (!store_round(bytes, value++))
		;
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	tell("fenced");
	for (int round = 0; round < 100; round++)
		CHECK_EQ(store_round(bytes, value++), LENGTH / PAGE);
	tell("tried");
	printf("ok 1 - two_host.a_writer_that_is_cut_off_gets_sigbus\n");
}

static void taker(void)
{
	char *bytes = map_rw(segment_open(segment_make(UNITS), WEFT_MODE_READ_WRITE), LENGTH);
	char *copy = malloc(LENGTH);

	await("filled");
	check_filled(bytes, LENGTH, 42);
	printf("ok 1 - two_host.bytes_of_one_host_are_seen_by_the_other\n");
	tell("seen");
	await("fenced");
	memcpy(copy, bytes, LENGTH);
	await("tried");
	CHECK_EQ(memcmp(copy, bytes, LENGTH), 0);
	printf("ok 2 - two_host.no_byte_lands_after_the_fence\n");
	tell("done");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	CHECK(argc == 3);
	CHECK_EQ(chdir(argv[2]), 0);
	env_setup();
	tell(argv[1]);
	if (!strcmp(argv[1], "writer"))
		writer();
	else
		taker();
	return 0;
}
