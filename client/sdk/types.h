// What the SDK's calls take and return: plain values, free of protobuf and gRPC.
// Everything of the SDK is in namespace weft::sdk; sizes and offsets are in bytes.

#ifndef WEFT_CLIENT_SDK_TYPES_H_
#define WEFT_CLIENT_SDK_TYPES_H_

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace weft::sdk {

enum class AccessMode { kReadOnly, kReadWrite };

// Who may map a segment at the same time.
enum class SharingMode {
  kSingleWriter,  // One host read-write, any number read-only.
  kExclusive,     // One host.
  kShared,        // Any number of hosts read-write.
};

// Where the bytes of a segment are taken from.
enum class Placement {
  kPoolDefault,
  kPack,     // Fewest extents.
  kSpread,   // Emptiest device first.
  kStriped,  // Several devices in turn, by chunks.
  kLocal,    // Devices nearest to this host first.
};

// How a store by one host becomes visible to a load by another.
enum class Coherence {
  kSoftware,  // By Mapping::Flush and Mapping::Invalidate.
  kHardware,  // By the fabric: nothing to do.
};

// How this host gives out handles. Only kKmod isolates clients from each other's bytes
// and can take a mapping back without the client's help.
enum class Backend { kKmod, kDevdax, kEmulated };

enum class SegmentState {
  kActive,
  kDeleting,  // Cannot be opened; goes away when its holders have let go.
  kLost,      // A device under it lost its contents: can only be deleted.
};

// Of an open handle.
enum class HandleState {
  kLive,
  kRevoking,  // Being taken back: see RevokeNotice.
  kStale,     // Its grant is gone, or its memory is another now.
};

// A fencing number. Of two tokens for one segment the greater is the later one. Says
// nothing about time.
struct Token {
  uint64_t epoch = 0;
  uint64_t counter = 0;

  friend auto operator<=>(const Token&, const Token&) = default;
};

// A contiguous piece of a device.
struct Extent {
  std::string device;  // `devices/<uuid>`
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;

  friend bool operator==(const Extent&, const Extent&) = default;
};

// Consecutive bytes of a segment and where they are. One extent holds them in order; n
// extents, all of one length, are striped: chunk i of the run is chunk i / n of extent
// i mod n.
struct Run {
  std::vector<Extent> extents;
  uint64_t chunk_bytes = 0;

  friend bool operator==(const Run&, const Run&) = default;
};

// Some bytes of a segment.
struct ByteRange {
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;

  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

struct DeviceIncarnation {
  std::string device;
  uint64_t power_epoch = 0;

  friend bool operator==(const DeviceIncarnation&, const DeviceIncarnation&) = default;
};

// What makes a segment's memory this memory and no other: an application that keeps
// pointers across its own restarts keeps this beside them (see OpenOptions::expected).
struct Incarnation {
  uint64_t segment_id = 0;
  uint64_t generation = 0;
  std::vector<DeviceIncarnation> devices;

  friend bool operator==(const Incarnation&, const Incarnation&) = default;
};

// A named allocation in a pool.
struct Segment {
  std::string name;  // `<pool>/<segment>`
  uint64_t id = 0;   // Never reused.
  uint64_t size_bytes = 0;
  SharingMode sharing = SharingMode::kSingleWriter;
  Placement placement = Placement::kPoolDefault;
  uint32_t stripe_devices = 0;
  uint64_t chunk_bytes = 0;
  SegmentState state = SegmentState::kActive;
  uint64_t generation = 0;
  std::vector<Run> runs;  // In the order of the segment's bytes.
  Coherence coherence = Coherence::kSoftware;
  std::string owner;  // Who created it: `uid:<n>@<host>`, or `admin`.
  // Whose memory failed: touching them is SIGBUS.
  std::vector<ByteRange> bad_ranges;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_TYPES_H_
