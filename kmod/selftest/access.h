/* SPDX-License-Identifier: GPL-2.0-only */
/* Loads and stores that may fault, and what signal they got. */
#ifndef _WEFT_SELFTEST_ACCESS_H
#define _WEFT_SELFTEST_ACCESS_H

#include <stdbool.h>

/* What an access met: signal 0 when it succeeded. */
struct access_result {
	int signal;
	int code;	/* si_code */
	void *address;	/* si_addr */
};

/* One byte, loaded or stored. Any thread may call these at any time. */
struct access_result load(const volatile char *byte);
struct access_result store(volatile char *byte, char value);

/* The access succeeds, or gets SIGBUS. */
#define CHECK_LOADS(byte) CHECK_EQ(load(byte).signal, 0)
#define CHECK_STORES(byte, value) CHECK_EQ(store(byte, value).signal, 0)
#define CHECK_SIGBUS(byte)					\
	do {							\
		CHECK_EQ(load(byte).signal, SIGBUS);		\
		CHECK_EQ(store(byte, 1).signal, SIGBUS);	\
	} while (0)

#endif
