// Everything that the coordinator knows, in memory.

#ifndef WEFT_SERVER_CORE_STATE_H_
#define WEFT_SERVER_CORE_STATE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/time/time.h"
#include "proto/weft/store/v1/records.pb.h"
#include "server/core/allocator.h"
#include "server/core/changes.h"
#include "server/core/ranges.h"
#include "server/core/types.h"

namespace weft {

// The moment at which a command is taken. The two have nothing to do with each other.
struct Now {
  // Since any fixed moment of this run of the coordinator, on a clock that no one sets.
  absl::Duration monotonic;
  // For people to read.
  uint64_t unix_ms = 0;
};

// Who asks, and when. `principal` is proved by the transport, never by the request.
struct Context {
  Now now;
  std::string principal;
  // The host whose daemon forwarded the request; empty: none did.
  std::string host;
};

struct CoreOptions {
  // T of new sessions.
  absl::Duration session_ttl = absl::Seconds(10);
  uint32_t max_segment_extents = 1024;
  // Of one allocation: what a create or one grow may add.
  uint32_t max_allocation_extents = 64;
  uint32_t max_scrubs_per_host = 4;
  // Of these, those that copy segments off a device.
  uint32_t max_copies_per_host = 2;
  // What of a segment that is not striped is copied, and changes its place, at a time.
  ByteCount max_copy_bytes{16 * kGiB.value()};
  size_t max_grants_per_host = 16'384;
  // Hosts and devices are never forgotten.
  size_t max_hosts = 4096;
  size_t max_devices = 16'384;
  // How long one step of a proof may take.
  absl::Duration exchange_step_timeout = absl::Seconds(10);
  size_t max_events = 10'000;
  size_t max_requests_per_principal = 10'000;
  // Of all principals together.
  size_t max_requests = 200'000;
  absl::Duration request_retention = absl::Hours(24);
  // When a maximum is reached, records older than this make room for new ones. Longer than any
  // deadline of the SDK.
  absl::Duration request_retention_min = absl::Minutes(2);
  std::string version;
  // Whether there is a fence agent for a host. Empty: for none. Always the same answer.
  std::function<bool(const std::string& host)> has_fence_agent;
  // 128 unpredictable bits. The only randomness in core.
  std::function<Uuid()> random_uuid;
};

struct PoolState {
  store::v1::PoolRecord record;
  // Its devices' bytes: taken are those of labels, segments, scrubs and quarantine.
  Allocator allocator;
  absl::btree_set<DeviceId> devices;
  uint64_t segments = 0;
};

// One step of the proof that a host's device is the memory it should be. Not durable:
// after a restart proofs begin again.
struct Exchange {
  enum class Step { kReadLastNonce, kHolderWrites, kNewcomerReads, kNewcomerWrites, kHolderReads };
  Step step = Step::kReadLastNonce;
  std::string newcomer;
  std::string holder;  // empty: no holder is alive
  uint64_t step_id = 0;
  uint32_t slot = 0;
  Uuid nonce;
  absl::Duration deadline;  // of the step, on Now::monotonic
};

// What a DRAINING device still has, and what is known of it: see moves.h.
struct DrainState {
  // All segments with bytes there.
  absl::btree_set<SegmentId> left;
  // Of these, those of which a copy failed, and why.
  absl::btree_map<SegmentId, std::string> failed;
  // Where the next look at them begins.
  SegmentId next;
  // Why what was tried last had nowhere to go; empty: it had.
  std::string stalled;
};

// A label that a host has been assigned to write.
struct LabelWork {
  std::string host;
  std::string pool_uuid;

  friend bool operator==(const LabelWork&, const LabelWork&) = default;
};

struct DeviceState {
  store::v1::DeviceRecord record;
  absl::btree_map<std::string, store::v1::AttachmentRecord> attachments;  // by host
  std::optional<Exchange> exchange;                                       // at most one at a time
  // The host whose proof began last: the next one's turn comes first.
  std::string last_newcomer;
  std::optional<LabelWork> label_work;
  uint64_t used_bytes = 0;
  uint64_t scrubbing_bytes = 0;
  absl::btree_set<uint64_t> unassigned_scrubs;
  DrainState drain;
  // See quarantine.h: what failed and was not cleared, as recorded; the units that are kept
  // from everybody because of it; what each host said last.
  ByteRanges bad;
  ByteRanges quarantined;
  // What stray segments have (strays.h), if it is in a pool.
  ByteRanges strayed;
  absl::btree_map<std::string, ByteRanges> bad_on;
};

// Exists from registration to expiry.
struct LiveSession {
  // When the last renewal (or the registration) arrived, on Now::monotonic.
  absl::Duration renewed_at;
};

struct HostState {
  store::v1::HostRecord record;
  std::optional<LiveSession> session;
  absl::btree_set<SegmentId> grants;
  // Of these, those that wait to be dropped: as HostRecord.releasing_segments.
  absl::btree_set<SegmentId> releasing;
  absl::btree_set<uint64_t> scrubs;
  absl::btree_set<SegmentId> strays;
};

struct RequestLog {
  absl::btree_map<std::string, store::v1::RequestRecord> by_id;
  absl::btree_set<std::pair<uint64_t, std::string>> by_time;
};

using SegmentKey = std::pair<std::string, std::string>;  // pool, segment
using GrantKey = std::pair<SegmentId, std::string>;      // segment, host

// The tables and their indexes. Only the functions of server/core change it. Ordered
// maps throughout: an order that depends on a hash would make runs differ.
struct State {
  explicit State(CoreOptions options_in) : options(std::move(options_in)) {}

  CoreOptions options;
  store::v1::ClusterRecord cluster;
  absl::btree_map<std::string, std::unique_ptr<PoolState>> pools;
  absl::btree_map<std::string, std::string> pool_by_uuid;
  absl::btree_map<DeviceId, DeviceState> devices;
  absl::btree_map<SegmentKey, store::v1::SegmentRecord> segments;
  absl::btree_map<SegmentId, SegmentKey> segment_by_id;
  absl::btree_map<std::string, HostState> hosts;
  absl::btree_map<GrantKey, store::v1::GrantRecord> grants;
  absl::btree_map<uint64_t, store::v1::ScrubRecord> scrubs;
  absl::btree_map<GrantKey, store::v1::StrayRecord> strays;
  // What they have of each device, known or not.
  absl::btree_map<DeviceId, absl::btree_map<GrantKey, ByteRanges>> strays_on;
  // The scrubs that a segment is copied to.
  absl::btree_map<SegmentId, uint64_t> copies;
  // The devices that are DRAINING.
  absl::btree_set<DeviceId> draining;
  // Segments that are taken back from their holders to be moved, and off which device.
  absl::btree_map<SegmentId, DeviceId> taking;
  absl::btree_map<std::string, RequestLog> requests;
  size_t request_count = 0;  // in all of `requests`
  std::deque<v1::Event> events;

  // What Tick still has to do: see backlog.h.
  absl::btree_set<std::string> releasing_hosts;
  absl::btree_set<SegmentId> losing_segments;
  // Strays that their hosts cannot touch any more.
  absl::btree_set<GrantKey> leaving_strays;
  // Hosts that are being drained and may have grants that they were not told to let go of.
  absl::btree_set<std::string> revoking_hosts;
  // A transaction was full before all scrubs had got a host.
  bool assigning_scrubs = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_STATE_H_
