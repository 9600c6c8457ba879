// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>

static vm_fault_t fault(struct vm_fault *vmf, unsigned int order)
{
	return 0;
}

const struct vm_operations_struct probe = { .huge_fault = fault };
