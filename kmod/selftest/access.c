// SPDX-License-Identifier: GPL-2.0-only
#include "access.h"

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

static __thread sigjmp_buf back;
static __thread struct access_result result;
static __thread volatile bool expected;

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	if (!expected) {
		/* Nobody asked: the access is repeated and kills the process. */
		signal(signal_number, SIG_DFL);
		return;
	}
	result.signal = signal_number;
	result.code = info->si_code;
	result.address = info->si_addr;
	siglongjmp(back, 1);
}

__attribute__((constructor))
static void handlers_install(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO,
	};

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

struct access_result load(const volatile char *byte)
{
	result = (struct access_result){};
	expected = true;
	if (!sigsetjmp(back, 1))
		(void)*byte;
	expected = false;
	return result;
}

struct access_result store(volatile char *byte, char value)
{
	result = (struct access_result){};
	expected = true;
	if (!sigsetjmp(back, 1))
		*byte = value;
	expected = false;
	return result;
}
