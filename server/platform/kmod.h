// The kernel module: segments that are files, bounded and revocable. What each call does and
// how the kernel answers is told in kmod/uapi/weft.h; here are the daemon's words for it.

#ifndef WEFT_SERVER_PLATFORM_KMOD_H_
#define WEFT_SERVER_PLATFORM_KMOD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/core/types.h"
#include "server/platform/clock.h"
#include "server/platform/device.h"
#include "server/platform/unique_fd.h"

namespace weft {

// The module's name for a device, for as long as the module is loaded.
using KmodDeviceId = StrongUint64<struct KmodDeviceIdTag>;

struct KmodDeviceInfo {
  KmodDeviceId id;
  DeviceId uuid;
  ByteCount capacity;
  // Of /dev/daxX.Y, as stat(2) tells it.
  uint64_t device_number = 0;
  // Unbound from its driver: it can only be removed.
  bool dead = false;
};

struct KmodExtent {
  KmodDeviceId device;
  ByteOffset offset;
  ByteCount length;

  friend bool operator==(const KmodExtent&, const KmodExtent&) = default;
};

// Consecutive bytes of a segment, as v1::Run. One extent and no chunk, or stripes.
struct KmodRun {
  std::vector<KmodExtent> extents;
  ByteCount stripe_chunk;
};

enum class KmodState {
  kLive,
  kRevoking,  // no new access; pages pinned, or a flush not finished
  kRevoked,   // and nothing of the old access is left
  kDead,      // a device of it is gone
};

struct KmodSegmentInfo {
  SegmentId id;
  Token token;
  // The newest seen, never older than `token`.
  Token last_token;
  Access mode = Access::kReadOnly;
  KmodState state = KmodState::kLive;
  ByteCount size;
  uint64_t pages_pinned = 0;
};

struct KmodHandleInfo {
  Token token;
  KmodState state = KmodState::kLive;
};

struct KmodRevoke {
  KmodState state = KmodState::kRevoking;
  uint64_t pages_pinned = 0;
  // Of the caches, by this call, which lasted so long.
  ByteCount flushed = ByteCount(0);
  absl::Duration elapsed = absl::ZeroDuration();
};

// Ids of this and above are the daemon's own: made and destroyed to zero a piece.
inline constexpr uint64_t kFirstScrubSegment = uint64_t{1} << 62;

enum class FenceAction { kReport, kReboot };

struct KmodDeadMan {
  enum class State {
    kOff,
    kArmed,
    kFired,  // revokes under way, or not done in time
    kDone,   // all revoked; to be armed again
  };
  State state = State::kOff;
  // The longest from a deadline to the end of its revokes, and of any one revoke.
  absl::Duration longest_firing;
  absl::Duration longest_revoke;
};

// What a daemon leaves for its successor, until the module is unloaded. Ids have at most 63
// bytes.
struct KmodHost {
  std::string host_id;
  std::string session_id;
  // The newest of any segment.
  Token last_token;

  friend bool operator==(const KmodHost&, const KmodHost&) = default;
};

struct KmodEvent {
  enum class Type {
    kOverflow,  // events were lost: list again
    kMemoryFailure,
    kDeadManFired,
    kDeadManDone,
    kFenceFailed,
    kHandleReleased,
    kDeviceGone,
    kSegmentRevoked,
  };
  Type type = Type::kOverflow;
  KmodDeviceId device;
  SegmentId segment;
  ByteOffset offset;
  uint64_t length = 0;
};

// Thread-safe. Errors of all calls:
//   FAILED_PRECONDITION STALE_TOKEN     an older token than the newest seen, or revoked
//   FAILED_PRECONDITION SESSION_EXPIRED the dead-man has fired and was not armed again
//   FAILED_PRECONDITION DEVICE_MISSING  the device is gone; also where the module is not loaded
//   FAILED_PRECONDITION BUSY_PINNED     pages are pinned, or what the call names is in use
//   NOT_FOUND                           no such segment
//   ALREADY_EXISTS                      the segment or device is there
//   DATA_LOSS POISONED                  bad memory
//   PERMISSION_DENIED NOT_ALLOWED       this process lacks CAP_SYS_ADMIN
class Kmod {
 public:
  virtual ~Kmod() = default;

  // The driver that devices must be bound to, on the dax bus.
  virtual const std::string& driver_name() const = 0;

  // `path`: /dev/daxX.Y, bound to that driver.
  virtual absl::StatusOr<KmodDeviceInfo> AddDevice(const std::string& path, const DeviceId& uuid,
                                                   bool software_coherent) = 0;
  virtual absl::Status RemoveDevice(KmodDeviceId device) = 0;
  virtual absl::StatusOr<std::vector<KmodDeviceInfo>> ListDevices() = 0;
  // Whole pages, in order, none touching another.
  virtual absl::StatusOr<std::vector<ByteRange>> ListBadRanges(KmodDeviceId device) = 0;
  // Of the first and the last kExtentUnit of the device, one after the other.
  virtual SegmentId LabelSegment(KmodDeviceId device) const = 0;

  // REQUIRES: runs is not empty. Fails whole: a segment of which a run was refused is gone.
  // STALE_TOKEN also if a segment had some of these bytes under a later token.
  virtual absl::Status CreateSegment(SegmentId segment, Token token, Access mode,
                                     const std::vector<KmodRun>& runs) = 0;
  virtual absl::Status ExtendSegment(SegmentId segment, Token token, const KmodRun& run) = 0;
  // The descriptor of a new handle.
  virtual absl::StatusOr<UniqueFd> OpenSegment(SegmentId segment, Token token, Access mode) = 0;
  // Cuts every access, then waits up to `wait` for pinned pages. Only kRevoked confirms.
  virtual absl::StatusOr<KmodRevoke> RevokeSegment(SegmentId segment, Token token,
                                                   absl::Duration wait) = 0;
  // Under the same token its handles go on; under a later one they stay revoked.
  virtual absl::Status ResumeSegment(SegmentId segment, Token token, Access mode) = 0;
  virtual absl::Status DestroySegment(SegmentId segment, Token token) = 0;
  // Zeroes, past the caches, and clears poison.
  virtual absl::Status ZeroSegment(SegmentId segment, Token token, ByteOffset offset,
                                   ByteCount length) = 0;
  virtual absl::StatusOr<KmodSegmentInfo> FindSegment(SegmentId segment) = 0;
  // Without those of labels.
  virtual absl::StatusOr<std::vector<KmodSegmentInfo>> ListSegments() = 0;
  // Opens whose last file or mapping is not gone.
  virtual absl::StatusOr<std::vector<KmodHandleInfo>> ListHandles(SegmentId segment) = 0;

  // ABORTED: it has fired and its revokes are not done yet. Also errors if `deadline` is past.
  virtual absl::Status ArmDeadMan(BootTime deadline, absl::Duration bound, FenceAction action) = 0;
  // REQUIRES for success: no segment is live.
  virtual absl::Status DisarmDeadMan() = 0;
  virtual absl::StatusOr<KmodDeadMan> GetDeadMan() = 0;

  // Empty, if none was left.
  virtual absl::StatusOr<KmodHost> GetHost() = 0;
  // STALE_TOKEN: a later one is kept.
  virtual absl::Status SetHost(const KmodHost& host) = 0;

  // Waits for events until there are some or StopEvents is called: then none. For one thread.
  virtual absl::StatusOr<std::vector<KmodEvent>> WaitEvents() = 0;
  virtual void StopEvents() = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_KMOD_H_
