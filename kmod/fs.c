// SPDX-License-Identifier: GPL-2.0-only
/* The file system that segments are inodes of. Nobody can mount or look into it. */
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "file.h"
#include "segment.h"

#define WEFT_FS_MAGIC	0x77656674

static struct kmem_cache *weft_segment_cache;
static struct vfsmount *weft_mount;

struct vfsmount *weft_segment_mount(void)
{
	return weft_mount;
}

static struct inode *weft_alloc_inode(struct super_block *sb)
{
	struct weft_segment *seg = alloc_inode_sb(sb, weft_segment_cache, GFP_KERNEL);

	if (!seg)
		return NULL;
	memset_after(seg, 0, inode);
	mutex_init(&seg->lock);
	xa_init(&seg->handles);
	return &seg->inode;
}

static void weft_free_inode(struct inode *inode)
{
	kmem_cache_free(weft_segment_cache, weft_segment_of(inode));
}

/* No file and no table has it any more, and destroy has deleted its mapping entries. */
static void weft_evict_inode(struct inode *inode)
{
	struct weft_segment *seg = weft_segment_of(inode);

	weft_evict_entries(inode);
	clear_inode(inode);
	kvfree(seg->touched);
	kvfree(seg->whole);
	if (seg->map)
		weft_map_free(seg->map);
}

static const struct super_operations weft_super_ops = {
	.alloc_inode = weft_alloc_inode,
	.free_inode = weft_free_inode,
	.evict_inode = weft_evict_inode,
	.statfs = simple_statfs,
};

static int weft_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, WEFT_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &weft_super_ops;
	fc->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	return 0;
}

/* No owner: the module's own mount would hold the module for ever. Files hold it. */
static struct file_system_type weft_fs_type = {
	.name = "weft",
	.init_fs_context = weft_init_fs_context,
	.kill_sb = kill_anon_super,
};

static void weft_segment_init_once(void *object)
{
	inode_init_once(&((struct weft_segment *)object)->inode);
}

int weft_segment_init(void)
{
	weft_segment_cache = kmem_cache_create("weft_segment", sizeof(struct weft_segment), 0,
					       SLAB_ACCOUNT, weft_segment_init_once);
	if (!weft_segment_cache)
		return -ENOMEM;
	weft_mount = kern_mount(&weft_fs_type);
	if (IS_ERR(weft_mount)) {
		kmem_cache_destroy(weft_segment_cache);
		return PTR_ERR(weft_mount);
	}
	return 0;
}

void weft_segment_exit(void)
{
	kern_unmount(weft_mount);
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(weft_segment_cache);
}

struct weft_segment *weft_segment_new(void)
{
	struct inode *inode = new_inode(weft_mount->mnt_sb);

	if (!inode)
		return NULL;
	weft_inode_setup(inode);
	return weft_segment_of(inode);
}
