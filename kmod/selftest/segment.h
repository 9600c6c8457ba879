/* SPDX-License-Identifier: GPL-2.0-only */
/* Segments, handles and mappings, in one line each. All end the test on failure. */
#ifndef _WEFT_SELFTEST_SEGMENT_H
#define _WEFT_SELFTEST_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "env.h"

/* A token of epoch 1. */
#define TOKEN(n) ((struct weft_token){ .epoch = 1, .counter = (n) })
/* The token that segment_make() and segment_create() grant under. */
#define FIRST TOKEN(1)

/* length units of a device from unit first on, as an extent. */
struct weft_extent extent(const struct dax *device, uint64_t first, uint64_t length);

/* Creates a segment of extents, read-write, under FIRST; returns its id. */
uint64_t segment_create(const struct weft_extent *extents, uint32_t count);
/* The same over `units` units of the first device from unit 1 on. */
uint64_t segment_make(uint64_t units);
/* Fills in a create command: to be changed by tests of its arguments. */
struct weft_segment_create create_command(uint64_t id, const struct weft_extent *extents,
					  uint32_t count);
/* An id that no test in this process used before. */
uint64_t segment_new_id(void);

/* Opens a handle; mode is WEFT_MODE_*. */
int segment_open_token(uint64_t segment, uint32_t mode, struct weft_token token,
		       uint64_t *handle);
int segment_open(uint64_t segment, uint32_t mode);

struct weft_segment_info segment_info(uint64_t segment);

/* Revokes (handle 0: the segment); returns what the module answered. */
struct weft_segment_revoke segment_revoke(uint64_t segment, uint64_t handle,
					  struct weft_token token, uint32_t timeout_ms);
/* 0 or -1 with errno. */
int segment_resume(uint64_t segment, uint64_t handle, struct weft_token token);
int segment_destroy(uint64_t segment, struct weft_token token);
int segment_zero(uint64_t segment, uint64_t offset, uint64_t length,
		 uint64_t *zeroed_bytes);

/* Maps [offset, offset + length) of a handle, shared, anywhere. */
char *map(int fd, uint64_t offset, uint64_t length, int protection);
char *map_rw(int fd, uint64_t length);

/* Fills bytes with a pattern that depends on seed and place, and checks it. */
void fill(void *bytes, size_t length, uint64_t seed);
void check_filled(const void *bytes, size_t length, uint64_t seed);

/* Arms the dead-man with WEFT_FENCE_REPORT, `ms` from now or at a time; 0 or -1 with errno. */
int deadman_arm(uint64_t ms, uint64_t bound_ms);
int deadman_arm_at(uint64_t deadline_ns, uint64_t bound_ms);
struct weft_deadman_get deadman_get(void);

/*
 * A separate open of /dev/weft, to receive events from now on. event_wait returns
 * the next event of the type; the test's time limit bounds it.
 */
int events_open(void);
struct weft_event event_wait(int events, uint32_t type);

#endif
