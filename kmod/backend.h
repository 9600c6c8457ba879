/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where dax_operations come from: the kernel's fsdev_dax (fsdev.c), or, on kernels
 * that have none, a driver of our own (compat/driver_dax.c). One of the two is built.
 */
#ifndef WEFT_BACKEND_H
#define WEFT_BACKEND_H

#include <linux/types.h>

struct file;
struct weft_device;

extern const char *const weft_backend_driver;	/* the dax driver a device is bound to */
extern const u32 weft_backend_method;		/* WEFT_METHOD_* */

int weft_backend_init(void);
void weft_backend_exit(void);

/*
 * Takes the dax device of open file @file for @dev: sets dax_dev, devt and bad. From
 * then on weft_device_die() and weft_poison_report() are called on @dev. Takes the
 * lock of the device. -ENODEV, -EMEDIUMTYPE or -EBUSY as WEFT_DEVICE_ADD.
 */
int weft_backend_get(struct file *file, struct weft_device *dev);

/* Gives it back; when this returns nobody calls into @dev any more. May sleep long. */
void weft_backend_put(struct weft_device *dev);

#endif
