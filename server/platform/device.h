// An opened device: the daemon's own, guarded way to its bytes.

#ifndef WEFT_SERVER_PLATFORM_DEVICE_H_
#define WEFT_SERVER_PLATFORM_DEVICE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/core/types.h"
#include "server/platform/unique_fd.h"

namespace weft {

// The smallest device of use: two labels and one extent.
inline constexpr ByteCount kMinDeviceSize{3 * kExtentUnit.value()};

enum class DeviceKind {
  kDevdax,    // /dev/daxX.Y
  kEmulated,  // a file that stands in for one
};

enum class Access { kReadOnly, kReadWrite };

// Thread-safe: every call stands alone, and two that overlap do so as two hosts would.
//
// Errors of all calls that touch bytes:
//   INVALID_ARGUMENT  BAD_SIZE              the range is not inside the device
//   DATA_LOSS         POISONED              the memory is bad; the message has the offset
//   DATA_LOSS         BACKING_FILE_DAMAGED  emulated: the file got shorter, or its file
//                                           system is full
// An error leaves the bytes of the range in any state. None of them kills the process.
class Device {
 public:
  // The most that one Zero does, so that whoever must stop writing by a deadline can
  // look at it often.
  static constexpr ByteCount kMaxPiece = kExtentUnit;

  virtual ~Device() = default;

  // "dax0.0"; for messages.
  virtual const std::string& name() const = 0;
  virtual DeviceKind kind() const = 0;
  virtual ByteCount size() const = 0;
  // What an mmap's offset and length must be multiples of: at most kExtentUnit.
  virtual ByteCount alignment() const = 0;

  // Reads what is in memory now, past whatever this host's caches held.
  virtual absl::Status Read(ByteOffset offset, absl::Span<uint8_t> out) = 0;

  // On success the bytes are in memory, where other hosts see them, and writes that
  // follow come later.
  virtual absl::Status Write(ByteOffset offset, absl::Span<const uint8_t> bytes) = 0;

  // Zeroes at most kMaxPiece, past the cache where the processor can (emulated: punches a
  // hole where the file system can). On success the zeroes are in memory.
  // REQUIRES: length <= kMaxPiece.
  virtual absl::Status Zero(ByteOffset offset, ByteCount length) = 0;

  // Zero, of bytes that no segment has, under the right that `token` is: UNAVAILABLE or
  // FAILED_PRECONDITION if it is over, where the backend can tell. Good bytes come out of bad
  // ones where it can do that.
  virtual absl::Status Scrub(ByteOffset offset, ByteCount length, Token) {
    return Zero(offset, length);
  }

  // Read and Write, of at most kMaxPiece under such a right, for a copy of bytes that nobody holds.
  virtual absl::Status CopyOut(ByteOffset offset, absl::Span<uint8_t> out, Token) {
    return Read(offset, out);
  }
  virtual absl::Status CopyIn(ByteOffset offset, absl::Span<const uint8_t> bytes, Token) {
    return Write(offset, bytes);
  }

  // What the kernel knows to be bad now: whole pages, in order, none touching another.
  virtual absl::StatusOr<std::vector<ByteRange>> BadRanges() { return std::vector<ByteRange>(); }

  // A new open file description of the whole device, to hand to a client.
  //
  // What the kernel enforces: through a read-only fd no writable mapping can be made,
  // now or by mprotect, and no write(2). What it does not: the fd reaches every byte of
  // the device, not one segment; and a client whose own credentials allow it can open
  // the device again (through /proc/self/fd, say) for writing. Hence "trusted clients
  // only".
  virtual absl::StatusOr<UniqueFd> OpenForClient(Access access) = 0;

  // Puts `mark` on such a description, where HasClient finds it as long as any descriptor or
  // mapping of it is left, in any process. One that is opened anew, through /proc/self/fd
  // say, carries none. REQUIRES: mark < 2^62.
  virtual absl::Status MarkForClient(int, uint64_t) { return absl::OkStatus(); }
  virtual absl::StatusOr<bool> HasClient(uint64_t) { return false; }
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_DEVICE_H_
