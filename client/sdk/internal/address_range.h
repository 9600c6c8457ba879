// A stretch of address space into which files are mapped, piece by piece.

#ifndef WEFT_CLIENT_SDK_INTERNAL_ADDRESS_RANGE_H_
#define WEFT_CLIENT_SDK_INTERNAL_ADDRESS_RANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weft::sdk {

// Not thread-safe.
class AddressRange {
 public:
  // Takes `size_bytes` of address space, aligned, that nothing can access.
  // RESOURCE_EXHAUSTED QUOTA if there is not so much.
  // REQUIRES: both are multiples of the system's page size; alignment is a power of two.
  static absl::StatusOr<std::unique_ptr<AddressRange>> Reserve(uint64_t size_bytes,
                                                               uint64_t alignment_bytes);
  // Unmaps all of it.
  ~AddressRange();
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;

  std::byte* data() const { return base_; }
  uint64_t size_bytes() const { return size_bytes_; }

  // Maps a file over [at_bytes, at_bytes + length_bytes) of the range, shared. `protection`
  // as for mmap(2). On error the range ends at `at_bytes`, and what is before is as it
  // was. Errors: QUOTA (RESOURCE_EXHAUSTED: address space or
  // number of mappings); STALE_GENERATION (FAILED_PRECONDITION); POISONED (DATA_LOSS).
  // REQUIRES: within the range, whole pages.
  absl::Status MapFile(uint64_t at_bytes, uint64_t length_bytes, int protection, int fd,
                       uint64_t file_offset_bytes);

 private:
  AddressRange(std::byte* base, uint64_t size_bytes) : base_(base), size_bytes_(size_bytes) {}

  std::byte* const base_;
  uint64_t size_bytes_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_ADDRESS_RANGE_H_
