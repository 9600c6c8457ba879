/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the fuzzer share. */
#ifndef _WEFT_SELFTEST_FUZZ_H
#define _WEFT_SELFTEST_FUZZ_H

#include <stdint.h>

#include "env.h"

/* Segment ids that are used; a few, so that operations meet. */
#define FUZZ_SEGMENTS 16
#define FUZZ_EXTENTS 8

/* One thread's state. */
struct fuzz {
	uint64_t random;
	/* Handles, mappings and pins that the thread has now; -1 and NULL: none. */
	int fds[8];
	struct {
		char *bytes;
		uint64_t length;
	} maps[8];
	int pipes[2];
	struct weft_extent extents[FUZZ_EXTENTS];
};

/* A number below limit. */
uint64_t fuzz_random(struct fuzz *fuzz, uint64_t limit);
/* True once in n times. */
bool fuzz_one_in(struct fuzz *fuzz, uint64_t n);

/* One random ioctl: valid, mutated or garbage. */
void fuzz_command(struct fuzz *fuzz);
/* One random mmap, access, read, write, ... through a handle. */
void fuzz_access(struct fuzz *fuzz);
/* Closes, unmaps and releases all that the thread has. */
void fuzz_drop_all(struct fuzz *fuzz);

/* Fills every byte of the devices, still with device_dax, with a pattern. */
void fuzz_pattern_fill(void);
/* Tells that a segment was made of these extents: the pattern there may be gone. */
void fuzz_pattern_touched(const struct weft_extent *extents, uint32_t count);
/* Checks all other bytes, with the devices back at device_dax; returns how many units. */
uint64_t fuzz_pattern_check(void);

#endif
