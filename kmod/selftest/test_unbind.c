// SPDX-License-Identifier: GPL-2.0-only
/* A driver unbound, a device removed, a module unloaded, while segments are in use. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "harness.h"
#include "pin.h"
#include "segment.h"

static int module_unload(void)
{
	return syscall(SYS_delete_module, "weft", O_NONBLOCK);
}

TEST(unbind, makes_users_stop_and_waits_for_nobody)
{
	uint64_t segment = segment_make(4), before = now_ns();
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 4 * UNIT), byte;
	int events = events_open();

	CHECK_STORES(bytes, 1);
	CHECK_EQ(dax_bind(dax[0].name, ""), 0);
	CHECK(now_ns() - before < 20 * 1000000000ULL);
	CHECK_EQ(event_wait(events, WEFT_EVENT_DEVICE_GONE).device_id, dax[0].id);
	CHECK_SIGBUS(bytes);
	CHECK(pread(fd, &byte, 1, 0) == -1);
	CHECK(errno == ESTALE || errno == ENODEV);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_DEAD);
	CHECK_EQ(dax_info(&dax[0]).state, WEFT_DEVICE_DEAD);
}

TEST(unbind, nothing_works_on_a_dead_device)
{
	uint64_t segment = segment_make(2);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	struct weft_extent whole = extent(&dax[0], 9, 1);
	struct weft_segment_create create = create_command(segment_new_id(), &whole, 1);
	struct weft_segment_open open = {
		.size = sizeof(open),
		.segment_id = segment,
		.token = FIRST,
		.mode = WEFT_MODE_READ,
	};
	char *bytes = mmap(NULL, UNIT, PROT_READ, MAP_SHARED, fd, 0);

	CHECK_EQ(dax_bind(dax[0].name, ""), 0);
	CHECK_ERRNO(ioctl(control, WEFT_SEGMENT_CREATE, &create), ENODEV);
	CHECK(ioctl(control, WEFT_SEGMENT_OPEN, &open) == -1);
	CHECK(segment_resume(segment, 0, FIRST) == -1);
	CHECK(segment_zero(segment, 0, PAGE, NULL) == -1);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, PAGE) == -1);
	CHECK_EQ(load(bytes).signal, SIGBUS);
	CHECK_ERRNO(dax_remove(&dax[0]), EBUSY);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
	CHECK_EQ(dax_remove(&dax[0]), 0);
	CHECK_ERRNO(dax_remove(&dax[0]), ENODEV);
}

TEST(unbind, rebinding_revives_nothing_old)
{
	uint64_t segment = segment_make(2), old_id = dax[0].id;
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 2 * UNIT), byte;
	struct dax again = dax[0];

	CHECK_STORES(bytes, 1);
	CHECK_EQ(dax_bind(dax[0].name, ""), 0);
	CHECK_EQ(dax_bind(dax[0].name, driver_name), 0);
	CHECK_SIGBUS(bytes);
	CHECK(segment_resume(segment, 0, FIRST) == -1);
	CHECK_SIGBUS(bytes);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
	CHECK_EQ(dax_remove(&dax[0]), 0);
	CHECK_EQ(dax_add(&again, 0), 0);
	CHECK(again.id != old_id);
	dax[0] = again;
	CHECK_STORES(map_rw(segment_open(segment_make(2), WEFT_MODE_READ_WRITE), UNIT), 2);
	CHECK_SIGBUS(bytes);
	CHECK(pread(fd, &byte, 1, 0) == -1);
}

TEST(unbind, of_one_device_kills_only_its_segments)
{
	struct weft_extent elsewhere = extent(&dax[1], 1, 2);
	char *here = map_rw(segment_open(segment_make(2), WEFT_MODE_READ_WRITE), 2 * UNIT);
	char *there = map_rw(segment_open(segment_create(&elsewhere, 1),
					  WEFT_MODE_READ_WRITE), 2 * UNIT);

	CHECK_STORES(there, 3);
	CHECK_EQ(dax_bind(dax[0].name, ""), 0);
	CHECK_SIGBUS(here);
	CHECK_EQ(there[0], 3);
	CHECK_STORES(there + UNIT, 3);
}

/* Returns when the kernel's log shows a line of ours with the text. */
static void await_log(int kmsg, const char *text)
{
	char line[1024];
	ssize_t count;

	do {
		count = read(kmsg, line, sizeof(line) - 1);
		CHECK(count > 0 || errno == EPIPE);
		line[count > 0 ? count : 0] = 0;
	} while (!strstr(line, "weft") || !strstr(line, text));
}

TEST(unbind, waits_for_pinned_pages_and_says_so)
{
	char *bytes = map_rw(segment_open(segment_make(2), WEFT_MODE_READ_WRITE), 2 * UNIT);
	struct pin pin = pin_take(bytes, 2);
	int kmsg = open("/dev/kmsg", O_RDONLY), status;
	pid_t unbinder;

	CHECK(kmsg >= 0);
	CHECK(lseek(kmsg, 0, SEEK_END) >= 0);
	unbinder = fork();
	if (!unbinder) {
		/* Else the child's copy of the pipe would keep the pages. */
		pin_release(&pin);
		_exit(dax_bind(dax[0].name, "") != 0);
	}
	await_log(kmsg, "pinned");
	await_log(kmsg, "pinned");
	CHECK_EQ(waitpid(unbinder, &status, WNOHANG), 0);
	CHECK_SIGBUS(bytes);
	pin_release(&pin);
	child_join(unbinder);
}

TEST(unbind, beside_faults_reads_and_revokes)
{
	uint64_t segment = segment_make(4);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE), turns[2];
	char turn = 0;

	CHECK_EQ(pipe(turns), 0);
	for (int i = 0; i < 2; i++)
		if (!fork()) {
			char *bytes = map_rw(fd, 4 * UNIT);

			for (;;) {
				madvise(bytes, 4 * UNIT, MADV_DONTNEED);
				for (int unit = 0; unit < 4; unit++)
					store(bytes + unit * UNIT, 1);
				if (pwrite(fd, bytes, 1, 0) < 0 || pread(fd, &turn, 1, 9) < 0)
					CHECK(errno == ESTALE || errno == ENODEV ||
					      errno == EFAULT);
				CHECK_EQ(write(turns[1], &turn, 1), 1);
			}
		}
	for (int round = 0; round < 20; round++)
		CHECK_EQ(read(turns[0], &turn, 1), 1);
	CHECK_EQ(dax_bind(dax[0].name, ""), 0);
	for (int round = 0; round < 20; round++)
		CHECK_EQ(read(turns[0], &turn, 1), 1);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_DEAD);
}

/* Takes the hardware away from under the dax bus, as an eject does, and brings it back. */
TEST(unbind, of_the_memory_device_itself)
{
	uint64_t segment = segment_make(2);
	char *bytes = map_rw(segment_open(segment, WEFT_MODE_READ_WRITE), 2 * UNIT);
	char path[2 * PATH_MAX], parent[PATH_MAX], *name;

	snprintf(path, sizeof(path), "/sys/bus/dax/devices/%s/..", dax[0].name);
	CHECK(realpath(path, parent));
	name = strrchr(parent, '/') + 1;
	snprintf(path, sizeof(path), "/sys/bus/nd/drivers/dax_pmem/%s", name);
	if (access(path, F_OK))
		test_skip("%s is no pmem device", dax[0].name);
	CHECK_STORES(bytes, 1);
	CHECK_EQ(write_file("/sys/bus/nd/drivers/dax_pmem/unbind", name), 0);
	CHECK_SIGBUS(bytes);
	CHECK_EQ(segment_info(segment).state, WEFT_STATE_DEAD);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
	CHECK_EQ(dax_remove(&dax[0]), 0);
	CHECK_EQ(write_file("/sys/bus/nd/drivers/dax_pmem/bind", name), 0);
	CHECK_EQ(dax_bind(dax[0].name, driver_name), 0);
	CHECK_EQ(dax_add(&dax[0], 0), 0);
	CHECK_SIGBUS(bytes);
	CHECK_STORES(map_rw(segment_open(segment_make(2), WEFT_MODE_READ_WRITE), UNIT), 1);
}

TEST(device_remove, is_busy_while_segments_lie_on_it)
{
	uint64_t segment = segment_make(1);

	CHECK_ERRNO(dax_remove(&dax[0]), EBUSY);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
	CHECK_EQ(dax_remove(&dax[0]), 0);
}

TEST(device_remove, gives_the_device_back_to_others)
{
	char path[32];
	int fd;

	CHECK_EQ(dax_remove(&dax[0]), 0);
	CHECK_EQ(dax_bind(dax[0].name, "device_dax"), 0);
	snprintf(path, sizeof(path), "/dev/%s", dax[0].name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_STORES(map_rw(fd, UNIT), 1);
}

TEST(device_add, refuses_what_is_no_device_of_ours)
{
	struct weft_device_add add = { .size = sizeof(add), .uuid = "other" };
	char path[32];

	add.dev_fd = -1;
	CHECK_ERRNO(ioctl(control, WEFT_DEVICE_ADD, &add), EBADF);
	add.dev_fd = open("/dev/null", O_RDWR);
	CHECK_ERRNO(ioctl(control, WEFT_DEVICE_ADD, &add), ENODEV);
	CHECK_EQ(dax_remove(&dax[0]), 0);
	CHECK_EQ(dax_bind(dax[0].name, "device_dax"), 0);
	snprintf(path, sizeof(path), "/dev/%s", dax[0].name);
	add.dev_fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(add.dev_fd >= 0);
	CHECK_ERRNO(ioctl(control, WEFT_DEVICE_ADD, &add), EMEDIUMTYPE);
	close(add.dev_fd);
}

TEST(device_add, twice_is_refused)
{
	struct dax again = dax[0], renamed = dax[0];

	CHECK(dax_add(&again, 0) == -1);
	CHECK(errno == EBUSY || errno == EEXIST);
	CHECK_EQ(dax_remove(&dax[1]), 0);
	memcpy(renamed.name, dax[1].name, sizeof(renamed.name));
	CHECK_EQ(dax_add(&renamed, 0), 0);
	CHECK(renamed.id != dax[1].id);
	dax[1] = renamed;
	CHECK_EQ(dax_remove(&dax[1]), 0);
}

TEST(module_references, unload_is_refused_while_anything_is_in_use)
{
	uint64_t segment = segment_make(2);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, 2 * UNIT);

	CHECK(module_unload() == -1);
	CHECK(errno == EWOULDBLOCK || errno == EBUSY);
	close(fd);
	CHECK(module_unload() == -1);
	CHECK_STORES(bytes, 1);
}

/* How many references /proc/modules counts. */
static int module_users(void)
{
	char line[256];
	FILE *modules = fopen("/proc/modules", "r");
	int users = -1;

	CHECK(modules);
	while (fgets(line, sizeof(line), modules))
		sscanf(line, "weft %*d %d", &users);
	fclose(modules);
	return users;
}

TEST(module_references, every_handle_takes_one_and_gives_it_back)
{
	int before = module_users(), fds[8];
	uint64_t segment = segment_make(2);
	char *bytes;

	for (int i = 0; i < 8; i++)
		fds[i] = segment_open(segment, WEFT_MODE_READ_WRITE);
	CHECK(module_users() >= before + 8);
	bytes = map_rw(fds[0], UNIT);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	CHECK(module_users() > before);
	CHECK_EQ(munmap(bytes, UNIT), 0);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
	CHECK_EQ(module_users(), before);
}
