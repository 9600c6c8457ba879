// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pattern on the devices' bytes. It is written and checked through device_dax, so that
 * a wrong translation in the module cannot hide itself.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "harness.h"
#include "segment.h"

#define UNITS_MAX 1024

static atomic_bool touched[2][UNITS_MAX];

static char *map_raw(const struct dax *device)
{
	char path[32], *bytes;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", device->name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	bytes = map_rw(fd, device->units * UNIT);
	close(fd);
	return bytes;
}

/* The page that belongs at a place: a fixed page with the place in its first bytes. */
static const void *pattern_page(uint64_t device, uint64_t offset)
{
	static uint64_t page[PAGE / sizeof(uint64_t)];

	if (!page[1])
		fill(page, sizeof(page), 0x77656674);
	page[0] = device << 60 | offset;
	return page;
}

void fuzz_pattern_fill(void)
{
	for (int i = 0; i < 2; i++) {
		uint64_t size = dax[i].units * UNIT;
		char *bytes = map_raw(&dax[i]);

		CHECK(dax[i].units <= UNITS_MAX);
		for (uint64_t at = 0; at < size; at += PAGE)
			memcpy(bytes + at, pattern_page(i, at), PAGE);
		CHECK_EQ(munmap(bytes, size), 0);
		/* The label belongs to the internal segment. */
		touched[i][0] = touched[i][dax[i].units - 1] = true;
	}
}

void fuzz_pattern_touched(const struct weft_extent *extents, uint32_t count)
{
	for (uint32_t e = 0; e < count; e++) {
		/* Ids change with every add, and another thread may have added since. */
		for (int i = 0; i < 2; i++)
			for (uint64_t unit = 0; unit < extents[e].length / UNIT; unit++)
				if (extents[e].offset / UNIT + unit < UNITS_MAX)
					touched[i][extents[e].offset / UNIT + unit] = true;
	}
}

uint64_t fuzz_pattern_check(void)
{
	uint64_t checked = 0;

	for (int i = 0; i < 2; i++) {
		char *bytes = map_raw(&dax[i]);

		for (uint64_t unit = 0; unit < dax[i].units; unit++) {
			if (touched[i][unit])
				continue;
			for (uint64_t at = unit * UNIT; at < (unit + 1) * UNIT; at += PAGE)
				if (memcmp(bytes + at, pattern_page(i, at), PAGE))
					FAIL("%s: the page at %llu was changed", dax[i].name,
					     (unsigned long long)at);
			checked++;
		}
	}
	return checked;
}
