/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIST_H
#define WEFT_LIST_H

struct weft_list;

/* The list commands; *arg was checked for its flags only. */
int weft_list_devices(struct weft_list *arg);
int weft_list_bad_ranges(struct weft_list *arg);
int weft_list_segments(struct weft_list *arg);
int weft_list_handles(struct weft_list *arg);
int weft_list_extents(struct weft_list *arg);

#endif
