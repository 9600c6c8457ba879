// SPDX-License-Identifier: GPL-2.0-only
/*
 * weft_peer writer|taker DIRECTORY: one of two hosts that share fabric memory. They and the
 * script that starts them, which stands for the coordinator and may freeze the writer's host,
 * talk through files in DIRECTORY. Each makes the one of its role's name when its devices
 * are there.
 *
 *   writer                       script              taker
 *   fills the segment: filled ..................... > reads it through a mapping of its own,
 *                                                    sees the same bytes: seen
 *   stores in a loop, renewing
 *   its dead-man until it finds  < cut
 *   the dead-man revokes: fenced > taken ........... > copies the segment: copied
 *   goes on trying: tried ......................... > which bytes have changed?
 *
 * A frozen host cannot say that it is fenced. Then the taker tells when the lease has
 * expired (frozen: expired), and the script decides whether taken waits for a fence agent,
 * which ends the writer's host: killed.
 */
#include <dirent.h>
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

static bool listed(const char *what)
{
	DIR *directory = opendir(".");
	struct dirent *entry;
	bool found = false;

	CHECK(directory);
	while (!found && (entry = readdir(directory)))
		found = !strcmp(entry->d_name, what);
	closedir(directory);
	return found;
}

/*
 * 9p clients cache: some remember that a name was looked up in vain, others what a
 * directory had in it.
 */
static bool told(const char *what)
{
	return !access(what, F_OK) || listed(what);
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

/* Renews as a daemon does: the lease runs from when the renewal was sent. */
static bool renew(void)
{
	uint64_t sent_ns = now_ns();

	return !told("cut") && !deadman_arm_at(sent_ns + LEASE_MS * 1000000ULL, BOUND_MS);
}

static void writer(void)
{
	char *bytes = map_rw(segment_open(segment_make(UNITS), WEFT_MODE_READ_WRITE), LENGTH);
	int events = events_open();
	char value = 0;

	fill(bytes, LENGTH, 42);
	tell("filled");
	await("seen");
	while (renew())
		store_round(bytes, value++);
	CHECK(told("cut"));
	while (!store_round(bytes, value++))
		;
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	tell("fenced");
	for (int round = 0; round < 100; round++)
		CHECK_EQ(store_round(bytes, value++), LENGTH / PAGE);
	tell("tried");
	printf("ok 1 - two_host.a_writer_that_is_cut_off_gets_sigbus\n");
}

static uint64_t changed_pages(const char *bytes, const char *copy)
{
	uint64_t changed = 0;

	for (uint64_t at = 0; at < LENGTH; at += PAGE)
		changed += !!memcmp(bytes + at, copy + at, PAGE);
	return changed;
}

/* Waits until the writer, frozen or not, has no right left by this host's clock. */
static void await_expiry(void)
{
	uint64_t since;

	while (!told("frozen") && !told("taken"))
		sched_yield();
	since = now_ns();
	while (!told("taken") && now_ns() < since + 2 * LEASE_MS * 1000000ULL)
		sched_yield();
	if (!told("taken"))
		tell("expired");
	await("taken");
}

static void taker(void)
{
	char *bytes = map_rw(segment_open(segment_make(UNITS), WEFT_MODE_READ_WRITE), LENGTH);
	char *copy = malloc(LENGTH);
	uint64_t changed;

	await("filled");
	check_filled(bytes, LENGTH, 42);
	printf("ok 1 - two_host.bytes_of_one_host_are_seen_by_the_other\n");
	tell("seen");
	await_expiry();
	memcpy(copy, bytes, LENGTH);
	tell("copied");
	while (!told("tried") && !told("killed"))
		sched_yield();
	changed = changed_pages(bytes, copy);
	if (told("frozen") && !told("killed")) {
		/* What a timer cannot do: recorded, not judged. */
		printf("# %llu pages changed when the frozen host woke\n",
		       (unsigned long long)changed);
		return;
	}
	CHECK_EQ(changed, 0);
	printf("ok 2 - two_host.no_byte_lands_after_the_fence\n");
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
