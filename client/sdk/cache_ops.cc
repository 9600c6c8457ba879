#include "client/sdk/cache_ops.h"

#include <atomic>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace weft {
namespace {

// Calls `op` with the start of every line that [data, data + size) touches.
template <typename Op>
inline void ForEachLine(const void* data, size_t size, size_t line_size, Op op) {
  const auto start = reinterpret_cast<uintptr_t>(data);
  const uintptr_t end = start + size;
  for (uintptr_t line = start & ~(line_size - 1); line < end; line += line_size) {
    op(reinterpret_cast<void*>(line));
  }
}

#if defined(__x86_64__)

enum class Flush { kClwb, kClflushOpt, kClflush };

struct Cpu {
  // Keeps the line cached, where the processor can.
  Flush write_back;
  // Never clwb, which is allowed to leave the stale line in place.
  Flush invalidate;
  size_t line_size;
};

Cpu DetectCpu() {
  constexpr unsigned kLeaf7EbxClflushOpt = 1u << 23;
  constexpr unsigned kLeaf7EbxClwb = 1u << 24;
  unsigned eax, ebx = 0, ecx, edx;
  __get_cpuid(1, &eax, &ebx, &ecx, &edx);
  const size_t line_size = ((ebx >> 8) & 0xff) * 8;
  unsigned features = 0;
  if (!__get_cpuid_count(7, 0, &eax, &features, &ecx, &edx)) features = 0;
  const Flush opt = (features & kLeaf7EbxClflushOpt) ? Flush::kClflushOpt : Flush::kClflush;
  return {(features & kLeaf7EbxClwb) ? Flush::kClwb : opt, opt, line_size ? line_size : 64};
}

const Cpu& ThisCpu() {
  static const Cpu cpu = DetectCpu();
  return cpu;
}

__attribute__((target("clwb"))) void ClwbLines(const void* data, size_t size, size_t line_size) {
  ForEachLine(data, size, line_size,
              [](void* line) __attribute__((target("clwb"))) { _mm_clwb(line); });
}

__attribute__((target("clflushopt"))) void ClflushOptLines(const void* data, size_t size,
                                                           size_t line_size) {
  ForEachLine(data, size, line_size,
              [](void* line) __attribute__((target("clflushopt"))) { _mm_clflushopt(line); });
}

void FlushLines(Flush how, const void* data, size_t size) {
  const size_t line_size = ThisCpu().line_size;
  switch (how) {
    case Flush::kClwb:
      return ClwbLines(data, size, line_size);
    case Flush::kClflushOpt:
      return ClflushOptLines(data, size, line_size);
    case Flush::kClflush:
      return ForEachLine(data, size, line_size, [](void* line) { _mm_clflush(line); });
  }
}

constexpr size_t kStreamBytes = 16;

#elif defined(__aarch64__)

// The data cache line size of the smallest cache, as Linux lets user space read it.
size_t LineSize() {
  uint64_t ctr;
  asm("mrs %0, ctr_el0" : "=r"(ctr));
  return size_t{4} << ((ctr >> 16) & 0xf);
}

#endif

}  // namespace

#if defined(__x86_64__)

bool CanControlCaches() { return true; }

std::string_view CacheMethodName() {
  switch (ThisCpu().write_back) {
    case Flush::kClwb:
      return "clwb";
    case Flush::kClflushOpt:
      return "clflushopt";
    case Flush::kClflush:
      break;
  }
  return "clflush";
}

void WriteBackCache(const void* data, size_t size) {
  // Each flush is ordered after older stores to its own line, so no fence goes first.
  FlushLines(ThisCpu().write_back, data, size);
  _mm_sfence();
}

void InvalidateCache(const void* data, size_t size) {
  // Flushes are not ordered with loads. The first fence keeps the flush behind the load
  // that told the caller of new data; the second keeps the loads of that data behind it.
  _mm_mfence();
  FlushLines(ThisCpu().invalidate, data, size);
  _mm_mfence();
}

void ZeroAndWriteBack(void* data, size_t size) {
  auto* const begin = static_cast<char*>(data);
  const size_t misalignment = reinterpret_cast<uintptr_t>(begin) % kStreamBytes;
  const size_t to_aligned = misalignment == 0 ? 0 : kStreamBytes - misalignment;
  const size_t head = to_aligned < size ? to_aligned : size;
  const size_t tail = (size - head) % kStreamBytes;
  const size_t streamed = size - head - tail;

  std::memset(begin, 0, head);
  const __m128i zero = _mm_setzero_si128();
  for (size_t i = 0; i < streamed; i += kStreamBytes) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(begin + head + i), zero);
  }
  std::memset(begin + head + streamed, 0, tail);
  FlushLines(ThisCpu().write_back, begin, head);
  FlushLines(ThisCpu().write_back, begin + head + streamed, tail);
  _mm_sfence();
}

#elif defined(__aarch64__)

bool CanControlCaches() { return true; }

std::string_view CacheMethodName() { return "dc cvac"; }

void WriteBackCache(const void* data, size_t size) {
  // cvac goes to the point of coherency: where everything that can reach the memory
  // agrees, which for fabric memory is the memory itself.
  ForEachLine(data, size, LineSize(), [](void* line) {
    asm volatile("dc cvac, %0" : : "r"(line) : "memory");
  });
  asm volatile("dsb sy" : : : "memory");
}

void InvalidateCache(const void* data, size_t size) {
  // Plain invalidation (dc ivac) is for the kernel only; civac writes back first. The
  // barriers order it with the loads on both sides.
  asm volatile("dsb sy" : : : "memory");
  ForEachLine(data, size, LineSize(), [](void* line) {
    asm volatile("dc civac, %0" : : "r"(line) : "memory");
  });
  asm volatile("dsb sy" : : : "memory");
}

void ZeroAndWriteBack(void* data, size_t size) {
  std::memset(data, 0, size);
  WriteBackCache(data, size);
}

#else

bool CanControlCaches() { return false; }

std::string_view CacheMethodName() { return "none"; }

void WriteBackCache(const void*, size_t) { std::atomic_thread_fence(std::memory_order_seq_cst); }

void InvalidateCache(const void*, size_t) { std::atomic_thread_fence(std::memory_order_seq_cst); }

void ZeroAndWriteBack(void* data, size_t size) {
  std::memset(data, 0, size);
  WriteBackCache(data, size);
}

#endif

}  // namespace weft
