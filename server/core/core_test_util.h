// A cluster in memory for tests of the state machine: its hosts, clock and store.

#ifndef WEFT_SERVER_CORE_CORE_TEST_UTIL_H_
#define WEFT_SERVER_CORE_CORE_TEST_UTIL_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "proto/weft/v1/session.pb.h"
#include "server/core/check.h"
#include "server/core/load.h"
#include "server/core/sessions.h"
#include "server/core/state.h"

namespace weft {

// Carries out what core asks of it as a store and as honest hosts would. Every command is
// committed at once; Restart() loads a new State from what was committed.
class TestCluster {
 public:
  explicit TestCluster(CoreOptions options = {});

  State& state() { return *state_; }
  Context Admin() const { return {now, "admin", ""}; }
  Context On(const std::string& host) const { return {now, "uid:1000@" + host, host}; }

  // Runs `command(State&, const Context&, Changes&)` and commits what it changed. CHECKs
  // that a failure changed nothing.
  template <typename Command>
  auto Run(Command command) {
    Changes changes;
    auto result = command(*state_, Admin(), changes);
    WEFT_CHECK(Succeeded(result) || changes.empty(), "a failed command left changes");
    Commit(std::move(changes));
    return result;
  }

  // The same for what an administrator asks for: `command(State&, const Context&, request,
  // Changes&)`.
  template <typename Command, typename Request>
  auto Call(Command command, const Request& request) {
    return Run([&](State& state, const Context& context, Changes& changes) {
      return command(state, context, request, changes);
    });
  }
  // And for what `host` says in its session.
  absl::Status Report(const std::string& host, const v1::NodeMessage& message);

  // Throws away the state in memory and loads it again from the committed records.
  void Restart();
  // Goes on from what was durable once, as a coordinator does that was restored from it.
  void Restore(std::map<std::string, std::string> backup);
  // What Restart would load. It must have nothing to write.
  std::unique_ptr<State> Load() const;

  // Adds a device that every host registered afterwards sees. Returns its name.
  std::string AddDevice(uint64_t data_mib, v1::Coherence coherence = v1::HARDWARE);

  // Registers `host`, which sees all devices, on the emulated backend, with the boot id
  // "boot-<n>"; returns its session id. Fails the test on error.
  std::string RegisterHost(const std::string& host, int boot = 1, int instance = 1,
                           const std::vector<v1::HeldGrant>& held = {}, bool can_revoke = false);
  absl::StatusOr<v1::Registered> TryRegister(const v1::Register& request);
  v1::Register RegisterRequest(const std::string& host, int boot, int instance) const;

  // Lets all hosts do what they are assigned (proofs, labels, scrubs) until nothing is left
  // to do. Hosts in `frozen` do nothing.
  void Settle();

  // A pool `id` of all devices, scrubbed and ready.
  void MakePool(const std::string& id);
  absl::StatusOr<v1::Segment> Create(const std::string& pool, const std::string& segment,
                                     uint64_t size_mib);
  absl::StatusOr<v1::AcquireGrantResponse> Acquire(const std::string& host,
                                                   const std::string& segment, v1::AccessMode mode);
  absl::Status Release(const std::string& host, const v1::Grant& grant);
  absl::Status Delete(const std::string& segment, bool force = false);

  void Advance(absl::Duration duration);
  // Ticks until nothing is overdue.
  void TickAll();

  Now now{absl::Hours(1), 1'700'000'000'000};
  std::map<std::string, std::string> store;                               // what is durable
  std::map<std::string, std::map<std::string, v1::Assignment>> assigned;  // by host
  std::vector<v1::Event> events;
  std::set<FenceOrder> fences;                  // as whoever runs agents would know them
  std::map<std::string, std::string> sessions;  // by host
  std::vector<std::string> frozen;
  std::vector<v1::LocalDevice> devices;
  // What each host's device of a UUID really is: hosts that share memory share the number.
  std::map<std::pair<std::string, std::string>, int> memory_of;
  // Device name, memory, slot -> nonce.
  std::map<std::tuple<std::string, int, uint32_t>, std::string> slots;
  std::vector<v1::Extent> scrubbed;

  // Does one assignment of `host`; false: there is nothing to do and report for it.
  bool Work(const std::string& host, const v1::Assignment& assignment, v1::NodeMessage& report);

 private:
  static bool Succeeded(const absl::Status& status) { return status.ok(); }
  template <typename T>
  static bool Succeeded(const absl::StatusOr<T>& result) {
    return result.ok();
  }
  static bool Succeeded(absl::Duration) { return true; }

  void Commit(Changes changes);
  std::unique_ptr<State> LoadInto(Changes& changes) const;

  CoreOptions options_;
  int next_uuid_ = 1;
  std::unique_ptr<State> state_;
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_CORE_TEST_UTIL_H_
