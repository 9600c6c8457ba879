// SPDX-License-Identifier: GPL-2.0-only
/* Mapping a segment: fault sizes, alignment, protection, and what mm does to mappings. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "segment.h"

static void touch_all(volatile char *bytes, uint64_t length)
{
	for (uint64_t at = 0; at < length; at += PAGE)
		bytes[at] = 1;
}

TEST(mmap, n_mib_take_exactly_n_over_2_faults_of_2m)
{
	uint64_t segment = segment_make(32);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	struct weft_stats stats;

	touch_all(map_rw(fd, 32 * UNIT), 32 * UNIT);
	stats = segment_info(segment).stats;
	CHECK_EQ(stats.faults_2m, 32);
	CHECK_EQ(stats.faults_4k, 0);
	CHECK_EQ(stats.faults_refused, 0);
}

static int count_in(const char *text, const char *wanted)
{
	int count = 0;

	for (; (text = strstr(text, wanted)); text++)
		count++;
	return count;
}

TEST(mmap, tracepoints_agree_with_the_statistics)
{
	static const char event[] = "/sys/kernel/tracing/events/weft/weft_fault/enable";
	static char trace[1 << 16];
	int fd = segment_open(segment_make(16), WEFT_MODE_READ_WRITE);

	if (access(event, F_OK))
		test_skip("the kernel has no tracepoints");
	CHECK_EQ(write_file("/sys/kernel/tracing/trace", "\n"), 0);
	CHECK_EQ(write_file(event, "1"), 0);
	touch_all(map_rw(fd, 16 * UNIT), 16 * UNIT);
	CHECK_EQ(write_file(event, "0"), 0);
	CHECK(read_file("/sys/kernel/tracing/trace", trace, sizeof(trace)));
	CHECK_EQ(count_in(trace, " order=9 "), 16);
	CHECK_EQ(count_in(trace, " order=0 "), 0);
}

TEST(mmap, device_counts_the_faults_of_its_segments)
{
	uint64_t before = dax_info(&dax[0]).stats.faults_2m;
	int fd = segment_open(segment_make(4), WEFT_MODE_READ_WRITE);

	touch_all(map_rw(fd, 4 * UNIT), 4 * UNIT);
	CHECK_EQ(dax_info(&dax[0]).stats.faults_2m - before, 4);
}

TEST(mmap, populate_maps_every_unit)
{
	uint64_t segment = segment_make(8);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);

	CHECK(mmap(NULL, 8 * UNIT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		   fd, 0) != MAP_FAILED);
	CHECK_EQ(segment_info(segment).stats.faults_2m, 8);
	CHECK_EQ(segment_info(segment).stats.faults_4k, 0);
}

TEST(mmap, two_opens_see_the_same_bytes)
{
	uint64_t segment = segment_make(4);
	char *a = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 4 * UNIT);
	char *b = map(segment_open(segment, WEFT_MODE_READ), 0, 4 * UNIT, PROT_READ);

	fill(a, 4 * UNIT, 7);
	check_filled(b, 4 * UNIT, 7);
}

TEST(mmap, offset_selects_the_part)
{
	uint64_t segment = segment_make(4);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *whole = map_rw(fd, 4 * UNIT);
	char *part = map(fd, 2 * UNIT, UNIT, PROT_READ);

	fill(whole + 2 * UNIT, UNIT, 3);
	check_filled(part, UNIT, 3);
}

TEST(mmap, mapping_outlives_the_file_descriptor)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 2 * UNIT);

	close(fd);
	CHECK_STORES(bytes + UNIT, 5);
	CHECK_EQ(bytes[UNIT], 5);
}

TEST(mmap, map_sync_is_accepted)
{
	int fd = segment_open(segment_make(1), WEFT_MODE_READ_WRITE);
	char *bytes = mmap(NULL, UNIT, PROT_READ | PROT_WRITE,
			   MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);

	CHECK(bytes != MAP_FAILED);
	CHECK_STORES(bytes, 1);
	CHECK_EQ(msync(bytes, UNIT, MS_SYNC), 0);
}

TEST(mmap, past_the_end_is_refused)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);

	CHECK(mmap(NULL, 4 * UNIT, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(mmap(NULL, UNIT, PROT_READ, MAP_SHARED, fd, 2 * UNIT) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
}

TEST(mmap, access_past_the_end_is_sigbus)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);
	char *bytes = mremap(map_rw(fd, 2 * UNIT), 2 * UNIT, 4 * UNIT, MREMAP_MAYMOVE);

	CHECK(bytes != MAP_FAILED);
	CHECK_STORES(bytes + 2 * UNIT - 1, 1);
	CHECK_SIGBUS(bytes + 2 * UNIT);
}

/* One 4 KiB entry would force 4 KiB faults on every other client of the segment. */
TEST(alignment, mmap_refuses_what_is_not_a_multiple_of_2m)
{
	int fd = segment_open(segment_make(4), WEFT_MODE_READ_WRITE);
	char *area = mmap(NULL, 4 * UNIT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(area != MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(mmap(NULL, UNIT + PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(mmap(NULL, UNIT, PROT_READ, MAP_SHARED, fd, PAGE) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	area = (char *)(((uintptr_t)area + UNIT) & ~(UNIT - 1));
	CHECK(mmap(area + PAGE, UNIT, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) ==
	      MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
}

TEST(alignment, kernel_chooses_aligned_addresses)
{
	int fd = segment_open(segment_make(4), WEFT_MODE_READ_WRITE);

	for (int i = 0; i < 8; i++) {
		CHECK(mmap(NULL, PAGE * (i + 1), PROT_READ,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
		CHECK_EQ((uintptr_t)map_rw(fd, UNIT * (1 + i % 4)) % UNIT, 0);
	}
}

TEST(alignment, splitting_a_mapping_off_2m_is_refused)
{
	uint64_t segment = segment_make(4);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 4 * UNIT);

	CHECK_ERRNO(munmap(bytes + PAGE, PAGE), EINVAL);
	CHECK_ERRNO(mprotect(bytes, PAGE, PROT_READ), EINVAL);
	CHECK_EQ(munmap(bytes + UNIT, UNIT), 0);
	touch_all(bytes, UNIT);
	touch_all(bytes + 2 * UNIT, 2 * UNIT);
	CHECK_EQ(load(bytes + UNIT).signal, SIGSEGV);
	CHECK_EQ(segment_info(segment).stats.faults_4k, 0);
}

TEST(alignment, map_private_is_refused)
{
	uint64_t segment = segment_make(2);
	int writable = segment_open(segment, WEFT_MODE_READ_WRITE);
	int readonly = segment_open(segment, WEFT_MODE_READ);

	CHECK(mmap(NULL, UNIT, PROT_READ | PROT_WRITE, MAP_PRIVATE, writable, 0) ==
	      MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(mmap(NULL, UNIT, PROT_READ, MAP_PRIVATE, readonly, 0) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
}

TEST(read_only, mapping_cannot_be_written)
{
	uint64_t segment = segment_make(2);
	int fd = segment_open(segment, WEFT_MODE_READ);
	char *bytes = map(fd, 0, 2 * UNIT, PROT_READ);

	CHECK(mmap(NULL, UNIT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EACCES);
	CHECK_ERRNO(mprotect(bytes, UNIT, PROT_READ | PROT_WRITE), EACCES);
	CHECK_LOADS(bytes);
	CHECK_EQ(store(bytes, 1).signal, SIGSEGV);
}

TEST(read_only, file_cannot_be_written)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ);

	CHECK_ERRNO(pwrite(fd, "x", 1, 0), EBADF);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, PAGE), EBADF);
	CHECK_ERRNO(ftruncate(fd, UNIT), EINVAL);
}

TEST(read_only, reopening_through_proc_fails)
{
	uint64_t segment = segment_make(2);
	int fds[] = {
		segment_open(segment, WEFT_MODE_READ),
		segment_open(segment, WEFT_MODE_READ_WRITE),
	};
	char path[64];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		CHECK_ERRNO(open(path, O_RDONLY), ENXIO);
		CHECK_ERRNO(open(path, O_RDWR), ENXIO);
	}
}

TEST(read_only, a_read_segment_opens_for_reading_only)
{
	struct weft_extent whole = extent(&dax[0], 1, 2);
	struct weft_segment_create create = create_command(segment_new_id(), &whole, 1);

	create.mode = WEFT_MODE_READ;
	CHECK_EQ(ioctl(control, WEFT_SEGMENT_CREATE, &create), 0);
	CHECK_LOADS(map(segment_open(create.segment_id, WEFT_MODE_READ), 0, UNIT,
			PROT_READ));
	struct weft_segment_open open = {
		.size = sizeof(open),
		.segment_id = create.segment_id,
		.token = FIRST,
		.mode = WEFT_MODE_READ_WRITE,
	};
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, &open), EACCES);
}

TEST(fork, child_shares_the_mapping_and_outlives_the_parents)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 2 * UNIT);
	int to_child[2];
	char go;
	pid_t pid;

	CHECK_EQ(pipe(to_child), 0);
	CHECK_STORES(bytes, 1);
	pid = fork();
	if (!pid) {
		CHECK_EQ(read(to_child[0], &go, 1), 1);
		CHECK_EQ(bytes[0], 2);
		CHECK_STORES(bytes + UNIT, 3);
		_exit(0);
	}
	CHECK_STORES(bytes, 2);
	close(fd);
	CHECK_EQ(munmap(bytes, UNIT), 0);
	CHECK_EQ(write(to_child[1], "g", 1), 1);
	child_join(pid);
	CHECK_EQ(bytes[UNIT], 3);
}

TEST(mremap, moves_and_shrinks_by_whole_units)
{
	uint64_t segment = segment_make(4);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 4 * UNIT);
	char *area = mmap(NULL, 6 * UNIT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *target = (char *)(((uintptr_t)area + UNIT - 1) & ~(UNIT - 1));

	fill(bytes, 4 * UNIT, 11);
	CHECK(mremap(bytes, 4 * UNIT, 4 * UNIT, MREMAP_MAYMOVE | MREMAP_FIXED, target) ==
	      target);
	check_filled(target, 4 * UNIT, 11);
	CHECK_EQ(load(bytes).signal, SIGSEGV);
	CHECK(mremap(target, 4 * UNIT, 2 * UNIT, 0) == target);
	check_filled(target, 2 * UNIT, 11);
	CHECK_EQ(segment_info(segment).stats.faults_4k, 0);
}

TEST(mremap, to_an_odd_address_or_size_leaves_no_4k_faults)
{
	uint64_t segment = segment_make(4);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 4 * UNIT);
	char *area = mmap(NULL, 8 * UNIT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *odd = (char *)(((uintptr_t)area + UNIT - 1) & ~(UNIT - 1)) + PAGE;

	touch_all(bytes, 4 * UNIT);
	CHECK(mremap(bytes, 4 * UNIT, 4 * UNIT - PAGE, 0) == MAP_FAILED);
	if (mremap(bytes, 4 * UNIT, 4 * UNIT, MREMAP_MAYMOVE | MREMAP_FIXED, odd) == odd)
		CHECK_EQ(load(odd).signal, SIGBUS);
	CHECK_EQ(segment_info(segment).stats.faults_4k, 0);
}

TEST(madvise, dontneed_faults_back_the_same_bytes)
{
	uint64_t segment = segment_make(4);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 4 * UNIT);

	fill(bytes, 4 * UNIT, 5);
	CHECK_EQ(madvise(bytes, 4 * UNIT, MADV_DONTNEED), 0);
	check_filled(bytes, 4 * UNIT, 5);
	CHECK_EQ(segment_info(segment).stats.faults_2m, 8);
}

TEST(madvise, remove_neither_frees_nor_zeroes)
{
	char *bytes = map_rw(segment_open(segment_make(2), WEFT_MODE_READ_WRITE), 2 * UNIT);

	fill(bytes, 2 * UNIT, 5);
	CHECK_ERRNO(madvise(bytes, UNIT, MADV_REMOVE), EOPNOTSUPP);
	check_filled(bytes, 2 * UNIT, 5);
}

TEST(madvise, hints_are_harmless)
{
	static const int hints[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_COLD,
		MADV_PAGEOUT, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_FREE, MADV_MERGEABLE,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE,
	};
	char *bytes = map_rw(segment_open(segment_make(2), WEFT_MODE_READ_WRITE), 2 * UNIT);

	fill(bytes, 2 * UNIT, 9);
	for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++)
		madvise(bytes, 2 * UNIT, hints[i]);
	check_filled(bytes, 2 * UNIT, 9);
}

TEST(madvise, dontfork_keeps_the_mapping_from_children)
{
	char *bytes = map_rw(segment_open(segment_make(1), WEFT_MODE_READ_WRITE), UNIT);
	pid_t pid;

	CHECK_EQ(madvise(bytes, UNIT, MADV_DONTFORK), 0);
	pid = fork();
	if (!pid) {
		CHECK_EQ(load(bytes).signal, SIGSEGV);
		_exit(0);
	}
	child_join(pid);
	CHECK_STORES(bytes, 1);
}

TEST(madvise, mlock_and_mincore_work)
{
	char *bytes = map_rw(segment_open(segment_make(2), WEFT_MODE_READ_WRITE), 2 * UNIT);
	unsigned char resident[2 * UNIT / PAGE];

	CHECK_EQ(mlock(bytes, 2 * UNIT), 0);
	CHECK_EQ(mincore(bytes, 2 * UNIT, resident), 0);
	CHECK_EQ(munlock(bytes, 2 * UNIT), 0);
	CHECK_STORES(bytes, 1);
}
