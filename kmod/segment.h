/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A segment is an inode of a file system that is never mounted where anybody could
 * see it: one inode per segment on a host, because dax ties each page to one inode.
 *
 * What holds what. The table of segments holds one reference on the inode, and one on
 * the module, from create to destroy; each open file (a handle) one of each, and each
 * mapping holds its file. The inode holds its pieces, and they their devices. So a
 * file that outlives its segment finds the structures, dead, and nothing behind them:
 * destroy has deleted every mapping entry and proved that no page is pinned.
 *
 * Locks, in this order: lock (what the daemon's commands change) -> i_rwsem -> the
 * mapping's invalidate_lock. Whoever may touch memory through the segment holds one
 * of the last two, shared at least, from asking weft_handle_check() until it is done:
 * a fault the invalidate_lock, a piece of read or write i_rwsem. Taking both
 * exclusively therefore waits for all access under way, and access begun later sees
 * what was changed under them.
 *
 *   member                        changed under            read under one of
 *   map, i_size, touched, whole   all three                any
 *   revoked, dead, grant          i_rwsem, invalidate      either, or as a hint none
 *   fence                         all three                either
 *   token, last_token, mode,      lock                     lock
 *   settled
 */
#ifndef WEFT_SEGMENT_H
#define WEFT_SEGMENT_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "extent.h"
#include "stats.h"
#include "uapi/weft.h"

struct vfsmount;

struct weft_segment {
	struct inode inode;
	u64 id;
	struct mutex lock;		/* what the table above says */
	struct weft_map *map;
	unsigned long *touched;		/* a bit per unit that ever had a mapping entry */
	unsigned long *whole;		/* and one per unit whose entry is one of 2 MiB */
	bool revoked;
	bool dead;
	u64 fence;			/* weft_fence when it was granted or resumed */
	u64 grant;			/* one more with each later token */
	struct weft_token token;
	struct weft_token last_token;
	u32 mode;
	bool settled;			/* revoked, nothing pinned, flushed */
	u64 pinned;			/* when last counted */
	struct xarray handles;		/* by id */
	atomic_t nr_handles;
	struct weft_counters stats;
};

extern struct xarray weft_segments;	/* by id; changed under weft_lock */

static inline struct weft_segment *weft_segment_of(struct inode *inode)
{
	return container_of(inode, struct weft_segment, inode);
}

static inline int weft_token_compare(const struct weft_token *a, const struct weft_token *b)
{
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	if (a->counter != b->counter)
		return a->counter < b->counter ? -1 : 1;
	return 0;
}

/* The segment file system (fs.c). */
int weft_segment_init(void);
void weft_segment_exit(void);
struct vfsmount *weft_segment_mount(void);

/* An inode with nothing in it, for weft_segment_create(). NULL: no memory. */
struct weft_segment *weft_segment_new(void);

/* A reference on a live table entry, or NULL. weft_segment_put() gives it back. */
struct weft_segment *weft_segment_find(u64 id);
void weft_segment_put(struct weft_segment *seg);

/* The segment with the smallest id of at least *@id; sets *@id to it. Or NULL. */
struct weft_segment *weft_segment_next(u64 *id);

/* @extents were copied from user space; @internal lets the id have that bit. */
int weft_segment_create(struct weft_segment_create *arg, const struct weft_extent *extents,
			bool internal);
int weft_segment_extend(struct weft_segment_create *arg, const struct weft_extent *extents);

/* No @token: whatever it is, for internal segments. */
int weft_segment_destroy(u64 id, const struct weft_token *token);

void weft_segment_info(struct weft_segment *seg, struct weft_segment_info *info);

static inline void weft_segment_freeze(struct weft_segment *seg)
{
	inode_lock(&seg->inode);
	filemap_invalidate_lock(seg->inode.i_mapping);
}

static inline void weft_segment_thaw(struct weft_segment *seg)
{
	filemap_invalidate_unlock(seg->inode.i_mapping);
	inode_unlock(&seg->inode);
}

/*
 * -ESTALE if a newer token than @token was seen, -ENOENT if the segment was destroyed
 * meanwhile. Who goes on to use it makes it last_token. REQUIRES: lock.
 */
int weft_segment_check_token(const struct weft_segment *seg, const struct weft_token *token);

/*
 * 0 if memory may be used through the segment, else -ESTALE. Holds until the caller
 * lets go of i_rwsem or the invalidate_lock.
 */
int weft_segment_check(const struct weft_segment *seg);
u32 weft_segment_state(const struct weft_segment *seg);

#endif
