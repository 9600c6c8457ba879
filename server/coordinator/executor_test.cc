#include "server/coordinator/executor.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "server/coordinator/runner_test_util.h"
#include "server/core/errors.h"
#include "server/platform/fake_clock.h"

namespace weft {
namespace {

using Answer = std::optional<absl::Status>;

// Says when a host has expired.
class ExpiryObserver : public RunnerObserver {
 public:
  void OnCommitted(const State&, const Changes& changes, uint64_t) override {
    for (const v1::Event& event : changes.events) {
      if (event.type() == v1::HOST_EXPIRED) expired.Notify();
    }
  }
  absl::Notification expired;
};

class ExecutorTest : public testing::Test {
 protected:
  ExecutorTest() { EXPECT_TRUE(runner_.Load().ok()); }
  ~ExecutorTest() override { StopAndJoin().IgnoreError(); }

  void Start() {
    thread_ = std::thread([this] { result_ = executor_.Run(); });
  }

  absl::Status StopAndJoin() {
    executor_.Stop();
    if (thread_.joinable()) thread_.join();
    return result_;
  }

  // Runs `command` and waits for its answer. REQUIRES: started.
  absl::Status Call(Lane lane, Command command) {
    absl::Notification answered;
    absl::Status answer;
    command.done = [&](const absl::Status& status) {
      answer = status;
      answered.Notify();
    };
    executor_.Submit(lane, std::move(command));
    answered.WaitForNotification();
    return answer;
  }

  std::shared_ptr<MemoryMedium> medium_ = std::make_shared<MemoryMedium>();
  TestStore store_{medium_};
  FakeClock clock_;
  ExpiryObserver observer_;
  CommandRunner runner_{store_, clock_, TestCoreOptions(), observer_};
  CommandExecutor executor_{runner_, clock_, {.max_queued = {4, 4, 100}, .max_round = 10}};
  absl::Status result_;
  std::thread thread_;
};

TEST_F(ExecutorTest, WhatHasQueuedUpSharesACommit) {
  std::vector<Answer> answers(10);
  const int before = store_.commits();
  for (size_t i = 0; i < answers.size(); ++i) {
    executor_.Submit(Lane::kRequest, CreatePoolCommand(absl::StrCat("p", i), &answers[i]));
  }
  EXPECT_EQ(executor_.Queued(Lane::kRequest), answers.size());
  Start();
  Answer unused;
  EXPECT_TRUE(Call(Lane::kRequest, GetPoolCommand("p9", CommandKind::kLocal, &unused)).ok());
  for (const Answer& answer : answers) EXPECT_EQ(answer, absl::OkStatus());
  EXPECT_EQ(store_.commits(), before + 1);
}

TEST_F(ExecutorTest, AFullLaneRefusesAtOnceAndOthersDoNot) {
  std::vector<Answer> queued(4);
  for (Answer& answer : queued) {
    executor_.Submit(Lane::kSession, CreatePoolCommand("p", &answer));
  }
  Answer refused, other;
  executor_.Submit(Lane::kSession, CreatePoolCommand("q", &refused));
  ASSERT_TRUE(refused.has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(*refused));
  EXPECT_EQ(ReasonOf(*refused), v1::OVERLOADED);
  executor_.Submit(Lane::kRequest, CreatePoolCommand("q", &other));
  EXPECT_FALSE(other.has_value());
}

TEST_F(ExecutorTest, AFloodOfRequestsDoesNotDelayRenewals) {
  std::vector<std::string> order;
  const auto note = [&order](const std::string& name) {
    Command command;
    command.kind = CommandKind::kLocal;
    command.run = [](State&, const Now&, Changes&) { return absl::OkStatus(); };
    command.done = [&order, name](const absl::Status&) { order.push_back(name); };
    return command;
  };
  for (int i = 0; i < 100; ++i) executor_.Submit(Lane::kRequest, note("request"));
  for (int i = 0; i < 4; ++i) executor_.Submit(Lane::kRenewal, note("renewal"));
  executor_.Submit(Lane::kSession, note("session"));
  Start();
  absl::Notification done;
  Command last = note("last");
  last.done = [&](const absl::Status&) { done.Notify(); };
  while (executor_.Queued(Lane::kRequest) >= 100) std::this_thread::yield();
  executor_.Submit(Lane::kRequest, std::move(last));
  done.WaitForNotification();
  ASSERT_EQ(order.size(), 105u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(order[i], "renewal");
  EXPECT_EQ(order[4], "session");
}

TEST_F(ExecutorTest, WakesByItselfToExpireHosts) {
  Start();
  std::string session;
  Answer unused;
  ASSERT_TRUE(Call(Lane::kSession, RegisterCommand("host-a", &session, &unused)).ok());
  for (int second = 0; second < 11; ++second) {
    clock_.AwaitWaiters(1);
    EXPECT_FALSE(observer_.expired.HasBeenNotified()) << second;
    clock_.Advance(absl::Seconds(1));
  }
  observer_.expired.WaitForNotification();
}

TEST_F(ExecutorTest, StopRefusesWhatWaitsAndWhatComesLater) {
  Answer waiting, later;
  executor_.Submit(Lane::kRequest, CreatePoolCommand("p", &waiting));
  executor_.Stop();
  Start();
  EXPECT_TRUE(StopAndJoin().ok());
  EXPECT_EQ(ReasonOf(*waiting), v1::UNREACHABLE);
  executor_.Submit(Lane::kRequest, CreatePoolCommand("q", &later));
  EXPECT_EQ(ReasonOf(*later), v1::UNREACHABLE);
}

TEST_F(ExecutorTest, EndsWhenTheStoreHasAnotherOwner) {
  Start();
  medium_->Depose();
  Answer unused;
  EXPECT_EQ(ReasonOf(Call(Lane::kRequest, CreatePoolCommand("p", &unused))), v1::NOT_LEADER);
  thread_.join();
  EXPECT_EQ(ReasonOf(result_), v1::STORE_IN_USE);
}

TEST_F(ExecutorTest, RefusingEndsTheRunAndAnswersWhatWaits) {
  Start();
  Answer unused, later;
  ASSERT_TRUE(Call(Lane::kRequest, CreatePoolCommand("p", &unused)).ok());
  executor_.Refuse(NotLeader("other:1"));
  thread_.join();
  EXPECT_TRUE(result_.ok());
  executor_.Submit(Lane::kRequest, CreatePoolCommand("q", &later));
  EXPECT_EQ(LeaderOf(*later), "other:1");
}

TEST_F(ExecutorTest, GoesOnWithAnotherTerm) {
  Start();
  medium_->Depose();
  Answer unused, between;
  Call(Lane::kRequest, CreatePoolCommand("p", &unused)).IgnoreError();
  thread_.join();
  executor_.Submit(Lane::kRequest, CreatePoolCommand("p", &between));
  EXPECT_EQ(ReasonOf(*between), v1::NOT_LEADER);
  executor_.Refuse(NotLeader("other:1"));
  executor_.Submit(Lane::kRequest, CreatePoolCommand("p", &between));
  EXPECT_EQ(LeaderOf(*between), "other:1");

  TestStore again(medium_);
  runner_.BeginTerm(again);
  executor_.Accept();
  Start();
  EXPECT_TRUE(Call(Lane::kRequest, CreatePoolCommand("p", &unused)).ok());
  EXPECT_TRUE(StopAndJoin().ok());
}

}  // namespace
}  // namespace weft
