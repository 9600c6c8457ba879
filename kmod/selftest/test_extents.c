// SPDX-License-Identifier: GPL-2.0-only
/* Where the bytes of a segment lie: several extents, several devices, stripes, growth. */
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "pin.h"
#include "segment.h"

/* Maps all of a new segment. */
static char *map_segment(uint64_t segment)
{
	return map_rw(segment_open(segment, WEFT_MODE_READ_WRITE),
		      segment_info(segment).size_bytes);
}

/*
 * Destroys a segment and maps units of a device through a new segment of one extent:
 * what is there physically.
 */
static char *map_raw(uint64_t old_segment, const struct dax *device, uint64_t first,
		     uint64_t units)
{
	struct weft_extent raw = extent(device, first, units);

	if (old_segment)
		CHECK_EQ(segment_destroy(old_segment, FIRST), 0);
	return map_segment(segment_create(&raw, 1));
}

TEST(extents, concatenated_in_the_order_given)
{
	struct weft_extent extents[] = {
		extent(&dax[0], 9, 2), extent(&dax[0], 3, 1), extent(&dax[0], 5, 3),
	};
	uint64_t segment = segment_create(extents, 3);
	char *bytes = map_segment(segment), *raw;

	CHECK_EQ(segment_info(segment).size_bytes, 6 * UNIT);
	for (int unit = 0; unit < 6; unit++)
		fill(bytes + unit * UNIT, UNIT, unit * 1000000);
	CHECK_EQ(segment_info(segment).stats.faults_4k, 0);
	raw = map_raw(segment, &dax[0], 1, 10);
	check_filled(raw + 8 * UNIT, UNIT, 0);
	check_filled(raw + 9 * UNIT, UNIT, 1000000);
	check_filled(raw + 2 * UNIT, UNIT, 2000000);
	check_filled(raw + 4 * UNIT, UNIT, 3000000);
	check_filled(raw + 6 * UNIT, UNIT, 5000000);
}

TEST(extents, span_devices)
{
	struct weft_extent extents[] = {
		extent(&dax[1], 2, 1), extent(&dax[0], 4, 1), extent(&dax[1], 7, 1),
	};
	uint64_t segment = segment_create(extents, 3);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 3 * UNIT), *buffer = malloc(3 * UNIT);

	fill(buffer, 3 * UNIT, 17);
	CHECK_EQ(pwrite(fd, buffer, 3 * UNIT, 0), 3 * UNIT);
	check_filled(bytes, 3 * UNIT, 17);
	check_filled(map_raw(segment, &dax[0], 4, 1), UNIT, 17 + UNIT / 8);
	check_filled(map_raw(0, &dax[1], 7, 1), UNIT, 17 + 2 * UNIT / 8);
}

TEST(extents, on_a_device_reach_every_unit_but_the_label)
{
	for (int i = 0; i < 2; i++) {
		char *raw = map_raw(0, &dax[i], 1, dax[i].units - 2);

		for (uint64_t unit = 0; unit < dax[i].units - 2; unit++)
			*(uint64_t *)(raw + unit * UNIT) = i * 1000 + unit;
		for (uint64_t unit = 0; unit < dax[i].units - 2; unit++)
			CHECK_EQ(*(uint64_t *)(raw + unit * UNIT), i * 1000 + unit);
	}
}

TEST(extents, many_in_random_order)
{
	uint64_t count = dax[0].units - 2;
	struct weft_extent *extents = calloc(count, sizeof(*extents));
	uint64_t segment;
	char *bytes, *raw;

	srandom(1);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t swap = random() % (i + 1);

		extents[i] = extents[swap];
		extents[swap] = extent(&dax[0], i + 1, 1);
	}
	segment = segment_create(extents, count);
	bytes = map_segment(segment);
	for (uint64_t i = 0; i < count; i++)
		*(uint64_t *)(bytes + i * UNIT + 8 * i) = extents[i].offset;
	CHECK_EQ(segment_info(segment).stats.faults_2m, count);
	raw = map_raw(segment, &dax[0], 1, count);
	for (uint64_t i = 0; i < count; i++)
		CHECK_EQ(*(uint64_t *)(raw + extents[i].offset - UNIT + 8 * i),
			 extents[i].offset);
}

static uint64_t striped_create(const struct weft_extent *extents, uint32_t count,
			       uint32_t ways, uint64_t chunk_bytes)
{
	struct weft_segment_create create =
		create_command(segment_new_id(), extents, count);

	create.stripe_ways = ways;
	create.stripe_chunk_bytes = chunk_bytes;
	CHECK_EQ(ioctl(control, WEFT_SEGMENT_CREATE, &create), 0);
	return create.segment_id;
}

TEST(striped, chunks_go_round_robin)
{
	struct weft_extent extents[] = { extent(&dax[0], 1, 4), extent(&dax[1], 1, 4) };
	uint64_t segment = striped_create(extents, 2, 2, UNIT);
	char *bytes = map_segment(segment), *raw[2];

	CHECK_EQ(segment_info(segment).size_bytes, 8 * UNIT);
	for (int chunk = 0; chunk < 8; chunk++)
		fill(bytes + chunk * UNIT, UNIT, chunk * 1000000);
	CHECK_EQ(segment_info(segment).stats.faults_4k, 0);
	raw[0] = map_raw(segment, &dax[0], 1, 4);
	raw[1] = map_raw(0, &dax[1], 1, 4);
	for (int chunk = 0; chunk < 8; chunk++)
		check_filled(raw[chunk % 2] + chunk / 2 * UNIT, UNIT, chunk * 1000000);
}

TEST(striped, wide_chunks_and_several_sets)
{
	struct weft_extent extents[] = {
		extent(&dax[0], 20, 4), extent(&dax[0], 1, 4), extent(&dax[1], 1, 4),
		extent(&dax[0], 40, 2), extent(&dax[1], 9, 2), extent(&dax[0], 50, 2),
	};
	uint64_t segment = striped_create(extents, 6, 3, 2 * UNIT);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_segment(segment), *raw;
	uint64_t size = segment_info(segment).size_bytes;

	CHECK_EQ(size, 18 * UNIT);
	fill(bytes, size, 0);
	check_filled(bytes, size, 0);
	CHECK_EQ(pwrite(fd, "across", 6, 2 * UNIT - 3), 6);
	CHECK_EQ(memcmp(bytes + 2 * UNIT - 3, "across", 6), 0);
	fill(bytes, size, 0);
	/* The second chunk of the first set's first extent is the fourth of the file. */
	raw = map_raw(segment, &dax[0], 22, 2);
	check_filled(raw, 2 * UNIT, 6 * UNIT / 8);
	/* The second set's last extent holds the file's last chunk. */
	raw = map_raw(0, &dax[0], 50, 2);
	check_filled(raw, 2 * UNIT, 16 * UNIT / 8);
}

TEST(striped, listed_as_created)
{
	struct weft_extent extents[] = { extent(&dax[0], 1, 2), extent(&dax[1], 1, 2) };
	struct weft_extent_info info[4] = {};
	struct weft_list list = {
		.size = sizeof(list),
		.object_id = striped_create(extents, 2, 2, UNIT),
		.entries_ptr = (uintptr_t)info,
		.entries = 4,
		.entry_size = sizeof(*info),
	};

	CHECK_EQ(ioctl(control, WEFT_EXTENT_LIST, &list), 0);
	CHECK_EQ(list.entries, 2);
	CHECK_EQ(list.cursor, 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(memcmp(&info[i].extent, &extents[i], sizeof(extents[i])), 0);
		CHECK_EQ(info[i].stripe_ways, 2);
		CHECK_EQ(info[i].stripe_chunk_bytes, UNIT);
	}
}

static int segment_extend(uint64_t segment, const struct weft_extent *extents,
			  uint32_t count, struct weft_token token)
{
	struct weft_segment_create extend = create_command(segment, extents, count);

	extend.mode = 0;
	extend.token = token;
	return ioctl(control, WEFT_SEGMENT_EXTEND, &extend);
}

TEST(extend, keeps_what_is_mapped)
{
	uint64_t segment = segment_make(2);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 2 * UNIT), *more;
	struct weft_extent extra[] = { extent(&dax[1], 5, 1), extent(&dax[0], 30, 1) };

	fill(bytes, 2 * UNIT, 1);
	CHECK_EQ(segment_extend(segment, extra, 2, FIRST), 0);
	CHECK_EQ(segment_info(segment).size_bytes, 4 * UNIT);
	check_filled(bytes, 2 * UNIT, 1);
	CHECK_EQ(segment_info(segment).stats.faults_2m, 2);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 4 * UNIT);
	more = map_rw(fd, 4 * UNIT);
	fill(more + 2 * UNIT, 2 * UNIT, 2);
	check_filled(more, 2 * UNIT, 1);
	CHECK_EQ(pwrite(fd, "end", 3, 4 * UNIT - 3), 3);
}

TEST(extend, serves_a_mapping_that_reached_past_the_old_end)
{
	uint64_t segment = segment_make(2);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	struct weft_extent extra = extent(&dax[0], 30, 2);
	char *bytes = mremap(map_rw(fd, 2 * UNIT), 2 * UNIT, 4 * UNIT, MREMAP_MAYMOVE);

	CHECK(bytes != MAP_FAILED);
	CHECK_SIGBUS(bytes + 2 * UNIT);
	CHECK_EQ(segment_extend(segment, &extra, 1, FIRST), 0);
	CHECK_STORES(bytes + 4 * UNIT - 1, 1);
}

TEST(extend, refuses_overlap_and_stale_tokens_and_changes_nothing)
{
	uint64_t segment = segment_make(2), other;
	struct weft_extent taken = extent(&dax[0], 40, 2), free = extent(&dax[0], 60, 1);
	struct weft_extent mixed[] = { free, extent(&dax[0], 41, 1) };

	other = segment_create(&taken, 1);
	CHECK_ERRNO(segment_extend(segment, mixed, 2, FIRST), EBUSY);
	CHECK_ERRNO(segment_extend(segment, &free, 1, TOKEN(0)), ESTALE);
	CHECK_EQ(segment_info(segment).size_bytes, 2 * UNIT);
	CHECK_EQ(segment_info(segment).extents, 1);
	segment_revoke(other, 0, FIRST, 0);
	CHECK_ERRNO(segment_extend(other, &free, 1, FIRST), ESTALE);
	CHECK_EQ(segment_extend(segment, &free, 1, FIRST), 0);
}

TEST(extend, runs_beside_faults_and_reads)
{
	uint64_t segment = segment_make(4);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 4 * UNIT), byte;
	int reading[2];
	pid_t reader;

	CHECK_EQ(pipe(reading), 0);
	for (int unit = 0; unit < 4; unit++)
		bytes[unit * UNIT] = 42;
	reader = fork();
	while (!reader) {
		madvise(bytes, 4 * UNIT, MADV_DONTNEED);
		for (int unit = 0; unit < 4; unit++)
			CHECK_EQ(bytes[unit * UNIT], 42);
		CHECK_EQ(pread(fd, &byte, 1, 3 * UNIT), 1);
		CHECK_EQ(byte, 42);
		CHECK_EQ(write(reading[1], &byte, 1), 1);
	}
	for (int i = 0; i < 40; i++) {
		struct weft_extent extra = extent(&dax[0], 40 + i, 1);

		CHECK_EQ(read(reading[0], &byte, 1), 1);
		CHECK_EQ(segment_extend(segment, &extra, 1, FIRST), 0);
	}
	/* A reader that had failed would have exited before. */
	CHECK_EQ(kill(reader, 0), 0);
	CHECK_EQ(waitpid(reader, NULL, WNOHANG), 0);
	CHECK_EQ(segment_info(segment).size_bytes, 44 * UNIT);
}

/*
 * Starts a process that holds a page in each unit of @bytes until it is killed, and writes a
 * byte to @told for each.
 */
static pid_t pin_units(char *bytes, int units, int told)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (int unit = 0; unit < units; unit++) {
		pin_take(bytes + unit * UNIT, 1);
		CHECK_EQ(write(told, "p", 1), 1);
	}
	for (;;)
		pause();
}

/* Grows a segment while its units are faulted in, pinned, and counted. */
static void grow_beside_pins(void)
{
	enum { HELD = 40, AT_ONCE = 12 };
	uint64_t segment = segment_make(HELD), next = HELD + 1;
	struct weft_extent extra[AT_ONCE];
	int told[2];
	pid_t holder;
	char byte;

	CHECK_EQ(pipe(told), 0);
	holder = pin_units(map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), HELD * UNIT),
			   HELD, told[1]);
	for (int held = 0; held < HELD; held++) {
		CHECK_EQ(read(told[0], &byte, 1), 1);
		if (held % 6)
			continue;
		for (int i = 0; i < AT_ONCE; i++, next++)
			extra[i] = extent(&dax[next & 1], next / 2 + HELD, 1);
		CHECK_EQ(segment_extend(segment, extra, AT_ONCE, FIRST), 0);
	}
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 0).pages_pinned, HELD);
	CHECK_EQ(kill(holder, SIGKILL), 0);
	CHECK_EQ(waitpid(holder, NULL, 0), holder);
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 10000).state, WEFT_STATE_REVOKED);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
}

/* What a fault notes of its unit is not lost to a growth that is under way. */
TEST(extend, misses_no_page_pinned_meanwhile)
{
	for (int round = 0; round < 15; round++)
		grow_beside_pins();
}

TEST(internal_segment, holds_the_label_units_and_nobody_elses_extent)
{
	struct weft_token none = {};
	char *label = map_rw(segment_open_token(dax[0].internal, WEFT_MODE_READ_WRITE, none,
						NULL), 2 * UNIT);
	struct weft_extent first = extent(&dax[0], 0, 1);
	struct weft_extent last = extent(&dax[0], dax[0].units - 1, 1);
	struct weft_segment_create create = create_command(segment_new_id(), &first, 1);

	CHECK_EQ(segment_info(dax[0].internal).size_bytes, 2 * UNIT);
	CHECK_STORES(label + 2 * UNIT - 1, 1);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_CREATE, &create), EBUSY);
	create.extents_ptr = (uintptr_t)&last;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_CREATE, &create), EBUSY);
}
