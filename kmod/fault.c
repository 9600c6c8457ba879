// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dax.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat/compat.h"
#include "device.h"
#include "file.h"
#include "handle.h"
#include "segment.h"
#include "tracepoints.h"

#define WEFT_UNIT_ORDER	(PMD_SHIFT - PAGE_SHIFT)

static_assert(WEFT_UNIT_BYTES == PMD_SIZE, "a unit is what one PMD maps");

/* True if the whole unit of the fault is in the vma, where one PMD can map it. */
static bool weft_fault_fits(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long start = ALIGN_DOWN(vmf->address, PMD_SIZE);

	return start >= vma->vm_start && start + PMD_SIZE <= vma->vm_end &&
	       IS_ALIGNED((vmf->pgoff << PAGE_SHIFT) - (vmf->address - start), PMD_SIZE);
}

static bool weft_unit_is_bad(const struct weft_location *at)
{
	pgoff_t first = PHYS_PFN(ALIGN_DOWN(at->offset, WEFT_UNIT_BYTES));

	return weft_bad_any(at->dev->bad, first, first + WEFT_UNIT_PAGES - 1);
}

/*
 * A fault for one page. While there is no page table the answer is 2 MiB all the same:
 * the kernel asks so when the vma may have no huge pages (MADV_NOHUGEPAGE), or when
 * an unmap came between its looks at the PMD; and a 4 KiB entry, once made, keeps
 * everybody else from 2 MiB. A table exists where a unit has, or had, a bad page.
 */
static vm_fault_t weft_fault_page(struct vm_fault *vmf, const struct weft_location *at,
				  unsigned int *order)
{
	vm_fault_t ret;

	if (weft_bad_any(at->dev->bad, PHYS_PFN(at->offset), PHYS_PFN(at->offset)))
		return VM_FAULT_HWPOISON;
	if (!weft_fault_fits(vmf))
		return VM_FAULT_SIGBUS;
	if (pmd_none(*vmf->pmd) && !weft_unit_is_bad(at)) {
		*order = WEFT_UNIT_ORDER;
		ret = weft_dax_fault(vmf, *order);
		if (!ret)
			return VM_FAULT_NOPAGE;
		return ret & VM_FAULT_FALLBACK ? VM_FAULT_SIGBUS : ret;
	}
	return weft_dax_fault(vmf, 0);
}

/*
 * Maps a unit that has its 2 MiB entry already, without looking the entry up again:
 * entries are deleted under the exclusive invalidate_lock only. That the entry is not
 * tagged dirty is no loss: fsync goes by touched units, and nothing else writes back.
 * VM_FAULT_FALLBACK if the ordinary way must be taken.
 */
static vm_fault_t weft_refault_unit(struct vm_fault *vmf, const struct weft_location *at)
{
	vm_fault_t ret = VM_FAULT_FALLBACK;
	void *kaddr;
	int id;

	if (!pmd_none(*vmf->pmd) || !weft_fault_fits(vmf))
		return ret;
	id = dax_read_lock();
	if (!weft_device_kaddr(at->dev, ALIGN_DOWN(at->offset, WEFT_UNIT_BYTES),
			       WEFT_UNIT_BYTES, &kaddr))
		ret = weft_insert_unit(vmf, kaddr);
	dax_read_unlock(id);
	return ret;
}

static vm_fault_t weft_fault_unit(struct vm_fault *vmf, struct weft_segment *seg,
				  const struct weft_location *at)
{
	unsigned long unit = vmf->pgoff / WEFT_UNIT_PAGES;
	vm_fault_t ret = VM_FAULT_FALLBACK;

	if (weft_unit_is_bad(at))
		return ret;
	if (test_bit(unit, seg->whole))
		ret = weft_refault_unit(vmf, at);
	if (ret != VM_FAULT_FALLBACK)
		return ret;
	ret = weft_dax_fault(vmf, WEFT_UNIT_ORDER);
	if (ret & VM_FAULT_NOPAGE && !test_bit(unit, seg->whole))
		set_bit(unit, seg->whole);
	return ret;
}

/* *@order becomes what was tried, which can be more than what was asked for. */
static vm_fault_t weft_fault_checked(struct vm_fault *vmf, unsigned int *order,
				     struct weft_segment *seg, struct weft_location *at)
{
	u64 pos = (u64)vmf->pgoff << PAGE_SHIFT;

	if (pos >= seg->map->size)
		return VM_FAULT_SIGBUS;
	weft_map_resolve(seg->map, pos, at);
	/* Before there can be a page to pin; a refault need not dirty the line. */
	if (!test_bit(pos / WEFT_UNIT_BYTES, seg->touched))
		set_bit(pos / WEFT_UNIT_BYTES, seg->touched);
	if (*order == WEFT_UNIT_ORDER)
		return weft_fault_unit(vmf, seg, at);
	return *order ? VM_FAULT_FALLBACK : weft_fault_page(vmf, at, order);
}

static void weft_fault_count(struct weft_segment *seg, const struct weft_location *at,
			     unsigned int order, vm_fault_t ret)
{
	enum weft_counter which;

	if (ret & (VM_FAULT_SIGBUS | VM_FAULT_HWPOISON))
		which = WEFT_FAULTS_REFUSED;
	else if (ret & VM_FAULT_NOPAGE)
		which = order ? WEFT_FAULTS_2M : WEFT_FAULTS_4K;
	else
		return;
	weft_counters_add(&seg->stats, which, 1);
	if (at->dev)
		weft_counters_add(&at->dev->stats, which, 1);
}

static vm_fault_t weft_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct weft_handle *handle = vmf->vma->vm_file->private_data;
	struct weft_segment *seg = handle->seg;
	struct address_space *mapping = seg->inode.i_mapping;
	struct weft_location at = {};
	vm_fault_t ret = VM_FAULT_SIGBUS;

	filemap_invalidate_lock_shared(mapping);
	if (!weft_handle_check(handle))
		ret = weft_fault_checked(vmf, &order, seg, &at);
	filemap_invalidate_unlock_shared(mapping);
	weft_fault_count(seg, &at, order, ret);
	trace_weft_fault(seg->id, handle->id, vmf->pgoff, order, vmf->flags,
			 (__force unsigned int)ret);
	return ret;
}

WEFT_DEFINE_HUGE_FAULT(weft_huge_fault)

static vm_fault_t weft_fault_4k(struct vm_fault *vmf)
{
	return weft_huge_fault(vmf, 0);
}

/* A part of a unit cannot be unmapped, protected or moved on its own. */
static int weft_vma_may_split(struct vm_area_struct *vma, unsigned long address)
{
	return IS_ALIGNED(address, WEFT_UNIT_BYTES) ? 0 : -EINVAL;
}

static unsigned long weft_vma_pagesize(struct vm_area_struct *vma)
{
	return WEFT_UNIT_BYTES;
}

const struct vm_operations_struct weft_vm_ops = {
	.fault = weft_fault_4k,
	.huge_fault = WEFT_HUGE_FAULT(weft_huge_fault),
	.page_mkwrite = weft_fault_4k,
	.pfn_mkwrite = weft_fault_4k,
	.may_split = weft_vma_may_split,
	.pagesize = weft_vma_pagesize,
};
