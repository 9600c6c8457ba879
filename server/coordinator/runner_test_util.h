// What the tests of the executor and its parts share.

#ifndef WEFT_SERVER_COORDINATOR_RUNNER_TEST_UTIL_H_
#define WEFT_SERVER_COORDINATOR_RUNNER_TEST_UTIL_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/coordinator/command.h"
#include "server/coordinator/command_runner.h"
#include "server/core/pools.h"
#include "server/core/sessions.h"
#include "server/core/state.h"
#include "server/core/unrecorded.h"
#include "server/platform/fake_random.h"
#include "server/platform/random.h"
#include "server/store/faulty_store.h"
#include "server/store/memory_store.h"

namespace weft {

inline CoreOptions TestCoreOptions() {
  CoreOptions options;
  options.version = "test";
  options.random_uuid = [random = std::make_shared<FakeRandom>()] { return NewUuid(*random); };
  return options;
}

// A store in memory that can fail at every step.
class TestStore final : public Store {
 public:
  explicit TestStore(std::shared_ptr<MemoryMedium> medium)
      : store_(std::make_unique<FaultyStore>(MemoryStore::Open(std::move(medium)).value())) {}

  void FailNextCommit(CommitFault fault) { store_->FailNextCommit(fault); }
  // While true: RESOURCE_EXHAUSTED STORE_FULL.
  void set_full(bool value) { full_ = value; }
  // While true: UNAVAILABLE.
  void set_cannot_recover(bool value) { cannot_recover_ = value; }
  void set_cannot_confirm(bool value) { cannot_confirm_ = value; }

  int commits() const { return commits_; }
  int confirmations() const { return confirmations_; }

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction) override {
    ++commits_;
    if (full_) store_->FailNextCommit(CommitFault::kFull);
    return store_->Commit(transaction);
  }
  absl::StatusOr<int64_t> Scan(std::string_view prefix, Visitor visit) override {
    return store_->Scan(prefix, visit);
  }
  absl::Status ConfirmLeadership() override {
    ++confirmations_;
    if (cannot_confirm_) return absl::UnavailableError("cannot confirm");
    return store_->ConfirmLeadership();
  }
  absl::Status Recover() override {
    if (cannot_recover_) return absl::UnavailableError("cannot recover");
    return store_->Recover();
  }
  StoreLimits limits() const override { return store_->limits(); }

 private:
  std::unique_ptr<FaultyStore> store_;
  std::atomic<bool> full_{false};
  std::atomic<bool> cannot_recover_{false};
  std::atomic<bool> cannot_confirm_{false};
  std::atomic<int> commits_ = 0;
  int confirmations_ = 0;
};

// Remembers what it was told.
class TestObserver : public RunnerObserver {
 public:
  void OnLoaded(const State&) override { ++loads; }
  void OnUnloaded(const absl::Status& cause) override { unloads.push_back(cause); }
  void OnLoadedAgain(const State&, const absl::Status&) override { ++loads_again; }
  void OnCommitted(const State&, const Changes& changes, uint64_t revision) override {
    for (const v1::Event& event : changes.events) events.push_back(event);
    revisions.push_back(revision);
  }

  int loads = 0;
  int loads_again = 0;
  std::vector<absl::Status> unloads;
  std::vector<v1::Event> events;
  std::vector<uint64_t> revisions;
};

// The command writes what it was answered to `*answer`.
inline Command CreatePoolCommand(const std::string& id, std::optional<absl::Status>* answer) {
  Command command;
  command.run = [id](State& state, const Now& now, Changes& changes) {
    v1::CreatePoolRequest request;
    request.set_pool_id(id);
    return CreatePool(state, Context{now, "admin", ""}, request, changes).status();
  };
  command.done = [answer](const absl::Status& status) { *answer = status; };
  return command;
}

inline Command GetPoolCommand(const std::string& id, CommandKind kind,
                              std::optional<absl::Status>* answer) {
  Command command;
  command.kind = kind;
  command.run = [id](State& state, const Now&, Changes&) {
    v1::GetPoolRequest request;
    request.set_name("pools/" + id);
    return GetPool(state, request).status();
  };
  command.done = [answer](const absl::Status& status) { *answer = status; };
  return command;
}

inline v1::Register TestRegistration(const std::string& host) {
  v1::Register request;
  request.set_protocol_version(1);
  request.set_host_id(host);
  request.set_boot_id("boot-1");
  request.set_instance_id("instance-1");
  request.set_backend(v1::EMULATED);
  request.set_can_revoke(true);
  return request;
}

inline Command RegisterCommand(const std::string& host, std::string* session_id,
                               std::optional<absl::Status>* answer) {
  Command command;
  command.run = [host, session_id](State& state, const Now& now, Changes& changes) {
    const auto registered =
        Register(state, Context{now, "hosts/" + host, host}, TestRegistration(host), changes);
    if (registered.ok()) *session_id = registered->session_id();
    return registered.status();
  };
  command.run_unrecorded = [host, session_id](State& state, const Now& now, Changes&) {
    const auto resumed = Resume(state, now, TestRegistration(host));
    if (resumed.ok()) *session_id = resumed->session_id();
    return resumed.status();
  };
  command.done = [answer](const absl::Status& status) { *answer = status; };
  return command;
}

inline Command RenewCommand(const std::string& host, const std::string& session_id,
                            std::optional<absl::Status>* answer) {
  Command command;
  command.kind = CommandKind::kConfirmed;
  command.run = [host, session_id](State& state, const Now& now, Changes&) {
    return Renew(state, now, host, session_id);
  };
  command.done = [answer](const absl::Status& status) { *answer = status; };
  return command;
}

template <typename... Commands>
std::vector<Command> Round(Commands... commands) {
  std::vector<Command> round;
  (round.push_back(std::move(commands)), ...);
  return round;
}

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_RUNNER_TEST_UTIL_H_
