// SPDX-License-Identifier: GPL-2.0-only
/* Revoke and resume: what a revoked client sees, and tokens. */
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "segment.h"

TEST(revoke, access_is_sigbus_and_io_is_estale)
{
	uint64_t segment = segment_make(4);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 4 * UNIT), byte = 0;
	struct weft_segment_revoke revoke;
	struct access_result access;

	CHECK_STORES(bytes, 1);
	revoke = segment_revoke(segment, 0, FIRST, 1000);
	CHECK_EQ(revoke.state, WEFT_STATE_REVOKED);
	CHECK_EQ(revoke.pages_pinned, 0);
	access = load(bytes);
	CHECK_EQ(access.signal, SIGBUS);
	CHECK_EQ(access.code, BUS_ADRERR);
	CHECK(access.address == bytes);
	CHECK_SIGBUS(bytes + 3 * UNIT);
	CHECK_ERRNO(pread(fd, &byte, 1, 0), ESTALE);
	CHECK_ERRNO(pwrite(fd, &byte, 1, 0), ESTALE);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, PAGE), ESTALE);
	CHECK_ERRNO(segment_zero(segment, 0, PAGE, NULL), ESTALE);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_REVOKED);
	CHECK(segment_info(segment).stats.faults_refused >= 3);
	CHECK_EQ(segment_info(segment).stats.revokes, 1);
}

TEST(revoke, a_revoked_segment_cannot_be_opened)
{
	uint64_t segment = segment_make(1);
	struct weft_segment_open open = {
		.size = sizeof(open),
		.segment_id = segment,
		.token = FIRST,
		.mode = WEFT_MODE_READ,
	};

	segment_revoke(segment, 0, FIRST, 0);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, &open), ESTALE);
}

TEST(revoke, repeating_it_is_harmless)
{
	uint64_t segment = segment_make(1);

	for (int i = 0; i < 3; i++)
		CHECK_EQ(segment_revoke(segment, 0, FIRST, 100).state, WEFT_STATE_REVOKED);
	CHECK_EQ(segment_resume(segment, 0, FIRST), 0);
}

TEST(resume, same_token_brings_mappings_back)
{
	uint64_t segment = segment_make(4);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 4 * UNIT);

	fill(bytes, 4 * UNIT, 2);
	segment_revoke(segment, 0, FIRST, 0);
	CHECK_SIGBUS(bytes);
	CHECK_EQ(segment_resume(segment, 0, FIRST), 0);
	check_filled(bytes, 4 * UNIT, 2);
	CHECK_STORES(bytes, 1);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_LIVE);
	CHECK_EQ(segment_info(segment).stats.faults_4k, 0);
}

TEST(resume, later_token_is_a_new_grant_and_old_handles_stay_revoked)
{
	uint64_t segment = segment_make(2);
	int old = segment_open(segment, WEFT_MODE_READ_WRITE), fresh;
	char *bytes = map_rw(old, 2 * UNIT), byte;

	fill(bytes, UNIT, 1);
	segment_revoke(segment, 0, TOKEN(2), 0);
	CHECK_ERRNO(segment_resume(segment, 0, FIRST), ESTALE);
	CHECK_EQ(segment_resume(segment, 0, TOKEN(2)), 0);
	CHECK_SIGBUS(bytes);
	CHECK_ERRNO(pread(old, &byte, 1, 0), ESTALE);
	fresh = segment_open_token(segment, WEFT_MODE_READ_WRITE, TOKEN(2), NULL);
	check_filled(map_rw(fresh, 2 * UNIT), UNIT, 1);
	CHECK_SIGBUS(bytes);
}

TEST(resume, may_change_the_mode_with_a_later_token)
{
	uint64_t segment = segment_make(2);
	struct weft_segment_resume resume = {
		.size = sizeof(resume),
		.segment_id = segment,
		.token = TOKEN(2),
		.mode = WEFT_MODE_READ,
	};
	struct weft_segment_open open = {
		.size = sizeof(open),
		.segment_id = segment,
		.token = TOKEN(2),
		.mode = WEFT_MODE_READ_WRITE,
	};

	segment_revoke(segment, 0, TOKEN(2), 0);
	CHECK_EQ(ioctl(control, WEFT_SEGMENT_RESUME, &resume), 0);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, &open), EACCES);
	segment_open_token(segment, WEFT_MODE_READ, TOKEN(2), NULL);
}

TEST(tokens, older_ones_are_refused_and_change_nothing)
{
	struct weft_extent whole = extent(&dax[0], 1, 2);
	struct weft_segment_create create = create_command(segment_new_id(), &whole, 1);
	struct weft_segment_revoke revoke = { .size = sizeof(revoke) };
	struct weft_token old[] = { { 2, 4 }, { 1, 100 }, { 0, 0 } };
	struct weft_segment_zero zero = { .size = sizeof(zero), .length = PAGE };
	char *bytes;

	create.token = (struct weft_token){ 2, 5 };
	CHECK_EQ(ioctl(control, WEFT_SEGMENT_CREATE, &create), 0);
	bytes = map_rw(segment_open_token(create.segment_id, WEFT_MODE_READ_WRITE,
					  create.token, NULL), 2 * UNIT);
	CHECK_STORES(bytes, 1);
	revoke.segment_id = zero.segment_id = create.segment_id;
	for (int i = 0; i < 3; i++) {
		revoke.token = zero.token = old[i];
		CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_REVOKE, &revoke), ESTALE);
		CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_ZERO, &zero), ESTALE);
		CHECK_ERRNO(segment_resume(create.segment_id, 0, old[i]), ESTALE);
		CHECK_ERRNO(segment_destroy(create.segment_id, old[i]), ESTALE);
	}
	CHECK_EQ(bytes[0], 1);
	CHECK_EQ(segment_info(create.segment_id).stats.revokes, 0);
}

TEST(tokens, the_newest_seen_is_remembered)
{
	uint64_t segment = segment_make(1);
	struct weft_segment_info info;

	segment_revoke(segment, 0, TOKEN(9), 0);
	info = segment_info(segment);
	CHECK_EQ(info.token.counter, 1);
	CHECK_EQ(info.last_token.counter, 9);
	CHECK_ERRNO(segment_resume(segment, 0, TOKEN(8)), ESTALE);
	CHECK_ERRNO(segment_destroy(segment, TOKEN(8)), ESTALE);
	CHECK_EQ(segment_destroy(segment, TOKEN(9)), 0);
}

TEST(tokens, open_needs_exactly_the_granted_one)
{
	struct weft_segment_open open = {
		.size = sizeof(open),
		.segment_id = segment_make(1),
		.mode = WEFT_MODE_READ,
	};

	open.token = TOKEN(0);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, &open), ESTALE);
	open.token = TOKEN(2);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, &open), ESTALE);
}

TEST(revoke_handle, others_refault)
{
	uint64_t segment = segment_make(2), first, second;
	int a = segment_open_token(segment, WEFT_MODE_READ_WRITE, FIRST, &first);
	int b = segment_open_token(segment, WEFT_MODE_READ_WRITE, FIRST, &second);
	char *mine = map_rw(a, 2 * UNIT), *other = map_rw(b, 2 * UNIT), byte;

	CHECK(first != second);
	CHECK_STORES(mine, 7);
	CHECK_STORES(other, 7);
	CHECK_EQ(segment_revoke(segment, first, FIRST, 0).state, WEFT_STATE_REVOKED);
	CHECK_SIGBUS(mine);
	CHECK_ERRNO(pread(a, &byte, 1, 0), ESTALE);
	CHECK_STORES(other, 8);
	CHECK_EQ(pread(b, &byte, 1, 0), 1);
	CHECK_EQ(byte, 8);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_LIVE);
	CHECK_EQ(segment_resume(segment, first, FIRST), 0);
	CHECK_LOADS(mine);
	CHECK_EQ(pread(a, &byte, 1, 0), 1);
}

TEST(revoke_handle, unknown_handles_are_enoent)
{
	uint64_t segment = segment_make(2), other_handle;
	struct weft_extent elsewhere = extent(&dax[0], 9, 1);
	uint64_t other = segment_create(&elsewhere, 1);
	struct weft_segment_revoke revoke = {
		.size = sizeof(revoke),
		.segment_id = segment,
		.token = FIRST,
	};

	segment_open_token(other, WEFT_MODE_READ, FIRST, &other_handle);
	revoke.handle_id = other_handle;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_REVOKE, &revoke), ENOENT);
	revoke.handle_id = ~0ULL;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_REVOKE, &revoke), ENOENT);
	CHECK_ERRNO(segment_resume(segment, ~0ULL, FIRST), ENOENT);
}

TEST(destroy, open_files_stay_without_access)
{
	uint64_t segment = segment_make(2);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	struct weft_handle_get get = { .size = sizeof(get) };
	char *bytes = map_rw(fd, 2 * UNIT), byte;

	CHECK_STORES(bytes, 1);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
	CHECK_SIGBUS(bytes);
	CHECK_ERRNO(pread(fd, &byte, 1, 0), ESTALE);
	CHECK_EQ(ioctl(fd, WEFT_HANDLE_INFO, &get), 0);
	CHECK_EQ(get.info.state, WEFT_STATE_DEAD);
	CHECK_ERRNO(segment_destroy(segment, FIRST), ENOENT);
	/* The bytes and the id are free again; the old mapping reaches neither. */
	segment_make(2);
	CHECK_SIGBUS(bytes);
}

struct coherent_case {
	uint32_t flags;
	uint64_t flushes, bytes;
};

static void check_flush(struct coherent_case expected)
{
	struct weft_extent extents[] = { extent(&dax[0], 3, 2), extent(&dax[0], 8, 1) };
	struct weft_stats before, after;
	struct weft_segment_revoke revoke;
	uint64_t segment;

	CHECK_EQ(dax_remove(&dax[0]), 0);
	CHECK_EQ(dax_add(&dax[0], expected.flags), 0);
	extents[0].device_id = extents[1].device_id = dax[0].id;
	segment = segment_create(extents, 2);
	map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 3 * UNIT)[0] = 1;
	before = segment_info(segment).stats;
	revoke = segment_revoke(segment, 0, FIRST, 1000);
	after = segment_info(segment).stats;
	CHECK_EQ(revoke.state, WEFT_STATE_REVOKED);
	CHECK_EQ(revoke.flushed_bytes, expected.bytes);
	CHECK_EQ(after.flushed_bytes - before.flushed_bytes, expected.bytes);
	CHECK_EQ(after.flushes - before.flushes, expected.flushes);
}

TEST(flush, revoke_flushes_exactly_the_extents_before_it_confirms)
{
	check_flush((struct coherent_case){ WEFT_DEVICE_SOFTWARE_COHERENT, 2, 3 * UNIT });
}

TEST(flush, coherent_devices_need_none)
{
	check_flush((struct coherent_case){ 0, 0, 0 });
}

TEST(flush, deadman_flushes_too)
{
	struct weft_extent whole;
	uint64_t segment;
	int events = events_open();

	CHECK_EQ(dax_remove(&dax[0]), 0);
	CHECK_EQ(dax_add(&dax[0], WEFT_DEVICE_SOFTWARE_COHERENT), 0);
	whole = extent(&dax[0], 1, 2);
	segment = segment_create(&whole, 1);
	uint64_t before = segment_info(segment).stats.flushed_bytes;

	CHECK_EQ(deadman_arm(50, 20000), 0);
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	CHECK_EQ(segment_info(segment).stats.flushed_bytes - before, 2 * UNIT);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_REVOKED);
}
