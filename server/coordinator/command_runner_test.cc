#include "server/coordinator/command_runner.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/coordinator/load_state.h"
#include "server/coordinator/runner_test_util.h"
#include "server/core/errors.h"
#include "server/platform/fake_clock.h"

namespace weft {
namespace {

using Answer = std::optional<absl::Status>;
using testing::ElementsAre;
using testing::IsEmpty;

class CommandRunnerTest : public testing::Test {
 protected:
  CommandRunnerTest() { EXPECT_TRUE(runner_.Load().ok()); }

  Answer Run(Command command, Answer& answer) {
    runner_.RunOnce(Round(std::move(command)));
    return answer;
  }

  absl::Status Create(const std::string& pool) {
    Answer answer;
    return *Run(CreatePoolCommand(pool, &answer), answer);
  }

  // What the runner serves.
  std::vector<std::string> Pools() {
    std::vector<std::string> names;
    Command list;
    list.kind = CommandKind::kLocal;
    list.run = [&](State& state, const Now&, Changes&) {
      for (const auto& [id, pool] : state.pools) names.push_back(id);
      return absl::OkStatus();
    };
    list.done = [](const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; };
    runner_.RunOnce(Round(std::move(list)));
    return names;
  }

  // What a coordinator that starts now would serve.
  std::vector<std::string> StoredPools() {
    const auto state = LoadState(store_, TestCoreOptions(), Now{});
    EXPECT_TRUE(state.ok()) << state.status();
    std::vector<std::string> names;
    for (const auto& [id, pool] : (*state)->pools) names.push_back(id);
    return names;
  }

  std::shared_ptr<MemoryMedium> medium_ = std::make_shared<MemoryMedium>();
  TestStore store_{medium_};
  FakeClock clock_;
  TestObserver observer_;
  CommandRunner runner_{store_, clock_, TestCoreOptions(), observer_};
};

TEST_F(CommandRunnerTest, ManyCommandsShareOneCommit) {
  constexpr int kCommands = 50;
  std::vector<Answer> answers(kCommands);
  std::vector<Command> round;
  for (int i = 0; i < kCommands; ++i) {
    round.push_back(CreatePoolCommand(absl::StrCat("p", i), &answers[i]));
  }
  const int before = store_.commits();
  runner_.RunOnce(std::move(round));
  EXPECT_EQ(store_.commits(), before + 1);
  for (const Answer& answer : answers) EXPECT_EQ(answer, absl::OkStatus());
  EXPECT_EQ(observer_.events.size(), kCommands);
  EXPECT_EQ(StoredPools().size(), kCommands);
}

TEST_F(CommandRunnerTest, AnswersOnlyAfterTheCommit) {
  const int before = store_.commits();
  int commits_when_answered = 0;
  size_t events_when_answered = 1;
  Answer unused;
  Command command = CreatePoolCommand("p", &unused);
  command.done = [&](const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
    commits_when_answered = store_.commits();
    events_when_answered = observer_.events.size();
  };
  runner_.RunOnce(Round(std::move(command)));
  EXPECT_EQ(commits_when_answered, before + 1);
  EXPECT_EQ(events_when_answered, 0u);  // Replies go first, then events.
  EXPECT_EQ(observer_.events.size(), 1u);
}

TEST_F(CommandRunnerTest, ARefusedCommandCommitsNothing) {
  ASSERT_TRUE(Create("p").ok());
  const int before = store_.commits();
  EXPECT_EQ(ReasonOf(Create("p")), v1::ALREADY_EXISTS);
  EXPECT_EQ(store_.commits(), before);
}

TEST_F(CommandRunnerTest, ARefusalThatRestsOnAnUncommittedCommandWaitsForIt) {
  store_.FailNextCommit(CommitFault::kUnknownLost);
  Answer first, second;
  runner_.RunOnce(Round(CreatePoolCommand("p", &first), CreatePoolCommand("p", &second)));
  EXPECT_EQ(ReasonOf(*first), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(ReasonOf(*second), v1::OUTCOME_UNKNOWN);
}

TEST_F(CommandRunnerTest, ARoundOverTheStoresLimitsBecomesSeveralTransactions) {
  constexpr int kCommands = 100;  // Each puts two keys besides the cluster's; 128 fit.
  std::vector<Answer> answers(kCommands);
  std::vector<Command> round;
  for (int i = 0; i < kCommands; ++i) {
    round.push_back(CreatePoolCommand(absl::StrCat("p", i), &answers[i]));
  }
  const int before = store_.commits();
  runner_.RunOnce(std::move(round));
  EXPECT_EQ(store_.commits(), before + 2);
  for (const Answer& answer : answers) EXPECT_EQ(answer, absl::OkStatus());
  EXPECT_EQ(StoredPools().size(), kCommands);
  // Each transaction's revision is its own last event's.
  ASSERT_EQ(observer_.revisions.size(), 2u);
  EXPECT_LT(observer_.revisions[0], observer_.revisions[1]);
  EXPECT_EQ(observer_.revisions[1], observer_.events.back().revision());
}

struct AfterFailure {
  CommitFault fault;
  v1::Reason reason;
  bool rest_counts;
};

class FirstOfTwoTransactionsFails : public CommandRunnerTest,
                                    public testing::WithParamInterface<AfterFailure> {};

TEST_P(FirstOfTwoTransactionsFails, WhatIsAcknowledgedIsThere) {
  std::vector<Answer> answers(100);
  std::vector<Command> round;
  for (size_t i = 0; i < answers.size(); ++i) {
    round.push_back(CreatePoolCommand(absl::StrCat("p", i), &answers[i]));
  }
  store_.FailNextCommit(GetParam().fault);
  runner_.RunOnce(std::move(round));
  std::vector<std::string> acknowledged;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i]->ok()) {
      acknowledged.push_back(absl::StrCat("p", i));
    } else {
      EXPECT_EQ(ReasonOf(*answers[i]), GetParam().reason);
    }
  }
  EXPECT_LT(acknowledged.size(), answers.size());
  EXPECT_EQ(!acknowledged.empty(), GetParam().rest_counts);
  EXPECT_THAT(Pools(), testing::UnorderedElementsAreArray(acknowledged));
  EXPECT_EQ(StoredPools(), Pools());
}

INSTANTIATE_TEST_SUITE_P(All, FirstOfTwoTransactionsFails,
                         testing::Values(AfterFailure{CommitFault::kFull, v1::STORE_FULL, false},
                                         AfterFailure{CommitFault::kUnknownLost,
                                                      v1::OUTCOME_UNKNOWN, true}));

TEST_F(CommandRunnerTest, StoreFullChangesNothing) {
  ASSERT_TRUE(Create("before").ok());
  store_.FailNextCommit(CommitFault::kFull);
  const absl::Status status = Create("p");
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::STORE_FULL);
  EXPECT_EQ(observer_.events.size(), 1u);
  EXPECT_EQ(observer_.loads, 1);
  EXPECT_EQ(observer_.loads_again, 1);
  EXPECT_THAT(observer_.unloads, IsEmpty());
  EXPECT_THAT(Pools(), ElementsAre("before"));
  EXPECT_EQ(StoredPools(), Pools());
  clock_.Advance(runner_.NextDue() - clock_.MonotonicNow());
  EXPECT_TRUE(Create("p").ok());
}

// However long it is full, and whoever tries meanwhile.
TEST_F(CommandRunnerTest, AStoreThatStaysFullIsAskedAtGrowingIntervals) {
  ASSERT_TRUE(Create("before").ok());
  store_.set_full(true);
  EXPECT_EQ(ReasonOf(Create("p")), v1::STORE_FULL);
  const int before = store_.commits();
  absl::Duration pause = absl::ZeroDuration();
  for (int asked = 0; asked < 20; ++asked) {
    const absl::Duration next = runner_.NextDue() - clock_.MonotonicNow();
    EXPECT_GE(next, pause);
    EXPECT_GT(next, absl::ZeroDuration());
    EXPECT_LE(next, absl::Seconds(5));
    pause = next;
    for (int i = 0; i < 10; ++i) EXPECT_EQ(ReasonOf(Create("p")), v1::STORE_FULL);
    EXPECT_EQ(store_.commits(), before + asked);
    clock_.Advance(next);
    runner_.RunOnce({});
  }
  EXPECT_EQ(observer_.loads_again, 1);
  EXPECT_THAT(observer_.unloads, IsEmpty());

  store_.set_full(false);
  clock_.Advance(pause);
  EXPECT_TRUE(Create("p").ok());
  EXPECT_THAT(Pools(), ElementsAre("before", "p"));
  EXPECT_EQ(StoredPools(), Pools());
}

// A store with room for the question, and not for the answer.
TEST_F(CommandRunnerTest, AStoreThatRefusesNowAndThenIsLoadedAgainAtGrowingIntervals) {
  ASSERT_TRUE(Create("before").ok());
  for (int i = 0; i < 20; ++i) {
    store_.FailNextCommit(CommitFault::kFull);
    EXPECT_EQ(ReasonOf(Create("p")), v1::STORE_FULL);
    clock_.Advance(runner_.NextDue() - clock_.MonotonicNow());
    runner_.RunOnce({});
  }
  store_.FailNextCommit(CommitFault::kFull);
  EXPECT_EQ(ReasonOf(Create("p")), v1::STORE_FULL);
  EXPECT_EQ(runner_.NextDue() - clock_.MonotonicNow(), absl::Seconds(5));
  EXPECT_EQ(observer_.loads_again, 21);

  // After a while without any such thing it begins anew.
  clock_.Advance(absl::Minutes(2));
  runner_.RunOnce({});
  store_.FailNextCommit(CommitFault::kFull);
  EXPECT_EQ(ReasonOf(Create("p")), v1::STORE_FULL);
  EXPECT_EQ(runner_.NextDue() - clock_.MonotonicNow(), absl::Milliseconds(100));
}

TEST_F(CommandRunnerTest, NoLeaseEndsWhileTheStoreIsFull) {
  std::string session, resumed, unknown;
  Answer registered, renewed;
  Run(RegisterCommand("host-a", &session, &registered), registered);
  ASSERT_EQ(registered, absl::OkStatus());
  Run(RegisterCommand("host-b", &unknown, &registered), registered);
  store_.set_full(true);
  for (absl::Duration passed; passed < absl::Minutes(2); passed += absl::Seconds(3)) {
    clock_.Advance(absl::Seconds(3));
    EXPECT_EQ(ReasonOf(Create("p")), v1::STORE_FULL);
    EXPECT_EQ(Run(RenewCommand("host-a", session, &renewed), renewed), absl::OkStatus());
  }
  // Its stream broke.
  Run(RegisterCommand("host-a", &resumed, &registered), registered);
  EXPECT_EQ(registered, absl::OkStatus());
  EXPECT_EQ(resumed, session);
  Run(RegisterCommand("host-c", &unknown, &registered), registered);
  EXPECT_EQ(ReasonOf(*registered), v1::STORE_FULL);
  EXPECT_EQ(observer_.events.back().type(), v1::HOST_REGISTERED);

  // What is overdue is done once it can be.
  store_.set_full(false);
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(Run(RenewCommand("host-a", session, &renewed), renewed), absl::OkStatus());
  while (runner_.NextDue() <= clock_.MonotonicNow()) runner_.RunOnce({});
  EXPECT_EQ(observer_.events.back().type(), v1::HOST_EXPIRED);
  EXPECT_EQ(observer_.events.back().resource(), "hosts/host-b");
}

TEST_F(CommandRunnerTest, WhoIsDeposedWhileTheStoreIsFullServesNothing) {
  store_.set_full(true);
  EXPECT_EQ(ReasonOf(Create("p")), v1::STORE_FULL);
  medium_->Depose();
  store_.set_full(false);
  clock_.Advance(runner_.NextDue() - clock_.MonotonicNow());
  EXPECT_EQ(ReasonOf(Create("p")), v1::NOT_LEADER);
  EXPECT_EQ(ReasonOf(runner_.deposed()), v1::STORE_IN_USE);
}

TEST_F(CommandRunnerTest, AFullStoreThatCannotBeReadIsLoadedWhenItCan) {
  ASSERT_TRUE(Create("before").ok());
  store_.FailNextCommit(CommitFault::kFull);
  store_.set_cannot_recover(true);
  EXPECT_EQ(ReasonOf(Create("p")), v1::STORE_FULL);
  EXPECT_EQ(ReasonOf(Create("p")), v1::UNREACHABLE);
  EXPECT_EQ(observer_.unloads.size(), 2u);
  store_.set_cannot_recover(false);
  clock_.Advance(runner_.NextDue() - clock_.MonotonicNow());
  EXPECT_TRUE(Create("p").ok());
  EXPECT_EQ(observer_.loads, 2);
  EXPECT_EQ(observer_.loads_again, 0);
}

TEST_F(CommandRunnerTest, UnknownOutcomeThatWasLost) {
  store_.FailNextCommit(CommitFault::kUnknownLost);
  const absl::Status status = Create("p");
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::OUTCOME_UNKNOWN);
  EXPECT_THAT(Pools(), IsEmpty());
  EXPECT_EQ(StoredPools(), Pools());
}

TEST_F(CommandRunnerTest, UnknownOutcomeThatWasCommittedIsNotRepeated) {
  store_.FailNextCommit(CommitFault::kUnknownCommitted);
  const int before = store_.commits();
  EXPECT_EQ(ReasonOf(Create("p")), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(store_.commits(), before + 1);
  EXPECT_THAT(Pools(), ElementsAre("p"));
  EXPECT_EQ(StoredPools(), Pools());
}

TEST_F(CommandRunnerTest, ReadsAndRenewalsSucceedBesideAFailingCommit) {
  ASSERT_TRUE(Create("p").ok());
  std::string session;
  Answer registered;
  Run(RegisterCommand("host-a", &session, &registered), registered);
  ASSERT_EQ(registered, absl::OkStatus());
  store_.FailNextCommit(CommitFault::kFull);
  Answer created, renewed, read;
  runner_.RunOnce(Round(CreatePoolCommand("q", &created), RenewCommand("host-a", session, &renewed),
                        GetPoolCommand("p", CommandKind::kConfirmed, &read)));
  EXPECT_EQ(ReasonOf(*created), v1::STORE_FULL);
  EXPECT_EQ(renewed, absl::OkStatus());
  EXPECT_EQ(read, absl::OkStatus());
}

TEST_F(CommandRunnerTest, OneConfirmationServesARound) {
  ASSERT_TRUE(Create("p").ok());
  const int before = store_.confirmations();
  Answer a, b, c;
  runner_.RunOnce(Round(GetPoolCommand("p", CommandKind::kConfirmed, &a),
                        GetPoolCommand("p", CommandKind::kConfirmed, &b),
                        GetPoolCommand("p", CommandKind::kLocal, &c)));
  EXPECT_EQ(store_.confirmations(), before + 1);
  EXPECT_EQ(a, absl::OkStatus());
  EXPECT_EQ(b, absl::OkStatus());
  EXPECT_EQ(c, absl::OkStatus());
}

TEST_F(CommandRunnerTest, WithoutConfirmationNoRenewalAndNoLinearizableRead) {
  ASSERT_TRUE(Create("p").ok());
  store_.set_cannot_confirm(true);
  Answer confirmed, local;
  runner_.RunOnce(Round(GetPoolCommand("p", CommandKind::kConfirmed, &confirmed),
                        GetPoolCommand("p", CommandKind::kLocal, &local)));
  EXPECT_TRUE(absl::IsUnavailable(*confirmed));
  EXPECT_EQ(ReasonOf(*confirmed), v1::UNREACHABLE);
  EXPECT_EQ(local, absl::OkStatus());
  EXPECT_TRUE(runner_.deposed().ok());
}

TEST_F(CommandRunnerTest, WhoLostTheStoreServesNothing) {
  ASSERT_TRUE(Create("p").ok());
  medium_->Depose();
  Answer read;
  Run(GetPoolCommand("p", CommandKind::kConfirmed, &read), read);
  EXPECT_EQ(ReasonOf(*read), v1::NOT_LEADER);
  EXPECT_EQ(ReasonOf(runner_.deposed()), v1::STORE_IN_USE);
  EXPECT_EQ(ReasonOf(Create("q")), v1::NOT_LEADER);
  EXPECT_EQ(runner_.NextDue(), MonotonicTime::InfiniteFuture());
}

TEST_F(CommandRunnerTest, WhoLostTheStoreLearnsItFromACommitToo) {
  medium_->Depose();
  EXPECT_EQ(ReasonOf(Create("q")), v1::NOT_LEADER);
  EXPECT_EQ(ReasonOf(runner_.deposed()), v1::STORE_IN_USE);
}

TEST_F(CommandRunnerTest, RefusesServiceUntilTheStateIsLoadedAgain) {
  ASSERT_TRUE(Create("p").ok());
  store_.FailNextCommit(CommitFault::kUnknownLost);
  store_.set_cannot_recover(true);
  EXPECT_EQ(ReasonOf(Create("q")), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(ReasonOf(Create("r")), v1::UNREACHABLE);
  Answer read;
  EXPECT_EQ(ReasonOf(*Run(GetPoolCommand("p", CommandKind::kLocal, &read), read)), v1::UNREACHABLE);

  // Attempts come at growing intervals, at most 5 s.
  absl::Duration pause = absl::ZeroDuration();
  for (int i = 0; i < 10; ++i) {
    const absl::Duration next = runner_.NextDue() - clock_.MonotonicNow();
    EXPECT_GE(next, pause);
    EXPECT_LE(next, absl::Seconds(5));
    pause = next;
    clock_.Advance(next);
    runner_.RunOnce({});
  }
  EXPECT_EQ(observer_.loads, 1);

  store_.set_cannot_recover(false);
  clock_.Advance(runner_.NextDue() - clock_.MonotonicNow());
  runner_.RunOnce({});
  EXPECT_EQ(observer_.loads, 2);
  EXPECT_THAT(Pools(), ElementsAre("p"));
  EXPECT_TRUE(Create("q").ok());
}

TEST_F(CommandRunnerTest, ExpiresSilentHosts) {
  std::string session;
  Answer registered;
  Run(RegisterCommand("host-a", &session, &registered), registered);
  ASSERT_EQ(registered, absl::OkStatus());

  clock_.Advance(absl::Seconds(9));
  Answer renewed;
  EXPECT_EQ(Run(RenewCommand("host-a", session, &renewed), renewed), absl::OkStatus());
  clock_.Advance(absl::Seconds(9));
  runner_.RunOnce({});
  EXPECT_EQ(observer_.events.back().type(), v1::HOST_REGISTERED);

  clock_.Advance(absl::Seconds(2));
  ASSERT_LE(runner_.NextDue(), clock_.MonotonicNow());
  runner_.RunOnce({});
  EXPECT_EQ(observer_.events.back().type(), v1::HOST_EXPIRED);
  EXPECT_EQ(observer_.events.back().resource(), "hosts/host-a");
  EXPECT_EQ(ReasonOf(*Run(RenewCommand("host-a", session, &renewed), renewed)),
            v1::SESSION_EXPIRED);
}

TEST_F(CommandRunnerTest, ARenewalThatWaitedBesideAnOverdueExpiryWins) {
  std::string session;
  Answer registered, renewed;
  Run(RegisterCommand("host-a", &session, &registered), registered);
  clock_.Advance(absl::Seconds(60));
  EXPECT_EQ(Run(RenewCommand("host-a", session, &renewed), renewed), absl::OkStatus());
  EXPECT_EQ(observer_.events.back().type(), v1::HOST_REGISTERED);
}

TEST_F(CommandRunnerTest, AReloadGivesEverySessionAFullLease) {
  std::string session;
  Answer registered, renewed;
  Run(RegisterCommand("host-a", &session, &registered), registered);
  clock_.Advance(absl::Seconds(9));
  store_.FailNextCommit(CommitFault::kUnknownLost);
  EXPECT_EQ(ReasonOf(Create("p")), v1::OUTCOME_UNKNOWN);
  clock_.Advance(absl::Seconds(9));
  runner_.RunOnce({});
  EXPECT_EQ(Run(RenewCommand("host-a", session, &renewed), renewed), absl::OkStatus());
}

}  // namespace
}  // namespace weft
