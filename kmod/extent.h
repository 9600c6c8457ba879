/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the bytes of a segment are. */
#ifndef WEFT_EXTENT_H
#define WEFT_EXTENT_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

struct weft_device;
struct weft_extent;
struct weft_segment;
struct weft_token;

/* An extent that belongs to a segment. Does not move in memory while it does. */
struct weft_piece {
	struct rb_node node;		/* in the device's extents, between claim and release */
	struct weft_segment *seg;
	struct weft_device *dev;	/* a reference */
	u64 offset;			/* on the device */
	u64 length;
	u64 start;			/* in the segment: of the piece, or of its stripe set */
	u64 chunk;			/* 0: not striped */
	u32 ways;
	u32 way;			/* place in the stripe set */
};

/* What one create or extend brought: its pieces, in the caller's order. */
struct weft_batch {
	struct list_head list;		/* in weft_map.batches */
	u64 chunk;			/* 0: not striped */
	u32 ways;
	u32 count;
	struct weft_piece pieces[];
};

/* Consecutive bytes of a segment: one piece, or one stripe set. */
struct weft_run {
	u64 start;
	u64 chunk;
	u32 ways;			/* 1: not striped */
	struct weft_piece *pieces;	/* [ways] */
};

/*
 * The runs of a segment by start, for a binary search. An extend makes a new map that
 * takes over the old one's batches; nothing else changes a map.
 */
struct weft_map {
	u64 size;
	u32 nr_pieces;
	u32 nr_runs;
	struct list_head batches;
	struct weft_run runs[];
};

struct weft_location {
	struct weft_device *dev;
	u64 offset;			/* on the device */
	u64 length;			/* contiguous from there; at least to the unit's end */
};

/*
 * The pieces that @extents ask for, with a reference on each device, but claimed by
 * nobody yet. ERR_PTR: -ENODEV, -EINVAL, -ERANGE, -EFBIG, -ENOMEM.
 */
struct weft_batch *weft_batch_create(struct weft_segment *seg, const struct weft_extent *extents,
				     u32 count, u64 chunk, u32 ways);
void weft_batch_free(struct weft_batch *batch);

/*
 * Makes the batch's extents the segment's on their devices. -EBUSY if one belongs to
 * somebody (or to this batch twice), -ENOSPC, -ENODEV if a device died, -ESTALE if one
 * was released under a later token than @in_order (NULL: no matter); then none is
 * claimed. REQUIRES: weft_lock.
 */
int weft_batch_claim(struct weft_batch *batch, const struct weft_token *in_order);

/* Under @token, the newest that the segment has seen. REQUIRES: weft_lock. */
void weft_batch_release(struct weft_batch *batch, const struct weft_token *token);

/*
 * A map of @old (NULL: nothing) followed by @batch. Neither is changed until
 * weft_map_adopt() moves the batches into the new map; weft_map_free() before that
 * frees the new map alone.
 */
struct weft_map *weft_map_create(const struct weft_map *old, struct weft_batch *batch);
void weft_map_adopt(struct weft_map *map, struct weft_map *old, struct weft_batch *batch);
/* Frees the map and the batches it has. */
void weft_map_free(struct weft_map *map);

/* REQUIRES: pos < map->size. O(log runs), allocates nothing. */
void weft_map_resolve(const struct weft_map *map, u64 pos, struct weft_location *at);

/* Goes through all pieces of a map. */
#define weft_map_for_each_batch(batch, map) list_for_each_entry(batch, &(map)->batches, list)

bool weft_map_is_on(const struct weft_map *map, const struct weft_device *dev);

/* The piece that has byte @offset of @dev, or NULL. REQUIRES: weft_lock. */
struct weft_piece *weft_piece_at(struct weft_device *dev, u64 offset);

/* The position in the segment of byte @offset (on the device) of @piece. */
u64 weft_piece_position(const struct weft_piece *piece, u64 offset);

#endif
