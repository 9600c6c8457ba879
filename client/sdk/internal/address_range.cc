#include "client/sdk/internal/address_range.h"

#include <sys/mman.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft::sdk {
namespace {

void Unmap(std::byte* from, std::byte* to) {
  if (from < to) munmap(from, static_cast<size_t>(to - from));
}

// `error` is an errno of mmap(2) for a segment's file.
absl::Status MmapError(int error) {
  switch (error) {
    case ENOMEM:
      return MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                       "mmap: no address space, or more mappings than vm.max_map_count allows");
    case ESTALE:
      return MakeError(absl::StatusCode::kFailedPrecondition, v1::STALE_GENERATION,
                       "mmap: the segment was taken back; open it again");
    case EIO:
    case EHWPOISON:
      return MakeError(absl::StatusCode::kDataLoss, v1::POISONED, "mmap: the memory is bad");
    default:
      return absl::ErrnoToStatus(error, "mmap of a segment");
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<AddressRange>> AddressRange::Reserve(uint64_t size_bytes,
                                                                    uint64_t alignment_bytes) {
  const uint64_t total_bytes = size_bytes + alignment_bytes;
  void* const start = mmap(nullptr, total_bytes, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, /*fd=*/-1, /*offset=*/0);
  if (start == MAP_FAILED) return MmapError(errno);
  std::byte* const begin = static_cast<std::byte*>(start);
  const uint64_t past = reinterpret_cast<uintptr_t>(begin) % alignment_bytes;
  std::byte* const base = begin + (past == 0 ? 0 : alignment_bytes - past);
  Unmap(begin, base);
  Unmap(base + size_bytes, begin + total_bytes);
  return std::unique_ptr<AddressRange>(new AddressRange(base, size_bytes));
}

AddressRange::~AddressRange() { Unmap(base_, base_ + size_bytes_); }

absl::Status AddressRange::MapFile(uint64_t at_bytes, uint64_t length_bytes, int protection, int fd,
                                   uint64_t file_offset_bytes) {
  std::byte* const at = base_ + at_bytes;
  if (mmap(at, length_bytes, protection, MAP_SHARED | MAP_FIXED, fd,
           static_cast<off_t>(file_offset_bytes)) != MAP_FAILED) {
    return absl::OkStatus();
  }
  const int error = errno;
  // A failed MAP_FIXED can leave a hole, which another thread's mmap may have filled since:
  // these addresses are no longer known to be ours, so they are never unmapped.
  Unmap(at + length_bytes, base_ + size_bytes_);
  size_bytes_ = at_bytes;
  return MmapError(error);
}

}  // namespace weft::sdk
