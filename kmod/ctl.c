// SPDX-License-Identifier: GPL-2.0-only
#include "ctl.h"

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>

#include "backend.h"
#include "deadman.h"
#include "device.h"
#include "events.h"
#include "file.h"
#include "handle.h"
#include "list.h"
#include "revoke.h"
#include "segment.h"

static DEFINE_MUTEX(weft_host_lock);
static struct weft_host weft_host;	/* under weft_host_lock */

static int weft_ctl_info(void *argument)
{
	struct weft_info *arg = argument;

	*arg = (struct weft_info) {
		.size = arg->size,
		.abi_version = WEFT_ABI_VERSION,
		.method = weft_backend_method,
		.unit_bytes = WEFT_UNIT_BYTES,
		.max_devices = WEFT_MAX_DEVICES,
		.max_segments = WEFT_MAX_SEGMENTS,
		.max_segment_extents = WEFT_MAX_SEGMENT_EXTENTS,
		.max_device_extents = WEFT_MAX_DEVICE_EXTENTS,
		.max_segment_handles = WEFT_MAX_SEGMENT_HANDLES,
		.max_stripe_ways = WEFT_MAX_STRIPE_WAYS,
		.max_list_entries = WEFT_MAX_LIST_ENTRIES,
		.max_events = WEFT_MAX_EVENTS,
	};
	strscpy(arg->driver_name, weft_backend_driver, sizeof(arg->driver_name));
	return 0;
}

static int weft_ctl_device_add(void *argument)
{
	struct weft_device_add *arg = argument;

	if (arg->reserved || arg->reserved2)
		return -EINVAL;
	return weft_device_add(arg);
}

static int weft_ctl_device_remove(void *argument)
{
	struct weft_device_remove *arg = argument;

	return weft_device_remove(arg->device_id);
}

static int weft_ctl_grow(struct weft_segment_create *arg,
			 int (*grow)(struct weft_segment_create *arg,
				     const struct weft_extent *extents))
{
	struct weft_extent *extents;
	int err;

	if (arg->reserved || !arg->extents)
		return -EINVAL;
	if (arg->extents > WEFT_MAX_SEGMENT_EXTENTS)
		return -ENOSPC;
	extents = vmemdup_user(u64_to_user_ptr(arg->extents_ptr),
			       arg->extents * sizeof(*extents));
	if (IS_ERR(extents))
		return PTR_ERR(extents);
	err = grow(arg, extents);
	kvfree(extents);
	return err;
}

static int weft_ctl_create_external(struct weft_segment_create *arg,
				    const struct weft_extent *extents)
{
	return weft_segment_create(arg, extents, false);
}

static int weft_ctl_segment_create(void *argument)
{
	return weft_ctl_grow(argument, weft_ctl_create_external);
}

static int weft_ctl_segment_extend(void *argument)
{
	return weft_ctl_grow(argument, weft_segment_extend);
}

static int weft_ctl_segment_revoke(void *argument)
{
	return weft_revoke(argument);
}

static int weft_ctl_segment_resume(void *argument)
{
	struct weft_segment_resume *arg = argument;

	return arg->reserved ? -EINVAL : weft_resume(arg);
}

static int weft_ctl_segment_destroy(void *argument)
{
	struct weft_segment_destroy *arg = argument;

	if (arg->segment_id & WEFT_SEGMENT_INTERNAL)
		return -EINVAL;
	return weft_segment_destroy(arg->segment_id, &arg->token);
}

/* Under the grant that the token names, and no later one, as through a handle of it. */
static int weft_ctl_segment_zero(void *argument)
{
	struct weft_segment_zero *arg = argument;
	struct weft_handle grant = {};
	struct weft_segment *seg;
	u64 size;
	int err;

	arg->zeroed_bytes = 0;
	seg = weft_segment_find(arg->segment_id);
	if (!seg)
		return -ENOENT;
	mutex_lock(&seg->lock);
	size = seg->map->size;
	grant.seg = seg;
	grant.grant = seg->grant;
	if (!PAGE_ALIGNED(arg->offset | arg->length) || arg->offset > size ||
	    arg->length > size - arg->offset)
		err = -EINVAL;
	else if (weft_token_compare(&arg->token, &seg->token))
		err = -ESTALE;
	else
		err = weft_segment_check_token(seg, &arg->token);
	mutex_unlock(&seg->lock);
	if (!err)
		err = weft_zero(&grant, arg->offset, arg->length, &arg->zeroed_bytes);
	weft_segment_put(seg);
	return err;
}

static int weft_ctl_deadman_set(void *argument)
{
	struct weft_deadman_set *arg = argument;

	return arg->reserved ? -EINVAL : weft_deadman_set(arg);
}

static int weft_ctl_deadman_get(void *argument)
{
	weft_deadman_get(argument);
	return 0;
}

static int weft_ctl_host_set(void *argument)
{
	struct weft_host *arg = argument;
	int err = 0;

	mutex_lock(&weft_host_lock);
	if (weft_token_compare(&arg->last_token, &weft_host.last_token) < 0)
		err = -ESTALE;
	else
		weft_host = *arg;
	mutex_unlock(&weft_host_lock);
	return err;
}

static int weft_ctl_host_get(void *argument)
{
	struct weft_host *arg = argument;
	u32 size = arg->size;

	mutex_lock(&weft_host_lock);
	*arg = weft_host;
	mutex_unlock(&weft_host_lock);
	arg->size = size;
	return 0;
}

/* The list commands differ in nothing but the function. */
#define WEFT_CTL_LIST(name)				\
	static int weft_ctl_list_##name(void *argument)	\
	{						\
		return weft_list_##name(argument);	\
	}

WEFT_CTL_LIST(devices)
WEFT_CTL_LIST(bad_ranges)
WEFT_CTL_LIST(segments)
WEFT_CTL_LIST(handles)
WEFT_CTL_LIST(extents)

struct weft_command {
	u32 size;			/* of the structure, in this version */
	u32 flags;			/* that may be set */
	int (*run)(void *argument);	/* NULL: WEFT_SEGMENT_OPEN, which makes a descriptor */
};

#define WEFT_COMMAND(number, type, may, function)	\
	[_IOC_NR(number)] = { sizeof(struct type), may, function }

static const struct weft_command weft_commands[] = {
	WEFT_COMMAND(WEFT_INFO, weft_info, 0, weft_ctl_info),
	WEFT_COMMAND(WEFT_DEVICE_ADD, weft_device_add, WEFT_DEVICE_SOFTWARE_COHERENT,
		     weft_ctl_device_add),
	WEFT_COMMAND(WEFT_DEVICE_REMOVE, weft_device_remove, 0, weft_ctl_device_remove),
	WEFT_COMMAND(WEFT_DEVICE_LIST, weft_list, 0, weft_ctl_list_devices),
	WEFT_COMMAND(WEFT_BAD_RANGE_LIST, weft_list, 0, weft_ctl_list_bad_ranges),
	WEFT_COMMAND(WEFT_SEGMENT_CREATE, weft_segment_create, WEFT_CREATE_IN_ORDER,
		     weft_ctl_segment_create),
	WEFT_COMMAND(WEFT_SEGMENT_EXTEND, weft_segment_create, WEFT_CREATE_IN_ORDER,
		     weft_ctl_segment_extend),
	WEFT_COMMAND(WEFT_SEGMENT_OPEN, weft_segment_open, 0, NULL),
	WEFT_COMMAND(WEFT_SEGMENT_REVOKE, weft_segment_revoke, 0, weft_ctl_segment_revoke),
	WEFT_COMMAND(WEFT_SEGMENT_RESUME, weft_segment_resume, 0, weft_ctl_segment_resume),
	WEFT_COMMAND(WEFT_SEGMENT_DESTROY, weft_segment_destroy, 0, weft_ctl_segment_destroy),
	WEFT_COMMAND(WEFT_SEGMENT_ZERO, weft_segment_zero, 0, weft_ctl_segment_zero),
	WEFT_COMMAND(WEFT_SEGMENT_LIST, weft_list, 0, weft_ctl_list_segments),
	WEFT_COMMAND(WEFT_HANDLE_LIST, weft_list, 0, weft_ctl_list_handles),
	WEFT_COMMAND(WEFT_EXTENT_LIST, weft_list, 0, weft_ctl_list_extents),
	WEFT_COMMAND(WEFT_DEADMAN_SET, weft_deadman_set, WEFT_DEADMAN_DISARM,
		     weft_ctl_deadman_set),
	WEFT_COMMAND(WEFT_DEADMAN_GET, weft_deadman_get, 0, weft_ctl_deadman_get),
	WEFT_COMMAND(WEFT_HOST_SET, weft_host, 0, weft_ctl_host_set),
	WEFT_COMMAND(WEFT_HOST_GET, weft_host, 0, weft_ctl_host_get),
};

/* All begin like this. */
union weft_argument {
	struct {
		u32 size;
		u32 flags;
	};
	struct weft_info info;
	struct weft_device_add device_add;
	struct weft_device_remove device_remove;
	struct weft_list list;
	struct weft_segment_create create;
	struct weft_segment_open open;
	struct weft_segment_revoke revoke;
	struct weft_segment_resume resume;
	struct weft_segment_destroy destroy;
	struct weft_segment_zero zero;
	struct weft_deadman_set deadman_set;
	struct weft_deadman_get deadman_get;
	struct weft_host host;
};

/* The descriptor is published only when the caller has its number. */
static int weft_ctl_open(union weft_argument *arg, void __user *user, u32 size)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = weft_handle_open(&arg->open);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	arg->open.fd = fd;
	if (copy_to_user(user, arg, size)) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return 0;
}

/* Commands that report how far they came, when they were stopped. */
static bool weft_ctl_reports(unsigned int number, int err)
{
	if (number == WEFT_SEGMENT_REVOKE)
		return err == -EINTR;
	return number == WEFT_SEGMENT_ZERO &&
	       (err == -EINTR || err == -ESTALE || err == -EIO || err == -ENODEV);
}

static long weft_ctl_ioctl(struct file *file, unsigned int number, unsigned long argument)
{
	void __user *user = (void __user *)argument;
	const struct weft_command *command;
	union weft_argument arg;
	u32 size;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (_IOC_TYPE(number) != WEFT_IOC_TYPE || _IOC_NR(number) >= ARRAY_SIZE(weft_commands) ||
	    number != _IO(WEFT_IOC_TYPE, _IOC_NR(number)))
		return -ENOTTY;
	command = &weft_commands[_IOC_NR(number)];
	if (!command->size)
		return -ENOTTY;

	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < command->size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(&arg, command->size, user, size);
	if (err)
		return err;
	arg.size = size;
	if (arg.flags & ~command->flags)
		return -EINVAL;
	if (!command->run)
		return weft_ctl_open(&arg, user, command->size);

	/* A result that cannot be written must not be found out after the deed. */
	if (copy_to_user(user, &arg, command->size))
		return -EFAULT;
	err = command->run(&arg);
	if ((!err || weft_ctl_reports(number, err)) && copy_to_user(user, &arg, command->size))
		return -EFAULT;
	return err;
}

static int weft_ctl_open_file(struct inode *inode, struct file *file)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	file->private_data = NULL;
	if (!(file->f_mode & FMODE_READ))
		return 0;
	file->private_data = weft_reader_create();
	return file->private_data ? 0 : -ENOMEM;
}

static int weft_ctl_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		weft_reader_destroy(file->private_data);
	return 0;
}

static ssize_t weft_ctl_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	return weft_reader_read(file->private_data, to, count, file->f_flags & O_NONBLOCK);
}

static __poll_t weft_ctl_poll(struct file *file, poll_table *table)
{
	return file->private_data ? weft_reader_poll(file->private_data, file, table) : 0;
}

static const struct file_operations weft_ctl_fops = {
	.owner = THIS_MODULE,
	.open = weft_ctl_open_file,
	.release = weft_ctl_release,
	.read = weft_ctl_read,
	.poll = weft_ctl_poll,
	.unlocked_ioctl = weft_ctl_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice weft_ctl_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "weft",
	.fops = &weft_ctl_fops,
	.mode = 0600,
};

int weft_ctl_init(void)
{
	return misc_register(&weft_ctl_device);
}

void weft_ctl_exit(void)
{
	misc_deregister(&weft_ctl_device);
}
