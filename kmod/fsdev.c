// SPDX-License-Identifier: GPL-2.0-only
/*
 * The backend for kernels with fsdev_dax: the kernel's driver supplies the operations,
 * fs_dax_get() makes us the holder.
 */
#include <linux/cdev.h>
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include "backend.h"
#include "device.h"
#include "poison.h"

/* Exported, but declared in a header that no package has. */
struct dax_device *inode_dax(struct inode *inode);
struct inode *dax_inode(struct dax_device *dax_dev);

const char *const weft_backend_driver = "fsdev_dax";
const u32 weft_backend_method = WEFT_METHOD_FSDEV;

/*
 * A dax device of our own that nobody uses. It tells the major number of dax character
 * devices, and killing it waits for all readers of dax: nothing else exported does.
 */
static struct dax_device *weft_dummy;

/* Called inside dax_read_lock(), from a memory failure or from kill_dax(). */
static int weft_fsdev_notify(struct dax_device *dax_dev, u64 offset, u64 length, int mf_flags)
{
	struct weft_device *dev = dax_holder(dax_dev);

	if (!dev)
		return -EOPNOTSUPP;
	if (!(mf_flags & MF_MEM_PRE_REMOVE))
		return weft_poison_report(dev, offset, length, mf_flags);
	weft_device_die(dev);
	return 0;
}

static const struct dax_holder_operations weft_holder_ops = {
	.notify_failure = weft_fsdev_notify,
};

int weft_backend_init(void)
{
	weft_dummy = alloc_dax(NULL, NULL);
	return PTR_ERR_OR_ZERO(weft_dummy);
}

void weft_backend_exit(void)
{
	kill_dax(weft_dummy);
	put_dax(weft_dummy);
}

/*
 * That a dax device stands behind the file: dax reserves its major, and an open file
 * of that major means that a dax driver had added the cdev, whose parent the file
 * keeps. (dax_dev_get() would make up a device for any number.)
 */
static bool weft_is_dax(const struct inode *inode)
{
	return S_ISCHR(inode->i_mode) && inode->i_cdev &&
	       MAJOR(inode->i_rdev) == MAJOR(dax_inode(weft_dummy)->i_rdev);
}

static bool weft_fsdev_answers(struct dax_device *dax_dev)
{
	void *kaddr;
	int id = dax_read_lock();
	long avail = dax_direct_access(dax_dev, 0, 1, DAX_ACCESS, &kaddr, NULL);

	dax_read_unlock(id);
	return avail == 1;
}

int weft_backend_get(struct file *file, struct weft_device *dev)
{
	struct inode *inode = file_inode(file);
	struct dax_device *dax_dev;
	int err;

	if (!weft_is_dax(inode))
		return -ENODEV;
	dev->bad = weft_bad_create();
	if (!dev->bad)
		return -ENOMEM;
	dax_dev = inode_dax(inode);
	dev->dax_dev = dax_dev;
	dev->devt = inode->i_rdev;
	err = fs_dax_get(dax_dev, dev, &weft_holder_ops);
	if (err)
		return err == -EOPNOTSUPP ? -EMEDIUMTYPE : err;
	/* It may have been unbound before we were its holder. */
	if (!weft_fsdev_answers(dax_dev)) {
		weft_backend_put(dev);
		return -ENODEV;
	}
	/*
	 * fsdev_dax leaves these out: writes that bypass the caches, and reads that
	 * survive a machine check. There is no way to take them back, and no need.
	 */
	set_dax_nocache(dax_dev);
	set_dax_nomc(dax_dev);
	return 0;
}

void weft_backend_put(struct weft_device *dev)
{
	/* kill_dax() took it from us already; by now another may hold it. */
	if (READ_ONCE(dev->dead))
		put_dax(dev->dax_dev);
	else
		fs_put_dax(dev->dax_dev, dev);
	/* Whoever still saw us as the holder has left when this returns. */
	kill_dax(weft_dummy);
}
