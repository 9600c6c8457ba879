// SPDX-License-Identifier: GPL-2.0-only
/*
 * Revoke is a lock, not only a flag: no store, fault or write that began before it lands
 * after it. Children work on a segment in loops; once a revoke has returned, an observer
 * with a right of its own must not see a byte move.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "segment.h"

#define UNITS 4
#define WORKERS 3

/* One round of a worker's loop; the bytes it leaves depend on i. */
typedef void (*work_fn)(int fd, char *bytes, char *buffer, uint64_t i);

static void work_store(int fd, char *bytes, char *buffer, uint64_t i)
{
	(void)fd;
	(void)buffer;
	for (uint64_t at = 0; at < UNITS * UNIT; at += PAGE)
		if (store(bytes + at, i).signal)
			break;
}

static void work_refault(int fd, char *bytes, char *buffer, uint64_t i)
{
	(void)fd;
	(void)buffer;
	CHECK_EQ(madvise(bytes, UNITS * UNIT, MADV_DONTNEED), 0);
	for (int unit = 0; unit < UNITS; unit++)
		store(bytes + unit * UNIT, i);
}

static void work_write(int fd, char *bytes, char *buffer, uint64_t i)
{
	(void)bytes;
	memset(buffer, i, UNIT);
	if (pwrite(fd, buffer, UNIT, (i % UNITS) * UNIT) < 0)
		CHECK_EQ(errno, ESTALE);
}

static void work_zero(int fd, char *bytes, char *buffer, uint64_t i)
{
	(void)buffer;
	store(bytes + PAGE, i | 1);
	if (fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, UNIT) < 0)
		CHECK_EQ(errno, ESTALE);
}

/* Rounds done by each worker, in memory shared with them. */
static volatile uint64_t *progress;

static void workers_start(int fd, work_fn work)
{
	progress = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	for (int i = 0; i < WORKERS; i++) {
		if (fork())
			continue;
		char *bytes = map_rw(fd, UNITS * UNIT), *buffer = malloc(UNIT);

		for (uint64_t round = 1;; round++) {
			work(fd, bytes, buffer, round);
			progress[i] = round;
		}
	}
}

/* Every worker comes round: what it did last began after this call did. */
static void workers_turn(void)
{
	for (int i = 0; i < WORKERS; i++) {
		uint64_t seen = progress[i];

		while (progress[i] < seen + 2) {
			if (waitpid(-1, NULL, WNOHANG))
				FAIL("a worker ended");
			sched_yield();
		}
	}
}

static void check_bytes_rest(const char *bytes)
{
	char *copy = malloc(UNITS * UNIT);

	memcpy(copy, bytes, UNITS * UNIT);
	workers_turn();
	CHECK_EQ(memcmp(copy, bytes, UNITS * UNIT), 0);
	free(copy);
}

/* The observer has a handle of its own on the same segment. */
static void race_with_revoke_of_handle(work_fn work)
{
	uint64_t segment = segment_make(UNITS), handle;
	int fd = segment_open_token(segment, WEFT_MODE_READ_WRITE, FIRST, &handle);
	const char *observed = map(segment_open(segment, WEFT_MODE_READ), 0, UNITS * UNIT,
				   PROT_READ);

	workers_start(fd, work);
	for (int round = 0; round < 8; round++) {
		workers_turn();
		CHECK_EQ(segment_revoke(segment, handle, FIRST, 10000).state,
			 WEFT_STATE_REVOKED);
		check_bytes_rest(observed);
		CHECK_EQ(segment_resume(segment, handle, FIRST), 0);
	}
}

/* The observer is the next holder, under a later token. */
static void race_with_revoke_of_segment(work_fn work)
{
	uint64_t segment = segment_make(UNITS);

	workers_start(segment_open(segment, WEFT_MODE_READ_WRITE), work);
	workers_turn();
	CHECK_EQ(segment_revoke(segment, 0, TOKEN(2), 10000).state, WEFT_STATE_REVOKED);
	CHECK_EQ(segment_resume(segment, 0, TOKEN(2)), 0);
	check_bytes_rest(map_rw(segment_open_token(segment, WEFT_MODE_READ_WRITE, TOKEN(2),
						   NULL), UNITS * UNIT));
}

TEST(revoke_is_a_lock, against_stores)
{
	race_with_revoke_of_handle(work_store);
}

TEST(revoke_is_a_lock, against_faults)
{
	race_with_revoke_of_handle(work_refault);
}

TEST(revoke_is_a_lock, against_writes)
{
	race_with_revoke_of_handle(work_write);
}

TEST(revoke_is_a_lock, against_zeroing)
{
	race_with_revoke_of_handle(work_zero);
}

TEST(revoke_is_a_lock, for_the_next_holder_against_stores)
{
	race_with_revoke_of_segment(work_store);
}

TEST(revoke_is_a_lock, for_the_next_holder_against_faults)
{
	race_with_revoke_of_segment(work_refault);
}

TEST(revoke_is_a_lock, for_the_next_holder_against_writes)
{
	race_with_revoke_of_segment(work_write);
}
