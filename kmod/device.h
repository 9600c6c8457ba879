/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A dax device that was given to the module.
 *
 * What holds what: the table of devices holds one reference from WEFT_DEVICE_ADD to
 * WEFT_DEVICE_REMOVE, each extent of a segment one until the segment's inode is gone.
 * The device holds the dax_device (its inode, not its life: the driver may be
 * unbound at any time) and one reference on the module. @dead is for good: a dax_device can
 * come alive again under the same address when the driver is bound again, and must
 * not revive what was made on it before.
 */
#ifndef WEFT_DEVICE_H
#define WEFT_DEVICE_H

#include <linux/dax.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/xarray.h>

#include "bad.h"
#include "stats.h"
#include "uapi/weft.h"

struct file;

#define WEFT_UNIT_PAGES		(WEFT_UNIT_BYTES >> PAGE_SHIFT)

struct weft_device {
	struct kref ref;
	struct rcu_head rcu;
	u64 id;
	u8 uuid[16];
	u32 flags;			/* WEFT_DEVICE_* */
	dev_t devt;
	int numa_node;
	u64 capacity;			/* bytes; a multiple of WEFT_UNIT_BYTES */
	struct dax_device *dax_dev;
	struct weft_bad *bad;
	bool dead;			/* only ever set; no new access */
	bool gone;			/* dead, and its struct pages may vanish */
	bool closed;			/* to all but its internal segment; under weft_lock */
	struct rb_root extents;		/* struct weft_piece by offset; under weft_lock */
	/* By unit: the newest token seen for a segment that had it and has it no more. */
	struct weft_token *released;	/* under weft_lock */
	u32 nr_extents;			/* under weft_lock */
	struct weft_counters stats;
};

/*
 * Guards the tables of devices and segments and who owns which extent. Taken inside
 * the device lock of the driver core and inside dax_read_lock() (an unbind comes
 * with both), so nothing under it may take a device lock or wait for readers of dax.
 */
extern struct mutex weft_lock;

extern struct xarray weft_devices;	/* by id; changed under weft_lock */

int weft_device_add(struct weft_device_add *arg);
int weft_device_remove(u64 id);

/* A reference, or NULL. weft_device_put() gives it back. */
struct weft_device *weft_device_find(u64 id);
void weft_device_get(struct weft_device *dev);
void weft_device_put(struct weft_device *dev);

void weft_device_info(struct weft_device *dev, struct weft_device_info *info);

/*
 * The kernel address of [offset, offset + length) of a device, which must be inside
 * one unit. REQUIRES: inside dax_read_lock(); the address is good until the unlock.
 * Bad pages are mapped like good ones: the caller steers around them. -ENODEV if the
 * device is gone.
 */
int weft_device_kaddr(struct weft_device *dev, u64 offset, u64 length, void **kaddr);

/*
 * The driver is about to be unbound: makes @dev dead, revokes every segment on it
 * and waits until no page of it is pinned any more (that is the one thing worth
 * waiting for: struct pages go away with the driver). Callers hold a reference.
 */
void weft_device_die(struct weft_device *dev);

#endif
