// SPDX-License-Identifier: GPL-2.0-only
#include "segment.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

struct weft_extent extent(const struct dax *device, uint64_t first, uint64_t length)
{
	return (struct weft_extent){
		.device_id = device->id,
		.offset = first * UNIT,
		.length = length * UNIT,
	};
}

uint64_t segment_new_id(void)
{
	static uint64_t last;

	return ++last;
}

struct weft_segment_create create_command(uint64_t id, const struct weft_extent *extents,
					  uint32_t count)
{
	return (struct weft_segment_create){
		.size = sizeof(struct weft_segment_create),
		.segment_id = id,
		.token = FIRST,
		.mode = WEFT_MODE_READ_WRITE,
		.extents = count,
		.extents_ptr = (uintptr_t)extents,
	};
}

uint64_t segment_create(const struct weft_extent *extents, uint32_t count)
{
	struct weft_segment_create create =
		create_command(segment_new_id(), extents, count);

	CHECK_EQ(ioctl(control, WEFT_SEGMENT_CREATE, &create), 0);
	return create.segment_id;
}

uint64_t segment_make(uint64_t units)
{
	struct weft_extent whole = extent(&dax[0], 1, units);

	return segment_create(&whole, 1);
}

int segment_open_token(uint64_t segment, uint32_t mode, struct weft_token token,
		       uint64_t *handle)
{
	struct weft_segment_open open = {
		.size = sizeof(open),
		.segment_id = segment,
		.token = token,
		.mode = mode,
	};

	CHECK_EQ(ioctl(control, WEFT_SEGMENT_OPEN, &open), 0);
	CHECK(open.fd >= 0);
	if (handle)
		*handle = open.handle_id;
	return open.fd;
}

int segment_open(uint64_t segment, uint32_t mode)
{
	return segment_open_token(segment, mode, FIRST, NULL);
}

struct weft_segment_info segment_info(uint64_t segment)
{
	struct weft_segment_info info = {};
	struct weft_list list = {
		.size = sizeof(list),
		.cursor = segment,
		.entries_ptr = (uintptr_t)&info,
		.entries = 1,
		.entry_size = sizeof(info),
	};

	CHECK_EQ(ioctl(control, WEFT_SEGMENT_LIST, &list), 0);
	CHECK_EQ(info.segment_id, segment);
	return info;
}

struct weft_segment_revoke segment_revoke(uint64_t segment, uint64_t handle,
					  struct weft_token token, uint32_t timeout_ms)
{
	struct weft_segment_revoke revoke = {
		.size = sizeof(revoke),
		.segment_id = segment,
		.handle_id = handle,
		.token = token,
		.timeout_ms = timeout_ms,
	};

	/* What io_uring completes meanwhile interrupts the wait, as a signal would. */
	while (ioctl(control, WEFT_SEGMENT_REVOKE, &revoke))
		CHECK_EQ(errno, EINTR);
	return revoke;
}

int segment_resume(uint64_t segment, uint64_t handle, struct weft_token token)
{
	struct weft_segment_resume resume = {
		.size = sizeof(resume),
		.segment_id = segment,
		.handle_id = handle,
		.token = token,
		.mode = WEFT_MODE_READ_WRITE,
	};

	return ioctl(control, WEFT_SEGMENT_RESUME, &resume);
}

int segment_destroy(uint64_t segment, struct weft_token token)
{
	struct weft_segment_destroy destroy = {
		.size = sizeof(destroy),
		.segment_id = segment,
		.token = token,
	};

	return ioctl(control, WEFT_SEGMENT_DESTROY, &destroy);
}

int segment_zero(uint64_t segment, uint64_t offset, uint64_t length,
		 uint64_t *zeroed_bytes)
{
	struct weft_segment_zero zero = {
		.size = sizeof(zero),
		.segment_id = segment,
		.token = FIRST,
		.offset = offset,
		.length = length,
	};
	int result = ioctl(control, WEFT_SEGMENT_ZERO, &zero);

	if (zeroed_bytes)
		*zeroed_bytes = zero.zeroed_bytes;
	return result;
}

char *map(int fd, uint64_t offset, uint64_t length, int protection)
{
	char *bytes = mmap(NULL, length, protection, MAP_SHARED, fd, offset);

	CHECK(bytes != MAP_FAILED);
	return bytes;
}

char *map_rw(int fd, uint64_t length)
{
	return map(fd, 0, length, PROT_READ | PROT_WRITE);
}

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

void fill(void *bytes, size_t length, uint64_t seed)
{
	uint64_t *words = bytes;
	size_t i;

	for (i = 0; i < length / sizeof(*words); i++)
		words[i] = mix(seed + i);
}

void check_filled(const void *bytes, size_t length, uint64_t seed)
{
	const uint64_t *words = bytes;
	size_t i;

	for (i = 0; i < length / sizeof(*words); i++)
		if (words[i] != mix(seed + i))
			FAIL("byte %zu of pattern %llu is wrong", i * sizeof(*words),
			     (unsigned long long)seed);
}

int deadman_arm(uint64_t ms, uint64_t bound_ms)
{
	int result;

	/* The caller may have waited for a processor that long. */
	do {
		result = deadman_arm_at(now_ns() + ms * 1000000, bound_ms);
	} while (result && errno == ETIME);
	return result;
}

int deadman_arm_at(uint64_t deadline_ns, uint64_t bound_ms)
{
	struct weft_deadman_set set = {
		.size = sizeof(set),
		.deadline_ns = deadline_ns,
		.bound_ns = bound_ms * 1000000,
		.fence_action = WEFT_FENCE_REPORT,
	};

	return ioctl(control, WEFT_DEADMAN_SET, &set);
}

struct weft_deadman_get deadman_get(void)
{
	struct weft_deadman_get get = { .size = sizeof(get) };

	CHECK_EQ(ioctl(control, WEFT_DEADMAN_GET, &get), 0);
	return get;
}

int events_open(void)
{
	int events = open("/dev/weft", O_RDONLY | O_CLOEXEC);

	CHECK(events >= 0);
	return events;
}

struct weft_event event_wait(int events, uint32_t type)
{
	struct weft_event event;

	do {
		CHECK_EQ(read(events, &event, sizeof(event)), sizeof(event));
	} while (event.type != type);
	return event;
}
