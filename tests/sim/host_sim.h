// One machine: its devices, kernel, daemon and processes.

#ifndef WEFT_TESTS_SIM_HOST_SIM_H_
#define WEFT_TESTS_SIM_HOST_SIM_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/weft/v1/node.pb.h"
#include "server/platform/packet_server.h"
#include "server/platform/record_dir.h"
#include "tests/sim/coordinator_sim.h"
#include "tests/sim/network.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_dax.h"
#include "tests/sim/sim_kmod.h"
#include "tests/sim/sim_raw.h"
#include "tests/sim/truth.h"
#include "tests/sim/world.h"

namespace weft::sim {

// A local process's end of a connection to the fd socket.
class SocketPeer {
 public:
  virtual ~SocketPeer() = default;
  virtual void OnPacket(const std::string& packet, const std::vector<HandleId>& handles) = 0;
  // The daemon is gone, or closed the connection.
  virtual void OnSocketClosed() = 0;
  // The machine has lost its power.
  virtual void OnPowerOff() = 0;
};

class HostSim {
 public:
  HostSim(World& world, Network& network, Truth& truth, std::vector<CoordinatorSim*> coordinators,
          std::string name, v1::Backend backend);
  ~HostSim();

  const std::string& name() const { return name_; }
  v1::Backend backend() const { return backend_; }
  SimClock& clock() { return clock_; }
  const SimDax& dax() const { return dax_; }
  Loop& loop() { return world_.loop; }
  // Whether a copy of a message may come later.
  bool network_duplicates() const { return network_.faults.duplicate_one_in > 0; }
  // Something that a process of this machine does later, if the machine still runs then.
  void After(absl::Duration pause, Loop::Task task) { kernel_->After(pause, std::move(task)); }

  // ---- Hardware

  struct Hardware {
    std::shared_ptr<Memory> memory;
    bool software_coherent = false;
  };
  // By name; with or without power.
  const std::map<std::string, Hardware>& hardware() const { return hardware_; }
  void Plug(const std::string& dax_name, const std::shared_ptr<Memory>& memory,
            bool software_coherent);
  void Unplug(const std::string& dax_name);
  bool HasDirty(const Memory& memory, uint64_t first, uint64_t last) const;
  void SetClockRate(int64_t ppm);
  // The machine hears that the memory is bad there, without touching it.
  void OnMemoryFailure(const Memory& memory, uint64_t line);
  // What this machine's module knows to be bad of the memory.
  ByteRanges BadRangesOf(const Memory& memory) const;

  bool powered() const { return kmod_ != nullptr; }
  // No-op while it is held off.
  void PowerOn();
  void SetHeldOff(bool held_off) { held_off_ = held_off; }
  bool held_off() const { return held_off_; }
  // Everything in processes, kernel and caches is lost.
  void PowerOff();
  // The machine as a whole stands still, its kernel too.
  void Freeze();
  bool frozen() const { return frozen_; }
  // With `timers_first` the dead-man sees that its time has come before any process runs. So it
  // need not be on a real machine.
  void Thaw(bool timers_first);
  SimKmod& kmod() { return *kmod_; }

  // What goes wrong in weftd's state directory.
  struct StateDirFaults {
    bool full = false;
    uint64_t fails_one_in = 0;  // 0: never
  };
  StateDirFaults state_dir_faults;

  // ---- The daemon. Like under systemd, it is started again when it ends.

  void KillDaemon();
  void StopDaemon();
  void ContinueDaemon();
  bool daemon_running() const { return daemon_ != nullptr; }
  size_t grants_held() const;
  // The segments, and under which token, that processes have open and that the module took back,
  // where it would give them back under this very token.
  std::vector<std::pair<SegmentId, Token>> TakenBack() const;

  // ---- What processes do with handles: see SimKmod and SimRaw

  HandleId Map(const v1::OpenReply& open, const std::vector<HandleId>& files);
  void Release(HandleId handle);
  bool Store(HandleId handle, uint64_t line, const Line& value);
  std::optional<Line> Load(HandleId handle, uint64_t line);
  void Flush(HandleId handle, uint64_t line);
  uint64_t LinesOf(HandleId handle) const;

  // ---- Local processes

  // A process begins, or ends by itself: it hears of the machine's end in between.
  void Join(SocketPeer* process) { processes_.push_back(process); }
  void Leave(SocketPeer* process) { std::erase(processes_, process); }
  // Zero: nobody listens.
  ConnectionId Connect(SocketPeer* peer);
  void Send(ConnectionId connection, const std::string& packet);
  void Disconnect(ConnectionId connection);
  // A call to weftd's gRPC socket, which it takes to the coordinator. `done` is called
  // unless `caller` is gone then.
  void Forward(const std::string& ticket, Method method, const std::string& request,
               absl::Duration timeout, std::weak_ptr<void> caller,
               std::function<void(absl::StatusOr<std::string>)> done);

 private:
  struct Daemon;
  class Packets;
  class Records;

  HandleId Claim(int fd);
  void SweepDescriptors();
  void StartDaemon();
  void RestartDaemonSoon();
  void TellOf(const KmodEvent& event);
  void EvictNowAndThen();
  absl::Duration Soon();

  World& world_;
  Network& network_;
  Truth& truth_;
  const std::vector<CoordinatorSim*> coordinators_;
  const std::string name_;
  const v1::Backend backend_;
  Rng rng_;
  SimClock clock_;
  SimDax dax_;
  std::map<std::string, Hardware> hardware_;
  bool frozen_ = false;
  bool held_off_ = false;

  // Of one boot.
  uint64_t boots_ = 0;
  std::unique_ptr<Process> kernel_;
  std::unique_ptr<SimKmod> kmod_;
  std::unique_ptr<SimRaw> raw_;  // null: the daemon's backend is kmod
  std::unique_ptr<Records> records_;
  std::unique_ptr<Records> released_;

  std::unique_ptr<Daemon> daemon_;
  bool restart_pending_ = false;
  bool daemon_stopped_ = false;
  struct Socket {
    SocketPeer* peer = nullptr;
    // When the last packet each way arrives: the next comes after it.
    absl::Duration up;
    absl::Duration down;
  };
  // The next packet's arrival, where the last one's was `last`.
  absl::Duration NextArrival(absl::Duration& last);

  ConnectionId last_connection_ = 0;
  std::map<ConnectionId, Socket> sockets_;
  std::vector<SocketPeer*> processes_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_HOST_SIM_H_
