#include "tests/sim/host_sim.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/host_daemon.h"

namespace weft::sim {

HostSim::HostSim(World& world, Network& network, Truth& truth,
                 std::vector<CoordinatorSim*> coordinators, std::string name, v1::Backend backend)
    : world_(world),
      network_(network),
      truth_(truth),
      coordinators_(std::move(coordinators)),
      name_(std::move(name)),
      backend_(backend),
      rng_(world.rng.Fork()),
      clock_(world.loop, absl::Hours(1) + rng_.Between(absl::ZeroDuration(), absl::Hours(9))),
      dax_(name_) {
  if (world.bugs.slow_host_clock) clock_.SetRate(-500'000);
}

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
  if (raw_ != nullptr) raw_->OnUnplug(dax_.slots().at(dax_name).number);
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

void HostSim::OnMemoryFailure(const Memory& memory, uint64_t line) {
  if (!powered()) return;
  kernel_->After(Soon(), [this, &memory, line] { kmod_->OnMemoryFailure(memory, line); });
}

ByteRanges HostSim::BadRangesOf(const Memory& memory) const {
  return powered() ? kmod_->BadRangesOf(memory) : ByteRanges();
}

void HostSim::TellOf(const KmodEvent& event) {
  const bool cut_off =
      std::any_of(coordinators_.begin(), coordinators_.end(),
                  [&](const auto* each) { return network_.IsCut(name_, each->name()); });
  if (cut_off) world_.Probe("memory of a host that is cut off fails");
  kernel_->After(Soon(), [this, event] {
    if (daemon_ != nullptr) return daemon_->node.OnEvent(event);
    world_.Probe("memory fails while no weftd runs");
  });
}

void HostSim::PowerOn() {
  if (powered() || held_off_) return;
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
  kmod_->on_dead_man_done = [this] {
    kernel_->After(Soon(), [this] {
      if (daemon_ == nullptr) return;
      KmodEvent done;
      done.type = KmodEvent::Type::kDeadManDone;
      daemon_->node.OnEvent(done);
    });
  };
  kmod_->on_memory_failure = [this](const KmodEvent& event) { TellOf(event); };
  if (backend_ == v1::DEVDAX) raw_ = std::make_unique<SimRaw>(truth_, name_);
  dax_.SetRaw(raw_.get());
  records_ = std::make_unique<Records>(*this);
  released_ = std::make_unique<Records>(*this);
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
  dax_.SetRaw(nullptr);
  raw_.reset();
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

void HostSim::Thaw(bool timers_first) {
  if (!powered() || !frozen_) return;
  world_.Log(name_, ": goes on", timers_first ? "" : ", its timers late");
  frozen_ = false;
  if (timers_first) kmod_->OnWake();
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
  SweepDescriptors();
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

size_t HostSim::grants_held() const {
  if (!powered()) return 0;
  return raw_ != nullptr ? raw_->files() : kmod_->ListSegments()->size();
}

std::vector<std::pair<SegmentId, Token>> HostSim::TakenBack() const {
  return powered() ? kmod_->TakenBack() : std::vector<std::pair<SegmentId, Token>>();
}

// ---- What processes do with handles

HandleId HostSim::Claim(int fd) { return raw_ != nullptr ? raw_->Claim(fd) : kmod_->Claim(fd); }

void HostSim::SweepDescriptors() {
  raw_ != nullptr ? raw_->SweepDescriptors() : kmod_->SweepDescriptors();
}

HandleId HostSim::Map(const v1::OpenReply& open, const std::vector<HandleId>& files) {
  return raw_ != nullptr ? raw_->Map(open, files) : files.at(0);
}

void HostSim::Release(HandleId handle) {
  if (raw_ == nullptr) return kmod_->Release(handle);
  raw_->Release(handle);
}

bool HostSim::Store(HandleId handle, uint64_t line, const Line& value) {
  return raw_ != nullptr ? raw_->Store(handle, line, value) : kmod_->Store(handle, line, value);
}

std::optional<Line> HostSim::Load(HandleId handle, uint64_t line) {
  return raw_ != nullptr ? raw_->Load(handle, line) : kmod_->Load(handle, line);
}

void HostSim::Flush(HandleId handle, uint64_t line) {
  if (raw_ == nullptr) kmod_->Flush(handle, line);
}

uint64_t HostSim::LinesOf(HandleId handle) const {
  return raw_ != nullptr ? raw_->LinesOf(handle) : kmod_->LinesOf(handle);
}

// ---- Local connections

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
