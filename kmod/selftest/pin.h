/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages that somebody in the kernel holds. */
#ifndef _WEFT_SELFTEST_PIN_H
#define _WEFT_SELFTEST_PIN_H

#include <stdint.h>

/*
 * Holds `pages` pages from bytes on in a pipe (vmsplice takes references, not copies)
 * until pin_release. At most 16.
 */
struct pin {
	int pipe[2];
	int pages;
};

struct pin pin_take(char *bytes, int pages);
void pin_release(const struct pin *pin);

#endif
