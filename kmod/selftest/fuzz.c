// SPDX-License-Identifier: GPL-2.0-only
/*
 * weft_fuzz COUNT [SEED]: COUNT random operations on the module from several threads. Then
 * every byte that no segment was ever made of must hold what it held before, and the module
 * must give everything back. The kernel's log is the caller's to check.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "fuzz.h"
#include "harness.h"
#include "segment.h"

#define THREADS 4

static atomic_long remaining;

uint64_t fuzz_random(struct fuzz *fuzz, uint64_t limit)
{
	/* xorshift64* */
	fuzz->random ^= fuzz->random >> 12;
	fuzz->random ^= fuzz->random << 25;
	fuzz->random ^= fuzz->random >> 27;
	return (fuzz->random * 0x2545f4914f6cdd1dULL >> 1) % limit;
}

bool fuzz_one_in(struct fuzz *fuzz, uint64_t n)
{
	return !fuzz_random(fuzz, n);
}

/* Takes a device from the module's driver under everybody's feet, and gives it back. */
static void rebind(struct fuzz *fuzz)
{
	struct dax *device = &dax[fuzz_random(fuzz, 2)];

	fuzz_drop_all(fuzz);
	dax_bind(device->name, "");
	dax_remove(device);
	dax_bind(device->name, driver_name);
	dax_add(device, 0);
}

static void *fuzz_thread(void *argument)
{
	struct fuzz fuzz = {
		.random = (uintptr_t)argument,
		.fds = { -1, -1, -1, -1, -1, -1, -1, -1 },
		.pipes = { -1, -1 },
	};

	while (atomic_fetch_sub(&remaining, 1) > 0) {
		if (fuzz_one_in(&fuzz, 2000))
			rebind(&fuzz);
		else if (fuzz_one_in(&fuzz, 2))
			fuzz_command(&fuzz);
		else
			fuzz_access(&fuzz);
	}
	fuzz_drop_all(&fuzz);
	return NULL;
}

static void report(int number, const char *what, bool passed)
{
	printf("%sok %d - fuzz.%s\n", passed ? "" : "not ", number, what);
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 10000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : now_ns();
	pthread_t threads[THREADS];
	uint64_t checked;
	bool given_back;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# fuzz: %ld operations, seed %llu\n", count, (unsigned long long)seed);
	env_setup();
	CHECK(env_teardown());
	fuzz_pattern_fill();
	env_setup();

	remaining = count;
	for (long i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, fuzz_thread,
					(void *)(seed * THREADS + i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);

	given_back = env_reset() && env_teardown();
	report(1, "everything_is_given_back", given_back);
	checked = fuzz_pattern_check();
	printf("# %llu units outside all segments checked\n", (unsigned long long)checked);
	report(2, "bytes_outside_segments_are_unchanged", checked > 0);
	return !given_back || !checked;
}
