/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The interface between the weft kernel module and user space: /dev/weft (for
 * the node daemon) and the file descriptors of segments (for applications).
 * The kernel and the daemon compile this same file, as C and as C++20.
 *
 * Rules for every command of /dev/weft:
 *
 * - The caller needs CAP_SYS_ADMIN, at open and at each call (else EPERM).
 * - The argument points to the command's structure. Its first member, size, is
 *   sizeof(the structure) as the caller knows it. A structure only grows, at its
 *   end. A longer one than the kernel's is accepted when the part that the kernel
 *   does not know is all zero (else E2BIG); a shorter one than the first version
 *   is EINVAL.
 * - A flag that is not defined here and a reserved member that is not zero are
 *   EINVAL. An unknown command is ENOTTY.
 * - A call that fails has changed nothing, unless the command says otherwise,
 *   and has written nothing back, unless the command says so.
 * - Offsets and lengths are in bytes. Those of extents are multiples of
 *   WEFT_UNIT_BYTES. Times are nanoseconds on CLOCK_BOOTTIME.
 * - Ids of devices and handles are given by the module and never used twice
 *   while it is loaded. Ids of segments are the caller's; 0 is no id.
 *
 * Errors that several commands share:
 *   ENODEV  no such device, or it was unbound from its driver
 *   ENOENT  no such segment or handle
 *   ESTALE  the token is older than the newest one seen for the segment, or the
 *           segment or handle is revoked
 *   ETIME   the dead-man has fired and was not set again
 *   ENOSPC  a limit of WEFT_INFO is reached
 */
#ifndef _UAPI_LINUX_WEFT_H
#define _UAPI_LINUX_WEFT_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define WEFT_ABI_VERSION	1

/* What extents, mappings and stripe chunks are multiples of: one PMD. */
#define WEFT_UNIT_BYTES		2097152ULL

/* Limits; WEFT_INFO reports them, for a daemon newer than the module. */
#define WEFT_MAX_DEVICES		256
#define WEFT_MAX_SEGMENTS		65536
#define WEFT_MAX_SEGMENT_EXTENTS	16384	/* of one segment */
#define WEFT_MAX_DEVICE_EXTENTS		262144	/* of all segments on one device */
#define WEFT_MAX_SEGMENT_HANDLES	65536
#define WEFT_MAX_STRIPE_WAYS		64
#define WEFT_MAX_LIST_ENTRIES		4096	/* of one list call */
#define WEFT_MAX_EVENTS			1024	/* queued for one reader */
#define WEFT_MAX_WAIT_MS		60000
#define WEFT_MAX_BOUND_NS		600000000000ULL

/*
 * A segment that the module creates for itself: the label units of a device. Its
 * id is this bit and the device's id; callers cannot create such ids.
 */
#define WEFT_SEGMENT_INTERNAL		0x8000000000000000ULL

/* A fencing number: the later of two is the greater, epoch first. {0, 0} is none. */
struct weft_token {
	__u64 epoch;
	__u64 counter;
};

/* A contiguous piece of a device. */
struct weft_extent {
	__u64 device_id;
	__u64 offset;
	__u64 length;
};

/* ---- WEFT_INFO: what this module is. */

/* How the module takes a device (methods). */
#define WEFT_METHOD_DRIVER	1	/* a driver of its own, "weft", on the dax bus */
#define WEFT_METHOD_FSDEV	2	/* the kernel's fsdev_dax */

struct weft_info {
	__u32 size;
	__u32 flags;			/* in: 0 */
	__u32 abi_version;		/* out, as all below */
	__u32 method;			/* WEFT_METHOD_* */
	__u64 unit_bytes;
	__u32 max_devices;
	__u32 max_segments;
	__u32 max_segment_extents;
	__u32 max_device_extents;
	__u32 max_segment_handles;
	__u32 max_stripe_ways;
	__u32 max_list_entries;
	__u32 max_events;
	__u8 driver_name[16];		/* in /sys/bus/dax/drivers, to bind devices to */
};

/* ---- Devices */

/* Coherence between hosts is by software: a revoke flushes the caches. */
#define WEFT_DEVICE_SOFTWARE_COHERENT	0x1

/*
 * WEFT_DEVICE_ADD takes a dax device and creates its internal segment: the first
 * and the last WEFT_UNIT_BYTES, mapped one after the other, with token {0, 0}.
 *
 *   EBADF       dev_fd is no open file
 *   ENODEV      dev_fd is no dax device, or it was unbound since it was opened
 *   EMEDIUMTYPE bound to another driver than weft_info.driver_name
 *   EBUSY       somebody (this module, a file system) holds the device already
 *   EEXIST      a device with this UUID was added before
 *   EINVAL      a range is not aligned to WEFT_UNIT_BYTES, or the device is
 *               smaller than two units
 */
struct weft_device_add {
	__u32 size;
	__u32 flags;			/* WEFT_DEVICE_* */
	__s32 dev_fd;			/* /dev/daxX.Y, open in any mode; may be closed after */
	__u32 reserved;
	__u8 uuid[16];			/* of the label; for lists and events; not nil */
	__u64 device_id;		/* out */
	__u64 capacity_bytes;		/* out: a multiple of WEFT_UNIT_BYTES */
	__u64 internal_segment_id;	/* out */
	__s32 numa_node;		/* out: or -1 */
	__u32 reserved2;
};

/*
 * WEFT_DEVICE_REMOVE gives the device back, with its internal segment.
 *   EBUSY  segments have extents on it, or pages of the label units are pinned
 */
struct weft_device_remove {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 device_id;
};

/* Counters since the device was added, or the segment created. */
struct weft_stats {
	__u64 faults_2m;		/* that the fault handler answered with 2 MiB */
	__u64 faults_4k;
	__u64 faults_refused;		/* SIGBUS: revoked, poisoned, past the end */
	__u64 reads;			/* pieces of read(2), at most 2 MiB each */
	__u64 writes;
	__u64 revokes;			/* of segments, or handles of them, with bytes here */
	__u64 flushes;			/* extents written back and invalidated */
	__u64 flushed_bytes;
	__u64 zeroed_bytes;
	__u64 memory_failures;
	__u64 recovered_pages;		/* bad pages cleared by writing */
};

/* Values of weft_device_info.state. */
#define WEFT_DEVICE_LIVE	1
#define WEFT_DEVICE_DEAD	2	/* unbound; only to be removed */

struct weft_device_info {
	__u64 device_id;
	__u8 uuid[16];
	__u32 dev_major;
	__u32 dev_minor;
	__u32 state;			/* WEFT_DEVICE_LIVE, ... */
	__u32 flags;			/* WEFT_DEVICE_SOFTWARE_COHERENT, ... */
	__u64 capacity_bytes;
	__u32 extents;			/* of all segments, the internal one's two included */
	__u32 reserved2;
	__u64 bad_pages;		/* of 4 KiB */
	__s32 numa_node;
	__u32 reserved;
	struct weft_stats stats;
};

/* A range of bad pages of a device. */
struct weft_bad_range {
	__u64 offset;
	__u64 length;
};

/* ---- Segments */

#define WEFT_MODE_READ		1
#define WEFT_MODE_READ_WRITE	2

/*
 * WEFT_SEGMENT_CREATE makes a segment of the extents, in that order.
 * WEFT_SEGMENT_EXTEND appends extents; what is mapped stays mapped.
 *
 * stripe_ways 0: one extent after the other. Else each stripe_ways extents in the
 * array are one stripe set (extents must be a multiple of it): all as long as each
 * other, that length a multiple of stripe_chunk_bytes, chunk 0 in the first
 * extent, chunk 1 in the second and so on, round robin.
 *
 * Where a device is coherent by software its extents are invalidated in this
 * host's caches before the call returns.
 *
 * With WEFT_CREATE_IN_ORDER the token must not be older than the newest one seen for a
 * segment that had some of the extents before, while the device was added (ESTALE): so
 * that a command that was long under way, a scrub's too, reaches nothing.
 *
 *   EEXIST     the id is in use (create)
 *   EBUSY      an extent overlaps one of another segment, or of this one
 *   EINVAL     id is internal or 0; no extents; misaligned; length 0; bad stripe
 *   ERANGE     an extent ends past its device
 *   EFBIG      the segment would be larger than a file can be
 *   ESTALE     (extend) token older than the newest seen, or segment revoked
 */
#define WEFT_CREATE_IN_ORDER	0x1

struct weft_segment_create {
	__u32 size;
	__u32 flags;			/* WEFT_CREATE_IN_ORDER */
	__u64 segment_id;
	struct weft_token token;
	__u32 mode;			/* WEFT_MODE_*: the most for opens; extend: 0 */
	__u32 extents;			/* how many */
	__aligned_u64 extents_ptr;	/* struct weft_extent[] */
	__u64 stripe_chunk_bytes;
	__u32 stripe_ways;
	__u32 reserved;
	__u64 segment_bytes;		/* out: size of the whole segment now */
};

/*
 * WEFT_SEGMENT_OPEN opens a handle: a file descriptor (close-on-exec) through
 * which only this segment can be reached, in this mode. The handle belongs to the
 * token: once the segment is resumed with a later one it stays revoked for good.
 *
 *   ESTALE  segment revoked, or token not the one it is granted under
 *   EACCES  mode is more than the segment's
 */
struct weft_segment_open {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 segment_id;
	struct weft_token token;
	__u64 cookie;			/* handed back in lists and events */
	__u32 mode;			/* WEFT_MODE_* */
	__s32 fd;			/* out */
	__u64 handle_id;		/* out */
};

/* Values of .state of segments and handles. */
#define WEFT_STATE_LIVE		1
#define WEFT_STATE_REVOKING	2	/* no new access; pages pinned or flush not finished */
#define WEFT_STATE_REVOKED	3	/* and nothing of the old access is left */
#define WEFT_STATE_DEAD		4	/* a device of it is gone, or it was destroyed */

/*
 * WEFT_SEGMENT_REVOKE takes a segment (handle_id 0) or one handle back: from the
 * return on every access to the mappings is SIGBUS and every read and write ESTALE.
 * A revoke of one handle makes the others fault once more. It then waits up to
 * timeout_ms until no page is pinned (O_DIRECT in flight and the like), flushes
 * the caches over the extents of devices coherent by software, and reports.
 * Only state WEFT_STATE_REVOKED confirms that the bytes may change hands.
 * Repeating it is harmless, and the way to wait longer. EINTR: revoked, but the
 * wait was cut short by a signal; the result is written back.
 *
 * The token becomes the newest seen: with an equal one the revoke can be taken
 * back by WEFT_SEGMENT_RESUME, with a later one never.
 */
struct weft_segment_revoke {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 segment_id;
	__u64 handle_id;		/* 0: the segment */
	struct weft_token token;
	__u32 timeout_ms;		/* at most WEFT_MAX_WAIT_MS */
	__u32 state;			/* out: WEFT_STATE_REVOKING or WEFT_STATE_REVOKED */
	__u64 pages_pinned;		/* out: of the segment, whoever pinned them */
	__u64 flushed_bytes;		/* out: by this call */
	__u64 elapsed_ns;		/* out */
};

/*
 * WEFT_SEGMENT_RESUME makes a segment (handle_id 0) or one handle live again.
 * With the token it was granted under, its handles go on and the next access
 * faults back in. With a later one it is a new grant: old handles stay revoked,
 * mode may differ, and caches are invalidated as by create.
 *
 *   EBUSY   a later token, and the segment is not WEFT_STATE_REVOKED
 *   ETIME   the dead-man has fired and was not set again
 */
struct weft_segment_resume {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 segment_id;
	__u64 handle_id;		/* 0: the segment */
	struct weft_token token;
	__u32 mode;			/* WEFT_MODE_*; ignored unless the token is later */
	__u32 reserved;
};

/*
 * WEFT_SEGMENT_DESTROY revokes the segment and frees its extents and its id. Open
 * files stay, with every access refused as after a revoke.
 *   EBUSY   pages are pinned: the segment stays, revoked
 */
struct weft_segment_destroy {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 segment_id;
	struct weft_token token;
};

/*
 * WEFT_SEGMENT_ZERO zeroes whole pages of a segment, bad ones included (their
 * poison is cleared), in pieces of at most 2 MiB, and flushes them to memory. A
 * revoke, the dead-man's too, stops it between pieces. The token is the one that the
 * segment is granted under (else ESTALE). Bytes of no segment are scrubbed as one of
 * their own, created in order under the scrub's token.
 *   EINVAL  not multiples of 4096, or past the end
 *   ESTALE, EINTR, EIO, ENODEV  stopped; zeroed_bytes tells how far, from the start
 */
struct weft_segment_zero {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 segment_id;
	struct weft_token token;
	__u64 offset;
	__u64 length;
	__u64 zeroed_bytes;		/* out, on these errors too */
};

struct weft_segment_info {
	__u64 segment_id;
	__u64 size_bytes;
	struct weft_token token;	/* it is granted under */
	struct weft_token last_token;	/* the newest seen: never older */
	__u32 mode;
	__u32 state;			/* WEFT_STATE_* */
	__u32 handles;
	__u32 extents;
	__u64 pages_pinned;		/* when last looked at, by a revoke */
	struct weft_stats stats;
};

struct weft_handle_info {
	__u64 handle_id;
	__u64 segment_id;
	struct weft_token token;
	__u64 cookie;
	__u32 mode;
	__u32 state;			/* WEFT_STATE_* */
};

/*
 * ---- Lists
 *
 * All list commands take this. Entries come in the order of their key; those with
 * a key of at least cursor are written, as many as fit. On return entries is how
 * many were, and cursor is where to go on, or 0 at the end. entry_size is
 * sizeof(the entry) as the caller knows it: the kernel fills in what it knows of
 * it and zeroes the rest. What changes during a listing may be missed or not, but
 * nothing comes twice.
 *
 *   command              object_id   entry                      key
 *   WEFT_DEVICE_LIST     0           struct weft_device_info    device_id
 *   WEFT_BAD_RANGE_LIST  a device    struct weft_bad_range      offset
 *   WEFT_SEGMENT_LIST    0           struct weft_segment_info   segment_id
 *   WEFT_HANDLE_LIST     a segment   struct weft_handle_info    handle_id
 *   WEFT_EXTENT_LIST     a segment   struct weft_extent_info    its place, from 0
 */
struct weft_list {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 object_id;
	__u64 cursor;			/* in and out */
	__aligned_u64 entries_ptr;
	__u32 entries;			/* in: room for; out: written */
	__u32 entry_size;
};

struct weft_extent_info {
	struct weft_extent extent;
	__u64 stripe_chunk_bytes;	/* 0: not striped */
	__u32 stripe_ways;		/* 0: not striped */
	__u32 reserved;
};

/* ---- The dead-man */

#define WEFT_DEADMAN_DISARM	0x1	/* stop the timers; the other members are 0 */

/* What to do when a revoke is not done at deadline + bound. */
#define WEFT_FENCE_KEEP		0	/* as it was; at first the parameter fence_action */
#define WEFT_FENCE_REPORT	1	/* WEFT_EVENT_FENCE_FAILED only */
#define WEFT_FENCE_REBOOT	2	/* restart the host at once */

/*
 * WEFT_DEADMAN_SET: unless it is set again before, at deadline_ns every segment is
 * revoked, whatever became of the daemon. At deadline_ns + bound_ns all of it must
 * be done, or fence_action follows. Setting it after it fired allows new grants
 * and resumes, but resumes nothing by itself.
 *   ETIME   deadline_ns has passed; the timer is as it was
 *   EBUSY   it has fired and its revokes are not done yet; or disarming with live
 *           segments other than internal ones
 */
struct weft_deadman_set {
	__u32 size;
	__u32 flags;			/* WEFT_DEADMAN_DISARM */
	__u64 deadline_ns;
	__u64 bound_ns;			/* 1 to WEFT_MAX_BOUND_NS */
	__u32 fence_action;		/* WEFT_FENCE_* */
	__u32 reserved;
};

#define WEFT_DEADMAN_OFF	0
#define WEFT_DEADMAN_ARMED	1
#define WEFT_DEADMAN_FIRED	2	/* revokes under way */
#define WEFT_DEADMAN_DONE	3	/* all revoked; set it again to go on */
#define WEFT_DEADMAN_FAILED	4	/* not done at deadline + bound (fence_action report) */

struct weft_deadman_get {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 state;			/* out: WEFT_DEADMAN_*; all below are out */
	__u32 fence_action;
	__u64 deadline_ns;
	__u64 bound_ns;
	__u64 fired;			/* how often */
	__u64 fired_ns;			/* the last time: when the timer ran ... */
	__u64 done_ns;			/* ... and when all was revoked; 0: not yet */
	__u64 elapsed_max_ns;		/* longest from deadline to done, of all firings */
	__u64 revoke_max_ns;		/* longest of any revoke, waits asked for not counted */
};

/*
 * ---- What a daemon leaves for its successor
 *
 * WEFT_HOST_SET keeps these for WEFT_HOST_GET, until the module is unloaded. The
 * module does not look into the ids. last_token must not be older than the one
 * kept (ESTALE).
 */
struct weft_host {
	__u32 size;
	__u32 flags;			/* 0 */
	__u8 host_id[64];
	__u8 session_id[64];
	struct weft_token last_token;
};

/*
 * ---- Events
 *
 * read(2) on /dev/weft returns whole events, as many as fit (EINVAL when none
 * does), blocking unless O_NONBLOCK; poll says when there are some. Every open of
 * /dev/weft for reading has a queue of its own that begins with the open: list
 * once after opening. When a queue is full events are dropped, and after those that
 * were queued comes one WEFT_EVENT_OVERFLOW: list again.
 */
#define WEFT_EVENT_OVERFLOW		1	/* length: how many were lost */
#define WEFT_EVENT_MEMORY_FAILURE	2	/* device, offset, length; segment, if any */
#define WEFT_EVENT_DEADMAN_FIRED	3	/* length: bound_ns */
#define WEFT_EVENT_DEADMAN_DONE		4	/* length: nanoseconds since the deadline */
#define WEFT_EVENT_FENCE_FAILED		5	/* segment: one that is not revoked */
#define WEFT_EVENT_HANDLE_RELEASED	6	/* segment, handle, cookie: last use is over */
#define WEFT_EVENT_DEVICE_GONE		7	/* device: unbound from its driver */
#define WEFT_EVENT_SEGMENT_REVOKED	8	/* segment; length: bytes flushed */

struct weft_event {
	__u32 size;			/* of this record */
	__u32 type;			/* WEFT_EVENT_* */
	__u64 sequence;			/* one more for each event of the module */
	__u64 time_ns;
	__u64 device_id;		/* here and below: 0 where it does not apply */
	__u64 offset;			/* on the device */
	__u64 length;
	__u64 segment_id;
	__u64 segment_offset;
	__u64 handle_id;
	__u64 cookie;
};

/*
 * ---- The handle's own command
 *
 * WEFT_HANDLE_INFO, on a segment's file descriptor, needs no privilege.
 */
struct weft_handle_get {
	__u32 size;
	__u32 flags;			/* 0 */
	struct weft_handle_info info;	/* out */
	__u64 size_bytes;		/* out: of the segment, now */
	__u64 unit_bytes;		/* out: what mmap's offset and length are multiples of */
};

/* Numbers 0x0f to 0x17 are kept for suspend, copy and replace-extents. */
#define WEFT_IOC_TYPE		0xB7
#define WEFT_INFO		_IO(WEFT_IOC_TYPE, 0x00)
#define WEFT_DEVICE_ADD		_IO(WEFT_IOC_TYPE, 0x01)
#define WEFT_DEVICE_REMOVE	_IO(WEFT_IOC_TYPE, 0x02)
#define WEFT_DEVICE_LIST	_IO(WEFT_IOC_TYPE, 0x03)
#define WEFT_BAD_RANGE_LIST	_IO(WEFT_IOC_TYPE, 0x04)
#define WEFT_SEGMENT_CREATE	_IO(WEFT_IOC_TYPE, 0x05)
#define WEFT_SEGMENT_EXTEND	_IO(WEFT_IOC_TYPE, 0x06)
#define WEFT_SEGMENT_OPEN	_IO(WEFT_IOC_TYPE, 0x07)
#define WEFT_SEGMENT_REVOKE	_IO(WEFT_IOC_TYPE, 0x08)
#define WEFT_SEGMENT_RESUME	_IO(WEFT_IOC_TYPE, 0x09)
#define WEFT_SEGMENT_DESTROY	_IO(WEFT_IOC_TYPE, 0x0a)
#define WEFT_SEGMENT_ZERO	_IO(WEFT_IOC_TYPE, 0x0b)
#define WEFT_SEGMENT_LIST	_IO(WEFT_IOC_TYPE, 0x0c)
#define WEFT_HANDLE_LIST	_IO(WEFT_IOC_TYPE, 0x0d)
#define WEFT_EXTENT_LIST	_IO(WEFT_IOC_TYPE, 0x0e)
#define WEFT_DEADMAN_SET	_IO(WEFT_IOC_TYPE, 0x18)
#define WEFT_DEADMAN_GET	_IO(WEFT_IOC_TYPE, 0x19)
#define WEFT_HOST_SET		_IO(WEFT_IOC_TYPE, 0x1a)
#define WEFT_HOST_GET		_IO(WEFT_IOC_TYPE, 0x1b)
#define WEFT_HANDLE_INFO	_IO(WEFT_IOC_TYPE, 0x40)

/* Both sides refuse to build with another layout than the one agreed. */
#if defined(__KERNEL__)
#include <linux/build_bug.h>
#elif !defined(__cplusplus)
#include <assert.h>
#endif

#define WEFT_ASSERT_SIZE(type, bytes) \
	static_assert(sizeof(type) == (bytes), "the layout of " #type " is part of the ABI")

WEFT_ASSERT_SIZE(struct weft_token, 16);
WEFT_ASSERT_SIZE(struct weft_extent, 24);
WEFT_ASSERT_SIZE(struct weft_info, 72);
WEFT_ASSERT_SIZE(struct weft_device_add, 64);
WEFT_ASSERT_SIZE(struct weft_device_remove, 16);
WEFT_ASSERT_SIZE(struct weft_stats, 88);
WEFT_ASSERT_SIZE(struct weft_device_info, 160);
WEFT_ASSERT_SIZE(struct weft_bad_range, 16);
WEFT_ASSERT_SIZE(struct weft_segment_create, 72);
WEFT_ASSERT_SIZE(struct weft_segment_open, 56);
WEFT_ASSERT_SIZE(struct weft_segment_revoke, 72);
WEFT_ASSERT_SIZE(struct weft_segment_resume, 48);
WEFT_ASSERT_SIZE(struct weft_segment_destroy, 32);
WEFT_ASSERT_SIZE(struct weft_segment_zero, 56);
WEFT_ASSERT_SIZE(struct weft_segment_info, 160);
WEFT_ASSERT_SIZE(struct weft_handle_info, 48);
WEFT_ASSERT_SIZE(struct weft_list, 40);
WEFT_ASSERT_SIZE(struct weft_extent_info, 40);
WEFT_ASSERT_SIZE(struct weft_deadman_set, 32);
WEFT_ASSERT_SIZE(struct weft_deadman_get, 72);
WEFT_ASSERT_SIZE(struct weft_host, 152);
WEFT_ASSERT_SIZE(struct weft_event, 80);
WEFT_ASSERT_SIZE(struct weft_handle_get, 72);

#endif /* _UAPI_LINUX_WEFT_H */
