/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small test harness. TEST(theme, what) { ... } defines a test; each runs in a
 * process group of its own with a time limit. What a test leaves in the module is
 * cleaned up after it (env_reset), so tests have no tear-down.
 */
#ifndef _WEFT_SELFTEST_HARNESS_H
#define _WEFT_SELFTEST_HARNESS_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct selftest {
	const char *name;
	void (*run)(void);
};

#define TEST(theme, what)						\
	static void theme##__##what(void);				\
	static const struct selftest __selftest_##theme##_##what	\
	__attribute__((used, aligned(16), section("selftests"))) = {	\
		#theme "." #what, theme##__##what			\
	};								\
	static void theme##__##what(void)

/* Ends the test (the whole process) as failed, or as skipped for a reason. */
__attribute__((noreturn, format(printf, 3, 4)))
void test_fail(const char *file, int line, const char *format, ...);
__attribute__((noreturn, format(printf, 1, 2)))
void test_skip(const char *format, ...);

/* Exit statuses of a test. */
enum { TEST_FAILED = 1, TEST_SKIPPED = 4 };

/* Where test_skip leaves its reason: memory shared with whoever runs the test. */
#define TEST_SKIP_REASON_BYTES 256
extern char *test_skip_reason;

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

/* The condition holds; else the test fails with its text and errno. */
#define CHECK(condition)						\
	do {								\
		if (!(condition))					\
			FAIL("%s (errno: %s)", #condition,		\
			     strerror(errno));				\
	} while (0)

/* Two integers are equal; else the test fails with both and errno. */
#define CHECK_EQ(actual, expected)					\
	do {								\
		long long actual_ = (long long)(actual);		\
		long long expected_ = (long long)(expected);		\
									\
		if (actual_ != expected_)				\
			FAIL("%s is %lld (0x%llx), not %lld (errno: %s)", \
			     #actual, actual_, actual_, expected_,	\
			     strerror(errno));				\
	} while (0)

/* A system call fails with one errno and no other. */
#define CHECK_ERRNO(call, expected)					\
	do {								\
		errno = 0;						\
		if ((long)(call) != -1L)				\
			FAIL("%s succeeded, not %s", #call, #expected);	\
		if (errno != (expected))				\
			FAIL("%s failed with %s, not %s", #call,	\
			     strerrorname_np(errno), #expected);	\
	} while (0)

/* Waits for a child process that a test forked: it must exit with status 0. */
void child_join(int pid);

#endif
