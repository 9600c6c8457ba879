// SPDX-License-Identifier: GPL-2.0-only
/* The dead-man: unless set again, everything is revoked at the deadline, daemon or not. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "pin.h"
#include "segment.h"

#define BOUND_MS 20000

TEST(deadman, fires_and_revokes_every_segment)
{
	struct weft_extent elsewhere = extent(&dax[1], 1, 2);
	uint64_t segments[] = { segment_make(2), segment_create(&elsewhere, 1) };
	int events = events_open(), fd[2];
	struct weft_deadman_get get;
	struct weft_event done;
	char *bytes[2], byte;

	for (int i = 0; i < 2; i++) {
		fd[i] = segment_open(segments[i], WEFT_MODE_READ_WRITE);
		bytes[i] = map_rw(fd[i], 2 * UNIT);
		CHECK_STORES(bytes[i], 1);
	}
	CHECK_EQ(deadman_arm(100, BOUND_MS), 0);
	CHECK_EQ(event_wait(events, WEFT_EVENT_DEADMAN_FIRED).length,
		 BOUND_MS * 1000000ULL);
	done = event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	for (int i = 0; i < 2; i++) {
		CHECK_SIGBUS(bytes[i]);
		CHECK_ERRNO(pread(fd[i], &byte, 1, 0), ESTALE);
		CHECK_EQ(segment_info(segments[i]).state, WEFT_STATE_REVOKED);
	}
	get = deadman_get();
	CHECK_EQ(get.state, WEFT_DEADMAN_DONE);
	CHECK(get.fired >= 1);
	CHECK(get.fired_ns >= get.deadline_ns);
	CHECK(get.done_ns >= get.fired_ns);
	CHECK_EQ(get.done_ns - get.deadline_ns, done.length);
	CHECK(get.elapsed_max_ns >= done.length);
	CHECK(get.done_ns - get.deadline_ns < BOUND_MS * 1000000ULL);
}

TEST(deadman, revokes_the_label_too_until_it_is_resumed)
{
	struct weft_token none = {};
	int events = events_open();
	char *label = map_rw(segment_open_token(dax[0].internal, WEFT_MODE_READ_WRITE, none,
						NULL), 2 * UNIT);

	CHECK_EQ(deadman_arm(20, BOUND_MS), 0);
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	CHECK_SIGBUS(label);
	CHECK_EQ(deadman_arm(60000, BOUND_MS), 0);
	CHECK_EQ(segment_resume(dax[0].internal, 0, none), 0);
	CHECK_STORES(label, 1);
}

TEST(deadman, resume_with_the_same_token_after_it_is_set_again)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	int events = events_open();

	fill(bytes, 2 * UNIT, 4);
	CHECK_EQ(deadman_arm(50, BOUND_MS), 0);
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	CHECK_ERRNO(segment_resume(segment, 0, FIRST), ETIME);
	CHECK_EQ(deadman_arm(60000, BOUND_MS), 0);
	CHECK_SIGBUS(bytes);
	CHECK_EQ(segment_resume(segment, 0, FIRST), 0);
	check_filled(bytes, 2 * UNIT, 4);
	CHECK_STORES(bytes, 1);
}

TEST(deadman, after_it_fired_nothing_new_is_granted)
{
	struct weft_extent whole = extent(&dax[0], 1, 1);
	struct weft_segment_create create = create_command(segment_new_id(), &whole, 1);
	int events = events_open();

	CHECK_EQ(deadman_arm(20, BOUND_MS), 0);
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_CREATE, &create), ETIME);
	CHECK_EQ(deadman_arm(60000, BOUND_MS), 0);
	CHECK_EQ(ioctl(control, WEFT_SEGMENT_CREATE, &create), 0);
}

TEST(deadman, setting_it_again_moves_the_deadline)
{
	uint64_t segment = segment_make(2), fired = deadman_get().fired;
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	uint64_t first = now_ns() + 3000 * 1000000ULL;

	CHECK_EQ(deadman_arm(3000, BOUND_MS), 0);
	while (now_ns() < first + 500 * 1000000ULL) {
		CHECK_EQ(deadman_arm(20000, BOUND_MS), 0);
		CHECK_STORES(bytes, 1);
	}
	CHECK_EQ(deadman_get().fired, fired);
	CHECK_EQ(deadman_get().state, WEFT_DEADMAN_ARMED);
}

TEST(deadman, refuses_the_past_and_nonsense)
{
	struct weft_deadman_set set = {
		.size = sizeof(set),
		.deadline_ns = now_ns() - 1,
		.bound_ns = 1,
	};
	uint64_t deadline;

	CHECK_EQ(deadman_arm(60000, BOUND_MS), 0);
	deadline = deadman_get().deadline_ns;
	CHECK_ERRNO(ioctl(control, WEFT_DEADMAN_SET, &set), ETIME);
	set.deadline_ns = now_ns() + 60000000000ULL;
	set.bound_ns = 0;
	CHECK_ERRNO(ioctl(control, WEFT_DEADMAN_SET, &set), EINVAL);
	set.bound_ns = WEFT_MAX_BOUND_NS + 1;
	CHECK_ERRNO(ioctl(control, WEFT_DEADMAN_SET, &set), EINVAL);
	set.bound_ns = 1;
	set.fence_action = 3;
	CHECK_ERRNO(ioctl(control, WEFT_DEADMAN_SET, &set), EINVAL);
	set.fence_action = 0;
	set.flags = 2;
	CHECK_ERRNO(ioctl(control, WEFT_DEADMAN_SET, &set), EINVAL);
	CHECK_EQ(deadman_get().deadline_ns, deadline);
}

TEST(deadman, cannot_be_disarmed_under_live_segments)
{
	struct weft_deadman_set disarm = {
		.size = sizeof(disarm),
		.flags = WEFT_DEADMAN_DISARM,
	};
	uint64_t segment = segment_make(1);

	CHECK_EQ(deadman_arm(60000, BOUND_MS), 0);
	CHECK_ERRNO(ioctl(control, WEFT_DEADMAN_SET, &disarm), EBUSY);
	CHECK_EQ(deadman_get().state, WEFT_DEADMAN_ARMED);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
	CHECK_EQ(ioctl(control, WEFT_DEADMAN_SET, &disarm), 0);
	CHECK_EQ(deadman_get().state, WEFT_DEADMAN_OFF);
}

/* A daemon that arms the dead-man and then meets its fate. */
static void daemon_ends_by(int signal_number)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	int events = events_open(), ready[2];
	pid_t daemon;
	char byte;

	CHECK_EQ(pipe(ready), 0);
	daemon = fork();
	if (!daemon) {
		int own = events_open();

		CHECK_EQ(deadman_arm(500, BOUND_MS), 0);
		CHECK_EQ(write(ready[1], "r", 1), 1);
		for (;;)
			CHECK(read(own, &byte, 1) != 0);
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK_EQ(kill(daemon, signal_number), 0);
	CHECK_STORES(bytes, 1);
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	CHECK_SIGBUS(bytes);
}

TEST(deadman, fires_with_the_daemon_killed)
{
	daemon_ends_by(SIGKILL);
}

TEST(deadman, fires_with_the_daemon_stopped)
{
	daemon_ends_by(SIGSTOP);
}

static void *spin(void *processor)
{
	struct sched_param priority = { .sched_priority = 1 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((long)processor, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
	while (deadman_get().state == WEFT_DEADMAN_ARMED)
		;
	return NULL;
}

/* A workqueue would not run beside real-time tasks that never sleep. */
TEST(deadman, fires_under_real_time_load)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	int events = events_open();
	pthread_t threads[2];

	CHECK_EQ(deadman_arm(300, BOUND_MS), 0);
	for (long i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, spin, (void *)i), 0);
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	CHECK_SIGBUS(bytes);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

TEST(deadman, stops_a_writer_in_a_loop)
{
	int fd = segment_open(segment_make(4), WEFT_MODE_READ_WRITE);
	int events = events_open(), status;
	pid_t writer = fork();

	if (!writer) {
		char *bytes = map_rw(fd, 4 * UNIT);

		for (;;)
			for (uint64_t at = 0; at < 4 * UNIT; at += 64)
				bytes[at]++;
	}
	CHECK_EQ(deadman_arm(500, BOUND_MS), 0);
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	CHECK_EQ(waitpid(writer, &status, 0), writer);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

TEST(deadman, reports_what_is_not_done_at_the_bound)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	struct pin pin = pin_take(bytes, 1);
	int events = events_open();

	CHECK_EQ(deadman_arm(50, 200), 0);
	CHECK_EQ(event_wait(events, WEFT_EVENT_FENCE_FAILED).segment_id, segment);
	CHECK_EQ(deadman_get().state, WEFT_DEADMAN_FAILED);
	CHECK_SIGBUS(bytes);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_REVOKING);
	pin_release(&pin);
	CHECK_EQ(segment_revoke(segment, 0, FIRST, 10000).state, WEFT_STATE_REVOKED);
}

TEST(deadman, cannot_be_set_again_while_its_revokes_go_on)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	struct pin pin = pin_take(bytes, 1);
	int events = events_open();

	CHECK_EQ(deadman_arm(50, BOUND_MS), 0);
	event_wait(events, WEFT_EVENT_DEADMAN_FIRED);
	CHECK_ERRNO(deadman_arm(60000, BOUND_MS), EBUSY);
	pin_release(&pin);
	event_wait(events, WEFT_EVENT_DEADMAN_DONE);
	CHECK_EQ(deadman_arm(60000, BOUND_MS), 0);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_REVOKED);
}
