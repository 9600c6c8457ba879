// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tokens of bytes that change hands: what was granted, or is to be scrubbed, under an older
 * token than its extents have seen is refused.
 */
#include <sys/ioctl.h>
#include <unistd.h>

#include "harness.h"
#include "segment.h"

/* Devices that remember no tokens: these are kept while a device is added. */
static void devices_anew(void)
{
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(dax_remove(&dax[i]), 0);
		CHECK_EQ(dax_add(&dax[i], 0), 0);
	}
}

static int create_in_order(uint64_t id, struct weft_extent extent, struct weft_token token)
{
	struct weft_segment_create create = create_command(id, &extent, 1);

	create.flags = WEFT_CREATE_IN_ORDER;
	create.token = token;
	return ioctl(control, WEFT_SEGMENT_CREATE, &create);
}

/* Has units 3 to 5 seen by a segment under @token, and free again. */
static void units_used(struct weft_token token)
{
	uint64_t id = segment_new_id();

	CHECK_EQ(create_in_order(id, extent(&dax[0], 3, 3), token), 0);
	CHECK_EQ(segment_destroy(id, token), 0);
}

TEST(in_order, refuses_a_token_older_than_the_extents_have_seen)
{
	uint64_t id = segment_new_id();

	devices_anew();
	units_used(TOKEN(5));
	CHECK_ERRNO(create_in_order(id, extent(&dax[0], 1, 3), TOKEN(4)), ESTALE);
	CHECK_ERRNO(create_in_order(id, extent(&dax[0], 5, 9), TOKEN(4)), ESTALE);
	CHECK_EQ(create_in_order(id, extent(&dax[0], 1, 2), TOKEN(4)), 0);
	CHECK_EQ(create_in_order(segment_new_id(), extent(&dax[0], 6, 1), TOKEN(4)), 0);
	CHECK_EQ(create_in_order(segment_new_id(), extent(&dax[1], 3, 3), TOKEN(4)), 0);
	CHECK_EQ(create_in_order(segment_new_id(), extent(&dax[0], 3, 3), TOKEN(5)), 0);
}

TEST(in_order, an_epoch_is_greater_than_any_counter)
{
	struct weft_token later = { .epoch = 2, .counter = 1 };

	devices_anew();
	units_used(later);
	CHECK_ERRNO(create_in_order(segment_new_id(), extent(&dax[0], 4, 1), TOKEN(900)),
		    ESTALE);
}

TEST(in_order, counts_tokens_that_a_revoke_brought)
{
	uint64_t id = segment_new_id();

	devices_anew();
	CHECK_EQ(create_in_order(id, extent(&dax[0], 3, 3), TOKEN(5)), 0);
	CHECK_EQ(segment_revoke(id, 0, TOKEN(8), 10000).state, WEFT_STATE_REVOKED);
	CHECK_EQ(segment_destroy(id, TOKEN(8)), 0);
	CHECK_ERRNO(create_in_order(id, extent(&dax[0], 3, 3), TOKEN(7)), ESTALE);
}

/* As the daemon scrubs: the second command was long under way. */
TEST(in_order, a_late_scrub_reaches_nothing)
{
	uint64_t id = segment_new_id();
	struct weft_segment_zero zero = {
		.size = sizeof(zero),
		.segment_id = id,
		.token = TOKEN(5),
		.length = 3 * UNIT,
	};

	devices_anew();
	units_used(TOKEN(6));
	CHECK_ERRNO(create_in_order(id, extent(&dax[0], 3, 3), TOKEN(5)), ESTALE);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_ZERO, &zero), ENOENT);
	CHECK_EQ(create_in_order(id, extent(&dax[0], 3, 3), TOKEN(7)), 0);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_ZERO, &zero), ESTALE);
	zero.token = TOKEN(7);
	CHECK_EQ(ioctl(control, WEFT_SEGMENT_ZERO, &zero), 0);
	CHECK_EQ(zero.zeroed_bytes, 3 * UNIT);
}

TEST(in_order, holds_for_what_a_segment_grows_by)
{
	uint64_t id = segment_new_id();
	struct weft_segment_create grow;
	struct weft_extent used;

	devices_anew();
	units_used(TOKEN(5));
	used = extent(&dax[0], 5, 1);
	CHECK_EQ(create_in_order(id, extent(&dax[0], 8, 1), TOKEN(4)), 0);
	grow = create_command(id, &used, 1);
	grow.flags = WEFT_CREATE_IN_ORDER;
	grow.mode = 0;
	grow.token = TOKEN(4);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_EXTEND, &grow), ESTALE);
	CHECK_EQ(segment_info(id).size_bytes, UNIT);
	grow.token = TOKEN(5);
	CHECK_EQ(ioctl(control, WEFT_SEGMENT_EXTEND, &grow), 0);
}

TEST(in_order, is_forgotten_with_the_device)
{
	devices_anew();
	units_used(TOKEN(5));
	CHECK_ERRNO(create_in_order(segment_new_id(), extent(&dax[0], 3, 3), TOKEN(1)), ESTALE);
	devices_anew();
	CHECK_EQ(create_in_order(segment_new_id(), extent(&dax[0], 3, 3), TOKEN(1)), 0);
}
