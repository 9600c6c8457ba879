// SPDX-License-Identifier: GPL-2.0-only
#include "extent.h"

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/overflow.h>

#include "device.h"
#include "segment.h"

/* The first piece of @dev that ends after @offset, or NULL. */
static struct weft_piece *weft_piece_after(struct weft_device *dev, u64 offset)
{
	struct rb_node *node = dev->extents.rb_node;
	struct weft_piece *found = NULL;

	while (node) {
		struct weft_piece *piece = rb_entry(node, struct weft_piece, node);

		if (piece->offset + piece->length > offset) {
			found = piece;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

struct weft_piece *weft_piece_at(struct weft_device *dev, u64 offset)
{
	struct weft_piece *piece;

	lockdep_assert_held(&weft_lock);
	piece = weft_piece_after(dev, offset);
	return piece && piece->offset <= offset ? piece : NULL;
}

u64 weft_piece_position(const struct weft_piece *piece, u64 offset)
{
	u64 rel = offset - piece->offset;
	u64 row, rest;

	if (!piece->chunk)
		return piece->start + rel;
	row = div64_u64_rem(rel, piece->chunk, &rest);
	return piece->start + (row * piece->ways + piece->way) * piece->chunk + rest;
}

/* True if a unit of @piece was released under a later token than @token. */
static bool weft_piece_is_stale(const struct weft_piece *piece, const struct weft_token *token)
{
	u64 unit = piece->offset / WEFT_UNIT_BYTES;
	u64 end = unit + piece->length / WEFT_UNIT_BYTES;

	for (; unit < end; unit++)
		if (weft_token_compare(token, &piece->dev->released[unit]) < 0)
			return true;
	return false;
}

static int weft_piece_claim(struct weft_piece *piece, const struct weft_token *in_order)
{
	struct weft_device *dev = piece->dev;
	struct rb_node **link = &dev->extents.rb_node, *parent = NULL;
	struct weft_piece *other;

	if (dev->dead || (dev->closed && !(piece->seg->id & WEFT_SEGMENT_INTERNAL)))
		return -ENODEV;
	if (dev->nr_extents == WEFT_MAX_DEVICE_EXTENTS)
		return -ENOSPC;
	other = weft_piece_after(dev, piece->offset);
	if (other && other->offset < piece->offset + piece->length)
		return -EBUSY;
	if (in_order && weft_piece_is_stale(piece, in_order))
		return -ESTALE;

	while (*link) {
		parent = *link;
		other = rb_entry(parent, struct weft_piece, node);
		link = piece->offset < other->offset ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&piece->node, parent, link);
	rb_insert_color(&piece->node, &dev->extents);
	dev->nr_extents++;
	return 0;
}

static void weft_piece_unclaim(struct weft_piece *piece)
{
	rb_erase(&piece->node, &piece->dev->extents);
	piece->dev->nr_extents--;
}

static void weft_piece_release(struct weft_piece *piece, const struct weft_token *token)
{
	u64 unit = piece->offset / WEFT_UNIT_BYTES;
	u64 end = unit + piece->length / WEFT_UNIT_BYTES;

	weft_piece_unclaim(piece);
	for (; unit < end; unit++)
		if (weft_token_compare(token, &piece->dev->released[unit]) > 0)
			piece->dev->released[unit] = *token;
}

int weft_batch_claim(struct weft_batch *batch, const struct weft_token *in_order)
{
	u32 i;
	int err;

	lockdep_assert_held(&weft_lock);
	for (i = 0; i < batch->count; i++) {
		err = weft_piece_claim(&batch->pieces[i], in_order);
		if (err)
			goto release;
	}
	return 0;

release:
	while (i--)
		weft_piece_unclaim(&batch->pieces[i]);
	return err;
}

void weft_batch_release(struct weft_batch *batch, const struct weft_token *token)
{
	u32 i;

	lockdep_assert_held(&weft_lock);
	for (i = 0; i < batch->count; i++)
		weft_piece_release(&batch->pieces[i], token);
}

static int weft_piece_init(struct weft_piece *piece, const struct weft_extent *extent)
{
	u64 end;

	if (!extent->length || !IS_ALIGNED(extent->offset | extent->length, WEFT_UNIT_BYTES))
		return -EINVAL;
	piece->dev = weft_device_find(extent->device_id);
	if (!piece->dev || piece->dev->dead)
		return -ENODEV;
	if (check_add_overflow(extent->offset, extent->length, &end) || end > piece->dev->capacity)
		return -ERANGE;
	piece->offset = extent->offset;
	piece->length = extent->length;
	return 0;
}

static bool weft_stripe_is_valid(u32 count, u64 chunk, u32 ways)
{
	if (!ways)
		return !chunk;
	return ways <= WEFT_MAX_STRIPE_WAYS && count % ways == 0 && chunk &&
	       IS_ALIGNED(chunk, WEFT_UNIT_BYTES);
}

/* True if the pieces of each stripe set fit each other. */
static bool weft_batch_is_even(const struct weft_batch *batch)
{
	u32 i;

	for (i = 0; batch->ways && i < batch->count; i++) {
		const struct weft_piece *piece = &batch->pieces[i];
		u64 rest;

		div64_u64_rem(piece->length, batch->chunk, &rest);
		if (rest || piece->length != batch->pieces[i - piece->way].length)
			return false;
	}
	return true;
}

struct weft_batch *weft_batch_create(struct weft_segment *seg, const struct weft_extent *extents,
				     u32 count, u64 chunk, u32 ways)
{
	struct weft_batch *batch;
	int err;
	u32 i;

	if (!count || count > WEFT_MAX_SEGMENT_EXTENTS || !weft_stripe_is_valid(count, chunk, ways))
		return ERR_PTR(-EINVAL);
	batch = kvzalloc(struct_size(batch, pieces, count), GFP_KERNEL_ACCOUNT);
	if (!batch)
		return ERR_PTR(-ENOMEM);
	batch->chunk = chunk;
	batch->ways = ways;
	batch->count = count;
	for (i = 0; i < count; i++) {
		struct weft_piece *piece = &batch->pieces[i];

		piece->seg = seg;
		piece->chunk = chunk;
		piece->ways = ways;
		piece->way = ways ? i % ways : 0;
		err = weft_piece_init(piece, &extents[i]);
		if (err)
			goto free;
	}
	err = -EINVAL;
	if (weft_batch_is_even(batch))
		return batch;
free:
	weft_batch_free(batch);
	return ERR_PTR(err);
}

void weft_batch_free(struct weft_batch *batch)
{
	u32 i;

	for (i = 0; i < batch->count; i++)
		if (batch->pieces[i].dev)
			weft_device_put(batch->pieces[i].dev);
	kvfree(batch);
}

/* Appends the runs of @batch to @map. -EFBIG if the segment would not fit in a file. */
static int weft_map_append(struct weft_map *map, struct weft_batch *batch)
{
	u32 step = batch->ways ?: 1;
	u32 i, way;

	for (i = 0; i < batch->count; i += step) {
		struct weft_piece *pieces = &batch->pieces[i];
		u64 length;

		if (check_mul_overflow(pieces->length, (u64)step, &length) ||
		    length > MAX_LFS_FILESIZE - map->size)
			return -EFBIG;
		map->runs[map->nr_runs++] = (struct weft_run) {
			.start = map->size,
			.chunk = batch->chunk,
			.ways = step,
			.pieces = pieces,
		};
		for (way = 0; way < step; way++)
			pieces[way].start = map->size;
		map->size += length;
	}
	map->nr_pieces += batch->count;
	return 0;
}

struct weft_map *weft_map_create(const struct weft_map *old, struct weft_batch *batch)
{
	u32 nr_old = old ? old->nr_runs : 0;
	u32 nr_new = batch->count / (batch->ways ?: 1);
	struct weft_map *map;
	int err;

	if (old && old->nr_pieces + batch->count > WEFT_MAX_SEGMENT_EXTENTS)
		return ERR_PTR(-ENOSPC);
	map = kvzalloc(struct_size(map, runs, nr_old + nr_new), GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&map->batches);
	if (old) {
		map->size = old->size;
		map->nr_pieces = old->nr_pieces;
		map->nr_runs = nr_old;
		memcpy(map->runs, old->runs, nr_old * sizeof(map->runs[0]));
	}
	err = weft_map_append(map, batch);
	if (err) {
		kvfree(map);
		return ERR_PTR(err);
	}
	return map;
}

void weft_map_adopt(struct weft_map *map, struct weft_map *old, struct weft_batch *batch)
{
	if (old)
		list_splice_init(&old->batches, &map->batches);
	list_add_tail(&batch->list, &map->batches);
}

void weft_map_free(struct weft_map *map)
{
	struct weft_batch *batch, *next;

	list_for_each_entry_safe(batch, next, &map->batches, list)
		weft_batch_free(batch);
	kvfree(map);
}

/* The run that has byte @pos. */
static const struct weft_run *weft_map_run(const struct weft_map *map, u64 pos)
{
	u32 low = 0, high = map->nr_runs - 1;

	while (low < high) {
		u32 middle = low + (high - low + 1) / 2;

		if (map->runs[middle].start <= pos)
			low = middle;
		else
			high = middle - 1;
	}
	return &map->runs[low];
}

void weft_map_resolve(const struct weft_map *map, u64 pos, struct weft_location *at)
{
	const struct weft_run *run = weft_map_run(map, pos);
	u64 rel = pos - run->start;
	const struct weft_piece *piece = run->pieces;

	if (run->ways == 1) {
		at->offset = piece->offset + rel;
		at->length = piece->length - rel;
	} else {
		u64 in_chunk;
		u64 stripe = div64_u64_rem(rel, run->chunk, &in_chunk);
		u32 way;
		u64 row = div_u64_rem(stripe, run->ways, &way);

		piece += way;
		at->offset = piece->offset + row * run->chunk + in_chunk;
		at->length = run->chunk - in_chunk;
	}
	at->dev = piece->dev;
}

bool weft_map_is_on(const struct weft_map *map, const struct weft_device *dev)
{
	const struct weft_batch *batch;
	u32 i;

	weft_map_for_each_batch(batch, map)
		for (i = 0; i < batch->count; i++)
			if (batch->pieces[i].dev == dev)
				return true;
	return false;
}
