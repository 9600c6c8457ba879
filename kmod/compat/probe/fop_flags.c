// SPDX-License-Identifier: GPL-2.0-only
#include <linux/fs.h>

const struct file_operations probe = { .fop_flags = FOP_MMAP_SYNC };
