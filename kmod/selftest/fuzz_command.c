// SPDX-License-Identifier: GPL-2.0-only
/* Random commands to the control device: valid, with a few words changed, and garbage. */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "segment.h"

union argument {
	struct {
		uint32_t size, flags;
	};
	struct weft_info info;
	struct weft_device_add add;
	struct weft_device_remove remove;
	struct weft_segment_create create;
	struct weft_segment_open open;
	struct weft_segment_revoke revoke;
	struct weft_segment_resume resume;
	struct weft_segment_destroy destroy;
	struct weft_segment_zero zero;
	struct weft_list list;
	struct weft_deadman_set deadman_set;
	struct weft_deadman_get deadman_get;
	struct weft_host host;
	unsigned char bytes[256];
};

static uint64_t random_segment(struct fuzz *fuzz)
{
	if (fuzz_one_in(fuzz, 20))
		return dax[fuzz_random(fuzz, 2)].internal;
	return 1 + fuzz_random(fuzz, FUZZ_SEGMENTS);
}

/* Mostly the token that everything was granted under. */
static struct weft_token random_token(struct fuzz *fuzz)
{
	return TOKEN(fuzz_one_in(fuzz, 6) ? fuzz_random(fuzz, 5) : 3);
}

/* Extents within the first half of every eight units: the others keep their pattern. */
static struct weft_extent random_extent(struct fuzz *fuzz)
{
	const struct dax *device = &dax[fuzz_random(fuzz, 2)];
	uint64_t block = fuzz_random(fuzz, device->units / 8), first = fuzz_random(fuzz, 4);

	return extent(device, block * 8 + first, 1 + fuzz_random(fuzz, 4 - first));
}

static void make_create(struct fuzz *fuzz, struct weft_segment_create *create)
{
	uint32_t count = 1 + fuzz_random(fuzz, FUZZ_EXTENTS);

	for (uint32_t i = 0; i < FUZZ_EXTENTS; i++)
		fuzz->extents[i] = random_extent(fuzz);
	*create = create_command(random_segment(fuzz), fuzz->extents, count);
	create->token = random_token(fuzz);
	create->flags = fuzz_one_in(fuzz, 2) ? WEFT_CREATE_IN_ORDER : 0;
	create->mode = fuzz_one_in(fuzz, 8) ? WEFT_MODE_READ : WEFT_MODE_READ_WRITE;
	if (fuzz_one_in(fuzz, 4)) {
		create->stripe_ways = count;
		create->stripe_chunk_bytes = UNIT;
		for (uint32_t i = 0; i < count; i++)
			fuzz->extents[i].length = UNIT;
	}
}

static unsigned int make_list(struct fuzz *fuzz, struct weft_list *list)
{
	static char entries[16 * sizeof(struct weft_segment_info)];
	static const unsigned int requests[] = {
		WEFT_DEVICE_LIST, WEFT_BAD_RANGE_LIST, WEFT_SEGMENT_LIST,
		WEFT_HANDLE_LIST, WEFT_EXTENT_LIST,
	};
	int which = fuzz_random(fuzz, 5);

	*list = (struct weft_list){
		.size = sizeof(*list),
		.object_id = which == 1 ? dax[fuzz_random(fuzz, 2)].id :
			     which >= 3 ? random_segment(fuzz) : 0,
		.cursor = fuzz_random(fuzz, 3),
		.entries_ptr = (uintptr_t)entries,
		.entries = fuzz_random(fuzz, 16),
		.entry_size = sizeof(struct weft_segment_info),
	};
	return requests[which];
}

static unsigned int make_deadman(struct fuzz *fuzz, struct weft_deadman_set *set)
{
	*set = (struct weft_deadman_set){ .size = sizeof(*set) };
	if (fuzz_one_in(fuzz, 4)) {
		set->flags = WEFT_DEADMAN_DISARM;
	} else {
		set->deadline_ns = now_ns() + (fuzz_one_in(fuzz, 3) ? 1000000 : 10000000000);
		set->bound_ns = 1000000000;
		set->fence_action = WEFT_FENCE_REPORT;
	}
	return WEFT_DEADMAN_SET;
}

/* Fills in a command that could succeed; returns its request. */
static unsigned int make_valid(struct fuzz *fuzz, union argument *argument)
{
	struct weft_token token = random_token(fuzz);
	uint64_t segment = random_segment(fuzz);

	memset(argument, 0, sizeof(*argument));
	switch (fuzz_random(fuzz, 32)) {
	case 0 ... 5:
		make_create(fuzz, &argument->create);
		return WEFT_SEGMENT_CREATE;
	case 6 ... 7:
		make_create(fuzz, &argument->create);
		argument->create.mode = 0;
		return WEFT_SEGMENT_EXTEND;
	case 8 ... 14:
		argument->open = (struct weft_segment_open){
			.size = sizeof(argument->open), .segment_id = segment, .token = token,
			.mode = 1 + fuzz_random(fuzz, 2),
		};
		return WEFT_SEGMENT_OPEN;
	case 15 ... 16:
		argument->revoke = (struct weft_segment_revoke){
			.size = sizeof(argument->revoke), .segment_id = segment,
			.token = token, .handle_id = fuzz_random(fuzz, 2),
		};
		return WEFT_SEGMENT_REVOKE;
	case 17 ... 19:
		argument->resume = (struct weft_segment_resume){
			.size = sizeof(argument->resume), .segment_id = segment,
			.token = token, .mode = WEFT_MODE_READ_WRITE,
		};
		return WEFT_SEGMENT_RESUME;
	case 20 ... 22:
		argument->destroy = (struct weft_segment_destroy){
			.size = sizeof(argument->destroy), .segment_id = segment,
			.token = token,
		};
		return WEFT_SEGMENT_DESTROY;
	case 23:
		argument->zero = (struct weft_segment_zero){
			.size = sizeof(argument->zero), .segment_id = segment, .token = token,
			.offset = fuzz_random(fuzz, 4) * UNIT,
			.length = fuzz_random(fuzz, 1024) * PAGE,
		};
		return WEFT_SEGMENT_ZERO;
	case 24 ... 26:
		return make_list(fuzz, &argument->list);
	case 27 ... 28:
		return make_deadman(fuzz, &argument->deadman_set);
	case 29:
		argument->size = sizeof(argument->deadman_get);
		return WEFT_DEADMAN_GET;
	case 30:
		argument->size = sizeof(argument->host);
		return fuzz_one_in(fuzz, 2) ? WEFT_HOST_GET : WEFT_HOST_SET;
	default:
		argument->size = sizeof(argument->remove);
		argument->remove.device_id = dax[fuzz_random(fuzz, 2)].id;
		return WEFT_DEVICE_REMOVE;
	}
}

/* Changes a few words of a command to other interesting values. */
static void mutate(struct fuzz *fuzz, union argument *argument)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, PAGE, UNIT, UNIT - 1, 0x7fffffff, 0x80000000, 0xffffffff,
		0x7fffffffffffffff, 0x8000000000000000, ~0ULL, -UNIT, 64, 72,
	};
	int count = 1 + fuzz_random(fuzz, 3);

	while (count--) {
		uint64_t value = fuzz_one_in(fuzz, 3) ? fuzz_random(fuzz, ~0ULL) :
							values[fuzz_random(fuzz, 16)];
		unsigned int at = fuzz_random(fuzz, 20) * 4;

		memcpy(argument->bytes + at, &value, fuzz_one_in(fuzz, 2) ? 4 : 8);
	}
}

static unsigned int make_garbage(struct fuzz *fuzz, union argument *argument)
{
	for (size_t i = 0; i < sizeof(*argument); i += 8) {
		uint64_t value = fuzz_random(fuzz, ~0ULL);

		memcpy(argument->bytes + i, &value, 8);
	}
	if (!fuzz_one_in(fuzz, 4))
		argument->size = fuzz_random(fuzz, sizeof(*argument));
	return _IO(WEFT_IOC_TYPE, fuzz_random(fuzz, 0x24));
}

/* Nothing random may restart the guest or wait for minutes. */
static void keep_bounds(unsigned int request, union argument *argument)
{
	if (request == WEFT_DEADMAN_SET && argument->deadman_set.fence_action == WEFT_FENCE_REBOOT)
		argument->deadman_set.fence_action = WEFT_FENCE_REPORT;
	if (request == WEFT_SEGMENT_REVOKE)
		argument->revoke.timeout_ms %= 20;
}

static void keep_result(struct fuzz *fuzz, unsigned int request, union argument *argument)
{
	int slot = fuzz_random(fuzz, 8);

	switch (request) {
	case WEFT_SEGMENT_CREATE:
	case WEFT_SEGMENT_EXTEND:
		fuzz_pattern_touched(fuzz->extents, FUZZ_EXTENTS);
		break;
	case WEFT_SEGMENT_OPEN:
		if (fuzz->fds[slot] >= 0)
			close(fuzz->fds[slot]);
		fuzz->fds[slot] = argument->open.fd;
		break;
	case WEFT_DEVICE_REMOVE:
		/* Another thread may be faster: whoever comes second is refused. */
		for (int i = 0; i < 2; i++)
			dax_add(&dax[i], fuzz_random(fuzz, 2) * WEFT_DEVICE_SOFTWARE_COHERENT);
		break;
	}
}

void fuzz_command(struct fuzz *fuzz)
{
	union argument argument;
	unsigned int request;

	if (fuzz_one_in(fuzz, 6)) {
		request = make_garbage(fuzz, &argument);
	} else {
		request = make_valid(fuzz, &argument);
		if (fuzz_one_in(fuzz, 3))
			mutate(fuzz, &argument);
	}
	keep_bounds(request, &argument);
	if (!ioctl(control, request, &argument))
		keep_result(fuzz, request, &argument);
}
