#include "server/rpc/api_server.h"

#include <grpc/support/time.h>

#include <utility>

#include "server/core/errors.h"
#include "server/rpc/cluster_service.h"
#include "server/rpc/device_service.h"
#include "server/rpc/event_feed.h"
#include "server/rpc/event_service.h"
#include "server/rpc/fsck_service.h"
#include "server/rpc/grant_service.h"
#include "server/rpc/host_service.h"
#include "server/rpc/pool_service.h"
#include "server/rpc/segment_service.h"
#include "server/rpc/session_registry.h"
#include "server/rpc/session_service.h"

namespace weft {

struct ApiServer::Parts {
  explicit Parts(const ServiceDeps& deps)
      : cluster(deps),
        devices(deps),
        events(deps, feed),
        fsck(deps, registry),
        grants(deps),
        hosts(deps),
        pools(deps),
        segments(deps),
        sessions(deps, registry) {}

  EventFeed feed;
  SessionRegistry registry;
  ClusterService cluster;
  DeviceService devices;
  EventService events;
  FsckService fsck;
  GrantService grants;
  HostService hosts;
  PoolService pools;
  SegmentService segments;
  SessionService sessions;
  RunningServer running;  // destroyed first
};

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const ServerOptions& options,
                                                            const ServiceDeps& deps) {
  auto parts = std::make_unique<Parts>(deps);
  absl::StatusOr<RunningServer> running = StartServer(
      options, {&parts->cluster, &parts->devices, &parts->events, &parts->fsck, &parts->grants,
                &parts->hosts, &parts->pools, &parts->segments, &parts->sessions});
  if (!running.ok()) return running.status();
  parts->running = *std::move(running);
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(parts)));
}

ApiServer::ApiServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

// Streams have no end of their own: a deadline that has passed breaks them off.
ApiServer::~ApiServer() { parts_->running.server->Shutdown(gpr_inf_past(GPR_CLOCK_REALTIME)); }

void ApiServer::OnLoaded(const State& state) {
  parts_->registry.EndAll(MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                                    "the coordinator has loaded its state again; register again"));
  parts_->feed.Announce(state.cluster.revision());
  SetServing(*parts_->running.server, true);
}

void ApiServer::OnUnloaded() { SetServing(*parts_->running.server, false); }

void ApiServer::OnLoadedAgain(const State& state) { parts_->registry.Resend(state); }

void ApiServer::OnDeposed() {
  SetServing(*parts_->running.server, false);
  parts_->registry.EndAll(NotLeader(""));
  parts_->feed.WakeAll();
}

void ApiServer::OnCommitted(const State& state, const Changes& changes, uint64_t revision) {
  parts_->registry.Deliver(state, changes, revision);
  if (!changes.events.empty()) parts_->feed.Announce(revision);
}

const std::vector<std::string>& ApiServer::addresses() const { return parts_->running.addresses; }

}  // namespace weft
