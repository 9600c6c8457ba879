// The daemon, put together: devices, session, grants, work and local clients.

#ifndef WEFT_SERVER_NODE_NODE_H_
#define WEFT_SERVER_NODE_NODE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/node/backend.h"
#include "server/node/device_catalog.h"
#include "server/node/executor.h"
#include "server/node/fd_service.h"
#include "server/node/format_replies.h"
#include "server/node/grant_keeper.h"
#include "server/node/inventory.h"
#include "server/node/node_metrics.h"
#include "server/node/scrubber.h"
#include "server/node/session.h"
#include "server/node/tickets.h"
#include "server/node/worker.h"
#include "server/platform/clock.h"
#include "server/platform/kmod.h"
#include "server/platform/packet_server.h"
#include "server/platform/random.h"
#include "server/rpc/node/coordinator_transport.h"
#include "server/rpc/node/local_api.h"

namespace weft {

struct NodeOptions {
  std::string host_id;
  std::string boot_id;
  // See v1::Register.
  bool trust_expiry = false;
  absl::Duration revoke_bound = absl::Seconds(5);
  std::string metrics_address;
  // `unix:<path>`.
  std::string grpc_address;
  // May format devices; root may too.
  uint32_t daemon_uid = 0;
  absl::Duration rescan_interval = absl::Seconds(10);
  ByteCount scrub_rate;
  GrantTableOptions grants;
};

// All outlive the node.
struct NodeDeps {
  // Where the node lives, and where it touches devices and /proc.
  Executor& executor;
  Executor& blocking;
  Clock& clock;
  Random& random;
  CoordinatorTransport& transport;
  PacketServer& packets;
  DeviceCatalog& catalog;
  Backend& backend;
  NodeMetrics& metrics;
};

// Neither executor runs anything, and the packet server and the scrubber have stopped, when
// it is destroyed.
class Node final : public LocalApi, private SessionObserver {
 public:
  // Told on the executor.
  struct Events {
    // The first registration succeeded.
    std::function<void(const v1::Registered&)> on_registered;
    // The coordinator will never have this daemon as it is: it must end.
    std::function<void(const absl::Status&)> on_refused;
  };

  Node(NodeOptions options, const NodeDeps& deps, Events events);

  // Finds the devices and takes over what an earlier run left; then begins the session.
  // Blocks; before the executors run. Errors: of Dax::List and Backend::Recall.
  absl::Status Start();

  // For the packet server, and for the thread that scrubs.
  PacketHandler& packet_handler() { return fd_service_; }
  Scrubber& scrubber() { return scrubber_; }

  // For a backend that is told by the kernel: any thread. An event is a reason to look: what
  // there is to know is listed anew.
  void OnEvent(const KmodEvent& event);
  void HandleReleased(SegmentId segment);

  // LocalApi:
  absl::StatusOr<Caller> FindCaller(const std::string& ticket) override;
  absl::StatusOr<CallIdentity> IdentityOf(const std::string& principal) override;
  void GetNodeStatus(Done<v1::NodeStatus> done) override;
  void ListLocalDevices(Done<v1::ListLocalDevicesResponse> done) override;
  void FormatDevice(const Caller& caller, const v1::FormatDeviceRequest& request,
                    Done<v1::LocalDeviceInfo> done) override;
  void ReleaseDevice(const Caller& caller, const v1::ReleaseDeviceRequest& request,
                     Done<v1::LocalDeviceInfo> done) override;

 private:
  v1::Register MakeRegister() override;
  void OnRegistered(const v1::Registered& registered) override;
  void OnAssignments(const v1::Assignments& assignments) override;
  void OnLeaseExtended(BootTime deadline) override;
  void OnLeaseExpired() override;
  void OnDisconnected() override;
  void OnRefused(const absl::Status& status) override;
  void OnInventoryRequest(const v1::InventoryRequest& request) override {
    inventory_.Answer(request);
  }
  void OnResync() override;

  // Looks at the devices, now and then for ever.
  void Rescan();
  // Looks once, and calls `done` after that, both on the blocking executor. Those who ask before
  // a look begins share it.
  void RescanSoon(absl::AnyInvocable<void()> done);
  // On the blocking executor.
  void RescanNow();
  void ReportInventory();
  // This host zeroed some bytes and has said so: looks whether they are good, and says that too.
  void TellZeroed();
  // Has the coordinator know of a greater B.
  void UpdateRevokeBound();
  // A device came that may be another memory than the one that was proved: registers again.
  void Announce();
  v1::NodeStatus Status() const;
  void Format(const v1::FormatDeviceRequest& request, Done<v1::LocalDeviceInfo> done);
  // Root and the daemon's own user may do what concerns the whole host.
  absl::Status CheckMayManage(const Caller& caller) const;
  void SetSession(const std::string& session_id, BootTime deadline);

  const NodeOptions options_;
  const NodeDeps deps_;
  const Events events_;
  // Another one when devices came back: the coordinator has all of them proved again.
  std::string instance_id_;
  // The newest opening of a device for which there is this instance id; and as it was when
  // the last Register was made.
  uint64_t announcing_ = 0;
  uint64_t told_opening_ = 0;
  bool announce_pending_ = false;
  bool told_registered_ = false;
  std::string last_session_id_;
  // B, as Register says it.
  absl::Duration revoke_bound_;
  ToldInventory told_;
  bool telling_anew_ = false;
  Tickets tickets_;
  FdService fd_service_;
  GrantKeeper keeper_;
  Worker worker_;
  Scrubber scrubber_;
  InventoryReporter inventory_;
  Session session_;
  FormatReplies format_replies_;

  // What every thread may ask: the session as it was last.
  mutable absl::Mutex mu_;
  std::string session_id_ ABSL_GUARDED_BY(mu_);
  BootTime deadline_ ABSL_GUARDED_BY(mu_) = BootTime::InfinitePast();
  // Who waits for the look that has not begun.
  std::vector<absl::AnyInvocable<void()>> rescan_waiters_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_NODE_H_
