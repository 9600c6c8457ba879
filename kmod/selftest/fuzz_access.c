// SPDX-License-Identifier: GPL-2.0-only
/* Random use of handles, as applications might: none of it may harm anybody else. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "access.h"
#include "fuzz.h"

static char scratch[4 * 1024 * 1024];

static uint64_t random_offset(struct fuzz *fuzz)
{
	switch (fuzz_random(fuzz, 4)) {
	case 0:
		return fuzz_random(fuzz, 12) * UNIT;
	case 1:
		return fuzz_random(fuzz, 12 * UNIT);
	case 2:
		return fuzz_random(fuzz, 12 * 512) * PAGE;
	default:
		return fuzz_random(fuzz, ~0ULL);
	}
}

static void map_some(struct fuzz *fuzz, int fd)
{
	static const int flags[] = {
		MAP_SHARED, MAP_SHARED, MAP_SHARED | MAP_POPULATE, MAP_PRIVATE,
		MAP_SHARED_VALIDATE | MAP_SYNC,
	};
	int slot = fuzz_random(fuzz, 8);
	uint64_t length = fuzz_one_in(fuzz, 5) ? fuzz_random(fuzz, 8 * UNIT) :
						 (1 + fuzz_random(fuzz, 6)) * UNIT;
	uint64_t offset = fuzz_one_in(fuzz, 5) ? random_offset(fuzz) :
						 fuzz_random(fuzz, 4) * UNIT;
	int protection = fuzz_one_in(fuzz, 3) ? PROT_READ : PROT_READ | PROT_WRITE;
	char *bytes;

	if (fuzz->maps[slot].bytes)
		munmap(fuzz->maps[slot].bytes, fuzz->maps[slot].length);
	bytes = mmap(NULL, length, protection, flags[fuzz_random(fuzz, 5)], fd, offset);
	fuzz->maps[slot].bytes = bytes == MAP_FAILED ? NULL : bytes;
	fuzz->maps[slot].length = length;
}

static void use_map(struct fuzz *fuzz)
{
	static const int advice[] = { MADV_DONTNEED, MADV_WILLNEED, MADV_REMOVE,
				      MADV_PAGEOUT, MADV_POPULATE_WRITE };
	int slot = fuzz_random(fuzz, 8);
	char *bytes = fuzz->maps[slot].bytes;
	uint64_t length = fuzz->maps[slot].length;
	struct iovec piece;

	if (!bytes)
		return;
	switch (fuzz_random(fuzz, 8)) {
	case 0:
		munmap(bytes, length);
		fuzz->maps[slot].bytes = NULL;
		break;
	case 1:
		madvise(bytes, length, advice[fuzz_random(fuzz, 5)]);
		break;
	case 2:
		mprotect(bytes, length, PROT_READ | PROT_WRITE * fuzz_random(fuzz, 2));
		break;
	case 3:
		piece = (struct iovec){ bytes, PAGE * (1 + fuzz_random(fuzz, 4)) };
		if (piece.iov_len > length)
			break;
		close(fuzz->pipes[0]);
		close(fuzz->pipes[1]);
		if (!pipe2(fuzz->pipes, O_CLOEXEC | O_NONBLOCK))
			vmsplice(fuzz->pipes[1], &piece, 1, SPLICE_F_NONBLOCK);
		break;
	case 4:
		msync(bytes, length, MS_SYNC);
		break;
	default:
		for (int i = 0; i < 4; i++) {
			char *byte = bytes + fuzz_random(fuzz, length);

			if (fuzz_one_in(fuzz, 2))
				load(byte);
			else
				store(byte, i);
		}
	}
}

static void use_file(struct fuzz *fuzz, int fd)
{
	uint64_t offset = random_offset(fuzz);
	uint64_t length = fuzz_one_in(fuzz, 8) ? fuzz_random(fuzz, sizeof(scratch)) :
						 fuzz_random(fuzz, 2 * PAGE);

	switch (fuzz_random(fuzz, 7)) {
	case 0:
		fallocate(fd, fuzz_one_in(fuzz, 4) ? (int)fuzz_random(fuzz, 128) :
						     FALLOC_FL_ZERO_RANGE, offset, length);
		break;
	case 1:
		if (ftruncate(fd, offset)) {}
		break;
	case 2:
		fsync(fd);
		break;
	case 3:
		lseek(fd, offset, fuzz_random(fuzz, 6));
		break;
	case 4:
		if (pread(fd, scratch, length, offset)) {}
		break;
	default:
		if (pwrite(fd, scratch, length, offset)) {}
	}
}

void fuzz_access(struct fuzz *fuzz)
{
	int slot = fuzz_random(fuzz, 8);
	int fd = fuzz->fds[slot];

	if (fuzz_one_in(fuzz, 2)) {
		use_map(fuzz);
		return;
	}
	if (fd < 0)
		return;
	switch (fuzz_random(fuzz, 8)) {
	case 0:
		close(fd);
		fuzz->fds[slot] = -1;
		break;
	case 1:
	case 2:
	case 3:
		map_some(fuzz, fd);
		break;
	default:
		use_file(fuzz, fd);
	}
}

void fuzz_drop_all(struct fuzz *fuzz)
{
	for (int i = 0; i < 8; i++) {
		if (fuzz->maps[i].bytes)
			munmap(fuzz->maps[i].bytes, fuzz->maps[i].length);
		fuzz->maps[i].bytes = NULL;
		if (fuzz->fds[i] >= 0)
			close(fuzz->fds[i]);
		fuzz->fds[i] = -1;
	}
	close(fuzz->pipes[0]);
	close(fuzz->pipes[1]);
	fuzz->pipes[0] = fuzz->pipes[1] = -1;
}
