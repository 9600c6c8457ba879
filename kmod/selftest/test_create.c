// SPDX-License-Identifier: GPL-2.0-only
/* Creating and opening segments: what is refused, and that refusing leaves nothing behind. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"
#include "segment.h"

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
