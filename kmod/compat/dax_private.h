/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Structures of the dax bus that no header of the kernel's packages has. They differ
 * between kernels; compat/layout.sh reads the target kernel's BTF and writes
 * weft_layout.h, which says which optional fields it has and where each field is, and
 * driver_dax.c refuses to compile when that is not what stands here.
 */
#ifndef WEFT_DAX_PRIVATE_H
#define WEFT_DAX_PRIVATE_H

#include <linux/device.h>
#include <linux/idr.h>
#include <linux/memremap.h>
#include <linux/range.h>

#include "weft_layout.h"

struct dax_mapping;
struct dax_region;

struct dev_dax_range {
	unsigned long pgoff;
	struct range range;
	struct dax_mapping *mapping;
};

struct dev_dax {
	struct dax_region *region;
	struct dax_device *dax_dev;
	unsigned int align;
	int target_node;
	bool dyn_id;
	int id;
	struct ida ida;
	struct device dev;
	struct dev_pagemap *pgmap;
#ifdef WEFT_LAYOUT_dev_dax_memmap_on_memory
	bool memmap_on_memory;
#endif
	int nr_range;
	struct dev_dax_range *ranges;
};

struct dax_device_driver {
	struct device_driver drv;
	struct list_head ids;
#ifdef WEFT_LAYOUT_dax_device_driver_match_always
	int match_always;
#else
	unsigned int type;
#endif
	int (*probe)(struct dev_dax *dev);
	void (*remove)(struct dev_dax *dev);
};

/* Functions that are exported but declared in the same private headers. */
struct dax_device *inode_dax(struct inode *inode);
struct inode *dax_inode(struct dax_device *dax_dev);
void run_dax(struct dax_device *dax_dev);
int __dax_driver_register(struct dax_device_driver *dax_drv, struct module *module,
			  const char *mod_name);
void dax_driver_unregister(struct dax_device_driver *dax_drv);
void kill_dev_dax(struct dev_dax *dev_dax);
bool static_dev_dax(struct dev_dax *dev_dax);

#endif
