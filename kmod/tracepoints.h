/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM weft

#if !defined(WEFT_TRACEPOINTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define WEFT_TRACEPOINTS_H

#include <linux/tracepoint.h>

#include "device.h"
#include "handle.h"
#include "segment.h"

DECLARE_EVENT_CLASS(weft_device_class,
		    TP_PROTO(const struct weft_device *dev),
		    TP_ARGS(dev),
		    TP_STRUCT__entry(__field(u64, id)
				     __field(dev_t, devt)
				     __field(u64, capacity)),
		    TP_fast_assign(__entry->id = dev->id;
				   __entry->devt = dev->devt;
				   __entry->capacity = dev->capacity;),
		    TP_printk("device=%llu dax=%d:%d capacity=%llu", __entry->id,
			      MAJOR(__entry->devt), MINOR(__entry->devt), __entry->capacity));

DEFINE_EVENT(weft_device_class, weft_device_add,
	     TP_PROTO(const struct weft_device *dev), TP_ARGS(dev));
DEFINE_EVENT(weft_device_class, weft_device_remove,
	     TP_PROTO(const struct weft_device *dev), TP_ARGS(dev));
DEFINE_EVENT(weft_device_class, weft_device_die,
	     TP_PROTO(const struct weft_device *dev), TP_ARGS(dev));

DECLARE_EVENT_CLASS(weft_segment_class,
		    TP_PROTO(const struct weft_segment *seg, u64 size),
		    TP_ARGS(seg, size),
		    TP_STRUCT__entry(__field(u64, id)
				     __field(u64, size)),
		    TP_fast_assign(__entry->id = seg->id;
				   __entry->size = size;),
		    TP_printk("segment=%llu size=%llu", __entry->id, __entry->size));

DEFINE_EVENT(weft_segment_class, weft_segment_create,
	     TP_PROTO(const struct weft_segment *seg, u64 size), TP_ARGS(seg, size));
DEFINE_EVENT(weft_segment_class, weft_segment_extend,
	     TP_PROTO(const struct weft_segment *seg, u64 size), TP_ARGS(seg, size));
DEFINE_EVENT(weft_segment_class, weft_segment_destroy,
	     TP_PROTO(const struct weft_segment *seg, u64 size), TP_ARGS(seg, size));

DECLARE_EVENT_CLASS(weft_handle_class,
		    TP_PROTO(const struct weft_handle *handle),
		    TP_ARGS(handle),
		    TP_STRUCT__entry(__field(u64, segment)
				     __field(u64, id)
				     __field(u64, cookie)
				     __field(u32, mode)),
		    TP_fast_assign(__entry->segment = handle->seg->id;
				   __entry->id = handle->id;
				   __entry->cookie = handle->cookie;
				   __entry->mode = handle->mode;),
		    TP_printk("segment=%llu handle=%llu cookie=%#llx mode=%u", __entry->segment,
			      __entry->id, __entry->cookie, __entry->mode));

DEFINE_EVENT(weft_handle_class, weft_handle_open,
	     TP_PROTO(const struct weft_handle *handle), TP_ARGS(handle));
DEFINE_EVENT(weft_handle_class, weft_handle_release,
	     TP_PROTO(const struct weft_handle *handle), TP_ARGS(handle));

TRACE_EVENT(weft_fault,
	    TP_PROTO(u64 segment, u64 handle, pgoff_t pgoff, unsigned int order, unsigned int flags,
		     unsigned int result),
	    TP_ARGS(segment, handle, pgoff, order, flags, result),
	    TP_STRUCT__entry(__field(u64, segment)
			     __field(u64, handle)
			     __field(pgoff_t, pgoff)
			     __field(unsigned int, order)
			     __field(unsigned int, flags)
			     __field(unsigned int, result)),
	    TP_fast_assign(__entry->segment = segment;
			   __entry->handle = handle;
			   __entry->pgoff = pgoff;
			   __entry->order = order;
			   __entry->flags = flags;
			   __entry->result = result;),
	    TP_printk("segment=%llu handle=%llu pgoff=%lu order=%u flags=%#x result=%#x",
		      __entry->segment, __entry->handle, __entry->pgoff, __entry->order,
		      __entry->flags, __entry->result));

TRACE_EVENT(weft_revoke,
	    TP_PROTO(const struct weft_segment_revoke *arg, int err),
	    TP_ARGS(arg, err),
	    TP_STRUCT__entry(__field(u64, segment)
			     __field(u64, handle)
			     __field(u64, epoch)
			     __field(u64, counter)
			     __field(u32, state)
			     __field(u64, pinned)
			     __field(u64, flushed)
			     __field(u64, elapsed)
			     __field(int, err)),
	    TP_fast_assign(__entry->segment = arg->segment_id;
			   __entry->handle = arg->handle_id;
			   __entry->epoch = arg->token.epoch;
			   __entry->counter = arg->token.counter;
			   __entry->state = arg->state;
			   __entry->pinned = arg->pages_pinned;
			   __entry->flushed = arg->flushed_bytes;
			   __entry->elapsed = arg->elapsed_ns;
			   __entry->err = err;),
	    TP_printk("segment=%llu handle=%llu token=%llu.%llu state=%u pinned=%llu flushed=%llu ns=%llu err=%d",
		      __entry->segment, __entry->handle, __entry->epoch, __entry->counter,
		      __entry->state, __entry->pinned, __entry->flushed, __entry->elapsed,
		      __entry->err));

TRACE_EVENT(weft_resume,
	    TP_PROTO(const struct weft_segment_resume *arg, int err),
	    TP_ARGS(arg, err),
	    TP_STRUCT__entry(__field(u64, segment)
			     __field(u64, handle)
			     __field(u64, epoch)
			     __field(u64, counter)
			     __field(int, err)),
	    TP_fast_assign(__entry->segment = arg->segment_id;
			   __entry->handle = arg->handle_id;
			   __entry->epoch = arg->token.epoch;
			   __entry->counter = arg->token.counter;
			   __entry->err = err;),
	    TP_printk("segment=%llu handle=%llu token=%llu.%llu err=%d", __entry->segment,
		      __entry->handle, __entry->epoch, __entry->counter, __entry->err));

TRACE_EVENT(weft_deadman,
	    TP_PROTO(u32 event, u64 ns),
	    TP_ARGS(event, ns),
	    TP_STRUCT__entry(__field(u32, event)
			     __field(u64, ns)),
	    TP_fast_assign(__entry->event = event;
			   __entry->ns = ns;),
	    TP_printk("event=%u ns=%llu", __entry->event, __entry->ns));

TRACE_EVENT(weft_memory_failure,
	    TP_PROTO(const struct weft_event *event),
	    TP_ARGS(event),
	    TP_STRUCT__entry(__field(u64, device)
			     __field(u64, offset)
			     __field(u64, segment)
			     __field(u64, position)),
	    TP_fast_assign(__entry->device = event->device_id;
			   __entry->offset = event->offset;
			   __entry->segment = event->segment_id;
			   __entry->position = event->segment_offset;),
	    TP_printk("device=%llu offset=%llu segment=%llu position=%llu", __entry->device,
		      __entry->offset, __entry->segment, __entry->position));

TRACE_EVENT(weft_recover,
	    TP_PROTO(u64 segment, u64 position, u64 device, u64 offset),
	    TP_ARGS(segment, position, device, offset),
	    TP_STRUCT__entry(__field(u64, segment)
			     __field(u64, position)
			     __field(u64, device)
			     __field(u64, offset)),
	    TP_fast_assign(__entry->segment = segment;
			   __entry->position = position;
			   __entry->device = device;
			   __entry->offset = offset;),
	    TP_printk("segment=%llu position=%llu device=%llu offset=%llu", __entry->segment,
		      __entry->position, __entry->device, __entry->offset));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE tracepoints
#include <trace/define_trace.h>
