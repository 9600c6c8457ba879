// SPDX-License-Identifier: GPL-2.0-only
#include "bad.h"

#include <linux/set_memory.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/slab.h>

struct weft_bad *weft_bad_create(void)
{
	struct weft_bad *bad = kzalloc(sizeof(*bad), GFP_KERNEL);

	if (!bad)
		return NULL;
	kref_init(&bad->ref);
	xa_init(&bad->pages);
	return bad;
}

void weft_bad_get(struct weft_bad *bad)
{
	kref_get(&bad->ref);
}

static void weft_bad_free(struct kref *ref)
{
	struct weft_bad *bad = container_of(ref, struct weft_bad, ref);

	xa_destroy(&bad->pages);
	kfree(bad);
}

void weft_bad_put(struct weft_bad *bad)
{
	kref_put(&bad->ref, weft_bad_free);
}

bool weft_bad_add(struct weft_bad *bad, pgoff_t page)
{
	/* Forgetting a bad page would be worse than waiting for memory. */
	void *old = xa_store(&bad->pages, page, xa_mk_value(1), GFP_KERNEL | __GFP_NOFAIL);

	if (old)
		return false;
	atomic64_inc(&bad->count);
	return true;
}

void weft_bad_unpoison(void *kaddr)
{
	struct page *page = virt_to_page(kaddr);

	clear_mce_nospec(page_to_pfn(page));
	ClearPageHWPoison(page);
	/* The flag may have been set on the head of the mapping entry instead. */
	ClearPageHWPoison(virt_to_page((void *)ALIGN_DOWN((unsigned long)kaddr, PMD_SIZE)));
}

bool weft_bad_remove(struct weft_bad *bad, pgoff_t page)
{
	if (!xa_erase(&bad->pages, page))
		return false;
	atomic64_dec(&bad->count);
	return true;
}

pgoff_t weft_bad_next(struct weft_bad *bad, pgoff_t first, pgoff_t last)
{
	unsigned long page = first;

	return xa_find(&bad->pages, &page, last, XA_PRESENT) ? page : last + 1;
}
