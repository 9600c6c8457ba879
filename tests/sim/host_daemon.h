// A machine's daemon, for the files of HostSim: what weftd's main puts together.

#ifndef WEFT_TESTS_SIM_HOST_DAEMON_H_
#define WEFT_TESTS_SIM_HOST_DAEMON_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/token_proto.h"
#include "server/node/fake_signatures.h"
#include "server/node/kmod_backend.h"
#include "server/node/kmod_dax.h"
#include "server/node/node.h"
#include "server/node/node_metrics.h"
#include "server/node/raw_backend.h"
#include "tests/sim/host_sim.h"
#include "tests/sim/sim_executor.h"
#include "tests/sim/sim_transport.h"

namespace weft::sim {

inline constexpr absl::Duration kRevokeBound = absl::Seconds(1);

inline absl::Status DaemonGone() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "weftd is gone");
}

// A directory on the machine's disk, for one boot. What was written is there for the next daemon,
// whether it was synced or not: the machine went on.
class HostSim::Records final : public RecordDir {
 public:
  explicit Records(HostSim& host) : host_(host) {}

  absl::StatusOr<std::map<std::string, std::string>> ReadAll() override {
    if (Fails("a record cannot be read")) return Broken();
    return records_;
  }
  absl::Status Write(const std::string& name, const std::string& bytes) override {
    const auto old = records_.find(name);
    if (old != records_.end() && old->second == bytes) return absl::OkStatus();
    if (host_.state_dir_faults.full) {
      host_.world_.Probe("no space for a record");
      return absl::ResourceExhaustedError("write: No space left on device");
    }
    if (Fails("a record cannot be written")) return Broken();
    records_[name] = bytes;
    return absl::OkStatus();
  }
  absl::Status Remove(const std::string& name) override {
    if (records_.contains(name) && Fails("a record cannot be removed")) return Broken();
    records_.erase(name);
    return absl::OkStatus();
  }

  // Whether the next daemon will know of the grant with this token, or of one that came after.
  bool HasGrant(uint64_t segment, const v1::Token& token) const {
    const auto record = records_.find(absl::StrCat(segment));
    v1::GrantAssignment grant;
    if (record == records_.end() || !grant.ParseFromString(record->second)) return false;
    return FromProto(grant.grant().token()) >= FromProto(token);
  }

 private:
  bool Fails(const char* probe) {
    const uint64_t one_in = host_.state_dir_faults.fails_one_in;
    if (one_in == 0 || !host_.rng_.OneIn(one_in)) return false;
    host_.world_.Probe(probe);
    return true;
  }
  static absl::Status Broken() { return absl::UnknownError("Input/output error"); }

  HostSim& host_;
  std::map<std::string, std::string> records_;
};

// The fd socket's server.
class HostSim::Packets final : public PacketServer {
 public:
  explicit Packets(HostSim& host) : host_(host) {}

  void Send(ConnectionId connection, std::string packet, std::vector<UniqueFd> fds) override {
    CheckRecorded(packet);
    std::vector<HandleId> handles;
    for (const UniqueFd& fd : fds) handles.push_back(host_.Claim(fd.get()));
    const auto socket = host_.sockets_.find(connection);
    if (socket == host_.sockets_.end()) {
      for (const HandleId handle : handles) host_.Release(handle);
      return;
    }
    host_.kernel_->At(
        host_.NextArrival(socket->second.down),
        [&host = host_, connection, packet = std::move(packet), handles = std::move(handles)] {
          const auto found = host.sockets_.find(connection);
          if (found != host.sockets_.end()) {
            found->second.peer->OnPacket(packet, handles);
          } else {
            for (const HandleId handle : handles) host.Release(handle);
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
  // Nothing is handed out that a daemon which is started now would not know of.
  void CheckRecorded(const std::string& packet) {
    v1::ServerMessage message;
    message.ParseFromString(packet);
    if (!message.has_open()) return;
    const v1::OpenReply& open = message.open();
    if (host_.records_->HasGrant(open.segment().id(), open.token())) return;
    host_.world_.Fail(7, absl::StrCat(host_.name_, " hands out segment ", open.segment().id(),
                                      " without a record of the grant"));
  }

  HostSim& host_;
};

struct HostSim::Daemon {
  explicit Daemon(HostSim& host)
      : machine(host),
        process(host.world_.loop),
        random(host.rng_.Fork()),
        executor(process, host.clock_, host.rng_.Fork(), absl::ZeroDuration(),
                 [this] { machine.SweepDescriptors(); }),
        blocking(process, host.clock_, host.rng_.Fork(), absl::Milliseconds(3),
                 [this] { AfterBlocking(); }),
        metrics(host.clock_),
        dax(MakeDax(host)),
        catalog(dax ? *dax : static_cast<Dax&>(host.dax_), {host.clock_, random, probe}),
        backend(MakeBackend(host)),
        transport(host.network_, host.name_, host.coordinators_),
        packets(host),
        node(Options(host),
             {executor, blocking, host.clock_, random, transport, packets, catalog, *backend,
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

  // Null: the backend is devdax.
  static std::unique_ptr<Dax> MakeDax(HostSim& host) {
    if (host.raw_ != nullptr) return nullptr;
    return std::make_unique<KmodDax>(
        host.dax_, *host.kmod_, host.dax_, *host.released_, std::set<std::string>(),
        [&kmod = *host.kmod_](const KmodDeviceInfo& device, const DaxInfo& info) {
          return kmod.OpenDevice(device, info);
        });
  }
  std::unique_ptr<Backend> MakeBackend(HostSim& host) {
    if (host.raw_ != nullptr) {
      return std::make_unique<RawBackend>(v1::DEVDAX, host.name_, catalog, *host.raw_,
                                          *host.records_);
    }
    return std::make_unique<KmodBackend>(*host.kmod_, catalog, *host.records_, blocking,
                                         KmodBackendOptions{.host_id = host.name_,
                                                            .revoke_bound = kRevokeBound,
                                                            .fence_action = FenceAction::kReport});
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
    machine.SweepDescriptors();
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
  const std::unique_ptr<Dax> dax;
  DeviceCatalog catalog;
  const std::unique_ptr<Backend> backend;
  SimTransport transport;
  Packets packets;
  Node node;
  bool scrub_pending = false;
  uint64_t last_forward = 0;
  std::map<uint64_t, std::function<void(absl::StatusOr<std::string>)>> forwarded;
  // What calls under way look at.
  const std::shared_ptr<void> alive = std::make_shared<int>();
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_HOST_DAEMON_H_
