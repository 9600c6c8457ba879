// What only a store in etcd has to bear: members that hang or die, terms that end, elections.

#include "server/store/etcd/etcd_store.h"

#include <signal.h>

#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/clock.h"
#include "server/platform/linux/temp_dir.h"
#include "server/store/etcd/etcd_leadership.h"
#include "server/store/etcd/etcd_server.h"
#include "server/store/store_test_util.h"

namespace weft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kLeaderKey[] = "/t/weft/leader";

class EtcdStoreTest : public testing::Test {
 protected:
  void Start(int members) { servers_ = std::make_unique<EtcdServers>(folder_.path(), members); }

  absl::StatusOr<std::unique_ptr<EtcdStore>> Open() {
    EtcdLeader other;
    auto term = EtcdTerm::TryBegin(client(), options_, &other);
    if (!term.ok()) return term.status();
    return std::make_unique<EtcdStore>(client(), *std::move(term));
  }

  std::unique_ptr<EtcdStore> MustOpen() {
    auto store = Open();
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  // One for all: it remembers which member has answered.
  std::shared_ptr<EtcdClient> client() {
    if (client_ == nullptr) client_ = servers_->Connect();
    return client_;
  }

  TempDir folder_;
  std::unique_ptr<EtcdServers> servers_;
  std::shared_ptr<EtcdClient> client_;
  EtcdTermOptions options_{.prefix = "/t", .address = "here:1", .ttl = absl::Minutes(10)};
};

TEST_F(EtcdStoreTest, HungMemberLeavesTheOutcomeUnknownUntilRecovered) {
  Start(3);
  const auto store = MustOpen();
  WEFT_ASSERT_OK(store->Commit(Put("a", "1")));
  // The one that answers: it has the transaction, and sends it on when it goes on.
  ASSERT_EQ(kill(servers_->member(0).pid(), SIGSTOP), 0);
  const absl::Status unknown = store->Commit(Put("a", "2")).status();
  EXPECT_EQ(OutcomeOf(unknown), Outcome::kUnknown) << unknown;
  EXPECT_EQ(ReasonOf(unknown), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(ReasonOf(store->Commit(Put("b", "1")).status()), v1::OUTCOME_UNKNOWN);

  WEFT_ASSERT_OK(store->Recover());
  const std::string found = ValueOf(*store, "a");
  ASSERT_EQ(kill(servers_->member(0).pid(), SIGCONT), 0);
  // After this the member has caught up, and what it held back has been judged.
  WEFT_ASSERT_OK(PutKey(*servers_->Connect(), "/other", "x"));
  WEFT_ASSERT_OK(store->Commit(Put("c", "1")));
  EXPECT_EQ(ValueOf(*store, "a"), found);
}

// The transaction that arrives after its sender has recovered.
TEST_F(EtcdStoreTest, LateTransactionsFail) {
  Start(1);
  EtcdLeader other;
  const auto term = EtcdTerm::TryBegin(client(), options_, &other);
  WEFT_ASSERT_OK(term);
  etcdserverpb::TxnRequest late;
  etcdserverpb::Compare& guard = *late.add_compare();
  guard.set_key((*term)->leader_key());
  guard.set_target(etcdserverpb::Compare::MOD);
  guard.set_mod_revision((*term)->guard_revision());
  WEFT_ASSERT_OK((*term)->Renumber());
  const auto reply = client()->Txn(late);
  WEFT_ASSERT_OK(reply);
  EXPECT_FALSE(reply->succeeded());
  WEFT_EXPECT_OK((*term)->Confirm());
  EtcdStore store(client(), *term);
  WEFT_EXPECT_OK(store.Commit(Put("a", "1")));
}

TEST_F(EtcdStoreTest, GoesOnWithoutOneOfThree) {
  Start(3);
  const auto store = MustOpen();
  for (int i = 0; i < 3; ++i) {
    servers_->member(i).Kill();
    for (;;) {
      const absl::Status status = store->Commit(Put(absl::StrCat("key", i), "v")).status();
      if (status.ok()) break;
      ASSERT_EQ(OutcomeOf(status), Outcome::kUnknown) << status;
      while (!store->Recover().ok()) {
      }
    }
    WEFT_EXPECT_OK(store->ConfirmLeadership());
    servers_->Restart(i);
    servers_->AwaitAll();
  }
  EXPECT_THAT(KeysOf(*store), ElementsAre("key0", "key1", "key2"));
}

TEST_F(EtcdStoreTest, WithoutAMajorityNothingIsConfirmed) {
  Start(3);
  const auto store = MustOpen();
  servers_->member(1).Kill();
  servers_->member(2).Kill();
  EXPECT_TRUE(absl::IsUnavailable(store->ConfirmLeadership()));
  EXPECT_EQ(OutcomeOf(store->Commit(Put("a", "1")).status()), Outcome::kUnknown);
  EXPECT_TRUE(absl::IsUnavailable(store->Recover()));
}

TEST_F(EtcdStoreTest, WhoLostTheLeaderKeyIsRefusedForGood) {
  Start(1);
  const auto old = MustOpen();
  WEFT_ASSERT_OK(old->Commit(Put("a", "1")));
  WEFT_ASSERT_OK(DeleteKey(*client(), kLeaderKey));
  const auto next = MustOpen();
  const absl::Status refused = old->Commit(Put("a", "2")).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_EQ(ReasonOf(refused), v1::STORE_IN_USE);
  EXPECT_EQ(ReasonOf(old->ConfirmLeadership()), v1::STORE_IN_USE);
  EXPECT_EQ(ReasonOf(old->Recover()), v1::STORE_IN_USE);
  EXPECT_EQ(ValueOf(*next, "a"), "1");
  WEFT_EXPECT_OK(next->Commit(Put("a", "3")));
}

TEST_F(EtcdStoreTest, ScansManyPagesAtOneRevision) {
  Start(1);
  const auto store = MustOpen();
  constexpr int kRecords = 2500;
  for (int i = 0; i < kRecords;) {
    Transaction transaction;
    for (int j = 0; j < 125; ++j, ++i) {
      transaction.mutations.push_back({absl::StrCat("k", 10000 + i), "old"});
    }
    WEFT_ASSERT_OK(store->Commit(transaction));
  }
  const auto other = servers_->Connect();
  std::set<std::string> keys;
  const auto revision = store->Scan("k", [&](const KeyValue& record) {
    EXPECT_EQ(record.value, "old");
    // Behind where the scan is.
    if (keys.empty()) {
      EXPECT_TRUE(PutKey(*other, absl::StrCat("/tk", 12400), "new").ok());
    }
    keys.insert(record.key);
    return absl::OkStatus();
  });
  WEFT_ASSERT_OK(revision);
  EXPECT_EQ(keys.size(), size_t{kRecords});
  EXPECT_EQ(ValueOf(*store, "k12400"), "new");
}

TEST_F(EtcdStoreTest, NoSpaceLeftIsNotCommitted) {
  servers_ = std::make_unique<EtcdServers>(
      folder_.path(), 1, std::vector<std::string>{"--quota-backend-bytes=8388608"});
  const auto store = MustOpen();
  // More than etcd takes without groups, and the puts last.
  Transaction transaction;
  for (int i = 0; i < 200; ++i) transaction.mutations.push_back({absl::StrCat("a", i), {}});
  for (int i = 0; i < 200; ++i) {
    transaction.mutations.push_back({absl::StrCat("b", i), std::string(4000, 'x')});
  }
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) status = store->Commit(transaction).status();
  EXPECT_EQ(ReasonOf(status), v1::STORE_FULL) << status;
  EXPECT_EQ(OutcomeOf(status), Outcome::kNotCommitted);
  WEFT_EXPECT_OK(store->ConfirmLeadership());
}

// Remembers whom it follows.
class Follower final : public LeadershipObserver {
 public:
  void OnFollowing(const std::string& address) override {
    absl::MutexLock lock(&mu_);
    leader_ = address;
  }
  void OnTermOver() override {
    absl::MutexLock lock(&mu_);
    over_ = true;
  }
  void AwaitLeader(const std::string& address) {
    const auto follows = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return leader_ == address; };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&follows));
  }
  void AwaitOver() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&over_));
  }

 private:
  absl::Mutex mu_;
  std::string leader_ ABSL_GUARDED_BY(mu_);
  bool over_ ABSL_GUARDED_BY(mu_) = false;
};

// One coordinator's part in elections.
class Candidate {
 public:
  Candidate(const EtcdServers& servers, const std::string& address)
      : client_(servers.Connect()),
        leadership_(client_, {.prefix = "/t", .address = "", .ttl = absl::Seconds(3)}, clock_),
        thread_([this, address] { leadership_.Run(address); }) {}
  ~Candidate() { Resign(); }

  void Resign() {
    leadership_.Stop();
    client_->Shutdown();
    if (thread_.joinable()) thread_.join();
  }
  Store* Await() {
    auto store = leadership_.AwaitTerm(observer_);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *store : nullptr;
  }
  // What AwaitTerm says when it is stopped.
  absl::Status Follow() { return leadership_.AwaitTerm(observer_).status(); }
  Follower& observer() { return observer_; }
  EtcdLeadership& leadership() { return leadership_; }

 private:
  LinuxClock clock_;
  Follower observer_;
  const std::shared_ptr<EtcdClient> client_;
  EtcdLeadership leadership_;
  std::thread thread_;
};

TEST_F(EtcdStoreTest, OneLeadsAndTheNextTakesOverWhenItResigns) {
  Start(1);
  Candidate first(*servers_, "first:1");
  WEFT_EXPECT_OK(first.Await()->Commit(Put("a", "1")));
  Candidate second(*servers_, "second:1");
  Store* taken_over = nullptr;
  std::thread waiting([&] { taken_over = second.Await(); });
  second.observer().AwaitLeader("first:1");
  first.Resign();
  waiting.join();
  ASSERT_NE(taken_over, nullptr);
  EXPECT_EQ(ValueOf(*taken_over, "a"), "1");
}

TEST_F(EtcdStoreTest, DeletedLeaderKeyEndsTheTerm) {
  Start(1);
  Candidate candidate(*servers_, "here:1");
  Store* const store = candidate.Await();
  WEFT_ASSERT_OK(DeleteKey(*client(), kLeaderKey));
  candidate.observer().AwaitOver();
  EXPECT_EQ(ReasonOf(store->ConfirmLeadership()), v1::STORE_IN_USE);
  EXPECT_EQ(ReasonOf(store->Commit(Put("a", "1")).status()), v1::STORE_IN_USE);
  WEFT_EXPECT_OK(candidate.Await()->ConfirmLeadership());
}

TEST_F(EtcdStoreTest, StopEndsTheWait) {
  Start(1);
  Candidate first(*servers_, "first:1");
  first.Await();
  Candidate second(*servers_, "second:1");
  absl::Status result;
  std::thread waiting([&] { result = second.Follow(); });
  second.observer().AwaitLeader("first:1");
  second.leadership().Stop();
  waiting.join();
  EXPECT_TRUE(absl::IsCancelled(result)) << result;
}

TEST_F(EtcdStoreTest, NobodyLeadsWhileEtcdIsAwayAndSomebodyWhenItIsBack) {
  Start(1);
  Candidate candidate(*servers_, "here:1");
  Store* const store = candidate.Await();
  servers_->member(0).Kill();
  candidate.observer().AwaitOver();
  EXPECT_EQ(ReasonOf(store->ConfirmLeadership()), v1::STORE_IN_USE);
  servers_->Restart(0);
  EXPECT_NE(candidate.Await(), nullptr);
}

}  // namespace
}  // namespace weft
