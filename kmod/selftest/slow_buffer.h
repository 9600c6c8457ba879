/* SPDX-License-Identifier: GPL-2.0-only */
/* A buffer whose pages are missing until somebody provides them (userfaultfd). */
#ifndef _WEFT_SELFTEST_SLOW_BUFFER_H
#define _WEFT_SELFTEST_SLOW_BUFFER_H

#include <stdint.h>

struct slow_buffer {
	char *bytes;
	uint64_t length;
	int userfault;
};

/* Skips the test where the kernel has no userfaultfd. */
struct slow_buffer slow_buffer_make(uint64_t length);
/* Returns when some access waits for a page of the buffer. */
void slow_buffer_await_access(const struct slow_buffer *buffer);
/* Provides all pages, filled with value: whoever waited goes on. */
void slow_buffer_provide(const struct slow_buffer *buffer, char value);

#endif
