// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation of a command is made to fail once: the command fails and leaves nothing
 * behind, and without the failure it works.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "segment.h"

/* Far more allocations than any command makes. */
#define FAILURES_MAX 500

static int fail_nth = -1;

static void injection_enable(void)
{
	/* Allocations that may wait fail too, and say so only by their result. */
	if (write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N"))
		test_skip("the kernel has no failslab");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	write_file("/sys/kernel/debug/failslab/verbose", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	fail_nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	CHECK(fail_nth >= 0);
}

/* From here on the nth allocation of this thread fails. */
static void injection_arm(int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", nth);
	CHECK(pwrite(fail_nth, text, strlen(text), 0) > 0);
}

/* Ends it; false if no allocation was made to fail. */
static bool injection_disarm(void)
{
	char text[16] = "";

	CHECK(pread(fail_nth, text, sizeof(text) - 1, 0) > 0);
	CHECK_EQ(pwrite(fail_nth, "0", 1, 0), 1);
	return atoi(text) == 0;
}

struct attempt {
	/* Runs the command: 0, or -1 with errno. */
	int (*run)(void *argument);
	/* After a failure: nothing may be left of it. */
	void (*check_nothing)(void *argument);
	void *argument;
};

static void fail_each_allocation(const struct attempt *attempt)
{
	int nth, result, error;
	bool injected;

	injection_enable();
	for (nth = 1; nth < FAILURES_MAX; nth++) {
		injection_arm(nth);
		result = attempt->run(attempt->argument);
		error = errno;
		injected = injection_disarm();
		if (!injected) {
			CHECK_EQ(result, 0);
			return;
		}
		/* Some allocations are only tried, and done without. */
		if (!result)
			return;
		errno = error;
		CHECK(error == ENOMEM || error == EFAULT || error == ENFILE);
		attempt->check_nothing(attempt->argument);
	}
	FAIL("still failing at allocation %d", nth);
}

static uint32_t device_extents(void)
{
	return dax_info(&dax[0]).extents + dax_info(&dax[1]).extents;
}

static int run_create(void *argument)
{
	return ioctl(control, WEFT_SEGMENT_CREATE, argument);
}

static void check_no_extents(void *argument)
{
	(void)argument;
	CHECK_EQ(device_extents(), 4);
}

TEST(failed_allocations, create)
{
	struct weft_extent extents[] = {
		extent(&dax[0], 1, 1), extent(&dax[1], 1, 1), extent(&dax[0], 5, 9),
	};
	struct weft_segment_create create = create_command(segment_new_id(), extents, 3);

	fail_each_allocation(&(struct attempt){ run_create, check_no_extents, &create });
}

static int run_extend(void *argument)
{
	return ioctl(control, WEFT_SEGMENT_EXTEND, argument);
}

static void check_not_extended(void *argument)
{
	struct weft_segment_create *extend = argument;

	CHECK_EQ(segment_info(extend->segment_id).size_bytes, 2 * UNIT);
	CHECK_EQ(device_extents(), 5);
}

TEST(failed_allocations, extend)
{
	struct weft_extent extra = extent(&dax[0], 20, 3);
	struct weft_segment_create extend = create_command(segment_make(2), &extra, 1);

	extend.mode = 0;
	fail_each_allocation(&(struct attempt){ run_extend, check_not_extended, &extend });
}

static int run_open(void *argument)
{
	return ioctl(control, WEFT_SEGMENT_OPEN, argument);
}

static void check_no_handle(void *argument)
{
	struct weft_segment_open *open = argument;

	CHECK_EQ(segment_info(open->segment_id).handles, 0);
}

TEST(failed_allocations, open)
{
	struct weft_segment_open open = {
		.size = sizeof(open),
		.segment_id = segment_make(1),
		.token = FIRST,
		.mode = WEFT_MODE_READ_WRITE,
	};

	fail_each_allocation(&(struct attempt){ run_open, check_no_handle, &open });
	CHECK_EQ(segment_info(open.segment_id).handles, 1);
}

static int run_add(void *argument)
{
	return dax_add(argument, 0);
}

static void check_not_added(void *argument)
{
	struct weft_device_info info;
	struct weft_list list = {
		.size = sizeof(list),
		.entries_ptr = (uintptr_t)&info,
		.entries = 1,
		.entry_size = sizeof(info),
	};

	(void)argument;
	CHECK_EQ(ioctl(control, WEFT_DEVICE_LIST, &list), 0);
	CHECK_EQ(list.cursor, 0);
	CHECK(!list.entries || info.device_id == dax[1].id);
}

TEST(failed_allocations, device_add)
{
	CHECK_EQ(dax_remove(&dax[0]), 0);
	fail_each_allocation(&(struct attempt){ run_add, check_not_added, &dax[0] });
}

/* What a revoke needs it must have had before: it cannot fail for want of memory. */
static int run_revoke(void *argument)
{
	return ioctl(control, WEFT_SEGMENT_REVOKE, argument);
}

TEST(failed_allocations, revoke_needs_none)
{
	struct weft_segment_revoke revoke = { .size = sizeof(revoke), .token = FIRST };
	char *bytes;

	injection_enable();
	for (int nth = 1; nth < 20; nth++) {
		revoke.segment_id = segment_make(2);
		bytes = map_rw(segment_open(revoke.segment_id, WEFT_MODE_READ_WRITE), 2 * UNIT);
		bytes[0] = 1;
		injection_arm(nth);
		CHECK_EQ(run_revoke(&revoke), 0);
		injection_disarm();
		CHECK_EQ(revoke.state, WEFT_STATE_REVOKED);
		CHECK_EQ(munmap(bytes, 2 * UNIT), 0);
		CHECK_EQ(segment_destroy(revoke.segment_id, FIRST), 0);
	}
}
