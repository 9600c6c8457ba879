/* SPDX-License-Identifier: GPL-2.0-only */
/* What an application holds: a file through which one segment can be reached. */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <linux/fs.h>
#include <linux/iomap.h>
#include <linux/mm.h>

struct weft_handle;

/*
 * Makes a file for the handle in the handle's mode. Takes over the caller's reference
 * on the segment's inode, but not on failure; a reference on the module comes with it.
 */
struct file *weft_file_create(struct weft_handle *handle);

/* Makes a new inode of the segment file system that of a segment. */
void weft_inode_setup(struct inode *inode);

/* The same functions for faults, reads and writes: position -> dax device, offset. */
extern const struct iomap_ops weft_iomap_ops;		/* iomap.c */
extern const struct vm_operations_struct weft_vm_ops;	/* fault.c */

ssize_t weft_read_iter(struct kiocb *iocb, struct iov_iter *to);	/* io.c */
ssize_t weft_write_iter(struct kiocb *iocb, struct iov_iter *from);	/* io.c */

/*
 * Zeroes [pos, pos + length), in pieces that each ask the handle again. *done is how
 * far it came. zero.c
 */
int weft_zero(const struct weft_handle *handle, loff_t pos, u64 length, u64 *done);

/* Writes what mappings changed in [start, end] back to memory. zero.c */
int weft_sync(const struct weft_handle *handle, loff_t start, loff_t end);

#endif
