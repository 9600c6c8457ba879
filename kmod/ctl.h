/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/weft. */
#ifndef WEFT_CTL_H
#define WEFT_CTL_H

int weft_ctl_init(void);
void weft_ctl_exit(void);

#endif
