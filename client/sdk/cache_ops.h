// CPU cache control over byte ranges of fabric memory.
//
// Memory on a fabric without hardware coherence is shared by two rules: a writer
// writes its lines back before it tells the reader, and a reader drops its lines
// after it was told and before it reads. These are the two halves, and a way to zero
// memory without dragging it through the cache. Plain computation: no system calls,
// no state, safe from any thread and in a signal handler.
//
//   writer: store data; WriteBackCache(data); store flag; WriteBackCache(flag)
//   reader: InvalidateCache(flag); load flag; InvalidateCache(data); load data
//
// All three work on whole cache lines around [data, data + size). A line that two
// hosts write at the same time loses one of the writes, whatever is called here: keep
// what different hosts write in different lines.

#ifndef WEFT_CLIENT_SDK_CACHE_OPS_H_
#define WEFT_CLIENT_SDK_CACHE_OPS_H_

#include <cstddef>
#include <string_view>

namespace weft {

// Whether this processor lets a program write back and drop cache lines: true on
// x86-64 and aarch64. Where it is false, WriteBackCache and InvalidateCache are full
// memory fences and nothing more, which is enough for memory with hardware coherence
// and for no other: a caller must then refuse memory that needs software coherence.
bool CanControlCaches();

// How lines are written back here: "clwb", "clflushopt", "clflush", "dc cvac", or
// "none" where CanControlCaches() is false. For logs.
std::string_view CacheMethodName();

// Writes the range's dirty lines back to memory. On return they are there (for x86:
// accepted by the memory subsystem) and no later store by this thread can be seen
// before them. The lines may stay cached.
void WriteBackCache(const void* data, size_t size);

// Drops the range's lines, writing dirty ones back first. Loads by this thread that
// follow read memory, and none of them is done early.
void InvalidateCache(const void* data, size_t size);

// Sets the range to zero, past the cache where the processor can, and writes back
// what went through the cache. On return all of it is in memory, as for
// WriteBackCache. Touches no byte outside the range.
void ZeroAndWriteBack(void* data, size_t size);

}  // namespace weft

#endif  // WEFT_CLIENT_SDK_CACHE_OPS_H_
