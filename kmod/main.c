// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>

#include "backend.h"
#include "ctl.h"
#include "deadman.h"
#include "segment.h"

static int __init weft_init(void)
{
	int err;

	err = weft_segment_init();
	if (err)
		return err;
	err = weft_deadman_init();
	if (err)
		goto segment;
	err = weft_backend_init();
	if (err)
		goto deadman;
	err = weft_ctl_init();
	if (err)
		goto backend;
	return 0;

backend:
	weft_backend_exit();
deadman:
	weft_deadman_exit();
segment:
	weft_segment_exit();
	return err;
}

/* Devices, segments and files hold the module: there are none when this runs. */
static void __exit weft_exit(void)
{
	weft_ctl_exit();
	weft_backend_exit();
	weft_deadman_exit();
	weft_segment_exit();
}

module_init(weft_init);
module_exit(weft_exit);

MODULE_AUTHOR("The Weft authors");
MODULE_DESCRIPTION("Revocable segments of fabric-attached memory");
MODULE_LICENSE("GPL");
