// The choices that calls of the SDK leave to the application.

#ifndef WEFT_CLIENT_SDK_OPTIONS_H_
#define WEFT_CLIENT_SDK_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/sdk/types.h"

namespace weft::sdk {

// A handle that must be let go, or that is gone.
struct RevokeNotice {
  uint64_t handle_id = 0;  // As Handle::id().
  std::string segment;     // `<pool>/<segment>`
  // False: the segment is being taken back; destroy the handle's Mappings and the Handle
  // within `grace`, or it is done by force where the backend can. True: the grant is
  // already gone (weftd was away for too long); the handle is stale.
  bool gone = false;
  absl::Duration grace;
  std::string detail;  // For people: who asked and why.
};

// Memory of a segment failed. Its handles and mappings go on: only touching the bad bytes is
// SIGBUS. With kKmod writing whole pages of them with write(2), through Handle::fd(), makes
// them good.
struct PoisonNotice {
  uint64_t handle_id = 0;  // As Handle::id().
  std::string segment;     // `<pool>/<segment>`
  // All that is bad in the segment; some may have been told before.
  std::vector<ByteRange> ranges;
};

struct ClientOptions {
  // weftd's fd socket. Empty: $WEFT_SOCKET, or else /run/weft/weftd.sock.
  std::string socket_path = "";
  // For how long Connect goes on trying. Zero: one attempt.
  absl::Duration connect_timeout = absl::Seconds(10);
  // The longest that any other call takes, retries included. Must stay far below the 24
  // hours for which request ids are remembered.
  absl::Duration call_timeout = absl::Seconds(10);
  // Called on a thread of the SDK's own, one notice at a time, in order. May call
  // anything but the Client's destructor; what it may do to a Handle that another thread
  // uses is between the two. Nothing of the SDK's own waits for it, except the closing of
  // handles by destructors, which comes after it.
  std::function<void(const RevokeNotice&)> on_revoke = nullptr;
  // As on_revoke, and in one order with it.
  std::function<void(const PoisonNotice&)> on_poison = nullptr;
};

struct CreateOptions {
  SharingMode sharing = SharingMode::kSingleWriter;
  Placement placement = Placement::kPoolDefault;
  // kStriped only: how many devices (2 to 64), and bytes in a row on each (a multiple of
  // 2 MiB). The size must be a multiple of both multiplied.
  uint32_t stripe_devices = 0;
  uint64_t chunk_bytes = 0;
};

struct DeleteOptions {
  // Take the segment back from its holders first. The call does not wait for them.
  bool force = false;
};

struct OpenOptions {
  // Refuse (NOT_COHERENT) a segment that needs Flush and Invalidate.
  bool require_hardware_coherence = false;
  // If set: refuse (STALE_GENERATION) any other memory.
  std::optional<Incarnation> expected = std::nullopt;
  // Open a segment of which bytes are bad (Segment::bad_ranges); it is refused (POISONED)
  // otherwise.
  bool allow_poisoned = false;
};

struct MapOptions {
  // Where in the segment the mapping begins: a multiple of the handle's page size.
  uint64_t offset_bytes = 0;
  // 0: to the end of the segment as the handle knows it.
  uint64_t length_bytes = 0;
  // Address space kept behind the mapping, counted from its start, into which
  // Mapping::Extend can grow it without moving it. Costs no memory. Less than the length:
  // none.
  uint64_t reserve_bytes = 0;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_OPTIONS_H_
