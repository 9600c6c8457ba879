// SPDX-License-Identifier: GPL-2.0-only
/*
 * weft_selftest [FILTER...]: runs the tests whose name contains every FILTER, or none of
 * those written -FILTER, and prints "ok N - name", "not ok N - name" or
 * "ok N - name # SKIP reason" for each.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "env.h"
#include "harness.h"

/* Emulated machines are slow; a debug kernel on one is slower. */
#define TEST_TIMEOUT_S 120

extern const struct selftest __start_selftests[];
extern const struct selftest __stop_selftests[];

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
		return wait_timeout(pid, &status, 20) ? TEST_FAILED : -1;
	}
	kill(-pid, SIGKILL);
	if (WIFSIGNALED(status)) {
		printf("# killed by signal %d\n", WTERMSIG(status));
		return TEST_FAILED;
	}
	return WEXITSTATUS(status);
}

static long now_ms(void)
{
	return now_ns() / 1000000;
}

/* Runs one test and reports it; false when the machine cannot go on. */
static bool test_report(const struct selftest *test, int number, bool *failed)
{
	long start = now_ms();
	int status = test_run(test);

	if (status >= 0 && !env_reset())
		status = TEST_FAILED;
	if (status == TEST_SKIPPED) {
		printf("ok %d - %s # SKIP %s\n", number, test->name, test_skip_reason);
		return true;
	}
	printf("%sok %d - %s # %ld ms\n", status ? "not " : "", number, test->name,
	       now_ms() - start);
	*failed |= status != 0;
	return status >= 0;
}

static bool test_wanted(const struct selftest *test, char **filters)
{
	for (; *filters; filters++) {
		bool unwanted = **filters == '-';

		if (!strstr(test->name, *filters + unwanted) != unwanted)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	const struct selftest *test;
	bool failed = false;
	int number = 0;

	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_skip_reason = mmap(NULL, TEST_SKIP_REASON_BYTES, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	env_setup();
	for (test = __start_selftests; test < __stop_selftests; test++)
		if (test_wanted(test, argv + 1) && !test_report(test, ++number, &failed)) {
			printf("Bail out! %s hangs in the kernel\n", test->name);
			return 1;
		}
	printf("1..%d\n", number);
	return !env_teardown() || failed;
}
