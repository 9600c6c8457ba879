// SPDX-License-Identifier: GPL-2.0-only
#include "flush.h"

#include <asm/cacheflush.h>
#include <asm/cpufeature.h>
#include <asm/smp.h>
#include <linux/libnvdimm.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include "deadman.h"
#include "device.h"
#include "extent.h"
#include "segment.h"

static unsigned int flush_all_mib = 1024;
module_param(flush_all_mib, uint, 0644);
MODULE_PARM_DESC(flush_all_mib,
		 "From how many MiB a revoke flushes the whole caches instead of the lines (0: never)");

static bool weft_extent_needs_flush(const struct weft_piece *piece)
{
	return piece->dev->flags & WEFT_DEVICE_SOFTWARE_COHERENT;
}

/* Calls @flush for the stretches of good pages; bad ones may have no kernel mapping. */
static void weft_flush_good(struct weft_device *dev, u64 offset, u64 length, void *kaddr,
			    void (*flush)(void *addr, size_t size))
{
	pgoff_t page = PHYS_PFN(offset);
	pgoff_t last = PHYS_PFN(offset + length - 1);

	while (page <= last) {
		pgoff_t bad = weft_bad_next(dev->bad, page, last);
		u64 from = max_t(u64, PFN_PHYS(page), offset);
		u64 to = min_t(u64, PFN_PHYS(bad), offset + length);

		if (from < to)
			flush(kaddr + (from - offset), to - from);
		page = bad + 1;
	}
}

static void weft_flush_lines(void *addr, size_t size)
{
	clflush_cache_range(addr, size);
}

static int weft_flush_piece(const struct weft_piece *piece, const u64 *fence)
{
	u64 done;

	for (done = 0; done < piece->length; done += WEFT_UNIT_BYTES) {
		u64 offset = piece->offset + done;
		void *kaddr;
		int id;

		if (fence && *fence != weft_fence_now())
			return -ETIME;
		id = dax_read_lock();
		if (!weft_device_kaddr(piece->dev, offset, WEFT_UNIT_BYTES, &kaddr))
			weft_flush_good(piece->dev, offset, WEFT_UNIT_BYTES, kaddr,
					weft_flush_lines);
		dax_read_unlock(id);
		cond_resched();
	}
	return 0;
}

static u64 weft_batch_flush_bytes(const struct weft_batch *batch)
{
	u64 bytes = 0;
	u32 i;

	for (i = 0; i < batch->count; i++)
		if (weft_extent_needs_flush(&batch->pieces[i]))
			bytes += batch->pieces[i].length;
	return bytes;
}

static bool weft_flush_all_is_cheaper(u64 bytes)
{
	return flush_all_mib && bytes >= (u64)flush_all_mib << 20 &&
	       !boot_cpu_has(X86_FEATURE_HYPERVISOR);
}

/* @lines: not done already with all the rest. */
static int weft_flush_extent(const struct weft_piece *piece, bool lines, const u64 *fence)
{
	int err;

	if (!weft_extent_needs_flush(piece))
		return 0;
	err = lines ? weft_flush_piece(piece, fence) : 0;
	if (err)
		return err;
	weft_counters_add(&piece->dev->stats, WEFT_FLUSHES, 1);
	weft_counters_add(&piece->dev->stats, WEFT_FLUSHED_BYTES, piece->length);
	weft_counters_add(&piece->seg->stats, WEFT_FLUSHES, 1);
	weft_counters_add(&piece->seg->stats, WEFT_FLUSHED_BYTES, piece->length);
	return 0;
}

/* Flushes everything at once if that is cheaper; false if the lines are still to do. */
static bool weft_flush_all(u64 bytes)
{
	if (!weft_flush_all_is_cheaper(bytes))
		return false;
	wbinvd_on_all_cpus();
	return true;
}

static u64 weft_map_flush_bytes(const struct weft_map *map)
{
	const struct weft_batch *batch;
	u64 bytes = 0;

	weft_map_for_each_batch(batch, map)
		bytes += weft_batch_flush_bytes(batch);
	return bytes;
}

int weft_flush_map(const struct weft_map *map, const u64 *fence, u64 *flushed)
{
	u64 bytes = weft_map_flush_bytes(map);
	bool lines = !weft_flush_all(bytes);
	const struct weft_batch *batch;
	u32 i;
	int err;

	weft_map_for_each_batch(batch, map) {
		for (i = 0; i < batch->count; i++) {
			err = weft_flush_extent(&batch->pieces[i], lines, fence);
			if (err)
				return err;
		}
	}
	*flushed = bytes;
	return 0;
}

void weft_flush_batch(const struct weft_batch *batch)
{
	bool lines = !weft_flush_all(weft_batch_flush_bytes(batch));
	u32 i;

	for (i = 0; i < batch->count; i++)
		weft_flush_extent(&batch->pieces[i], lines, NULL);
}

static void weft_write_back_lines(void *addr, size_t size)
{
	arch_wb_cache_pmem(addr, size);
}

int weft_write_back(const struct weft_location *at, u64 length)
{
	u64 first = ALIGN_DOWN(at->offset, PAGE_SIZE);
	void *kaddr;
	int id, err;

	id = dax_read_lock();
	err = weft_device_kaddr(at->dev, first, ALIGN(at->offset + length, PAGE_SIZE) - first,
				&kaddr);
	if (!err)
		weft_flush_good(at->dev, at->offset, length, kaddr + (at->offset - first),
				weft_write_back_lines);
	dax_read_unlock(id);
	return err;
}
