// SPDX-License-Identifier: GPL-2.0-only
/* A segment as a file: read, write, seek, sync, and what is refused. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "segment.h"

TEST(file, pread_and_pwrite_reach_the_mapped_bytes)
{
	int fd = segment_open(segment_make(4), WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 4 * UNIT);
	char *buffer = malloc(3 * UNIT);

	fill(buffer, 3 * UNIT, 1);
	CHECK_EQ(pwrite(fd, buffer, 3 * UNIT, UNIT / 2), 3 * UNIT);
	check_filled(bytes + UNIT / 2, 3 * UNIT, 1);
	fill(bytes + UNIT / 2, 3 * UNIT, 2);
	CHECK_EQ(pread(fd, buffer, 3 * UNIT, UNIT / 2), 3 * UNIT);
	check_filled(buffer, 3 * UNIT, 2);
}

TEST(file, odd_offsets_and_lengths)
{
	int fd = segment_open(segment_make(3), WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 3 * UNIT);
	char out[10007], in[10007];

	for (uint64_t at = UNIT - 9999; at < 2 * UNIT; at += 300007) {
		memset(bytes + at - 1, 0xee, sizeof(out) + 2);
		for (size_t i = 0; i < sizeof(out); i++)
			out[i] = at + i * 31;
		CHECK_EQ(pwrite(fd, out, sizeof(out), at), sizeof(out));
		CHECK_EQ((unsigned char)bytes[at - 1], 0xee);
		CHECK_EQ((unsigned char)bytes[at + sizeof(out)], 0xee);
		CHECK_EQ(pread(fd, in, sizeof(in), at), sizeof(in));
		CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
	}
}

TEST(file, read_and_write_move_the_position)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);
	char buffer[8];

	CHECK_EQ(lseek(fd, 0, SEEK_END), 2 * UNIT);
	CHECK_EQ(lseek(fd, UNIT - 4, SEEK_SET), UNIT - 4);
	CHECK_EQ(write(fd, "position", 8), 8);
	CHECK_EQ(lseek(fd, -8, SEEK_CUR), UNIT - 4);
	CHECK_EQ(read(fd, buffer, 8), 8);
	CHECK_EQ(memcmp(buffer, "position", 8), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), UNIT + 4);
	CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
}

/* Between pieces a revoke gets its turn. */
TEST(file, large_transfers_go_in_pieces_of_2m)
{
	uint64_t segment = segment_make(4);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *buffer = calloc(4, UNIT);
	struct weft_stats stats;

	CHECK_EQ(pwrite(fd, buffer, 4 * UNIT, 0), 4 * UNIT);
	CHECK_EQ(pread(fd, buffer, 3 * UNIT, 0), 3 * UNIT);
	stats = segment_info(segment).stats;
	CHECK(stats.writes >= 4);
	CHECK(stats.reads >= 3);
}

TEST(file, vectors)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);
	char a[5] = "weft", b[5];
	struct iovec out[2] = { { a, 2 }, { a + 2, 2 } };
	struct iovec in[2] = { { b, 1 }, { b + 1, 3 } };

	CHECK_EQ(pwritev(fd, out, 2, UNIT - 2), 4);
	CHECK_EQ(preadv(fd, in, 2, UNIT - 2), 4);
	CHECK_EQ(memcmp(a, b, 4), 0);
}

TEST(file, ends_at_its_size)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);
	char buffer[64] = {};

	CHECK_EQ(pread(fd, buffer, 64, 2 * UNIT), 0);
	CHECK_EQ(pread(fd, buffer, 64, 2 * UNIT - 10), 10);
	CHECK_EQ(pwrite(fd, buffer, 64, 2 * UNIT - 10), 10);
	CHECK_ERRNO(pwrite(fd, buffer, 64, 2 * UNIT), ENOSPC);
	CHECK_ERRNO(pwrite(fd, buffer, 1, 100 * UNIT), ENOSPC);
}

TEST(file, fstat_tells_the_size)
{
	int fd = segment_open(segment_make(5), WEFT_MODE_READ);
	struct stat status;

	CHECK_EQ(fstat(fd, &status), 0);
	CHECK_EQ(status.st_size, 5 * UNIT);
	CHECK(S_ISREG(status.st_mode));
}

TEST(file, sync_works)
{
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 2 * UNIT);

	fill(bytes, 2 * UNIT, 4);
	CHECK_EQ(fsync(fd), 0);
	CHECK_EQ(fdatasync(fd), 0);
	CHECK_EQ(msync(bytes, UNIT, MS_SYNC), 0);
	check_filled(bytes, 2 * UNIT, 4);
}

TEST(file, a_bad_buffer_is_efault)
{
	int fd = segment_open(segment_make(1), WEFT_MODE_READ_WRITE);
	char *hole = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_EQ(munmap(hole + PAGE, PAGE), 0);
	CHECK_ERRNO(pwrite(fd, hole + PAGE, 16, 0), EFAULT);
	CHECK_ERRNO(pread(fd, hole + PAGE, 16, 0), EFAULT);
	CHECK_EQ(pread(fd, hole + PAGE - 8, 16, 0), 8);
}

/* A buffer in the segment itself faults while the segment is locked for the copy. */
TEST(file, own_mapping_as_buffer_does_not_deadlock)
{
	int fd = segment_open(segment_make(4), WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 4 * UNIT);

	fill(bytes, UNIT, 6);
	CHECK_EQ(madvise(bytes, 4 * UNIT, MADV_DONTNEED), 0);
	CHECK_EQ(pwrite(fd, bytes, UNIT, 2 * UNIT), UNIT);
	CHECK_EQ(madvise(bytes, 4 * UNIT, MADV_DONTNEED), 0);
	CHECK_EQ(pread(fd, bytes + 3 * UNIT, UNIT, 2 * UNIT), UNIT);
	check_filled(bytes + 3 * UNIT, UNIT, 6);
}

TEST(setattr, a_client_cannot_resize_the_segment)
{
	uint64_t segment = segment_make(4);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	struct stat status;

	CHECK_ERRNO(ftruncate(fd, UNIT), EPERM);
	CHECK_ERRNO(ftruncate(fd, 8 * UNIT), EPERM);
	CHECK_EQ(fstat(fd, &status), 0);
	CHECK_EQ(status.st_size, 4 * UNIT);
	CHECK_EQ(segment_info(segment).size_bytes, 4 * UNIT);
}

TEST(setattr, mode_owner_and_times_stay)
{
	int fd = segment_open(segment_make(1), WEFT_MODE_READ_WRITE);

	CHECK_ERRNO(fchmod(fd, 0777), EPERM);
	CHECK_ERRNO(fchown(fd, 1, 1), EPERM);
	CHECK_ERRNO(futimens(fd, NULL), EPERM);
}

TEST(setattr, fallocate_takes_only_zero_range_inside)
{
	static const int refused[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
	};
	int fd = segment_open(segment_make(2), WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 2 * UNIT);

	fill(bytes, 2 * UNIT, 8);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		CHECK_ERRNO(fallocate(fd, refused[i], 0, UNIT), EOPNOTSUPP);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, UNIT, 2 * UNIT) == -1);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 4 * UNIT, UNIT) == -1);
	check_filled(bytes, 2 * UNIT, 8);
}

TEST(zero, fallocate_zeroes_exactly_the_range)
{
	int fd = segment_open(segment_make(4), WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 4 * UNIT);
	uint64_t from = UNIT - 3 * PAGE, length = UNIT + 7 * PAGE;

	memset(bytes, 0xaa, 4 * UNIT);
	CHECK_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE, from, length), 0);
	for (uint64_t at = 0; at < 4 * UNIT; at += 64)
		CHECK_EQ((unsigned char)bytes[at],
			 at >= from && at < from + length ? 0 : 0xaa);
}

TEST(zero, many_pages_by_the_control_device)
{
	uint64_t segment = segment_make(8), zeroed;
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 8 * UNIT);
	uint64_t before = dax_info(&dax[0]).stats.zeroed_bytes;

	memset(bytes, 0xaa, 8 * UNIT);
	CHECK_EQ(segment_zero(segment, PAGE, 7 * UNIT, &zeroed), 0);
	CHECK_EQ(zeroed, 7 * UNIT);
	for (uint64_t at = 0; at < 8 * UNIT; at += PAGE / 2)
		CHECK_EQ((unsigned char)bytes[at],
			 at >= PAGE && at < 7 * UNIT + PAGE ? 0 : 0xaa);
	CHECK_EQ(segment_info(segment).stats.zeroed_bytes, 7 * UNIT);
	CHECK_EQ(dax_info(&dax[0]).stats.zeroed_bytes - before, 7 * UNIT);
}

TEST(zero, stops_at_a_revoke_between_pieces)
{
	uint64_t segment = segment_make(100), zeroed = 0;
	int told[2];
	pid_t pid;

	CHECK_EQ(pipe(told), 0);
	pid = fork();
	if (!pid) {
		int result = segment_zero(segment, 0, 100 * UNIT, &zeroed);
		int error = errno;

		CHECK_EQ(write(told[1], &zeroed, sizeof(zeroed)), sizeof(zeroed));
		_exit(!(result == 0 || error == ESTALE));
	}
	/* Once something is zeroed, it is on its way. */
	while (!segment_info(segment).stats.zeroed_bytes)
		;
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 30000).state, WEFT_STATE_REVOKED);
	CHECK_EQ(read(told[0], &zeroed, sizeof(zeroed)), sizeof(zeroed));
	child_join(pid);
	CHECK_EQ(segment_info(segment).stats.zeroed_bytes, zeroed);
	CHECK_EQ(zeroed % PAGE, 0);
}

TEST(zero, refuses_what_is_not_whole_pages_inside)
{
	uint64_t segment = segment_make(2);

	CHECK_ERRNO(segment_zero(segment, 1, PAGE, NULL), EINVAL);
	CHECK_ERRNO(segment_zero(segment, 0, PAGE + 1, NULL), EINVAL);
	CHECK_ERRNO(segment_zero(segment, 2 * UNIT, PAGE, NULL), EINVAL);
	CHECK_ERRNO(segment_zero(segment, UNIT, 2 * UNIT, NULL), EINVAL);
	CHECK_ERRNO(segment_zero(segment, -PAGE, 2 * PAGE, NULL), EINVAL);
}

