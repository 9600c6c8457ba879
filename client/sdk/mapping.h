// Bytes of a segment in this process's address space.

#ifndef WEFT_CLIENT_SDK_MAPPING_H_
#define WEFT_CLIENT_SDK_MAPPING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"

namespace weft::sdk {

class AddressRange;
class HandleCore;

// Move-only. Unmaps when destroyed; until then its handle counts as open.
//
// Not thread-safe as an object; the memory is as any shared memory. An access gets
// SIGBUS if the segment has been taken back by force (RevokeNotice comes first where the
// pool allows a grace), or if the memory is poisoned.
//
// Memory without hardware coherence (coherent() is false) needs two calls to be seen by
// other hosts, and whole 64-byte lines that only one host writes:
//
//   writer: store data, Flush it; then store a flag that says so, Flush that
//   reader: Invalidate the flag, load it; if it is set, Invalidate the data, load it
//
// REQUIRES, for every call: not moved from.
class Mapping {
 public:
  Mapping(Mapping&&) noexcept;
  Mapping& operator=(Mapping&&) noexcept;
  ~Mapping();

  // data() stays the same for the Mapping's life. Writing through a mapping of a
  // read-only handle is SIGSEGV.
  std::byte* data() const { return data_; }
  uint64_t size() const { return size_bytes_; }
  std::span<std::byte> bytes() const { return {data_, size_bytes_}; }
  bool coherent() const;

  // Makes the mapping `size_bytes` long, in place; 0: to the end of the segment as the
  // handle knows it (see Handle::Refresh). Never shorter: a size it has already is no
  // error. Errors: as Handle::Map; BAD_SIZE (INVALID_ARGUMENT: more than
  // MapOptions::reserve_bytes, or shorter). On error the mapping is as it was.
  absl::Status Extend(uint64_t size_bytes = 0);

  // Writes the stores of this host to the range back to memory, where other hosts find
  // them. No-op when coherent(): stores and fences suffice. Errors: BAD_ARGUMENT
  // (INVALID_ARGUMENT: the range is not within the mapping).
  absl::Status Flush(uint64_t offset_bytes, uint64_t length_bytes) const;
  // Drops what this host has cached of the range: loads that follow see what other hosts
  // have flushed. Stores of this host to the same lines are written back first. No-op
  // when coherent(). Errors: as Flush.
  absl::Status Invalidate(uint64_t offset_bytes, uint64_t length_bytes) const;

 private:
  friend class HandleCore;
  Mapping(std::shared_ptr<HandleCore> core, std::unique_ptr<AddressRange> range,
          uint64_t offset_bytes, uint64_t size_bytes);
  absl::Status CheckRange(uint64_t offset_bytes, uint64_t length_bytes) const;

  // Order matters: unmapped first, then the handle is given back.
  std::shared_ptr<HandleCore> core_;
  std::unique_ptr<AddressRange> range_;
  uint64_t offset_bytes_;
  uint64_t size_bytes_;
  std::byte* data_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_MAPPING_H_
