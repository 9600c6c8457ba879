// SPDX-License-Identifier: GPL-2.0-only
#include "env.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "segment.h"

struct dax *dax;
int control;
char driver_name[16];

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

bool read_file(const char *path, char *buffer, int size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), length = 0;
	ssize_t count;

	if (fd < 0)
		return false;
	do {
		count = read(fd, buffer + length, size - 1 - length);
		length += count > 0 ? count : 0;
	} while (count > 0);
	close(fd);
	buffer[length] = 0;
	return count == 0;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t count;
	int error;

	if (fd < 0)
		return -1;
	count = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return count == (ssize_t)strlen(text) ? 0 : -1;
}

int dax_bind(const char *name, const char *driver)
{
	char path[128], target[256];
	ssize_t count;

	snprintf(path, sizeof(path), "/sys/bus/dax/devices/%s/driver", name);
	count = readlink(path, target, sizeof(target) - 1);
	if (count > 0) {
		target[count] = 0;
		if (!strcmp(strrchr(target, '/') + 1, driver))
			return 0;
		snprintf(path, sizeof(path), "/sys/bus/dax/devices/%s/driver/unbind",
			 name);
		if (write_file(path, name))
			return -1;
	}
	if (!*driver)
		return 0;
	/* new_id also binds; when the id is known from before, bind does. */
	snprintf(path, sizeof(path), "/sys/bus/dax/drivers/%s/new_id", driver);
	write_file(path, name);
	snprintf(path, sizeof(path), "/sys/bus/dax/devices/%s/driver", name);
	if (!access(path, F_OK))
		return 0;
	snprintf(path, sizeof(path), "/sys/bus/dax/drivers/%s/bind", driver);
	return write_file(path, name);
}

int dax_add(struct dax *device, uint32_t flags)
{
	struct weft_device_add add = { .size = sizeof(add), .flags = flags };
	char path[32];
	int result, error;

	snprintf(path, sizeof(path), "/dev/%s", device->name);
	add.dev_fd = open(path, O_RDWR | O_CLOEXEC);
	if (add.dev_fd < 0)
		return -1;
	memcpy(add.uuid, device->name, sizeof(add.uuid));
	result = ioctl(control, WEFT_DEVICE_ADD, &add);
	error = errno;
	close(add.dev_fd);
	errno = error;
	if (result)
		return -1;
	device->id = add.device_id;
	device->internal = add.internal_segment_id;
	device->units = add.capacity_bytes / UNIT;
	return 0;
}

int dax_remove(const struct dax *device)
{
	struct weft_device_remove remove = {
		.size = sizeof(remove),
		.device_id = device->id,
	};

	return ioctl(control, WEFT_DEVICE_REMOVE, &remove);
}

struct weft_device_info dax_info(const struct dax *device)
{
	struct weft_device_info info = {};
	struct weft_list list = {
		.size = sizeof(list),
		.cursor = device->id,
		.entries_ptr = (uintptr_t)&info,
		.entries = 1,
		.entry_size = sizeof(info),
	};

	CHECK_EQ(ioctl(control, WEFT_DEVICE_LIST, &list), 0);
	CHECK_EQ(info.device_id, device->id);
	return info;
}

/* Whether the module has the device, live and with the flags the tests start from. */
static bool dax_intact(const struct dax *device)
{
	struct weft_device_info info = {};
	struct weft_list list = {
		.size = sizeof(list),
		.cursor = device->id,
		.entries_ptr = (uintptr_t)&info,
		.entries = 1,
		.entry_size = sizeof(info),
	};

	return !ioctl(control, WEFT_DEVICE_LIST, &list) && list.entries == 1 &&
	       info.device_id == device->id && info.state == WEFT_DEVICE_LIVE &&
	       !info.flags;
}

void env_setup(void)
{
	struct weft_info info = { .size = sizeof(info) };
	const char *names = getenv("WEFT_TEST_DEVICES");
	int i;

	dax = mmap(NULL, 2 * sizeof(*dax), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	control = open("/dev/weft", O_RDWR | O_CLOEXEC);
	CHECK(control >= 0);
	CHECK_EQ(ioctl(control, WEFT_INFO, &info), 0);
	memcpy(driver_name, info.driver_name, sizeof(driver_name) - 1);
	if (sscanf(names ? names : "dax0.0,dax1.0", "%15[^,],%15s", dax[0].name,
		   dax[1].name) != 2)
		FAIL("WEFT_TEST_DEVICES must be two dax devices");
	for (i = 0; i < 2; i++) {
		if (dax_bind(dax[i].name, driver_name))
			FAIL("cannot bind %s to %s: %s", dax[i].name, driver_name,
			     strerror(errno));
		if (dax_add(&dax[i], 0))
			FAIL("cannot add %s: %s", dax[i].name, strerror(errno));
	}
}

static bool segments_destroy(void)
{
	struct weft_segment_info info = {};
	struct weft_segment_destroy destroy = { .size = sizeof(destroy) };
	struct weft_list list = {
		.size = sizeof(list),
		.entries_ptr = (uintptr_t)&info,
		.entry_size = sizeof(info),
	};

	for (;;) {
		list.cursor = 0;
		list.entries = 1;
		if (ioctl(control, WEFT_SEGMENT_LIST, &list))
			return false;
		if (!list.entries || info.segment_id & WEFT_SEGMENT_INTERNAL)
			return true;
		destroy.segment_id = info.segment_id;
		destroy.token = info.last_token;
		/* Pages may be pinned until a child that was killed is gone. */
		segment_revoke(info.segment_id, 0, info.last_token, 10000);
		if (ioctl(control, WEFT_SEGMENT_DESTROY, &destroy)) {
			printf("# segment %llu cannot be destroyed: %s\n",
			       info.segment_id, strerror(errno));
			return false;
		}
	}
}

/* Zeroes the pages that a test left bad. */
static bool dax_heal(const struct dax *device)
{
	struct weft_bad_range range;
	struct weft_list list = {
		.size = sizeof(list),
		.object_id = device->id,
		.entries_ptr = (uintptr_t)&range,
		.entry_size = sizeof(range),
	};
	struct weft_extent unit = { .device_id = device->id, .length = UNIT };
	struct weft_segment_create create = create_command(1, &unit, 1);

	for (;;) {
		list.cursor = 0;
		list.entries = 1;
		if (ioctl(control, WEFT_BAD_RANGE_LIST, &list))
			return false;
		if (!list.entries)
			return true;
		unit.offset = range.offset & ~(UNIT - 1);
		if (ioctl(control, WEFT_SEGMENT_CREATE, &create) ||
		    segment_zero(1, 0, UNIT, NULL) || segment_destroy(1, FIRST)) {
			printf("# %s stays bad at %llu: %s\n", device->name,
			       range.offset, strerror(errno));
			return false;
		}
	}
}

static bool dax_restore(struct dax *device)
{
	/* A dead-man that fired has revoked the label's segment too. */
	if (dax_intact(device) && !segment_resume(device->internal, 0, (struct weft_token){}))
		return dax_heal(device);
	dax_remove(device);
	if (!dax_bind(device->name, driver_name) && !dax_add(device, 0))
		return true;
	printf("# %s does not come back: %s\n", device->name, strerror(errno));
	return false;
}

/* A dead-man that fired can be disarmed as soon as its revokes are done. */
static bool deadman_disarm(void)
{
	struct weft_deadman_set disarm = {
		.size = sizeof(disarm),
		.flags = WEFT_DEADMAN_DISARM,
	};
	uint64_t give_up = now_ns() + 10 * 1000000000ULL;

	while (ioctl(control, WEFT_DEADMAN_SET, &disarm)) {
		if (errno != EBUSY || now_ns() > give_up) {
			printf("# the dead-man cannot be disarmed: %s\n", strerror(errno));
			return false;
		}
		sched_yield();
	}
	return true;
}

bool env_reset(void)
{
	return segments_destroy() && deadman_disarm() &&
	       (dax_restore(&dax[0]) & dax_restore(&dax[1]));
}

bool env_teardown(void)
{
	bool given_back = true;

	for (int i = 0; i < 2; i++)
		if (dax_remove(&dax[i]) || dax_bind(dax[i].name, "device_dax")) {
			printf("# %s cannot be given back: %s\n", dax[i].name,
			       strerror(errno));
			given_back = false;
		}
	return given_back;
}
