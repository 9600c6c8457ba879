// SPDX-License-Identifier: GPL-2.0-only
/* Lists, handles and events: what a daemon, or its successor, learns from the module. */
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "segment.h"

TEST(list, pages_through_segments_in_order)
{
	struct weft_segment_info info;
	struct weft_list list = {
		.size = sizeof(list),
		.entries_ptr = (uintptr_t)&info,
		.entry_size = sizeof(info),
	};
	uint64_t ids[5], seen = 0;

	for (int i = 0; i < 5; i++) {
		struct weft_extent unit = extent(&dax[i % 2], 1 + i, 1);

		ids[i] = segment_create(&unit, 1);
	}
	do {
		list.entries = 1;
		CHECK_EQ(ioctl(control, WEFT_SEGMENT_LIST, &list), 0);
		CHECK_EQ(list.entries, 1);
		if (seen < 5)
			CHECK_EQ(info.segment_id, ids[seen]);
		else
			CHECK(info.segment_id & WEFT_SEGMENT_INTERNAL);
		seen++;
	} while (list.cursor);
	CHECK_EQ(seen, 7);
}

TEST(list, serves_callers_with_larger_entries)
{
	struct {
		struct weft_segment_info info;
		char more[64];
	} large[2];
	struct weft_list list = {
		.size = sizeof(list),
		.entries_ptr = (uintptr_t)large,
		.entries = 1,
		.entry_size = sizeof(large[0]),
	};
	uint64_t segment = segment_make(1);

	memset(large, 0xff, sizeof(large));
	CHECK_EQ(ioctl(control, WEFT_SEGMENT_LIST, &list), 0);
	CHECK_EQ(large[0].info.segment_id, segment);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(large[0].more[i], 0);
	CHECK_EQ(large[1].more[0], -1);
}

TEST(list, refuses_bad_arguments)
{
	struct weft_list list = {
		.size = sizeof(list),
		.entries = 1,
		.entry_size = sizeof(struct weft_segment_info),
	};

	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_LIST, &list), EFAULT);
	list.entry_size--;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_LIST, &list), EINVAL);
	list.entry_size++;
	list.object_id = 1;
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_LIST, &list), EINVAL);
	list.object_id = 0xdead;
	CHECK_ERRNO(ioctl(control, WEFT_HANDLE_LIST, &list), ENOENT);
	CHECK_ERRNO(ioctl(control, WEFT_EXTENT_LIST, &list), ENOENT);
	CHECK_ERRNO(ioctl(control, WEFT_BAD_RANGE_LIST, &list), ENODEV);
}

TEST(list, handles_show_cookie_mode_and_state)
{
	struct weft_segment_open open = {
		.size = sizeof(open),
		.segment_id = segment_make(1),
		.token = FIRST,
		.cookie = 0x1122334455667788,
		.mode = WEFT_MODE_READ,
	};
	struct weft_handle_info info[3];
	struct weft_list list = {
		.size = sizeof(list),
		.object_id = open.segment_id,
		.entries_ptr = (uintptr_t)info,
		.entries = 3,
		.entry_size = sizeof(*info),
	};
	uint64_t second;

	CHECK_EQ(ioctl(control, WEFT_SEGMENT_OPEN, &open), 0);
	segment_open_token(open.segment_id, WEFT_MODE_READ_WRITE, FIRST, &second);
	segment_revoke(open.segment_id, second, FIRST, 0);
	CHECK_EQ(ioctl(control, WEFT_HANDLE_LIST, &list), 0);
	CHECK_EQ(list.entries, 2);
	CHECK_EQ(info[0].handle_id, open.handle_id);
	CHECK_EQ(info[0].segment_id, open.segment_id);
	CHECK_EQ(info[0].cookie, 0x1122334455667788);
	CHECK_EQ(info[0].mode, WEFT_MODE_READ);
	CHECK_EQ(info[0].state, WEFT_STATE_LIVE);
	CHECK_EQ(info[1].handle_id, second);
	CHECK_EQ(info[1].mode, WEFT_MODE_READ_WRITE);
	CHECK_EQ(info[1].state, WEFT_STATE_REVOKED);
}

TEST(list, segments_outlive_the_daemon_that_made_them)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);

	CHECK_STORES(bytes, 9);
	close(control);
	CHECK_EQ(bytes[0], 9);
	control = open("/dev/weft", O_RDWR | O_CLOEXEC);
	CHECK(control >= 0);
	CHECK_EQ(segment_info(segment).handles, 1);
	CHECK_EQ(segment_info(segment).token.counter, 1);
	CHECK_EQ(segment_info(segment).mode, WEFT_MODE_READ_WRITE);
	segment_revoke(segment, 0, FIRST, 0);
	CHECK_SIGBUS(bytes);
}

TEST(handle, tells_about_itself_without_privilege)
{
	struct weft_handle_get get = { .size = sizeof(get) };
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = {};
	uint64_t segment = segment_make(3), handle;
	int fd = segment_open_token(segment, WEFT_MODE_READ, FIRST, &handle);

	CHECK_EQ(syscall(SYS_capset, &header, none), 0);
	CHECK_EQ(ioctl(fd, WEFT_HANDLE_INFO, &get), 0);
	CHECK_EQ(get.info.handle_id, handle);
	CHECK_EQ(get.info.segment_id, segment);
	CHECK_EQ(get.info.mode, WEFT_MODE_READ);
	CHECK_EQ(get.info.state, WEFT_STATE_LIVE);
	CHECK_EQ(get.size_bytes, 3 * UNIT);
	CHECK_EQ(get.unit_bytes, UNIT);
	get.flags = 1;
	CHECK_ERRNO(ioctl(fd, WEFT_HANDLE_INFO, &get), EINVAL);
	CHECK_ERRNO(ioctl(fd, WEFT_HANDLE_INFO, NULL), EFAULT);
}

TEST(events, are_read_whole_and_polled)
{
	int events = open("/dev/weft", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct pollfd poll_fd = { .fd = events, .events = POLLIN };
	uint64_t segment = segment_make(1), handle;
	struct weft_event event;
	int fd = segment_open_token(segment, WEFT_MODE_READ, FIRST, &handle);

	CHECK_EQ(poll(&poll_fd, 1, 0), 0);
	CHECK_ERRNO(read(events, &event, sizeof(event)), EAGAIN);
	close(fd);
	CHECK_EQ(poll(&poll_fd, 1, -1), 1);
	CHECK_ERRNO(read(events, &event, sizeof(event) - 1), EINVAL);
	CHECK_EQ(read(events, &event, sizeof(event)), sizeof(event));
	CHECK_EQ(event.size, sizeof(event));
	CHECK_EQ(event.type, WEFT_EVENT_HANDLE_RELEASED);
	CHECK_EQ(event.segment_id, segment);
	CHECK_EQ(event.handle_id, handle);
	CHECK_EQ(poll(&poll_fd, 1, 0), 0);
}

TEST(events, overflow_is_told_once)
{
	int events = open("/dev/weft", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct weft_event *queue = calloc(WEFT_MAX_EVENTS + 64, sizeof(*queue));
	uint64_t segment = segment_make(1), count, overflows = 0, lost = 0;
	ssize_t size;

	for (int i = 0; i < WEFT_MAX_EVENTS + 50; i++)
		close(segment_open(segment, WEFT_MODE_READ));
	size = read(events, queue, (WEFT_MAX_EVENTS + 64) * sizeof(*queue));
	CHECK(size > 0);
	count = size / sizeof(*queue);
	for (uint64_t i = 0; i < count; i++)
		if (queue[i].type == WEFT_EVENT_OVERFLOW) {
			overflows++;
			lost += queue[i].length;
		}
	CHECK_EQ(overflows, 1);
	CHECK_EQ(count - overflows + lost, WEFT_MAX_EVENTS + 50);
}

static uint32_t handles(uint64_t segment)
{
	return segment_info(segment).handles;
}

TEST(handle, ends_with_its_last_file_and_mapping)
{
	uint64_t segment = segment_make(2), handle;
	int events = events_open();
	int fd = segment_open_token(segment, WEFT_MODE_READ_WRITE, FIRST, &handle);
	int copy = dup(fd);
	char *bytes = map_rw(fd, 2 * UNIT);

	close(fd);
	CHECK_EQ(handles(segment), 1);
	close(copy);
	CHECK_EQ(handles(segment), 1);
	CHECK_EQ(munmap(bytes, UNIT), 0);
	CHECK_EQ(handles(segment), 1);
	CHECK_EQ(munmap(bytes + UNIT, UNIT), 0);
	CHECK_EQ(event_wait(events, WEFT_EVENT_HANDLE_RELEASED).handle_id, handle);
	CHECK_EQ(handles(segment), 0);
}

TEST(handle, passed_to_another_process_stays_alive)
{
	uint64_t segment = segment_make(1);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE), sockets[2];
	char control_bytes[CMSG_SPACE(sizeof(int))] = {}, byte = 'x';
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control_bytes,
		.msg_controllen = sizeof(control_bytes),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	pid_t receiver;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
	receiver = fork();
	if (!receiver) {
		close(fd);
		CHECK_EQ(recvmsg(sockets[1], &message, 0), 1);
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
		CHECK_STORES(map_rw(fd, UNIT), 1);
		CHECK_EQ(write(sockets[1], "m", 1), 1);
		CHECK_EQ(read(sockets[1], &byte, 1), 1);
		_exit(0);
	}
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(sockets[0], &message, 0), 1);
	close(fd);
	CHECK_EQ(read(sockets[0], &byte, 1), 1);
	CHECK_EQ(handles(segment), 1);
	CHECK_EQ(write(sockets[0], "e", 1), 1);
	child_join(receiver);
	CHECK_EQ(handles(segment), 0);
}

TEST(handle, dies_with_a_killed_process)
{
	uint64_t segment = segment_make(1);
	int events = events_open(), ready[2];
	pid_t pid;
	char byte;

	CHECK_EQ(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), UNIT)[0] = 1;
		CHECK_EQ(write(ready[1], "r", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK_EQ(handles(segment), 1);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	event_wait(events, WEFT_EVENT_HANDLE_RELEASED);
	CHECK_EQ(handles(segment), 0);
}
