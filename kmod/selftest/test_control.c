// SPDX-License-Identifier: GPL-2.0-only
/* The control device: who may use it, what it refuses, and that refusing changes nothing. */
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
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

/* What the module says it has; equal before and after a call that failed. */
struct census {
	uint64_t segments, extents, files;
};

static uint64_t open_files(void)
{
	uint64_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

static uint64_t segments(void)
{
	static struct weft_segment_info infos[64];
	struct weft_list list = {
		.size = sizeof(list),
		.entries_ptr = (uintptr_t)infos,
		.entries = 64,
		.entry_size = sizeof(*infos),
	};

	CHECK_EQ(ioctl(control, WEFT_SEGMENT_LIST, &list), 0);
	CHECK_EQ(list.cursor, 0);
	return list.entries;
}

static struct census take_census(void)
{
	return (struct census){
		.segments = segments(),
		.extents = dax_info(&dax[0]).extents + dax_info(&dax[1]).extents,
		.files = open_files(),
	};
}

static void check_census(struct census before)
{
	struct census after = take_census();

	CHECK_EQ(after.segments, before.segments);
	CHECK_EQ(after.extents, before.extents);
	CHECK_EQ(after.files, before.files);
}

/* One way to spoil a create command that is right otherwise. */
struct spoiled {
	const char *what;
	int error;
	struct weft_segment_create create;
};

static void check_spoiled(const struct spoiled *spoiled)
{
	struct census before = take_census();
	struct weft_segment_create create = spoiled->create;

	errno = 0;
	if (!ioctl(control, WEFT_SEGMENT_CREATE, &create))
		FAIL("create with %s succeeded", spoiled->what);
	if (errno != spoiled->error)
		FAIL("create with %s failed with %s, not %s", spoiled->what,
		     strerrorname_np(errno), strerrorname_np(spoiled->error));
	check_census(before);
}

TEST(create, refuses_bad_extents_and_changes_nothing)
{
	uint64_t id = segment_new_id(), used = segment_make(4);
	struct weft_extent none = {}, odd = extent(&dax[0], 9, 1), small = odd, past = odd,
		wrap = odd, unknown = odd, taken = extent(&dax[0], 4, 2);
	struct weft_extent twice[] = { extent(&dax[0], 9, 2), extent(&dax[0], 10, 1) };
	struct weft_extent last_bad[] = { extent(&dax[0], 20, 1), taken };

	odd.offset += PAGE;
	small.length = PAGE;
	past.offset = (dax[0].units + 1) * UNIT;
	wrap.length = -2 * UNIT;
	unknown.device_id = 0xdead;
	none.device_id = dax[0].id;
	none.offset = 9 * UNIT;

	struct spoiled cases[] = {
		{ "an odd offset", EINVAL, create_command(id, &odd, 1) },
		{ "an odd length", EINVAL, create_command(id, &small, 1) },
		{ "no length", EINVAL, create_command(id, &none, 1) },
		{ "an extent past the device", ERANGE, create_command(id, &past, 1) },
		{ "an extent that wraps", ERANGE, create_command(id, &wrap, 1) },
		{ "an unknown device", ENODEV, create_command(id, &unknown, 1) },
		{ "an extent of another segment", EBUSY, create_command(id, &taken, 1) },
		{ "extents that overlap", EBUSY, create_command(id, twice, 2) },
		{ "one bad extent after a good one", EBUSY,
		  create_command(id, last_bad, 2) },
		{ "no extents", EINVAL, create_command(id, &odd, 0) },
		{ "an unreadable array", EFAULT, create_command(id, NULL, 1) },
		{ "a used id", EEXIST, create_command(used, last_bad, 1) },
		{ "id 0", EINVAL, create_command(0, last_bad, 1) },
		{ "an internal id", EINVAL,
		  create_command(WEFT_SEGMENT_INTERNAL | 77, last_bad, 1) },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_spoiled(&cases[i]);
	/* And what was right all the time still is. */
	segment_create(last_bad, 1);
}

TEST(create, refuses_bad_modes_and_stripes)
{
	uint64_t id = segment_new_id();
	struct weft_extent extents[] = {
		extent(&dax[0], 1, 2), extent(&dax[0], 5, 2), extent(&dax[0], 9, 3),
	};
	struct weft_segment_create create = create_command(id, extents, 2);
	struct spoiled cases[] = {
		{ "mode 0", EINVAL, create }, { "mode 3", EINVAL, create },
		{ "a stripe chunk but no ways", EINVAL, create },
		{ "ways but no chunk", EINVAL, create },
		{ "an odd chunk", EINVAL, create },
		{ "a chunk that does not divide", EINVAL, create },
		{ "an incomplete set", EINVAL, create },
		{ "unequal extents in a set", EINVAL, create },
		{ "too many ways", EINVAL, create },
	};

	cases[0].create.mode = 0;
	cases[1].create.mode = 3;
	cases[2].create.stripe_chunk_bytes = UNIT;
	cases[3].create.stripe_ways = 2;
	cases[4].create.stripe_ways = 2;
	cases[4].create.stripe_chunk_bytes = UNIT + PAGE;
	cases[5].create.stripe_ways = 2;
	cases[5].create.stripe_chunk_bytes = 3 * UNIT;
	cases[6].create.extents = 3;
	cases[6].create.stripe_ways = 2;
	cases[6].create.stripe_chunk_bytes = UNIT;
	cases[7].create.extents = 3;
	cases[7].create.stripe_ways = 3;
	cases[7].create.stripe_chunk_bytes = UNIT;
	cases[8].create.stripe_ways = WEFT_MAX_STRIPE_WAYS + 1;
	cases[8].create.stripe_chunk_bytes = UNIT;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_spoiled(&cases[i]);
}

TEST(create, has_a_limit_on_extents)
{
	struct weft_extent *extents = calloc(WEFT_MAX_SEGMENT_EXTENTS + 1, sizeof(*extents));
	struct spoiled many = {
		"too many extents", ENOSPC,
		create_command(segment_new_id(), extents, WEFT_MAX_SEGMENT_EXTENTS + 1),
	};

	for (int i = 0; i <= WEFT_MAX_SEGMENT_EXTENTS; i++)
		extents[i] = extent(&dax[0], 1, 1);
	check_spoiled(&many);
	many.create.extents = ~0U;
	check_spoiled(&many);
}

TEST(open, refuses_bad_arguments)
{
	uint64_t segment = segment_make(1);
	struct weft_segment_open good = {
		.size = sizeof(good),
		.segment_id = segment,
		.token = FIRST,
		.mode = WEFT_MODE_READ,
	}, open = good;
	struct census before = take_census();

	open.segment_id = 0xdead;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, &open), ENOENT);
	open = good;
	open.mode = 0;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, &open), EINVAL);
	open.mode = 4;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, &open), EINVAL);
	check_census(before);
	CHECK_EQ(segment_info(segment).handles, 0);
}

TEST(open, gives_a_close_on_exec_descriptor)
{
	int fd = segment_open(segment_make(1), WEFT_MODE_READ);

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
}

TEST(open, without_a_free_descriptor_leaves_no_handle)
{
	uint64_t segment = segment_make(1);
	struct rlimit none = { .rlim_cur = 0, .rlim_max = 4096 };
	struct weft_segment_open open = {
		.size = sizeof(open),
		.segment_id = segment,
		.token = FIRST,
		.mode = WEFT_MODE_READ,
	};

	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, &open), EMFILE);
	CHECK_EQ(segment_info(segment).handles, 0);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
}

TEST(open, whose_reply_cannot_be_written_leaves_no_handle)
{
	uint64_t segment = segment_make(1);
	struct weft_segment_open *open = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t files;

	*open = (struct weft_segment_open){
		.size = sizeof(*open),
		.segment_id = segment,
		.token = FIRST,
		.mode = WEFT_MODE_READ,
	};
	CHECK_EQ(mprotect(open, PAGE, PROT_READ), 0);
	files = open_files();
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_OPEN, open), EFAULT);
	CHECK_EQ(open_files(), files);
	CHECK_EQ(segment_info(segment).handles, 0);
}

TEST(create, whose_reply_cannot_be_written_creates_nothing)
{
	struct weft_extent whole = extent(&dax[0], 1, 1);
	struct weft_segment_create *create = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
						  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct census before = take_census();

	*create = create_command(segment_new_id(), &whole, 1);
	CHECK_EQ(mprotect(create, PAGE, PROT_READ), 0);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_CREATE, create), EFAULT);
	check_census(before);
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
