/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine under test: its dax devices, bound to the module's driver and added. */
#ifndef _WEFT_SELFTEST_ENV_H
#define _WEFT_SELFTEST_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "../uapi/weft.h"

#define MIB (1024ULL * 1024)
#define UNIT WEFT_UNIT_BYTES
#define PAGE 4096ULL

/* A dax device under test. Units 0 and units - 1 hold the label. */
struct dax {
	char name[16];		/* as in /sys/bus/dax/devices, padded with zeroes; its UUID too */
	uint64_t id;		/* the module's */
	uint64_t internal;	/* its internal segment */
	uint64_t units;
};

/* Two devices, shared with child processes; tests that need one use the first. */
extern struct dax *dax;
/* /dev/weft, opened for reading and writing. */
extern int control;
/* The dax driver that the module takes devices from. */
extern char driver_name[16];

/* Binds and adds the devices; ends the program when it cannot. */
void env_setup(void);
/* Gives the devices back to device_dax; false, with a diagnosis, when it cannot. */
bool env_teardown(void);
/*
 * Destroys every segment, disarms the dead-man and puts the devices back as they
 * were. False, with a diagnosis, when something cannot be brought back.
 */
bool env_reset(void);

/* Binds a device to a dax driver, taking it from the one it has ("": none). */
int dax_bind(const char *name, const char *driver);
/* Takes a device into the module with WEFT_DEVICE_* flags; 0 or -1 with errno. */
int dax_add(struct dax *device, uint32_t flags);
int dax_remove(const struct dax *device);
/* The device's entry of WEFT_DEVICE_LIST. */
struct weft_device_info dax_info(const struct dax *device);

/* Reads a small file into buffer as a string; false when it does not exist. */
bool read_file(const char *path, char *buffer, int size);
/* Writes a string to a file; 0 or -1 with errno. */
int write_file(const char *path, const char *text);

/* CLOCK_BOOTTIME, in nanoseconds. */
uint64_t now_ns(void);

#endif
