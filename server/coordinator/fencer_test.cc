#include "server/coordinator/fencer.h"

#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_program.h"

namespace weft {
namespace {

const ProgramEnd kSuccess{0, "Success: Rebooted\n"};
const ProgramEnd kFailure{1, "no route\nto host\n"};

class FencerTest : public testing::Test {
 protected:
  FencerTest()
      : fencer_({{"a", {.command = "/bin/fence_a"}}, {"b", {.command = "/bin/fence_b"}}}, runner_,
                clock_, [this](const FenceOrder& order, const std::string& failure, Done done) {
                  absl::MutexLock lock(&mu_);
                  reports_.push_back({order, failure, std::move(done)});
                }) {
    for (size_t i = 0; i < fencer_.concurrency(); ++i) {
      threads_.emplace_back([this] { fencer_.Run(); });
    }
  }
  ~FencerTest() override {
    fencer_.Stop();
    for (std::thread& thread : threads_) thread.join();
  }

  using Done = absl::AnyInvocable<void(const absl::Status&)>;
  struct Report {
    FenceOrder order;
    std::string failure;
    Done done;
  };
  Report& AwaitReport(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return reports_.size() >= count; };
    mu_.Await(absl::Condition(&there));
    return reports_[count - 1];
  }
  size_t Reports() {
    absl::MutexLock lock(&mu_);
    return reports_.size();
  }

  FakeClock clock_;
  FakeProgramRunner runner_;
  absl::Mutex mu_;
  std::deque<Report> reports_ ABSL_GUARDED_BY(mu_);
  Fencer fencer_;
  std::vector<std::thread> threads_;
};

TEST_F(FencerTest, RunsTheAgentOfTheHostAndReportsItsSuccess) {
  fencer_.Apply({{{"a", 7}, true}});
  const ProgramSpec spec = runner_.AwaitStart(1);
  EXPECT_EQ(spec.arguments, std::vector<std::string>{"/bin/fence_a"});
  EXPECT_EQ(spec.input, "action=reboot\nnodename=a\n");
  runner_.End(kSuccess);
  Report& report = AwaitReport(1);
  EXPECT_EQ(report.order, (FenceOrder{"a", 7}));
  EXPECT_EQ(report.failure, "");
  report.done(absl::OkStatus());
  clock_.AwaitWaiters(fencer_.concurrency());
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(runner_.started(), 1u);
}

TEST_F(FencerTest, TriesAgainWithGrowingPausesUntilItSucceeds) {
  fencer_.Reset({{"a", 1}});
  size_t tries = 0;
  for (const int pause_seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
    runner_.AwaitStart(++tries);
    runner_.End(kFailure);
    Report& report = AwaitReport(tries);
    EXPECT_EQ(report.failure, "fence_a ended with 1: no route to host");
    report.done(absl::OkStatus());
    clock_.AwaitWaiters(fencer_.concurrency());
    clock_.Advance(absl::Seconds(pause_seconds) - absl::Milliseconds(1));
    EXPECT_EQ(runner_.started(), tries);
    clock_.Advance(absl::Milliseconds(1));
  }
  runner_.AwaitStart(++tries);
  runner_.End(kSuccess);
  EXPECT_EQ(AwaitReport(tries).failure, "");
}

TEST_F(FencerTest, ASuccessThatIsNotInTheStateIsNone) {
  fencer_.Reset({{"a", 1}});
  runner_.AwaitStart(1);
  runner_.End(kSuccess);
  AwaitReport(1).done(absl::UnavailableError("the store failed"));
  clock_.AwaitWaiters(fencer_.concurrency());
  clock_.Advance(absl::Seconds(1));
  runner_.AwaitStart(2);
}

TEST_F(FencerTest, AgentsOfSeveralHostsRunAtTheSameTime) {
  fencer_.Reset({{"a", 1}, {"b", 2}});
  runner_.AwaitStart(2);
  EXPECT_EQ(fencer_.concurrency(), 2u);
}

TEST_F(FencerTest, WhatIsNotWantedAnyMoreIsKilledAndNotReported) {
  fencer_.Reset({{"a", 1}});
  runner_.AwaitStart(1);
  fencer_.Apply({{{"a", 1}, false}});
  fencer_.Apply({{{"a", 2}, true}});  // the next fence of the same host
  runner_.AwaitStart(2);
  runner_.End(kSuccess);
  EXPECT_EQ(AwaitReport(1).order, (FenceOrder{"a", 2}));
  fencer_.Reset({});
  EXPECT_EQ(Reports(), 1u);
}

TEST_F(FencerTest, WhatGoesOnAfterTheStateWasLoadedAgainIsNotRunTwice) {
  fencer_.Reset({{"a", 1}});
  runner_.AwaitStart(1);
  fencer_.Reset({{"a", 1}, {"b", 2}});
  runner_.AwaitStart(2);
  runner_.End(kSuccess);
  runner_.End(kSuccess);
  AwaitReport(2);
  EXPECT_EQ(runner_.started(), 2u);
}

TEST_F(FencerTest, SaysThatAHostHasNoAgent) {
  fencer_.Reset({{"c", 1}});
  EXPECT_NE(AwaitReport(1).failure.find("no fence agent"), std::string::npos);
  EXPECT_EQ(runner_.started(), 0u);
}

}  // namespace
}  // namespace weft
