// Carries out what GrantTable decides: asks the coordinator for grants and gives them
// back, has the backend make and take files, and answers the clients that wait for it.

#ifndef WEFT_SERVER_NODE_GRANT_KEEPER_H_
#define WEFT_SERVER_NODE_GRANT_KEEPER_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/node.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/node/backend.h"
#include "server/node/executor.h"
#include "server/node/grant_table.h"
#include "server/node/node_metrics.h"
#include "server/platform/clock.h"
#include "server/platform/packet_server.h"
#include "server/rpc/node/coordinator_transport.h"

namespace weft {

// A reply to a client, with its descriptors.
template <typename Message>
struct WithFiles {
  Message message;
  std::vector<UniqueFd> fds;
};

// What the keeper works with; all outlive it. Neither executor runs anything any more when
// the keeper is destroyed.
struct GrantKeeperDeps {
  // Where the keeper lives: all its calls and callbacks.
  Executor& executor;
  // Where the backend is called.
  Executor& blocking;
  Clock& clock;
  CoordinatorTransport& transport;
  Backend& backend;
  NodeMetrics& metrics;
  // Called where the backend is, before it makes a segment ready: the daemon's own use of its
  // bytes is over on return.
  std::function<void(SegmentId)> before_prepare = [](SegmentId) {};
};

class GrantKeeper {
 public:
  template <typename Message>
  using Reply = absl::AnyInvocable<void(absl::StatusOr<WithFiles<Message>>)>;
  using IdentityFn = std::function<absl::StatusOr<CallIdentity>(const std::string& principal)>;
  // A message that is no reply.
  using NoticeFn = std::function<void(ConnectionId, const v1::ServerMessage&)>;

  // `identity` gives the metadata of a call for `principal`, or why there can be none now.
  // `first_handle`: ids of handles begin there.
  GrantKeeper(const GrantKeeperDeps& deps, const GrantTableOptions& options, uint64_t first_handle,
              IdentityFn identity, NoticeFn notice);

  // Takes over what an earlier run of the daemon left. To be called first.
  absl::Status Recall();

  // ---- For clients: see node.proto

  void Open(ConnectionId connection, const std::string& principal, v1::OpenRequest request,
            Reply<v1::OpenReply> reply);
  void Refresh(ConnectionId connection, const std::string& principal, v1::RefreshRequest request,
               Reply<v1::RefreshReply> reply);
  // `done` once the coordinator knows, or cannot be told now.
  void Close(ConnectionId connection, uint64_t handle_id, absl::AnyInvocable<void()> done);
  // The ids of those that are gone.
  std::vector<uint64_t> Adopt(ConnectionId connection, const std::string& principal,
                              const google::protobuf::RepeatedPtrField<v1::HandleState>& claims);
  void Disconnect(ConnectionId connection);

  // ---- For the session

  void SetConnected(bool connected);
  // What the coordinator was asked before this moment it may answer by what it knew then:
  // such answers are dropped, and the clients told to try again.
  void DistrustAcquires() { ++trusted_; }
  void Apply(const v1::Assignments& assignments);
  void ExpireLease();
  // By the kernel's word.
  void HandleReleased(SegmentId segment);
  void AnyHandleReleased();
  std::vector<v1::HeldGrant> Held() const { return table_.Held(); }
  // See GrantTable.
  std::vector<v1::HostSegment> Describe(SegmentId after, size_t most) const {
    return table_.Describe(after, most);
  }
  bool HasGrant(SegmentId segment) const { return table_.Find(segment) != nullptr; }
  // Has the backend forget what it has under this grant.
  void Forget(const v1::GrantAssignment& grant);

  size_t grants() const { return table_.grants(); }
  size_t handles() const { return table_.handles(); }

 private:
  // One Open or Refresh under way.
  struct Acquire;
  using AcquirePtr = std::shared_ptr<Acquire>;

  void StartAcquire(AcquirePtr acquire);
  void OnAcquired(AcquirePtr acquire, absl::StatusOr<v1::AcquireGrantResponse> response);
  absl::StatusOr<HandleFiles> MakeFiles(const Acquire& acquire, const v1::GrantAssignment& grant);
  void OnFiles(AcquirePtr acquire, absl::StatusOr<HandleFiles> files);
  void EndAcquire(const AcquirePtr& acquire);
  void FinishOpen(Acquire& acquire, HandleFiles files);
  void FinishRefresh(Acquire& acquire, HandleFiles files);

  // Does what the table says should be done.
  void Reconcile();
  void TellToLetGo(const GrantActions::Notice& notice);
  void TellOfBadMemory(const HandleKey& handle, SegmentId segment);
  void Inspect();
  void TakeBack(SegmentId segment);
  void Release(SegmentId segment);
  void CallRelease(const v1::Grant& grant);
  void OnReleased(SegmentId segment, const v1::Token& token, const absl::Status& status);
  void Settle(const GrantActions& actions);
  void WakeAt(BootTime when);
  void Prepare(const v1::GrantAssignment& grant);

  const GrantKeeperDeps deps_;
  const IdentityFn identity_;
  const NoticeFn notice_;
  GrantTable table_;
  uint64_t last_handle_;
  // How often DistrustAcquires was called.
  uint64_t trusted_ = 0;
  // To be inspected together, once the inspection under way is over: each may look through /proc.
  std::set<SegmentId> to_inspect_;
  bool inspecting_ = false;
  // Segments that were said to be still mapped, so that it is said once.
  std::set<SegmentId> said_in_use_;
  BootTime wake_at_ = BootTime::InfiniteFuture();
  // By name: opens that wait for a release to end.
  std::multimap<std::string, AcquirePtr> waiting_opens_;
  // Closers that wait for their segment to be released.
  std::multimap<SegmentId, absl::AnyInvocable<void()>> waiting_closes_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_GRANT_KEEPER_H_
