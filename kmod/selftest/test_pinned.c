// SPDX-License-Identifier: GPL-2.0-only
/* Pages that the kernel holds (O_DIRECT in flight and the like): revoke tells and waits. */
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "pin.h"
#include "segment.h"

/* A block device whose requests take the time that the guest's start script set. */
#define SLOW_DISK "/dev/nullb1"

TEST(pinned, revoke_reports_pages_and_confirms_when_they_are_gone)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	struct pin pin = pin_take(bytes + PAGE, 3);
	struct weft_segment_revoke revoke;
	int events = events_open();

	revoke = segment_revoke(segment, 0, FIRST, 0);
	CHECK_EQ(revoke.state, WEFT_STATE_REVOKING);
	CHECK(revoke.pages_pinned > 0);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_REVOKING);
	CHECK(segment_info(segment).pages_pinned > 0);
	CHECK_SIGBUS(bytes);
	pin_release(&pin);
	revoke = segment_revoke(segment, 0, FIRST, 10000);
	CHECK_EQ(revoke.state, WEFT_STATE_REVOKED);
	CHECK_EQ(revoke.pages_pinned, 0);
	CHECK_EQ(event_wait(events, WEFT_EVENT_SEGMENT_REVOKED).segment_id, segment);
}

TEST(pinned, waits_no_longer_than_asked)
{
	uint64_t segment = segment_make(2), before;
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	struct pin pin = pin_take(bytes, 1);

	before = now_ns();
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 300).state, WEFT_STATE_REVOKING);
	CHECK(now_ns() - before >= 300000000);
	pin_release(&pin);
}

/* On 6.x dax_layout_busy_page() takes a page without any VMA for idle. */
TEST(pinned, counts_after_munmap_and_close)
{
	uint64_t segment = segment_make(2);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 2 * UNIT);
	struct pin pin = pin_take(bytes + UNIT, 1);

	CHECK_EQ(munmap(bytes, 2 * UNIT), 0);
	close(fd);
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 0).state, WEFT_STATE_REVOKING);
	pin_release(&pin);
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 10000).state, WEFT_STATE_REVOKED);
}

TEST(pinned, destroy_is_busy_and_leaves_it_revoked)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	struct pin pin = pin_take(bytes, 1);

	CHECK_ERRNO(segment_destroy(segment, FIRST), EBUSY);
	CHECK(segment_info(segment).state != WEFT_STATE_LIVE);
	CHECK_SIGBUS(bytes);
	pin_release(&pin);
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 10000).state, WEFT_STATE_REVOKED);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
}

TEST(pinned, a_later_token_waits_for_the_pages_the_same_one_does_not)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	struct pin pin = pin_take(bytes, 1);

	CHECK_EQ(segment_revoke(segment, 0, FIRST, 0).state, WEFT_STATE_REVOKING);
	CHECK_ERRNO(segment_resume(segment, 0, TOKEN(2)), EBUSY);
	CHECK_EQ(segment_resume(segment, 0, FIRST), 0);
	CHECK_STORES(bytes, 1);
	pin_release(&pin);
}

static void on_signal(int number)
{
	(void)number;
}

static void *signal_soon(void *thread)
{
	/* Again and again: the first may come before the wait has begun. */
	for (;;) {
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

TEST(pinned, a_signal_ends_the_wait_with_the_result_so_far)
{
	struct weft_segment_revoke revoke = {
		.size = sizeof(revoke),
		.token = FIRST,
		.timeout_ms = WEFT_MAX_WAIT_MS,
	};
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t self = pthread_self(), other;
	struct pin pin;
	char *bytes;

	revoke.segment_id = segment_make(2);
	bytes = map_rw(segment_open(revoke.segment_id, WEFT_MODE_READ_WRITE), 2 * UNIT);
	pin = pin_take(bytes, 1);
	sigaction(SIGUSR1, &action, NULL);
	CHECK_EQ(pthread_create(&other, NULL, signal_soon, &self), 0);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_REVOKE, &revoke), EINTR);
	CHECK_EQ(revoke.state, WEFT_STATE_REVOKING);
	CHECK_EQ(segment_info(revoke.segment_id).state, WEFT_STATE_REVOKING);
	pin_release(&pin);
	_exit(0);
}

static int open_slow_disk(int mode)
{
	int disk = open(SLOW_DISK, mode | O_DIRECT | O_CLOEXEC);

	if (disk < 0)
		test_skip("no " SLOW_DISK);
	return disk;
}

/* A transfer between the mapping and the disk that is still in flight on return. */
static void submit(struct io_uring *ring, int disk, char *bytes, bool write)
{
	struct io_uring_sqe *sqe;
	int error = io_uring_queue_init(4, ring, 0);

	if (error == -ENOSYS)
		test_skip("the kernel has no io_uring");
	CHECK_EQ(error, 0);
	sqe = io_uring_get_sqe(ring);
	if (write)
		io_uring_prep_write(sqe, disk, bytes, 16 * PAGE, 0);
	else
		io_uring_prep_read(sqe, disk, bytes, 16 * PAGE, 0);
	CHECK_EQ(io_uring_submit(ring), 1);
}

/* False if the transfer was over before it could be seen in flight. */
static bool seen_in_flight(bool write)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	int disk = open_slow_disk(O_RDWR);
	struct weft_segment_revoke revoke;
	struct io_uring_cqe *done;
	struct io_uring ring;
	bool in_flight;

	submit(&ring, disk, bytes + UNIT, write);
	CHECK_EQ(munmap(bytes, 2 * UNIT), 0);
	revoke = segment_revoke(segment, 0, FIRST, 0);
	in_flight = io_uring_peek_cqe(&ring, &done) == -EAGAIN;
	if (in_flight) {
		CHECK_EQ(revoke.state, WEFT_STATE_REVOKING);
		CHECK(revoke.pages_pinned > 0);
	}
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 30000).state, WEFT_STATE_REVOKED);
	CHECK_EQ(io_uring_wait_cqe(&ring, &done), 0);
	CHECK_EQ(done->res, 16 * PAGE);
	io_uring_queue_exit(&ring);
	close(disk);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
	return in_flight;
}

static void in_flight_then_munmap(bool write)
{
	while (!seen_in_flight(write))
		;
}

TEST(pinned, io_uring_o_direct_read_in_flight_then_munmap)
{
	in_flight_then_munmap(false);
}

TEST(pinned, io_uring_o_direct_write_in_flight_then_munmap)
{
	in_flight_then_munmap(true);
}

TEST(gup, o_direct_goes_through_the_mapping)
{
	char *bytes = map_rw(segment_open(segment_make(2), WEFT_MODE_READ_WRITE), 2 * UNIT);
	int disk = open_slow_disk(O_RDWR);

	fill(bytes, UNIT, 1);
	CHECK_EQ(pwrite(disk, bytes, PAGE, 0), PAGE);
	CHECK_EQ(pread(disk, bytes + UNIT, PAGE, 0), PAGE);
	check_filled(bytes, UNIT, 1);
}

TEST(gup, another_process_reads_and_writes_it)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	char *buffer = malloc(UNIT);
	struct iovec theirs = { bytes + PAGE, UNIT }, ours = { buffer, UNIT };

	fill(bytes + PAGE, UNIT, 5);
	if (process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0) == -1 && errno == ENOSYS)
		test_skip("the kernel has no process_vm_readv");
	check_filled(buffer, UNIT, 5);
	fill(buffer, UNIT, 6);
	CHECK_EQ(process_vm_writev(getpid(), &ours, 1, &theirs, 1, 0), UNIT);
	check_filled(bytes + PAGE, UNIT, 6);
	segment_revoke(segment, 0, FIRST, 0);
	CHECK(process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0) < 0);
}

TEST(gup, long_term_pins_are_refused)
{
	char *bytes = map_rw(segment_open(segment_make(2), WEFT_MODE_READ_WRITE), 2 * UNIT);
	struct iovec whole = { bytes, UNIT };
	struct io_uring ring;
	int error = io_uring_queue_init(4, &ring, 0);

	if (error == -ENOSYS)
		test_skip("the kernel has no io_uring");
	CHECK_STORES(bytes, 1);
	CHECK(io_uring_register_buffers(&ring, &whole, 1) < 0);
}

TEST(gup, runs_beside_revoke)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	int turns[2];
	char turn = 0;

	CHECK_EQ(pipe(turns), 0);
	if (!fork())
		for (;;) {
			struct iovec piece = { bytes, 4 * PAGE };
			int ends[2];

			CHECK_EQ(pipe(ends), 0);
			vmsplice(ends[1], &piece, 1, 0);
			close(ends[0]);
			close(ends[1]);
			CHECK_EQ(write(turns[1], &turn, 1), 1);
		}
	for (int round = 0; round < 50; round++) {
		CHECK_EQ(read(turns[0], &turn, 1), 1);
		CHECK_EQ(segment_revoke(segment, 0, FIRST, 10000).state, WEFT_STATE_REVOKED);
		CHECK_SIGBUS(bytes);
		CHECK_EQ(segment_resume(segment, 0, FIRST), 0);
	}
}
