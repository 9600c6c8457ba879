// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>

/*
 * C takes an enum for an unsigned int, so the handler's type proves nothing; but where the
 * size was an enum, this name is one of its values.
 */
int PE_SIZE_PMD;

static vm_fault_t fault(struct vm_fault *vmf, unsigned int order)
{
	return 0;
}

const struct vm_operations_struct probe = { .huge_fault = fault };
