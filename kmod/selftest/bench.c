// SPDX-License-Identifier: GPL-2.0-only
/*
 * weft_bench EXT4_FILE ROUNDS: what a segment costs beside its nearest relatives, in rounds
 * that take each in turn and begin with another each time. Medians, and their ratios:
 *
 *   first fault   of 2 MiB by a store, against a new file of ext4 mounted with -o dax, all
 *                 written but never mapped: an inode with mapping entries outlives
 *                 drop_caches, and would not have to be told of its pages again
 *   refault       after MADV_DONTNEED, against device_dax, and against that file
 *   bandwidth     of a copy from anonymous memory to the mapping, against device_dax
 *
 * The first dax device is Weft's, the second stays with device_dax.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "segment.h"

#define UNITS 32
#define LENGTH (UNITS * UNIT)
#define ROUNDS_MAX 1000

struct series {
	double ns[ROUNDS_MAX];
	int count;
};

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static double median(struct series *series)
{
	qsort(series->ns, series->count, sizeof(*series->ns), compare);
	return series->ns[series->count / 2];
}

static void add(struct series *series, double ns)
{
	series->ns[series->count++] = ns;
}

/* Nanoseconds for one store into each unit of a mapping, per unit. */
static double touch(volatile char *bytes)
{
	uint64_t start = now_ns();

	for (int unit = 0; unit < UNITS; unit++)
		bytes[unit * UNIT] = 1;
	return (double)(now_ns() - start) / UNITS;
}

static double refault(char *bytes)
{
	CHECK_EQ(madvise(bytes, LENGTH, MADV_DONTNEED), 0);
	return touch(bytes);
}

/* Nanoseconds to copy a unit into the mapping. */
static double copy(char *bytes)
{
	static char source[UNIT];
	uint64_t start;

	memset(source, 1, UNIT);
	touch(bytes);
	start = now_ns();
	for (int unit = 0; unit < UNITS; unit++)
		memcpy(bytes + unit * UNIT, source, UNIT);
	return (double)(now_ns() - start) / UNITS;
}

static char *map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char *bytes;

	CHECK(fd >= 0);
	bytes = map_rw(fd, LENGTH);
	close(fd);
	return bytes;
}

/* A new file whose blocks are all written, in order. */
static void ext4_prepare(const char *path)
{
	static const char zeroes[UNIT];
	int fd;

	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(fallocate(fd, 0, 0, LENGTH), 0);
	for (int unit = 0; unit < UNITS; unit++)
		CHECK_EQ(pwrite(fd, zeroes, UNIT, unit * UNIT), UNIT);
	CHECK_EQ(fsync(fd), 0);
	close(fd);
}

/* The refault is measured on the way; where to is NULL: it is not asked for. */
static double ext4_first_fault(const char *path, double *refault_ns)
{
	char *bytes;
	double ns;

	ext4_prepare(path);
	bytes = map_file(path);
	ns = touch(bytes);
	if (refault_ns)
		*refault_ns = refault(bytes);
	CHECK_EQ(munmap(bytes, LENGTH), 0);
	return ns;
}

/* The comparison is with faults of 2 MiB: the kernel's tracepoint counts them. */
static void ext4_check(const char *path)
{
	static const char event[] =
		"/sys/kernel/tracing/events/fs_dax/dax_pmd_fault_done/enable";
	static char trace[1 << 16];
	int faults = 0;

	CHECK_EQ(write_file(event, "1"), 0);
	ext4_first_fault(path, NULL);
	CHECK_EQ(write_file(event, "0"), 0);
	CHECK(read_file("/sys/kernel/tracing/trace", trace, sizeof(trace)));
	for (char *at = trace; (at = strstr(at, "NOPAGE")); at++)
		faults++;
	if (faults != UNITS)
		FAIL("ext4 took %d faults of 2 MiB for %d units", faults, UNITS);
}

static void print(const char *what, const char *other, struct series *ours,
		  struct series *theirs)
{
	printf("%s: segment %.0f ns, %s %.0f ns, ratio %.3f\n", what, median(ours), other,
	       median(theirs), median(ours) / median(theirs));
}

/* As ratio of bandwidths: more is better. */
static void print_bandwidth(struct series *ours, struct series *theirs)
{
	printf("copy of 2 MiB: segment %.0f ns, device_dax %.0f ns, bandwidth ratio %.3f\n",
	       median(ours), median(theirs), median(theirs) / median(ours));
}

static struct series first[2], again[3], copies[2];

/* Measures both; who comes second profits from what the first has warmed up. */
static void add_both(struct series *ours, struct series *theirs, double (*measure)(char *),
		     char *segment, char *raw, bool raw_first)
{
	if (raw_first)
		add(theirs, measure(raw));
	add(ours, measure(segment));
	if (!raw_first)
		add(theirs, measure(raw));
}

static void round_of_all(const char *ext4_file, char *raw, bool raw_first)
{
	uint64_t segment = segment_make(UNITS);
	int fd = segment_open(segment, WEFT_MODE_READ_WRITE);
	char *bytes = map_rw(fd, LENGTH);
	double ext4_refault;

	if (raw_first)
		add(&first[1], ext4_first_fault(ext4_file, &ext4_refault));
	add(&first[0], touch(bytes));
	if (!raw_first)
		add(&first[1], ext4_first_fault(ext4_file, &ext4_refault));
	add(&again[2], ext4_refault);
	add_both(&again[0], &again[1], refault, bytes, raw, raw_first);
	add_both(&copies[0], &copies[1], copy, bytes, raw, raw_first);
	CHECK_EQ(segment_info(segment).stats.faults_4k, 0);
	CHECK_EQ(munmap(bytes, LENGTH), 0);
	close(fd);
	CHECK_EQ(segment_destroy(segment, FIRST), 0);
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 25;
	char path[32], *raw;

	CHECK(argc > 1 && rounds > 0 && rounds <= ROUNDS_MAX);
	env_setup();
	CHECK_EQ(dax_remove(&dax[1]), 0);
	CHECK_EQ(dax_bind(dax[1].name, "device_dax"), 0);
	snprintf(path, sizeof(path), "/dev/%s", dax[1].name);
	raw = map_file(path);
	ext4_check(argv[1]);
	for (int i = 0; i < rounds; i++)
		round_of_all(argv[1], raw, i % 2);
	printf("%d rounds of %d units\n", rounds, UNITS);
	print("first fault of 2 MiB", "ext4 -o dax", &first[0], &first[1]);
	print("refault of 2 MiB", "device_dax", &again[0], &again[1]);
	print("refault of 2 MiB", "ext4 -o dax", &again[0], &again[2]);
	print_bandwidth(&copies[0], &copies[1]);
	return dax_remove(&dax[0]);
}
