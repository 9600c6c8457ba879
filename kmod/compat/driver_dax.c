// SPDX-License-Identifier: GPL-2.0-only
/*
 * The backend for kernels without fsdev_dax: a driver on the dax bus that supplies the
 * dax_operations which character dax devices lack there.
 *
 * A device is bound to it by name (new_id), never by itself. Binding maps the memory as
 * MEMORY_DEVICE_FS_DAX, with pages that fs-dax can use, and makes a dax_device of
 * our own: the bus's has no operations. Everything is undone by devm, in reverse
 * order, first of all weft_unbind(): it takes all access away before the rest goes.
 */
#include <linux/cdev.h>
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "../backend.h"
#include "../bad.h"
#include "../device.h"
#include "dax_private.h"
#include "driver_dax.h"

/* Sparse lays struct device out otherwise than the compilers do. */
#ifndef __CHECKER__
#define WEFT_CHECK_FIELD(type, field)						\
	static_assert(offsetof(struct type, field) == WEFT_LAYOUT_##type##_##field,	\
		      "struct " #type " of the target kernel has '" #field "' elsewhere")

WEFT_CHECK_FIELD(dev_dax_range, pgoff);
WEFT_CHECK_FIELD(dev_dax_range, range);
WEFT_CHECK_FIELD(dev_dax, dax_dev);
WEFT_CHECK_FIELD(dev_dax, align);
WEFT_CHECK_FIELD(dev_dax, dev);
WEFT_CHECK_FIELD(dev_dax, pgmap);
WEFT_CHECK_FIELD(dev_dax, nr_range);
WEFT_CHECK_FIELD(dev_dax, ranges);
WEFT_CHECK_FIELD(dax_device_driver, ids);
WEFT_CHECK_FIELD(dax_device_driver, probe);
WEFT_CHECK_FIELD(dax_device_driver, remove);
static_assert(sizeof(struct dev_dax_range) == WEFT_LAYOUT_dev_dax_range,
	      "struct dev_dax_range of the target kernel has another size");
static_assert(sizeof(struct dax_device_driver) == WEFT_LAYOUT_dax_device_driver,
	      "struct dax_device_driver of the target kernel has another size");
#endif

const char *const weft_backend_driver = KBUILD_MODNAME;
const u32 weft_backend_method = WEFT_METHOD_DRIVER;

/* A value that no kernel knows: such a driver matches devices by new_id only. */
#define WEFT_DRIVER_TYPE	0xffff

static LIST_HEAD(weft_bound_devices);
/* Guards the list and who holds what. Nothing sleeps on others under it. */
static DEFINE_MUTEX(weft_bound_lock);

struct weft_device *weft_bound_holder(struct weft_bound *bound)
{
	struct weft_device *dev;

	mutex_lock(&weft_bound_lock);
	dev = bound->holder;
	if (dev)
		weft_device_get(dev);
	mutex_unlock(&weft_bound_lock);
	return dev;
}

/*
 * So that the device can be named by an open file. The cdev is the one that device_dax
 * would use; there is nothing to do through it.
 */
static int weft_cdev_open(struct inode *inode, struct file *file)
{
	return 0;
}

static const struct file_operations weft_cdev_fops = {
	.owner = THIS_MODULE,
	.open = weft_cdev_open,
	.llseek = noop_llseek,
};

static void weft_undo_pgmap(void *data)
{
	struct weft_bound *bound = data;

	/* A static pgmap outlives the binding, and the next driver brings no ops. */
	WRITE_ONCE(bound->pgmap->ops, NULL);
	WRITE_ONCE(bound->pgmap->owner, NULL);
}

static void weft_undo_bad(void *data)
{
	weft_bad_put(data);
}

static void weft_undo_dax(void *data)
{
	kill_dax(data);
	put_dax(data);
}

static void weft_undo_cdev(void *data)
{
	cdev_del(data);
}

static void weft_undo_run(void *data)
{
	kill_dev_dax(data);
}

/* The first thing to be undone, and the last to be done. */
static void weft_unbind(void *data)
{
	struct weft_bound *bound = data;
	struct weft_device *dev;

	mutex_lock(&weft_bound_lock);
	list_del(&bound->list);
	dev = bound->holder;
	bound->holder = NULL;
	mutex_unlock(&weft_bound_lock);
	if (!dev)
		return;
	weft_device_die(dev);
	weft_device_put(dev);
}

/* A static (pmem) device comes with its page map, a dynamic one needs one of its ranges. */
static struct dev_pagemap *weft_bound_pgmap(struct dev_dax *dev_dax)
{
	struct device *dev = &dev_dax->dev;
	struct dev_pagemap *pgmap;
	int i;

	if (static_dev_dax(dev_dax))
		return dev_dax->nr_range == 1 ? dev_dax->pgmap : ERR_PTR(-EINVAL);
	if (dev_dax->pgmap)
		return ERR_PTR(-EINVAL);
	pgmap = devm_kzalloc(dev, struct_size(pgmap, ranges, dev_dax->nr_range - 1), GFP_KERNEL);
	if (!pgmap)
		return ERR_PTR(-ENOMEM);
	pgmap->nr_range = dev_dax->nr_range;
	for (i = 0; i < dev_dax->nr_range; i++)
		pgmap->ranges[i] = dev_dax->ranges[i].range;
	return pgmap;
}

static int weft_bound_map(struct weft_bound *bound)
{
	struct dev_dax *dev_dax = bound->dev_dax;
	struct device *dev = &dev_dax->dev;
	struct dev_pagemap *pgmap;
	void *addr;
	int i;

	pgmap = weft_bound_pgmap(dev_dax);
	if (IS_ERR(pgmap)) {
		dev_warn(dev, "page map and ranges do not fit each other\n");
		return PTR_ERR(pgmap);
	}
	for (i = 0; i < dev_dax->nr_range; i++) {
		struct range *range = &dev_dax->ranges[i].range;

		if (!devm_request_mem_region(dev, range->start, range_len(range), dev_name(dev))) {
			dev_warn(dev, "range %d (%#llx-%#llx) is in use\n", i, range->start,
				 range->end);
			return -EBUSY;
		}
	}
	pgmap->type = MEMORY_DEVICE_FS_DAX;
	pgmap->vmemmap_shift = 0;
	pgmap->ops = &weft_driver_pagemap_ops;
	pgmap->owner = bound;
	bound->pgmap = pgmap;
	addr = devm_memremap_pages(dev, pgmap);
	if (IS_ERR(addr)) {
		weft_undo_pgmap(bound);
		return PTR_ERR(addr);
	}
	return devm_add_action_or_reset(dev, weft_undo_pgmap, bound);
}

static int weft_bound_make_dax(struct weft_bound *bound)
{
	struct device *dev = &bound->dev_dax->dev;

	bound->dax_dev = alloc_dax(bound, &weft_driver_dax_ops);
	if (IS_ERR(bound->dax_dev))
		return PTR_ERR(bound->dax_dev);
	/* As pmem does: writes bypass the caches, reads expect machine checks. */
	set_dax_nocache(bound->dax_dev);
	set_dax_nomc(bound->dax_dev);
	return devm_add_action_or_reset(dev, weft_undo_dax, bound->dax_dev);
}

static int weft_bound_add_cdev(struct weft_bound *bound)
{
	struct dev_dax *dev_dax = bound->dev_dax;
	struct device *dev = &dev_dax->dev;
	struct cdev *cdev = dax_inode(dev_dax->dax_dev)->i_cdev;
	int err;

	cdev_init(cdev, &weft_cdev_fops);
	cdev->owner = THIS_MODULE;
	cdev_set_parent(cdev, &dev->kobj);
	err = cdev_add(cdev, dev->devt, 1);
	if (err)
		return err;
	err = devm_add_action_or_reset(dev, weft_undo_cdev, cdev);
	if (err)
		return err;
	run_dax(dev_dax->dax_dev);
	return devm_add_action_or_reset(dev, weft_undo_run, dev_dax);
}

static int weft_probe(struct dev_dax *dev_dax)
{
	struct device *dev = &dev_dax->dev;
	struct weft_bound *bound;
	int err;

	bound = devm_kzalloc(dev, sizeof(*bound), GFP_KERNEL);
	if (!bound)
		return -ENOMEM;
	INIT_LIST_HEAD(&bound->list);
	bound->dev_dax = dev_dax;
	bound->bad = weft_bad_create();
	if (!bound->bad)
		return -ENOMEM;
	err = devm_add_action_or_reset(dev, weft_undo_bad, bound->bad);
	if (!err)
		err = weft_bound_map(bound);
	if (!err)
		err = weft_bound_make_dax(bound);
	if (!err)
		err = weft_bound_add_cdev(bound);
	if (err)
		return err;
	err = devm_add_action_or_reset(dev, weft_unbind, bound);
	if (err)
		return err;
	/* Nothing can fail any more: from here on it can be found. */
	mutex_lock(&weft_bound_lock);
	list_add(&bound->list, &weft_bound_devices);
	mutex_unlock(&weft_bound_lock);
	return 0;
}

static struct dax_device_driver weft_driver = {
	.probe = weft_probe,
#ifndef WEFT_LAYOUT_dax_device_driver_match_always
	.type = WEFT_DRIVER_TYPE,
#endif
};

int weft_backend_init(void)
{
	return __dax_driver_register(&weft_driver, THIS_MODULE, KBUILD_MODNAME);
}

void weft_backend_exit(void)
{
	dax_driver_unregister(&weft_driver);
}

/* REQUIRES: weft_bound_lock. */
static struct weft_bound *weft_bound_find(dev_t devt)
{
	struct weft_bound *bound;

	list_for_each_entry(bound, &weft_bound_devices, list)
		if (bound->dev_dax->dev.devt == devt)
			return bound;
	return NULL;
}

/* True if the number belongs to a device of the dax bus, whatever drives it. */
static bool weft_is_dax(dev_t devt)
{
	struct device *dev = bus_find_device_by_devt(weft_driver.drv.bus, devt);

	put_device(dev);
	return dev;
}

int weft_backend_get(struct file *file, struct weft_device *dev)
{
	struct inode *inode = file_inode(file);
	struct weft_bound *bound;
	int err = 0;

	if (!S_ISCHR(inode->i_mode) || !weft_is_dax(inode->i_rdev))
		return -ENODEV;
	mutex_lock(&weft_bound_lock);
	bound = weft_bound_find(inode->i_rdev);
	if (!bound) {
		err = -EMEDIUMTYPE;
	} else if (bound->holder) {
		err = -EBUSY;
	} else if (!igrab(dax_inode(bound->dax_dev))) {
		err = -ENODEV;
	} else {
		weft_device_get(dev);
		weft_bad_get(bound->bad);
		bound->holder = dev;
		dev->dax_dev = bound->dax_dev;
		dev->devt = inode->i_rdev;
		dev->bad = bound->bad;
	}
	mutex_unlock(&weft_bound_lock);
	return err;
}

void weft_backend_put(struct weft_device *dev)
{
	struct weft_bound *bound;
	bool held = false;

	mutex_lock(&weft_bound_lock);
	bound = weft_bound_find(dev->devt);
	if (bound && bound->holder == dev) {
		bound->holder = NULL;
		held = true;
	}
	mutex_unlock(&weft_bound_lock);
	if (held)
		weft_device_put(dev);
	put_dax(dev->dax_dev);
}
