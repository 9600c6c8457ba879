/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_DRIVER_DAX_H
#define WEFT_DRIVER_DAX_H

#include <linux/list.h>

struct dax_device;
struct dax_operations;
struct dev_dax;
struct dev_pagemap;
struct dev_pagemap_ops;
struct weft_bad;
struct weft_device;

/* A device bound to this driver; freed with the binding. */
struct weft_bound {
	struct list_head list;		/* in weft_bound_devices */
	struct dev_dax *dev_dax;
	struct dev_pagemap *pgmap;
	struct dax_device *dax_dev;	/* ours */
	struct weft_bad *bad;
	struct weft_device *holder;	/* a reference, under weft_bound_lock */
};

/* The holder, with a reference, or NULL. */
struct weft_device *weft_bound_holder(struct weft_bound *bound);

/* Both find their struct weft_bound by what probe left: private data, owner. dax_ops.c */
extern const struct dax_operations weft_driver_dax_ops;
extern const struct dev_pagemap_ops weft_driver_pagemap_ops;

#endif
