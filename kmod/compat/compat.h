/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that are supported. The module is written to the
 * newest; each WEFT_HAVE_* is set by a compile probe (compat/probe/), because
 * distributions backport and version numbers lie.
 */
#ifndef WEFT_COMPAT_H
#define WEFT_COMPAT_H

#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/iomap.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>

extern const struct iomap_ops weft_iomap_ops;

/* 6.5: faults carry an order; before, an enum. */
#ifdef WEFT_HAVE_HUGE_FAULT_ORDER
#define WEFT_HUGE_FAULT(handler) handler
#define weft_fault_size(order) (order)
#else
/*
 * Stands in for the handler named @handler: the enum's values, to orders.
 */
#define WEFT_HUGE_FAULT(handler) handler##_by_size
#define WEFT_DEFINE_HUGE_FAULT(handler)							\
	static vm_fault_t handler##_by_size(struct vm_fault *vmf, enum page_entry_size size) \
	{										\
		if (size == PE_SIZE_PUD)						\
			return VM_FAULT_FALLBACK;					\
		return handler(vmf, size == PE_SIZE_PMD ? PMD_SHIFT - PAGE_SHIFT : 0);	\
	}
#define weft_fault_size(order) ((order) ? PE_SIZE_PMD : PE_SIZE_PTE)
#endif

#ifndef WEFT_DEFINE_HUGE_FAULT
#define WEFT_DEFINE_HUGE_FAULT(handler)
#endif

#ifndef WEFT_HAVE_PLAIN_PFN
#include <linux/pfn_t.h>
#endif

static inline vm_fault_t weft_dax_fault(struct vm_fault *vmf, unsigned int order)
{
	/* 6.15: a pfn is a number. It is only told for MAP_SYNC faults of file systems. */
#ifdef WEFT_HAVE_PLAIN_PFN
	unsigned long pfn;
#else
	pfn_t pfn;
#endif

	return dax_iomap_fault(vmf, weft_fault_size(order), &pfn, NULL, &weft_iomap_ops);
}

/*
 * 6.15: dax pages are folios like others, idle at no reference, counted when mapped, and
 * entries are deleted by name; before, pages idle at one reference, are mapped by number,
 * and truncation deletes entries.
 */
#ifdef WEFT_HAVE_DAX_FOLIOS
#define WEFT_IDLE_PAGE_REFS 0

static inline vm_fault_t weft_insert_unit(struct vm_fault *vmf, void *kaddr)
{
	struct folio *folio = virt_to_folio(kaddr);
	vm_fault_t ret;

	folio_ref_inc(folio);
	ret = vmf_insert_folio_pmd(vmf, folio, vmf->flags & FAULT_FLAG_WRITE);
	folio_put(folio);
	return ret;
}

static inline void weft_delete_entries(struct address_space *mapping, loff_t start, loff_t end)
{
	dax_delete_mapping_range(mapping, start, end);
}

static inline void weft_evict_entries(struct inode *inode)
{
	dax_break_layout_final(inode);
	truncate_inode_pages_final(&inode->i_data);
}
#else
#define WEFT_IDLE_PAGE_REFS 1

static inline vm_fault_t weft_insert_unit(struct vm_fault *vmf, void *kaddr)
{
	return vmf_insert_pfn_pmd(vmf, phys_to_pfn_t(__pa(kaddr), PFN_DEV | PFN_MAP),
				  vmf->flags & FAULT_FLAG_WRITE);
}

static inline void weft_delete_entries(struct address_space *mapping, loff_t start, loff_t end)
{
	truncate_inode_pages_range(mapping, start, end);
}

static inline void weft_evict_entries(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
}
#endif

/* 6.12: MAP_SYNC is a flag of file operations. */
#ifdef WEFT_HAVE_FOP_FLAGS
#define WEFT_FOP_MMAP_SYNC .fop_flags = FOP_MMAP_SYNC,
#else
#define WEFT_FOP_MMAP_SYNC .mmap_supported_flags = MAP_SYNC,
#endif

/* 6.13: timers are set up in one call. */
#ifndef WEFT_HAVE_HRTIMER_SETUP
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *timer),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

/* 6.3: vm_flags are changed by name only, and inode operations carry an idmap. */
#ifndef WEFT_HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}
#endif

#ifndef WEFT_HAVE_MNT_IDMAP
#define mnt_idmap user_namespace
#endif

#endif
