// SPDX-License-Identifier: GPL-2.0-only
#include "device.h"

#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "backend.h"
#include "events.h"
#include "revoke.h"
#include "segment.h"
#include "tracepoints.h"

/* Described in device.h. */
DEFINE_MUTEX(weft_lock);
DEFINE_XARRAY(weft_devices);

static u64 weft_last_device_id;		/* under weft_lock */
static u32 weft_nr_devices;		/* under weft_lock */

struct weft_device *weft_device_find(u64 id)
{
	struct weft_device *dev;

	rcu_read_lock();
	dev = xa_load(&weft_devices, id);
	if (dev && !kref_get_unless_zero(&dev->ref))
		dev = NULL;
	rcu_read_unlock();
	return dev;
}

void weft_device_get(struct weft_device *dev)
{
	kref_get(&dev->ref);
}

static void weft_device_free(struct kref *ref)
{
	struct weft_device *dev = container_of(ref, struct weft_device, ref);

	if (dev->bad)
		weft_bad_put(dev->bad);
	kvfree(dev->released);
	kfree_rcu(dev, rcu);
}

void weft_device_put(struct weft_device *dev)
{
	kref_put(&dev->ref, weft_device_free);
}

int weft_device_kaddr(struct weft_device *dev, u64 offset, u64 length, void **kaddr)
{
	long pages = PHYS_PFN(length);
	long avail;

	if (READ_ONCE(dev->gone))
		return -ENODEV;
	/* As for a recovery write: the address, whatever state the pages are in. */
	avail = dax_direct_access(dev->dax_dev, PHYS_PFN(offset), pages, DAX_RECOVERY_WRITE,
				  kaddr, NULL);
	if (avail < 0)
		return avail;
	return avail < pages ? -ERANGE : 0;
}

/* True if [page, page + nr) of the device exists and is contiguous in memory. */
static bool weft_device_has(struct weft_device *dev, u64 page, u64 nr, void **kaddr)
{
	return dax_direct_access(dev->dax_dev, page, nr, DAX_RECOVERY_WRITE, kaddr, NULL) ==
	       (long)nr;
}

/* How many whole units are contiguous from @page, found in O(log) steps. */
static u64 weft_device_span(struct weft_device *dev, u64 page)
{
	u64 units = 0, step = 1;
	void *kaddr;

	while (weft_device_has(dev, page, (units + step) * WEFT_UNIT_PAGES, &kaddr)) {
		units += step;
		step *= 2;
	}
	for (; step; step /= 2)
		if (weft_device_has(dev, page, (units + step) * WEFT_UNIT_PAGES, &kaddr))
			units += step;
	return units;
}

/*
 * Finds the capacity by asking the device, range by range: no interface of the kernel
 * tells it. A range that does not begin or end at a unit cannot be mapped by 2 MiB:
 * -EINVAL, except for a rest at the end of the device, which is left unused.
 */
static int weft_device_measure(struct weft_device *dev)
{
	u64 page = 0, units;
	void *kaddr;
	int id, err = 0;

	id = dax_read_lock();
	while ((units = weft_device_span(dev, page))) {
		weft_device_has(dev, page, 1, &kaddr);
		if (!IS_ALIGNED(__pa(kaddr), WEFT_UNIT_BYTES))
			err = -EINVAL;
		if (!page)
			dev->numa_node = page_to_nid(virt_to_page(kaddr));
		page += units * WEFT_UNIT_PAGES;
	}
	if (weft_device_has(dev, page + WEFT_UNIT_PAGES - 1, 1, &kaddr))
		err = -EINVAL;
	dax_read_unlock(id);

	dev->capacity = PFN_PHYS(page);
	if (dev->capacity < 2 * WEFT_UNIT_BYTES)
		err = -EINVAL;
	if (err)
		return err;
	dev->released = kvcalloc(dev->capacity / WEFT_UNIT_BYTES, sizeof(*dev->released),
				 GFP_KERNEL_ACCOUNT);
	return dev->released ? 0 : -ENOMEM;
}

static int weft_device_publish(struct weft_device *dev)
{
	struct weft_device *other;
	unsigned long id;
	int err;

	lockdep_assert_held(&weft_lock);
	if (weft_nr_devices == WEFT_MAX_DEVICES)
		return -ENOSPC;
	xa_for_each(&weft_devices, id, other)
		if (!memcmp(other->uuid, dev->uuid, sizeof(dev->uuid)))
			return -EEXIST;
	dev->id = weft_last_device_id + 1;
	dev->closed = true;
	err = xa_insert(&weft_devices, dev->id, dev, GFP_KERNEL);
	if (err)
		return err;
	weft_last_device_id = dev->id;
	weft_nr_devices++;
	return 0;
}

static void weft_device_withdraw(struct weft_device *dev)
{
	mutex_lock(&weft_lock);
	xa_erase(&weft_devices, dev->id);
	weft_nr_devices--;
	mutex_unlock(&weft_lock);
}

/* The label units: a segment like others, so that nobody else's extent may overlap. */
static int weft_device_create_internal(struct weft_device *dev, u64 *segment_id)
{
	struct weft_extent extents[] = {
		{ dev->id, 0, WEFT_UNIT_BYTES },
		{ dev->id, dev->capacity - WEFT_UNIT_BYTES, WEFT_UNIT_BYTES },
	};
	struct weft_segment_create arg = {
		.segment_id = WEFT_SEGMENT_INTERNAL | dev->id,
		.mode = WEFT_MODE_READ_WRITE,
		.extents = ARRAY_SIZE(extents),
	};

	*segment_id = arg.segment_id;
	return weft_segment_create(&arg, extents, true);
}

static int weft_device_take(struct weft_device *dev, int fd)
{
	struct file *file = fget(fd);
	int err;

	if (!file)
		return -EBADF;
	err = weft_backend_get(file, dev);
	fput(file);
	return err;
}

int weft_device_add(struct weft_device_add *arg)
{
	struct weft_device *dev;
	int err;

	if (!memchr_inv(arg->uuid, 0, sizeof(arg->uuid)))
		return -EINVAL;
	dev = kzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);
	if (!dev)
		return -ENOMEM;
	kref_init(&dev->ref);
	memcpy(dev->uuid, arg->uuid, sizeof(dev->uuid));
	dev->flags = arg->flags;
	dev->extents = RB_ROOT;

	err = weft_device_take(dev, arg->dev_fd);
	if (err)
		goto put;
	err = weft_device_measure(dev);
	if (err)
		goto give_back;

	mutex_lock(&weft_lock);
	err = weft_device_publish(dev);
	mutex_unlock(&weft_lock);
	if (err)
		goto give_back;

	err = weft_device_create_internal(dev, &arg->internal_segment_id);
	if (err)
		goto withdraw;

	mutex_lock(&weft_lock);
	dev->closed = false;
	mutex_unlock(&weft_lock);
	__module_get(THIS_MODULE);
	arg->device_id = dev->id;
	arg->capacity_bytes = dev->capacity;
	arg->numa_node = dev->numa_node;
	trace_weft_device_add(dev);
	return 0;

withdraw:
	weft_device_withdraw(dev);
give_back:
	weft_backend_put(dev);
put:
	weft_device_put(dev);
	return err;
}

/* Lets no new extents on, if there are none but the internal segment's two. */
static int weft_device_close(struct weft_device *dev)
{
	int err = 0;

	mutex_lock(&weft_lock);
	if (dev->closed)
		err = -ENODEV;
	else if (dev->nr_extents > 2)
		err = -EBUSY;
	else
		dev->closed = true;
	mutex_unlock(&weft_lock);
	return err;
}

int weft_device_remove(u64 id)
{
	struct weft_device *dev = weft_device_find(id);
	int err;

	if (!dev)
		return -ENODEV;
	err = weft_device_close(dev);
	if (err)
		goto put;
	err = weft_segment_destroy(WEFT_SEGMENT_INTERNAL | id, NULL);
	if (err && err != -ENOENT)
		goto open;

	weft_device_withdraw(dev);
	weft_backend_put(dev);
	trace_weft_device_remove(dev);
	weft_device_put(dev);
	weft_device_put(dev);
	module_put(THIS_MODULE);
	return 0;

open:
	mutex_lock(&weft_lock);
	dev->closed = false;
	mutex_unlock(&weft_lock);
put:
	weft_device_put(dev);
	return err;
}

void weft_device_info(struct weft_device *dev, struct weft_device_info *info)
{
	*info = (struct weft_device_info) {
		.device_id = dev->id,
		.dev_major = MAJOR(dev->devt),
		.dev_minor = MINOR(dev->devt),
		.state = READ_ONCE(dev->dead) ? WEFT_DEVICE_DEAD : WEFT_DEVICE_LIVE,
		.flags = dev->flags,
		.capacity_bytes = dev->capacity,
		.extents = READ_ONCE(dev->nr_extents),
		.bad_pages = atomic64_read(&dev->bad->count),
		.numa_node = dev->numa_node,
	};
	memcpy(info->uuid, dev->uuid, sizeof(info->uuid));
	weft_counters_read(&dev->stats, &info->stats);
}

void weft_device_die(struct weft_device *dev)
{
	struct weft_event event = { .type = WEFT_EVENT_DEVICE_GONE, .device_id = dev->id };

	WRITE_ONCE(dev->dead, true);
	/* Whoever claimed extents before it saw that is in the table of segments now. */
	mutex_lock(&weft_lock);
	mutex_unlock(&weft_lock);

	weft_revoke_device(dev);
	WRITE_ONCE(dev->gone, true);
	trace_weft_device_die(dev);
	/* Nobody has heard of a device that is still being added. */
	if (dev->id)
		weft_event_emit(&event);
}
