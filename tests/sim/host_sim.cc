#include "tests/sim/host_sim.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/node/fake_signatures.h"
#include "server/node/kmod_backend.h"
#include "server/node/kmod_dax.h"
#include "server/node/node.h"
#include "server/node/node_metrics.h"
#include "tests/sim/sim_executor.h"
#include "tests/sim/sim_transport.h"

namespace weft::sim {
namespace {

constexpr absl::Duration kRevokeBound = absl::Seconds(1);

absl::Status DaemonGone() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "weftd is gone");
}

}  // namespace

// A directory on the machine's disk, for one boot.
class HostSim::Records final : public RecordDir {
 public:
  absl::StatusOr<std::map<std::string, std::string>> ReadAll() override { return records_; }
  absl::Status Write(const std::string& name, const std::string& bytes) override {
    records_[name] = bytes;
    return absl::OkStatus();
  }
  absl::Status Remove(const std::string& name) override {
    records_.erase(name);
    return absl::OkStatus();
  }

 private:
  std::map<std::string, std::string> records_;
};

// The fd socket's server.
class HostSim::Packets final : public PacketServer {
 public:
  explicit Packets(HostSim& host) : host_(host) {}

  void Send(ConnectionId connection, std::string packet, std::vector<UniqueFd> fds) override {
    std::vector<HandleId> handles;
    for (const UniqueFd& fd : fds) handles.push_back(host_.kmod_->Claim(fd.get()));
    const auto socket = host_.sockets_.find(connection);
    if (socket == host_.sockets_.end()) {
      for (const HandleId handle : handles) host_.kmod_->Release(handle);
      return;
    }
    host_.kernel_->At(
        host_.NextArrival(socket->second.down),
        [&host = host_, connection, packet = std::move(packet), handles = std::move(handles)] {
          const auto found = host.sockets_.find(connection);
          if (found != host.sockets_.end()) {
            found->second.peer->OnPacket(packet, handles);
          } else {
            for (const HandleId handle : handles) host.kmod_->Release(handle);
          }
        });
  }
  void Close(ConnectionId connection) override {
    const auto socket = host_.sockets_.find(connection);
    if (socket == host_.sockets_.end()) return;
    host_.kernel_->At(host_.NextArrival(socket->second.down), [&host = host_, connection] {
      const auto found = host.sockets_.find(connection);
      if (found == host.sockets_.end()) return;
      SocketPeer* const peer = found->second.peer;
      host.Disconnect(connection);
      peer->OnSocketClosed();
    });
  }

 private:
  HostSim& host_;
};

struct HostSim::Daemon {
  explicit Daemon(HostSim& host)
      : machine(host),
        process(host.world_.loop),
        random(host.rng_.Fork()),
        executor(process, host.clock_, host.rng_.Fork(), absl::ZeroDuration(),
                 [this] { machine.kmod_->SweepDescriptors(); }),
        blocking(process, host.clock_, host.rng_.Fork(), absl::Milliseconds(3),
                 [this] { AfterBlocking(); }),
        metrics(host.clock_),
        dax(host.dax_, *host.kmod_, host.dax_, *host.released_, {},
            [&kmod = *host.kmod_](const KmodDeviceInfo& device, const DaxInfo& info) {
              return kmod.OpenDevice(device, info);
            }),
        catalog(dax, {host.clock_, random, probe}),
        backend(*host.kmod_, catalog, *host.records_, blocking,
                {.host_id = host.name_,
                 .revoke_bound = kRevokeBound,
                 .fence_action = FenceAction::kReport}),
        transport(host.network_, host.name_, host.coordinators_),
        packets(host),
        node(Options(host),
             {executor, blocking, host.clock_, random, transport, packets, catalog, backend,
              metrics},
             {[](const v1::Registered&) {},
              [&host](const absl::Status& status) {
                host.world_.Fail(
                    0, absl::StrCat(host.name_, " was refused: ", std::string(status.message())));
              }}) {}

  ~Daemon() {
    for (auto& [id, answer] : forwarded) {
      machine.loop().After(machine.Soon(), [answer = answer] { answer(DaemonGone()); });
    }
  }

  static NodeOptions Options(HostSim& host) {
    NodeOptions options;
    options.host_id = host.name_;
    options.boot_id = absl::StrCat(host.name_, "-boot-", host.boots_);
    options.revoke_bound = kRevokeBound;
    options.grpc_address = "unix:/run/weft/weftd-grpc.sock";
    options.rescan_interval = absl::Seconds(3);
    options.grants.claim_grace = absl::Seconds(1);
    return options;
  }

  void AfterBlocking() {
    machine.kmod_->SweepDescriptors();
    ScrubSoon();
  }
  void ScrubSoon() {
    if (std::exchange(scrub_pending, true)) return;
    process.After(machine.rng_.Between(absl::Microseconds(100), absl::Milliseconds(2)), [this] {
      scrub_pending = false;
      if (node.scrubber().RunOne()) ScrubSoon();
    });
  }

  HostSim& machine;
  Process process;
  Rng random;
  FakeSignatureProbe probe;
  SimExecutor executor;
  SimExecutor blocking;
  NodeMetrics metrics;
  KmodDax dax;
  DeviceCatalog catalog;
  KmodBackend backend;
  SimTransport transport;
  Packets packets;
  Node node;
  bool scrub_pending = false;
  uint64_t last_forward = 0;
  std::map<uint64_t, std::function<void(absl::StatusOr<std::string>)>> forwarded;
  // What calls under way look at.
  const std::shared_ptr<void> alive = std::make_shared<int>();
};

HostSim::HostSim(World& world, Network& network, Truth& truth,
                 std::vector<CoordinatorSim*> coordinators, std::string name)
    : world_(world),
      network_(network),
      truth_(truth),
      coordinators_(std::move(coordinators)),
      name_(std::move(name)),
      rng_(world.rng.Fork()),
      clock_(world.loop, absl::Hours(1) + rng_.Between(absl::ZeroDuration(), absl::Hours(9))),
      dax_(name_) {}

HostSim::~HostSim() = default;

absl::Duration HostSim::Soon() {
  return rng_.Between(absl::Microseconds(20), absl::Microseconds(300));
}

void HostSim::Plug(const std::string& dax_name, const std::shared_ptr<Memory>& memory,
                   bool software_coherent) {
  world_.Log(name_, ": memory ", memory->number(), " comes as ", dax_name);
  hardware_[dax_name] = {memory, software_coherent};
  if (powered()) dax_.Plug(dax_name, memory, software_coherent);
}

void HostSim::Unplug(const std::string& dax_name) {
  world_.Log(name_, ": ", dax_name, " goes");
  hardware_.erase(dax_name);
  if (!powered()) return;
  kmod_->OnUnplug(dax_name);
  dax_.Unplug(dax_name);
}

bool HostSim::HasDirty(const Memory& memory, uint64_t first, uint64_t last) const {
  return kmod_ != nullptr && kmod_->HasDirty(memory, first, last);
}

void HostSim::SetClockRate(int64_t ppm) {
  clock_.SetRate(ppm);
  if (powered()) kmod_->OnClockChanged();
}

void HostSim::PowerOn() {
  if (powered()) return;
  ++boots_;
  world_.Log(name_, ": boots for the ", boots_, ". time");
  network_.SetDark(name_, false);
  for (const auto& [dax_name, piece] : hardware_) {
    dax_.Plug(dax_name, piece.memory, piece.software_coherent);
  }
  kernel_ = std::make_unique<Process>(world_.loop);
  kmod_ = std::make_unique<SimKmod>(world_, *kernel_, clock_, dax_, truth_, name_);
  kmod_->on_handle_released = [this](SegmentId segment) {
    kernel_->After(Soon(), [this, segment] {
      if (daemon_ != nullptr) daemon_->node.HandleReleased(segment);
    });
  };
  records_ = std::make_unique<Records>();
  released_ = std::make_unique<Records>();
  EvictNowAndThen();
  RestartDaemonSoon();
}

void HostSim::PowerOff() {
  if (!powered()) return;
  world_.Log(name_, ": power off");
  network_.SetDark(name_, true);
  sockets_.clear();
  for (SocketPeer* const process : std::exchange(processes_, {})) process->OnPowerOff();
  daemon_.reset();
  restart_pending_ = false;
  frozen_ = false;
  daemon_stopped_ = false;
  kmod_.reset();
  kernel_.reset();
  records_.reset();
  for (const auto& [dax_name, piece] : hardware_) dax_.Unplug(dax_name);
}

void HostSim::Freeze() {
  if (!powered() || frozen_) return;
  world_.Log(name_, ": freezes");
  frozen_ = true;
  kernel_->Stop();
  if (daemon_ != nullptr) daemon_->process.Stop();
}

void HostSim::Thaw() {
  if (!powered() || !frozen_) return;
  world_.Log(name_, ": goes on");
  frozen_ = false;
  kmod_->OnWake();
  kernel_->Continue();
  if (daemon_ != nullptr && !daemon_stopped_) daemon_->process.Continue();
}

void HostSim::EvictNowAndThen() {
  kernel_->After(rng_.Between(absl::Milliseconds(5), absl::Milliseconds(500)), [this] {
    kmod_->EvictOne();
    EvictNowAndThen();
  });
}

void HostSim::RestartDaemonSoon() {
  if (std::exchange(restart_pending_, true)) return;
  kernel_->After(rng_.Between(absl::Milliseconds(10), absl::Milliseconds(1500)), [this] {
    restart_pending_ = false;
    StartDaemon();
  });
}

// As weftd_main and KmodStack do.
void HostSim::StartDaemon() {
  if (absl::Status s = ReleaseDeadMan(*kmod_); !s.ok()) {
    world_.Log(name_, ": weftd cannot start: ", std::string(s.message()));
    world_.Probe("daemon starts while the dead-man takes back");
    RestartDaemonSoon();
    return;
  }
  world_.Log(name_, ": weftd starts");
  daemon_ = std::make_unique<Daemon>(*this);
  daemon_stopped_ = false;
  if (absl::Status s = daemon_->node.Start(); !s.ok()) {
    world_.Log(name_, ": weftd does not start: ", std::string(s.message()));
    KillDaemon();
  }
}

void HostSim::KillDaemon() {
  if (daemon_ == nullptr) return;
  world_.Log(name_, ": weftd killed");
  daemon_.reset();
  kmod_->SweepDescriptors();
  for (const auto& [connection, socket] : std::exchange(sockets_, {})) {
    socket.peer->OnSocketClosed();
  }
  RestartDaemonSoon();
}

void HostSim::StopDaemon() {
  if (daemon_ == nullptr || frozen_) return;
  world_.Log(name_, ": weftd stopped");
  daemon_stopped_ = true;
  daemon_->process.Stop();
}

void HostSim::ContinueDaemon() {
  if (daemon_ == nullptr || !daemon_stopped_) return;
  world_.Log(name_, ": weftd continued");
  daemon_stopped_ = false;
  if (!frozen_) daemon_->process.Continue();
}

size_t HostSim::grants_held() const { return kmod_ == nullptr ? 0 : kmod_->ListSegments()->size(); }

absl::Duration HostSim::NextArrival(absl::Duration& last) {
  return last = std::max(last, world_.loop.now() + Soon());
}

ConnectionId HostSim::Connect(SocketPeer* peer) {
  if (daemon_ == nullptr) return 0;
  const ConnectionId connection = ++last_connection_;
  sockets_[connection] = {peer, {}, {}};
  daemon_->node.packet_handler().OnConnected(connection,
                                             {static_cast<int>(1000 + connection), 1000, 1000});
  return connection;
}

void HostSim::Send(ConnectionId connection, const std::string& packet) {
  const auto socket = sockets_.find(connection);
  if (socket == sockets_.end()) return;
  daemon_->process.At(NextArrival(socket->second.up), [this, connection, packet] {
    if (!sockets_.contains(connection)) return;
    daemon_->node.packet_handler().OnPacket(connection, packet);
  });
}

void HostSim::Disconnect(ConnectionId connection) {
  const auto socket = sockets_.find(connection);
  if (socket == sockets_.end()) return;
  const absl::Duration when = NextArrival(socket->second.up);
  sockets_.erase(socket);
  daemon_->process.At(when,
                      [this, connection] { daemon_->node.packet_handler().OnClosed(connection); });
}

void HostSim::Forward(const std::string& ticket, Method method, const std::string& request,
                      absl::Duration timeout, std::weak_ptr<void> caller,
                      std::function<void(absl::StatusOr<std::string>)> done) {
  const auto finish = [this, caller, done = std::move(done)](absl::StatusOr<std::string> result) {
    world_.loop.After(Soon(), [caller, done, result = std::move(result)] {
      if (!caller.expired()) done(result);
    });
  };
  if (daemon_ == nullptr) {
    finish(DaemonGone());
    return;
  }
  const uint64_t id = ++daemon_->last_forward;
  daemon_->forwarded[id] = finish;
  const auto answer = [daemon = daemon_.get(), id](absl::StatusOr<std::string> result) {
    const auto it = daemon->forwarded.find(id);
    if (it == daemon->forwarded.end()) return;
    auto told = std::move(it->second);
    daemon->forwarded.erase(it);
    told(std::move(result));
  };
  daemon_->process.After(Soon(), [this, ticket, method, request, timeout, answer] {
    const absl::StatusOr<LocalApi::Caller> user = daemon_->node.FindCaller(ticket);
    if (!user.ok()) return answer(user.status());
    const absl::StatusOr<CallIdentity> identity = daemon_->node.IdentityOf(user->principal);
    if (!identity.ok()) return answer(identity.status());
    CallCoordinator(network_, name_, daemon_->transport.coordinator(),
                    {identity->host, identity->session_id, identity->principal}, method, request,
                    timeout, daemon_->alive, answer);
  });
}

}  // namespace weft::sim
