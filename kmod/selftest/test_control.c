// SPDX-License-Identifier: GPL-2.0-only
/* The control device: who may use it and what it refuses. */
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"
#include "segment.h"

/* Every command of the control device and the size of its structure. */
static const struct command {
	unsigned int request;
	uint32_t size;
} commands[] = {
	{ WEFT_INFO, sizeof(struct weft_info) },
	{ WEFT_DEVICE_ADD, sizeof(struct weft_device_add) },
	{ WEFT_DEVICE_REMOVE, sizeof(struct weft_device_remove) },
	{ WEFT_DEVICE_LIST, sizeof(struct weft_list) },
	{ WEFT_BAD_RANGE_LIST, sizeof(struct weft_list) },
	{ WEFT_SEGMENT_CREATE, sizeof(struct weft_segment_create) },
	{ WEFT_SEGMENT_EXTEND, sizeof(struct weft_segment_create) },
	{ WEFT_SEGMENT_OPEN, sizeof(struct weft_segment_open) },
	{ WEFT_SEGMENT_REVOKE, sizeof(struct weft_segment_revoke) },
	{ WEFT_SEGMENT_RESUME, sizeof(struct weft_segment_resume) },
	{ WEFT_SEGMENT_DESTROY, sizeof(struct weft_segment_destroy) },
	{ WEFT_SEGMENT_ZERO, sizeof(struct weft_segment_zero) },
	{ WEFT_SEGMENT_LIST, sizeof(struct weft_list) },
	{ WEFT_HANDLE_LIST, sizeof(struct weft_list) },
	{ WEFT_EXTENT_LIST, sizeof(struct weft_list) },
	{ WEFT_DEADMAN_SET, sizeof(struct weft_deadman_set) },
	{ WEFT_DEADMAN_GET, sizeof(struct weft_deadman_get) },
	{ WEFT_HOST_SET, sizeof(struct weft_host) },
	{ WEFT_HOST_GET, sizeof(struct weft_host) },
};

#define FOR_EACH_COMMAND(command)				\
	for (const struct command *command = commands;		\
	     command < commands + sizeof(commands) / sizeof(*commands); command++)

/* The members that every structure begins with. */
struct header {
	uint32_t size;
	uint32_t flags;
};

static union {
	struct header header;
	char bytes[8192];
} argument;

static int issue(const struct command *command, uint32_t size)
{
	argument.header.size = size;
	return ioctl(control, command->request, &argument);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = {};

	CHECK_EQ(syscall(SYS_capset, &header, none), 0);
}

TEST(control, needs_cap_sys_admin_at_open)
{
	CHECK_EQ(chmod("/dev/weft", 0666), 0);
	drop_capabilities();
	CHECK_ERRNO(open("/dev/weft", O_RDWR), EPERM);
}

TEST(control, needs_cap_sys_admin_at_each_call)
{
	drop_capabilities();
	FOR_EACH_COMMAND(command)
		CHECK_ERRNO(issue(command, command->size), EPERM);
}

TEST(control, info_reports_the_header_it_was_built_with)
{
	struct weft_info info = { .size = sizeof(info) };

	CHECK_EQ(ioctl(control, WEFT_INFO, &info), 0);
	CHECK_EQ(info.abi_version, WEFT_ABI_VERSION);
	CHECK_EQ(info.unit_bytes, WEFT_UNIT_BYTES);
	CHECK_EQ(info.max_devices, WEFT_MAX_DEVICES);
	CHECK_EQ(info.max_segments, WEFT_MAX_SEGMENTS);
	CHECK_EQ(info.max_segment_extents, WEFT_MAX_SEGMENT_EXTENTS);
	CHECK_EQ(info.max_device_extents, WEFT_MAX_DEVICE_EXTENTS);
	CHECK_EQ(info.max_segment_handles, WEFT_MAX_SEGMENT_HANDLES);
	CHECK_EQ(info.max_stripe_ways, WEFT_MAX_STRIPE_WAYS);
	CHECK_EQ(info.max_list_entries, WEFT_MAX_LIST_ENTRIES);
	CHECK_EQ(info.max_events, WEFT_MAX_EVENTS);
	CHECK(info.method == WEFT_METHOD_DRIVER || info.method == WEFT_METHOD_FSDEV);
}

TEST(control, unknown_commands_are_enotty)
{
	int handle = segment_open(segment_make(1), WEFT_MODE_READ);

	CHECK_ERRNO(ioctl(control, _IO(WEFT_IOC_TYPE, 0x7f), &argument), ENOTTY);
	CHECK_ERRNO(ioctl(control, _IO(WEFT_IOC_TYPE, 0x10), &argument), ENOTTY);
	CHECK_ERRNO(ioctl(control, _IO('x', 0x00), &argument), ENOTTY);
	CHECK_ERRNO(ioctl(control, WEFT_HANDLE_INFO, &argument), ENOTTY);
	FOR_EACH_COMMAND(command)
		CHECK_ERRNO(ioctl(handle, command->request, &argument), ENOTTY);
}

TEST(control, short_structures_are_einval)
{
	FOR_EACH_COMMAND(command) {
		CHECK_ERRNO(issue(command, 0), EINVAL);
		CHECK_ERRNO(issue(command, 4), EINVAL);
		CHECK_ERRNO(issue(command, command->size - 8), EINVAL);
	}
}

TEST(control, longer_structures_must_end_in_zeroes)
{
	struct weft_info *info = (void *)&argument;

	argument.bytes[sizeof(*info) + 3] = 1;
	CHECK_ERRNO(issue(&commands[0], sizeof(*info) + 8), E2BIG);
	argument.bytes[sizeof(*info) + 3] = 0;
	CHECK_EQ(issue(&commands[0], sizeof(*info) + 8), 0);
	CHECK_EQ(info->abi_version, WEFT_ABI_VERSION);
	CHECK_EQ(argument.bytes[sizeof(*info) + 3], 0);
	CHECK(issue(&commands[0], ~0U) == -1);
	CHECK(issue(&commands[0], 1U << 30) == -1);
}

TEST(control, bad_pointers_are_efault)
{
	char *end = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_EQ(munmap(end + PAGE, PAGE), 0);
	FOR_EACH_COMMAND(command) {
		struct header *header = (void *)(end + PAGE - 8);

		CHECK_ERRNO(ioctl(control, command->request, NULL), EFAULT);
		CHECK_ERRNO(ioctl(control, command->request, ~0UL), EFAULT);
		header->size = command->size;
		CHECK_ERRNO(ioctl(control, command->request, header), EFAULT);
	}
}

TEST(control, unknown_flags_are_einval)
{
	FOR_EACH_COMMAND(command) {
		memset(&argument, 0, sizeof(argument));
		argument.header.flags = 0x80000000;
		CHECK_ERRNO(issue(command, command->size), EINVAL);
		argument.header.flags = 0x2;
		CHECK_ERRNO(issue(command, command->size), EINVAL);
	}
}

TEST(control, reserved_members_are_einval)
{
	struct weft_extent whole = extent(&dax[0], 1, 1);
	struct weft_segment_create create = create_command(segment_new_id(), &whole, 1);
	struct weft_segment_resume resume = {
		.size = sizeof(resume),
		.token = FIRST,
		.mode = WEFT_MODE_READ,
		.reserved = 1,
	};
	struct weft_deadman_set set = {
		.size = sizeof(set),
		.deadline_ns = now_ns() + 60000000000ULL,
		.bound_ns = 1,
		.reserved = 1,
	};

	create.reserved = 1;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_CREATE, &create), EINVAL);
	create.reserved = 0;
	CHECK_EQ(ioctl(control, WEFT_SEGMENT_CREATE, &create), 0);
	resume.segment_id = create.segment_id;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_RESUME, &resume), EINVAL);
	CHECK_ERRNO(ioctl(control, WEFT_DEADMAN_SET, &set), EINVAL);
}

TEST(revoke, refuses_a_wait_that_is_too_long)
{
	struct weft_segment_revoke revoke = {
		.size = sizeof(revoke),
		.segment_id = segment_make(1),
		.token = FIRST,
		.timeout_ms = WEFT_MAX_WAIT_MS + 1,
	};

	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_REVOKE, &revoke), EINVAL);
	CHECK_EQ(segment_info(revoke.segment_id).state, WEFT_STATE_LIVE);
	revoke.segment_id = 0xdead;
	revoke.timeout_ms = 0;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_REVOKE, &revoke), ENOENT);
}

TEST(host, is_kept_for_a_successor)
{
	struct weft_host set = { .size = sizeof(set), .last_token = TOKEN(9) }, get;

	strcpy((char *)set.host_id, "host-a");
	strcpy((char *)set.session_id, "session-1");
	get = (struct weft_host){ .size = sizeof(get) };
	CHECK_EQ(ioctl(control, WEFT_HOST_GET, &get), 0);
	if (get.last_token.epoch > 1 || get.last_token.counter > 9)
		set.last_token = get.last_token;
	CHECK_EQ(ioctl(control, WEFT_HOST_SET, &set), 0);
	get = (struct weft_host){ .size = sizeof(get) };
	CHECK_EQ(ioctl(control, WEFT_HOST_GET, &get), 0);
	CHECK_EQ(memcmp(&get, &set, sizeof(get)), 0);
	set.last_token.epoch--;
	strcpy((char *)set.host_id, "older");
	CHECK_ERRNO(ioctl(control, WEFT_HOST_SET, &set), ESTALE);
	get = (struct weft_host){ .size = sizeof(get) };
	CHECK_EQ(ioctl(control, WEFT_HOST_GET, &get), 0);
	CHECK_EQ(strcmp((char *)get.host_id, "host-a"), 0);
}
