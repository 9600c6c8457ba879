// SPDX-License-Identifier: GPL-2.0-only
/*
 * weft_selftest [FILTER]: runs the tests whose name contains FILTER and prints
 * "ok N - name", "not ok N - name" or "ok N - name # SKIP reason" for each.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "env.h"
#include "harness.h"

enum { EXIT_FAILED = 1, EXIT_SKIPPED = 4 };

/* Emulated machines are slow; a debug kernel on one is slower. */
#define TEST_TIMEOUT_S 180

extern const struct selftest __start_selftests[];
extern const struct selftest __stop_selftests[];

void test_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	printf("# %s:%d: ", file, line);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
	_exit(EXIT_FAILED);
}

void test_skip(const char *format, ...)
{
	va_list arguments;

	printf("# SKIP ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
	_exit(EXIT_SKIPPED);
}

void child_join(int pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		FAIL("a child process got signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
}

/* Waits for pid up to timeout_s; false: it is still there. SIGCHLD is blocked. */
static bool wait_timeout(pid_t pid, int *status, int timeout_s)
{
	struct timespec wait = { .tv_sec = timeout_s };
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	while (waitpid(pid, status, WNOHANG) == 0)
		if (sigtimedwait(&chld, NULL, &wait) < 0 && errno == EAGAIN)
			return waitpid(pid, status, WNOHANG) == pid;
	return true;
}

/* Runs one test; returns its exit status, or -1 when it cannot even be killed. */
static int test_run(const struct selftest *test)
{
	sigset_t chld;
	int status;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		sigprocmask(SIG_UNBLOCK, &chld, NULL);
		setpgid(0, 0);
		test->run();
		fflush(stdout);
		_exit(0);
	}
	setpgid(pid, pid);
	if (!wait_timeout(pid, &status, TEST_TIMEOUT_S)) {
		printf("# no end after %d s\n", TEST_TIMEOUT_S);
		kill(-pid, SIGKILL);
		return wait_timeout(pid, &status, 20) ? EXIT_FAILED : -1;
	}
	kill(-pid, SIGKILL);
	if (WIFSIGNALED(status)) {
		printf("# killed by signal %d\n", WTERMSIG(status));
		return EXIT_FAILED;
	}
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	const char *filter = argc > 1 ? argv[1] : "";
	const struct selftest *test;
	int number = 0, failed = 0, status;
	struct timespec start, end;

	setvbuf(stdout, NULL, _IOLBF, 0);
	env_setup();
	for (test = __start_selftests; test < __stop_selftests; test++) {
		if (!strstr(test->name, filter))
			continue;
		clock_gettime(CLOCK_MONOTONIC, &start);
		status = test_run(test);
		if (status == 0 && !env_reset())
			status = EXIT_FAILED;
		else if (status > 0)
			env_reset();
		clock_gettime(CLOCK_MONOTONIC, &end);
		failed += status != 0 && status != EXIT_SKIPPED;
		printf("%sok %d - %s%s # %ld ms\n",
		       status && status != EXIT_SKIPPED ? "not " : "", ++number,
		       test->name, status == EXIT_SKIPPED ? " # SKIP" : "",
		       (end.tv_sec - start.tv_sec) * 1000 +
		       (end.tv_nsec - start.tv_nsec) / 1000000);
		if (status < 0) {
			printf("Bail out! %s hangs in the kernel\n", test->name);
			return 1;
		}
	}
	printf("1..%d\n", number);
	return failed != 0;
}
