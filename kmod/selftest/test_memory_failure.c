// SPDX-License-Identifier: GPL-2.0-only
/* Memory failure is per page: who is told, what stays usable, and how it is recovered. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "segment.h"

/*
 * Declares one page bad, as the machine-check handler does. A child does it, since the
 * kernel may send SIGBUS to whoever is running then.
 */
static void poison(char *page)
{
	int status;
	pid_t pid;

	CHECK_STORES(page, 1);
	pid = fork();
	if (!pid)
		_exit(madvise(page, PAGE, MADV_HWPOISON) && errno == EINVAL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		test_skip("the kernel has no memory failure injection");
}

/* A segment of four units whose page 5 of unit 1 is bad. */
#define BAD (UNIT + 5 * PAGE)

struct poisoned {
	uint64_t segment;
	int fd;
	char *bytes;
	int events;
};

static struct poisoned poisoned_make(void)
{
	struct poisoned poisoned = {
		.segment = segment_make(4),
		.events = events_open(),
	};

	poisoned.fd = segment_open(poisoned.segment, WEFT_MODE_READ_WRITE);
	poisoned.bytes = map_rw(poisoned.fd, 4 * UNIT);
	fill(poisoned.bytes, 4 * UNIT, 1);
	poison(poisoned.bytes + BAD);
	return poisoned;
}

static uint32_t bad_ranges(struct weft_bad_range *ranges, uint32_t room)
{
	struct weft_list list = {
		.size = sizeof(list),
		.object_id = dax[0].id,
		.entries_ptr = (uintptr_t)ranges,
		.entries = room,
		.entry_size = sizeof(*ranges),
	};

	CHECK_EQ(ioctl(control, WEFT_BAD_RANGE_LIST, &list), 0);
	return list.entries;
}

TEST(memory_failure, event_tells_device_offset_and_segment)
{
	struct poisoned poisoned = poisoned_make();
	struct weft_event event = event_wait(poisoned.events, WEFT_EVENT_MEMORY_FAILURE);
	struct weft_bad_range range;

	CHECK_EQ(event.device_id, dax[0].id);
	CHECK_EQ(event.offset, UNIT + BAD);
	CHECK_EQ(event.length, PAGE);
	CHECK_EQ(event.segment_id, poisoned.segment);
	CHECK_EQ(event.segment_offset, BAD);
	CHECK_EQ(bad_ranges(&range, 1), 1);
	CHECK_EQ(range.offset, UNIT + BAD);
	CHECK_EQ(range.length, PAGE);
	CHECK_EQ(dax_info(&dax[0]).bad_pages, 1);
	CHECK_EQ(segment_info(poisoned.segment).stats.memory_failures, 1);
}

TEST(memory_failure, access_to_the_page_is_sigbus_mceerr_ar)
{
	struct poisoned poisoned = poisoned_make();
	struct access_result access = load(poisoned.bytes + BAD + 100);

	CHECK_EQ(access.signal, SIGBUS);
	CHECK_EQ(access.code, BUS_MCEERR_AR);
	access = store(poisoned.bytes + BAD, 1);
	CHECK_EQ(access.signal, SIGBUS);
	CHECK_EQ(access.code, BUS_MCEERR_AR);
}

TEST(memory_failure, its_neighbours_stay_usable)
{
	struct poisoned poisoned = poisoned_make();

	for (uint64_t at = 0; at < 4 * UNIT; at += PAGE) {
		if (at == BAD)
			continue;
		CHECK_LOADS(poisoned.bytes + at);
		CHECK_STORES(poisoned.bytes + at, 1);
	}
	/* 4 KiB faults in the piece of the bad page, and nowhere else. */
	CHECK(segment_info(poisoned.segment).stats.faults_4k <= UNIT / PAGE * 2);
}

TEST(memory_failure, read_is_eio_and_its_neighbours_read)
{
	struct poisoned poisoned = poisoned_make();
	char *buffer = malloc(UNIT);

	CHECK_ERRNO(pread(poisoned.fd, buffer, PAGE, BAD), EIO);
	CHECK_ERRNO(pread(poisoned.fd, buffer, 1, BAD + PAGE - 1), EIO);
	CHECK_EQ(pread(poisoned.fd, buffer, PAGE, BAD - PAGE), PAGE);
	CHECK_EQ(pread(poisoned.fd, buffer, PAGE, BAD + PAGE), PAGE);
}

TEST(memory_failure, a_read_across_it_is_short)
{
	struct poisoned poisoned = poisoned_make();
	char *buffer = malloc(4 * PAGE);
	ssize_t count = pread(poisoned.fd, buffer, 4 * PAGE, BAD - PAGE);

	CHECK(count == PAGE || (count == -1 && errno == EIO));
}

TEST(memory_failure, processes_that_do_not_map_it_are_left_alone)
{
	uint64_t segment = segment_make(4);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	int go[2], ready[2];
	pid_t bystander;
	char byte;

	CHECK_EQ(pipe(go), 0);
	CHECK_EQ(pipe(ready), 0);
	bystander = fork();
	if (!bystander) {
		/* Early kill, the most that a process can ask for. */
		prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
		char *bytes = map(fd, 3 * UNIT, UNIT, PROT_READ | PROT_WRITE);

		bytes[0] = 1;
		CHECK_EQ(write(ready[1], "r", 1), 1);
		CHECK_EQ(read(go[0], &byte, 1), 1);
		CHECK_STORES(bytes, 2);
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	poison(map_rw(fd, 4 * UNIT) + BAD);
	CHECK_EQ(write(go[1], "g", 1), 1);
	child_join(bystander);
}

static void on_early_kill(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	_exit(info->si_code == BUS_MCEERR_AO ? 0 : 3);
}

TEST(memory_failure, early_kill_processes_get_sigbus_mceerr_ao)
{
	uint64_t segment = segment_make(4);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	int ready[2];
	pid_t victim;
	char byte;

	CHECK_EQ(pipe(ready), 0);
	victim = fork();
	if (!victim) {
		struct sigaction action = {
			.sa_sigaction = on_early_kill,
			.sa_flags = SA_SIGINFO,
		};

		sigaction(SIGBUS, &action, NULL);
		prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
		map_rw(fd, 4 * UNIT)[BAD] = 1;
		CHECK_EQ(write(ready[1], "r", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	poison(map_rw(fd, 4 * UNIT) + BAD);
	child_join(victim);
}

TEST(memory_failure, a_new_handle_and_mapping_meet_it_too)
{
	struct poisoned poisoned = poisoned_make();
	char *bytes = map_rw(segment_open(poisoned.segment, WEFT_MODE_READ_WRITE), 4 * UNIT);

	CHECK_EQ(load(bytes + BAD).code, BUS_MCEERR_AR);
	CHECK_LOADS(bytes + BAD + PAGE);
}

TEST(memory_failure, belongs_to_the_device_not_the_segment)
{
	struct poisoned poisoned = poisoned_make();
	char *bytes;

	CHECK_EQ(segment_destroy(poisoned.segment, FIRST), 0);
	CHECK_EQ(dax_info(&dax[0]).bad_pages, 1);
	poisoned.segment = segment_make(4);
	bytes = map_rw(segment_open(poisoned.segment, WEFT_MODE_READ_WRITE), 4 * UNIT);
	CHECK_EQ(load(bytes + BAD).code, BUS_MCEERR_AR);
}

TEST(recovery_write, whole_page_clears_the_poison)
{
	struct poisoned poisoned = poisoned_make();
	char *page = aligned_alloc(PAGE, PAGE);

	fill(page, PAGE, 77);
	CHECK_EQ(pwrite(poisoned.fd, page, PAGE, BAD), PAGE);
	CHECK_EQ(dax_info(&dax[0]).bad_pages, 0);
	CHECK_EQ(segment_info(poisoned.segment).stats.recovered_pages, 1);
	check_filled(poisoned.bytes + BAD, PAGE, 77);
	CHECK_STORES(poisoned.bytes + BAD, 1);
	CHECK_EQ(pread(poisoned.fd, page, PAGE, BAD), PAGE);
}

TEST(recovery_write, part_of_a_page_does_not)
{
	struct poisoned poisoned = poisoned_make();

	CHECK_ERRNO(pwrite(poisoned.fd, "x", 1, BAD), EIO);
	CHECK_EQ(dax_info(&dax[0]).bad_pages, 1);
	CHECK_EQ(load(poisoned.bytes + BAD).signal, SIGBUS);
}

TEST(recovery_write, larger_write_covers_it)
{
	struct poisoned poisoned = poisoned_make();
	char *buffer = malloc(2 * UNIT);

	fill(buffer, 2 * UNIT, 5);
	CHECK_EQ(pwrite(poisoned.fd, buffer, 2 * UNIT, UNIT / 2), 2 * UNIT);
	CHECK_EQ(dax_info(&dax[0]).bad_pages, 0);
	check_filled(poisoned.bytes + UNIT / 2, 2 * UNIT, 5);
}

TEST(recovery_write, zeroing_clears_it_too)
{
	struct poisoned poisoned = poisoned_make();

	CHECK_EQ(segment_zero(poisoned.segment, UNIT, UNIT, NULL), 0);
	CHECK_EQ(dax_info(&dax[0]).bad_pages, 0);
	CHECK_EQ(poisoned.bytes[BAD], 0);
}

/* A mapping keeps the page table that its 4 KiB entries needed; a new one has none. */
TEST(recovery_write, two_mib_faults_come_back_in_new_mappings)
{
	struct poisoned poisoned = poisoned_make();
	struct weft_stats before, after;
	char *fresh;

	CHECK_STORES(poisoned.bytes + BAD + PAGE, 1);
	CHECK_EQ(segment_zero(poisoned.segment, UNIT, UNIT, NULL), 0);
	CHECK_EQ(munmap(poisoned.bytes, 4 * UNIT), 0);
	fresh = map_rw(poisoned.fd, 4 * UNIT);
	before = segment_info(poisoned.segment).stats;
	CHECK_STORES(fresh + BAD, 1);
	CHECK_STORES(fresh + BAD + PAGE, 1);
	after = segment_info(poisoned.segment).stats;
	CHECK_EQ(after.faults_2m - before.faults_2m, 1);
	CHECK_EQ(after.faults_4k - before.faults_4k, 0);
}

TEST(memory_failure, poisoned_segments_revoke_and_destroy)
{
	struct poisoned poisoned = poisoned_make();

	CHECK_EQ(segment_revoke(poisoned.segment, 0, FIRST, 5000).state, WEFT_STATE_REVOKED);
	CHECK_EQ(load(poisoned.bytes + BAD).signal, SIGBUS);
	CHECK_EQ(segment_resume(poisoned.segment, 0, FIRST), 0);
	CHECK_EQ(load(poisoned.bytes + BAD).code, BUS_MCEERR_AR);
	CHECK_EQ(segment_destroy(poisoned.segment, FIRST), 0);
}
