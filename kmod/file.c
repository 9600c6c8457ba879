// SPDX-License-Identifier: GPL-2.0-only
#include "file.h"

#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "handle.h"
#include "segment.h"

/* Of whole units only: what is left over at an edge would need 4 KiB pages. */
static int weft_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct weft_handle *handle = file->private_data;
	u64 start = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 length = vma->vm_end - vma->vm_start;

	/* Not VM_SHARED: that is clear on a shared mapping of a read-only file. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (!IS_ALIGNED(vma->vm_start | start | length, WEFT_UNIT_BYTES))
		return -EINVAL;
	if (start + length > i_size_read(file_inode(file)))
		return -EINVAL;
	if (weft_handle_check(handle))
		return -ESTALE;
	vma->vm_ops = &weft_vm_ops;
	vm_flags_set(vma, VM_HUGEPAGE);
	return 0;
}

static int weft_file_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return weft_sync(file->private_data, start, end);
}

static long weft_file_fallocate(struct file *file, int mode, loff_t pos, loff_t length)
{
	u64 done;

	if ((mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE)
		return -EOPNOTSUPP;
	if (length > i_size_read(file_inode(file)) - pos)
		return -ENOSPC;
	return weft_zero(file->private_data, pos, length, &done);
}

/* Through /proc, a read-only file could be opened again to write. */
static int weft_file_open(struct inode *inode, struct file *file)
{
	return -ENXIO;
}

static int weft_file_release(struct inode *inode, struct file *file)
{
	weft_handle_release(file->private_data);
	return 0;
}

static long weft_file_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct weft_handle_get __user *user = (void __user *)argument;
	struct weft_handle *handle = file->private_data;
	struct weft_handle_get get = {};
	u32 size;
	int err;

	if (command != WEFT_HANDLE_INFO)
		return -ENOTTY;
	if (get_user(size, &user->size))
		return -EFAULT;
	if (size < sizeof(get))
		return -EINVAL;
	err = copy_struct_from_user(&get, sizeof(get), user, size);
	if (err)
		return err;
	if (get.flags)
		return -EINVAL;
	weft_handle_info(handle, &get.info);
	get.size_bytes = i_size_read(file_inode(file));
	get.unit_bytes = WEFT_UNIT_BYTES;
	return copy_to_user(user, &get, sizeof(get)) ? -EFAULT : 0;
}

static const struct file_operations weft_file_fops = {
	.owner = THIS_MODULE,
	.open = weft_file_open,
	.release = weft_file_release,
	.llseek = generic_file_llseek,
	.read_iter = weft_read_iter,
	.write_iter = weft_write_iter,
	.mmap = weft_file_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.fsync = weft_file_fsync,
	.fallocate = weft_file_fallocate,
	.unlocked_ioctl = weft_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	WEFT_FOP_MMAP_SYNC
};

/* The size is everybody's, and nobody's to change but the daemon's by extending. */
static int weft_inode_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	return -EPERM;
}

static const struct inode_operations weft_inode_ops = {
	.setattr = weft_inode_setattr,
};

static const struct address_space_operations weft_aops = {
	/* DMA into a mapping marks its pages dirty; memory has nothing to write back to. */
	.dirty_folio = noop_dirty_folio,
};

void weft_inode_setup(struct inode *inode)
{
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | 0600;
	/* Who may have it was decided before it was handed out. */
	inode->i_flags |= S_DAX | S_PRIVATE;
	inode->i_op = &weft_inode_ops;
	inode->i_fop = &weft_file_fops;
	inode->i_mapping->a_ops = &weft_aops;
}

struct file *weft_file_create(struct weft_handle *handle)
{
	int flags = handle->mode == WEFT_MODE_READ ? O_RDONLY : O_RDWR;
	struct file *file;

	/* fput() drops one that alloc_file_pseudo() does not take. */
	if (!try_module_get(THIS_MODULE))
		return ERR_PTR(-ENXIO);
	file = alloc_file_pseudo(&handle->seg->inode, weft_segment_mount(), "weft",
				 flags | O_LARGEFILE, &weft_file_fops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		return file;
	}
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	file->private_data = handle;
	return file;
}
