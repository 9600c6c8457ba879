// SPDX-License-Identifier: GPL-2.0-only
/* The operations that character dax devices lack before fsdev_dax. */
#include <linux/dax.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>
#include <linux/pfn_t.h>
#include <linux/uio.h>

#include "../bad.h"
#include "../device.h"
#include "../poison.h"
#include "dax_private.h"
#include "driver_dax.h"

/* Since 6.9 a bad page is told from other errors; before, the core looks for EIO. */
#ifdef WEFT_HAVE_DAX_HWPOISON
#define WEFT_BAD_PAGE_ERROR	(-EHWPOISON)
#else
#define WEFT_BAD_PAGE_ERROR	(-EIO)
#endif

/* The range that has page @pgoff of the device, or NULL. */
static const struct dev_dax_range *weft_bound_range(const struct weft_bound *bound, pgoff_t pgoff)
{
	const struct dev_dax *dev_dax = bound->dev_dax;
	int i;

	for (i = 0; i < dev_dax->nr_range; i++) {
		const struct dev_dax_range *range = &dev_dax->ranges[i];

		if (pgoff >= range->pgoff &&
		    pgoff - range->pgoff < PHYS_PFN(range_len(&range->range)))
			return range;
	}
	return NULL;
}

/*
 * __va() is right in every range: memremap_pages() puts them all into the linear map.
 * No vmap space is used, and a kernel address, unlike a bare physical one, is what
 * read(2) needs to copy from.
 */
static long weft_direct_access(struct dax_device *dax_dev, pgoff_t pgoff, long nr_pages,
			       enum dax_access_mode mode, void **kaddr, pfn_t *pfn)
{
	struct weft_bound *bound = dax_get_private(dax_dev);
	const struct dev_dax_range *range;
	phys_addr_t phys;
	long avail;

	if (!bound)
		return -ENXIO;
	range = weft_bound_range(bound, pgoff);
	if (!range)
		return -ERANGE;
	phys = range->range.start + PFN_PHYS(pgoff - range->pgoff);
	avail = min_t(long, nr_pages, PHYS_PFN(range->range.end + 1 - phys));
	if (mode == DAX_ACCESS && avail > 0) {
		pgoff_t bad = weft_bad_next(bound->bad, pgoff, pgoff + avail - 1);

		if (bad == pgoff)
			return WEFT_BAD_PAGE_ERROR;
		avail = bad - pgoff;
	}
	if (kaddr)
		*kaddr = __va(phys);
	if (pfn)
		*pfn = phys_to_pfn_t(phys, PFN_DEV | PFN_MAP);
	return avail;
}

/* The dax core asks for one page at a time; nothing here needs it to. */
static int weft_zero_page_range(struct dax_device *dax_dev, pgoff_t pgoff, size_t nr_pages)
{
	while (nr_pages) {
		void *kaddr;
		long avail = weft_direct_access(dax_dev, pgoff, nr_pages, DAX_ACCESS, &kaddr, NULL);

		if (avail <= 0)
			return avail ?: -ERANGE;
		memset(kaddr, 0, PFN_PHYS(avail));
		arch_wb_cache_pmem(kaddr, PFN_PHYS(avail));
		pgoff += avail;
		nr_pages -= avail;
	}
	return 0;
}

/*
 * Writes through the caches of @bytes at @addr, which is page @pgoff or inside it; bad
 * pages that were covered whole are good again.
 */
static size_t weft_recovery_write(struct dax_device *dax_dev, pgoff_t pgoff, void *addr,
				  size_t bytes, struct iov_iter *iter)
{
	struct weft_bound *bound = dax_get_private(dax_dev);
	size_t offset = offset_in_page(addr);
	size_t done, page;

	if (!bound)
		return 0;
	for (page = offset ? PAGE_SIZE - offset : 0; page + PAGE_SIZE <= bytes; page += PAGE_SIZE)
		weft_bad_unpoison(addr + page);
	done = _copy_from_iter_flushcache(addr, bytes, iter);
	for (page = offset ? PAGE_SIZE - offset : 0; page + PAGE_SIZE <= done; page += PAGE_SIZE)
		weft_bad_remove(bound->bad, pgoff + PHYS_PFN(offset + page));
	return done;
}

const struct dax_operations weft_driver_dax_ops = {
	.direct_access = weft_direct_access,
	.zero_page_range = weft_zero_page_range,
	.recovery_write = weft_recovery_write,
};

static int weft_memory_failure(struct dev_pagemap *pgmap, unsigned long pfn,
			       unsigned long nr_pages, int mf_flags)
{
	struct weft_bound *bound = READ_ONCE(pgmap->owner);
	phys_addr_t phys = PFN_PHYS(pfn);
	struct weft_device *dev;
	int i, err = 0;

	/* Being unbound; it stays allocated until the caller gives the page map back. */
	if (!bound)
		return -EOPNOTSUPP;
	for (i = 0; i < bound->dev_dax->nr_range; i++) {
		const struct dev_dax_range *range = &bound->dev_dax->ranges[i];
		u64 offset = PFN_PHYS(range->pgoff) + (phys - range->range.start);
		unsigned long page;

		if (phys < range->range.start || phys > range->range.end)
			continue;
		for (page = 0; page < nr_pages; page++)
			weft_bad_add(bound->bad, PHYS_PFN(offset) + page);
		dev = weft_bound_holder(bound);
		if (!dev)
			return 0;
		err = weft_poison_report(dev, offset, PFN_PHYS(nr_pages), mf_flags);
		weft_device_put(dev);
	}
	return err;
}

const struct dev_pagemap_ops weft_driver_pagemap_ops = {
	.memory_failure = weft_memory_failure,
};
