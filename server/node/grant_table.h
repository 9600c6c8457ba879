// The grants of this host and the handles on them: what is, what the coordinator wants,
// and what to do about the difference. No threads, no I/O, no clock reads.

#ifndef WEFT_SERVER_NODE_GRANT_TABLE_H_
#define WEFT_SERVER_NODE_GRANT_TABLE_H_

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "proto/weft/v1/grant.pb.h"
#include "proto/weft/v1/node.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/shares.h"
#include "server/core/types.h"
#include "server/platform/clock.h"
#include "server/platform/packet_server.h"

namespace weft {

// Handle ids are the business of one connection: after a restart clients bring their own.
struct HandleKey {
  ConnectionId connection = 0;
  uint64_t id = 0;

  friend auto operator<=>(const HandleKey&, const HandleKey&) = default;
};

struct Handle {
  SegmentId segment;
  // Whose it is.
  std::string user;
  v1::AccessMode mode = v1::READ_ONLY;
  // The client has been told to let go.
  bool notified = false;
  // As of HostGrant::bad_version.
  uint64_t told_bad_version = 0;
};

struct GrantTableOptions {
  // Of all users, who have a share each.
  size_t max_handles = 65'536;
  size_t max_handles_per_client = 1'024;
  // How long a grant waits for a client that claims it, after the daemon started or the
  // grant appeared.
  absl::Duration claim_grace = absl::Seconds(2);
  // Between two looks at a segment that is still mapped, or two attempts to release.
  absl::Duration retry_interval = absl::Seconds(1);
  // The backend can take handles back without the clients' help.
  bool can_revoke = false;
};

// What follows from the table's state. Everything that is begun is to be ended: an
// inspection and a take-back by Inspected, a release by EndRelease.
struct GrantActions {
  struct Notice {
    HandleKey handle;
    uint32_t grace_ms = 0;
    std::string detail;
  };
  std::vector<Notice> notices;
  // Clients to be told of the segment's bad_ranges.
  std::vector<std::pair<HandleKey, SegmentId>> poisoned;
  // Find out whether any process still reaches the segment.
  std::vector<SegmentId> inspect;
  // Take the segment from whoever has it; only with can_revoke.
  std::vector<SegmentId> take_back;
  // Tell the coordinator that nothing here maps the segment.
  std::vector<SegmentId> release;
  // Of those something was done about, the ones that are not IsSettling.
  std::vector<SegmentId> settled;
  // Of which a release has ended, and none is under way.
  std::vector<std::string> acquirable;
  // When to ask again, if nothing happens before.
  BootTime next = BootTime::InfiniteFuture();
};

// A grant is released when its last handle is gone. A client that closes a handle is taken
// at its word; where one died or a revoke is to be confirmed, an inspection has to find
// that nothing is mapped. Not thread-safe.
class GrantTable {
 public:
  explicit GrantTable(GrantTableOptions options)
      : options_(options), shares_(options.max_handles) {}

  // ---- The coordinator's side

  // A grant that an earlier run of the daemon held. It counts as held until the
  // coordinator says otherwise.
  void Recall(const v1::GrantAssignment& assignment, BootTime now);
  // What the coordinator does not count as this host's any more; forgotten here.
  struct Gone {
    std::vector<HandleKey> handles;
    std::vector<v1::GrantAssignment> grants;
  };
  // Grants that this table knows a newer state of stay as they are. One that nobody here asked
  // for, and that no earlier run left, can be opened, but not claimed. Otherwise it is released:
  // at once, if it is so new that nobody can have been told of it; else what was recorded of it
  // may be lost, and programs have it mapped: they are waited for.
  Gone Apply(const v1::Assignments& assignments);
  // The reply to AcquireGrant; false if it is overtaken: the grant is gone again.
  bool Acquired(const v1::AcquireGrantResponse& response);
  // Everything that is held: for Register. What is not known to be unmapped is among it. Where
  // they are is said of the newest only.
  std::vector<v1::HeldGrant> Held() const;
  // The first `most` after `after`, by id.
  std::vector<v1::HostSegment> Describe(SegmentId after, size_t most) const;
  // Releases are begun only while the coordinator can be told.
  void SetConnected(bool connected);
  // The lease is over: every client is told to let go.
  void ExpireLease();

  // ---- The clients' side

  // Until EndAcquire of the name no grant of it is released. REQUIRES: !IsReleasing(name).
  void BeginAcquire(const std::string& segment);
  void EndAcquire(const std::string& segment);
  // A release of a segment of this name is under way: an acquire has to wait.
  bool IsReleasing(const std::string& segment) const { return releasing_.contains(segment); }

  // RESOURCE_EXHAUSTED QUOTA.
  absl::Status CheckQuota(ConnectionId connection, const std::string& user) const;
  // FAILED_PRECONDITION STALE_TOKEN if the grant is gone or being taken back; CheckQuota.
  absl::Status AddHandle(const HandleKey& key, const std::string& user, SegmentId segment,
                         v1::AccessMode mode);
  // A client claims a handle from before the daemon restarted. False: its grant is gone.
  bool Adopt(const HandleKey& key, const std::string& user, const v1::HandleState& claim);
  const Handle* FindHandle(const HandleKey& key) const;
  // The client says that it has unmapped and closed it. Unknown: nothing.
  void CloseHandle(const HandleKey& key);
  // The client is gone; what it had may live on in other processes.
  void DropConnection(ConnectionId connection);

  // ---- What to do

  GrantActions Reconcile(BootTime now);
  // The result of an inspection or of a take-back.
  void Inspected(SegmentId segment, bool in_use, BootTime now);
  // The kernel says that a handle of it is over: whoever waits for that need wait no longer.
  void HandleReleased(SegmentId segment);
  // It may have said so of any: what it said was lost.
  void AnyHandleReleased();
  // Of the release of this token. A release that may have failed is repeated until it has
  // not: the coordinator may act on the first one late.
  void EndRelease(SegmentId segment, const v1::Token& token, bool released, BootTime now);
  // An inspection or a call to release the segment is under way.
  bool IsSettling(SegmentId segment) const;

  // Null: not held.
  const v1::GrantAssignment* Find(SegmentId segment) const;
  size_t grants() const { return grants_.size(); }
  size_t handles() const { return handles_.size(); }

 private:
  struct HostGrant {
    v1::GrantAssignment assignment;
    // Of the coordinator's state, as of which the assignment is.
    uint64_t revision = 0;
    std::set<HandleKey> handles;
    // Raised when bytes of the segment turn bad, or good.
    uint64_t bad_version = 0;
    // Somebody who did not say goodbye may have it mapped.
    bool in_doubt = false;
    // What an earlier run had of it is over.
    bool unclaimable = false;
    // An inspection found nothing, and no handle was given since.
    bool proved_free = false;
    bool inspecting = false;
    // There is no way back.
    bool releasing = false;
    bool release_called = false;
    Token release_token;  // what it was called for last; none: never
    // Raised when a handle is given or is over: an inspection begun before says nothing.
    uint64_t opens = 0;
    uint64_t opens_at_inspection = 0;
    // Nothing is done about an unused grant before: the next look at it, ...
    BootTime not_before = BootTime::InfinitePast();
    // ... and the time that clients of an earlier run have to claim their handles, whatever
    // others do meanwhile: a handle that is not mapped is seen by nobody.
    BootTime claim_until = BootTime::InfinitePast();
    // When a revoke stops being polite.
    BootTime force_at = BootTime::InfiniteFuture();

    const std::string& name() const { return assignment.grant().segment(); }
    bool revoking() const { return assignment.grant().state() == v1::GRANT_REVOKING; }
  };

  using Grants = std::map<SegmentId, HostGrant>;

  // Whether it is new, and no acquire of it is under way.
  bool Upsert(const v1::GrantAssignment& assignment, uint64_t revision);
  void StartReleasing(HostGrant& grant);
  void Forget(Grants::iterator it);
  void Remove(const HandleKey& key);
  // Of the handles alone.
  void Erase(const HandleKey& key);
  void TellOfBadMemory(SegmentId segment, const HostGrant& grant, GrantActions& actions);
  void Decide(SegmentId segment, HostGrant& grant, BootTime now, GrantActions& actions);
  void DecideUsed(SegmentId segment, HostGrant& grant, BootTime now, GrantActions& actions);
  void Touch(SegmentId segment) { dirty_.insert(segment); }
  void Wake(BootTime when, SegmentId segment) { timers_.emplace(when, segment); }

  const GrantTableOptions options_;
  bool connected_ = false;
  // Of the newest Assignments.
  uint64_t applied_revision_ = 0;
  // Whether what the coordinator had recorded when this run began has come.
  bool knows_of_before_ = false;
  // Of all grants that there were.
  Token newest_token_;
  bool expired_ = false;
  Grants grants_;
  std::set<std::pair<std::string, SegmentId>> by_name_;
  // The coordinator's name for the assignment.
  std::map<std::string, SegmentId> by_key_;
  std::map<HandleKey, Handle> handles_;
  Shares shares_;
  // By segment name.
  std::map<std::string, int> acquiring_;
  std::multiset<std::string> releasing_;
  // Names of grants that were being released and are gone; for Reconcile.
  std::vector<std::string> released_;
  // Grants to decide about, now and at a time.
  std::set<SegmentId> dirty_;
  std::set<std::pair<BootTime, SegmentId>> timers_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_GRANT_TABLE_H_
