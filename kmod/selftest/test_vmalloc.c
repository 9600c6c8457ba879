// SPDX-License-Identifier: GPL-2.0-only
/* The module reads and writes devices without mapping them into vmalloc space. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "segment.h"

struct range {
	unsigned long start, last;
};

static bool read_number(const char *directory, const char *file, unsigned long *number)
{
	char path[192], text[32];

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	if (!read_file(path, text, sizeof(text)))
		return false;
	*number = strtoul(text, NULL, 0);
	return true;
}

/* The physical ranges of a device; returns how many. */
static int dax_ranges(const struct dax *device, struct range ranges[8])
{
	char directory[128];
	int count;

	for (count = 0; count < 8; count++) {
		snprintf(directory, sizeof(directory),
			 "/sys/bus/dax/devices/%s/mapping%d", device->name, count);
		if (!read_number(directory, "start", &ranges[count].start) ||
		    !read_number(directory, "end", &ranges[count].last))
			break;
	}
	return count;
}

static void check_not_in_vmalloc(const struct range *range)
{
	FILE *info = fopen("/proc/vmallocinfo", "r");
	unsigned long phys;
	char line[512];

	CHECK(info);
	while (fgets(line, sizeof(line), info)) {
		char *at = strstr(line, "phys=");

		phys = at ? strtoul(at + 5, NULL, 16) : 0;
		if (phys >= range->start && phys <= range->last)
			FAIL("a device is mapped: %s", line);
	}
	fclose(info);
}

TEST(vmallocinfo, shows_no_mapping_of_a_device)
{
	int fd = segment_open(segment_make(8), WEFT_MODE_READ_WRITE);
	struct range ranges[8];
	int count;

	map_rw(fd, 8 * UNIT)[0] = 1;
	CHECK_EQ(pwrite(fd, "x", 1, UNIT), 1);
	for (int i = 0; i < 2; i++) {
		count = dax_ranges(&dax[i], ranges);
		CHECK(count > 0);
		while (count--)
			check_not_in_vmalloc(&ranges[count]);
	}
}
