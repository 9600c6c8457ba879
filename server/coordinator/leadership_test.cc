// What clients and hosts see of a coordinator that leads, loses that, and leads again.

#include "server/store/leadership.h"

#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "server/coordinator/coordinator_test_util.h"
#include "server/store/memory_store.h"

namespace weft {
namespace {

using Clusters = v1::ClusterService;

// An election that the test decides.
class FakeLeadership final : public Leadership {
 public:
  absl::StatusOr<Store*> AwaitTerm(LeadershipObserver& observer) override {
    const auto decided = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return stopped_ || next_ != nullptr;
    };
    absl::MutexLock lock(&mu_);
    store_ = nullptr;
    observer_ = &observer;
    mu_.Await(absl::Condition(&decided));
    if (stopped_) return absl::CancelledError("stopped");
    store_ = std::move(next_);
    ++terms_;
    return store_.get();
  }
  void Stop() override {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
  }

  // Deposes whoever leads.
  void Elect() {
    medium_->Depose();
    absl::MutexLock lock(&mu_);
    next_ = MemoryStore::Open(medium_).value();
  }
  void EndTerm() {
    medium_->Depose();
    Observer()->OnTermOver();
  }
  int terms() {
    absl::MutexLock lock(&mu_);
    return terms_;
  }
  void Follow(const std::string& leader) { Observer()->OnFollowing(leader); }

 private:
  LeadershipObserver* Observer() {
    const auto there = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return observer_ != nullptr; };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&there));
    return observer_;
  }

  const std::shared_ptr<MemoryMedium> medium_ = std::make_shared<MemoryMedium>();
  absl::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  LeadershipObserver* observer_ ABSL_GUARDED_BY(mu_) = nullptr;
  int terms_ ABSL_GUARDED_BY(mu_) = 0;
  std::unique_ptr<Store> next_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Store> store_ ABSL_GUARDED_BY(mu_);
};

class LeadershipTest : public CoordinatorTestBase {
 protected:
  LeadershipTest() {
    options_.on_ready = [this] { ready_.Notify(); };
    coordinator_ = Coordinator::Start(options_, election_, clock_, random_, programs_).value();
    thread_ = std::thread([this] { EXPECT_TRUE(coordinator_->Run().ok()); });
    channel_ = Connect(grpc::InsecureChannelCredentials());
  }
  ~LeadershipTest() override {
    election_.Stop();
    StopCoordinator();
  }

  absl::Status GetStatus() {
    v1::ClusterStatus status;
    return Call<Clusters>(&Clusters::Stub::GetStatus, {}, &status);
  }

  FakeLeadership election_;
  absl::Notification ready_;
};

TEST_F(LeadershipTest, AFollowerSaysWhoLeads) {
  election_.Follow("");
  EXPECT_EQ(ReasonOf(GetStatus()), v1::NOT_LEADER);
  EXPECT_FALSE(ready_.HasBeenNotified());
  election_.Follow("other:1");
  ready_.WaitForNotification();
  const absl::Status status = GetStatus();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(LeaderOf(status), "other:1");
  TestHost host(channel_, "host-a", medium_);
  EXPECT_FALSE(host.Register());
  EXPECT_EQ(LeaderOf(FromGrpcStatus(host.AwaitEnd())), "other:1");
}

TEST_F(LeadershipTest, TheEndOfATermEndsStreamsAndTheNextTermGoesOn) {
  election_.Elect();
  ready_.WaitForNotification();
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register());
  v1::EventService::Stub events(channel_);
  grpc::ClientContext context;
  const auto watch = events.WatchEvents(&context, {});
  v1::Event event;
  ASSERT_TRUE(watch->Read(&event));

  election_.EndTerm();
  EXPECT_EQ(ReasonOf(FromGrpcStatus(host.AwaitEnd())), v1::NOT_LEADER);
  while (watch->Read(&event)) {
  }
  EXPECT_EQ(ReasonOf(FromGrpcStatus(watch->Finish())), v1::NOT_LEADER);
  EXPECT_EQ(ReasonOf(GetStatus()), v1::NOT_LEADER);

  election_.Elect();
  absl::Status status;
  do {
    status = GetStatus();
  } while (ReasonOf(status) == v1::NOT_LEADER);
  EXPECT_TRUE(status.ok()) << status;
  TestHost again(channel_, "host-a", medium_);
  ASSERT_TRUE(again.Register());
  EXPECT_EQ(again.session_id(), host.session_id());
}

TEST_F(LeadershipTest, ADeposedLeaderThatWasNotToldFindsOut) {
  election_.Elect();
  ready_.WaitForNotification();
  ASSERT_TRUE(GetStatus().ok());
  election_.Elect();
  absl::Status status;
  do {
    status = GetStatus();
    if (!status.ok()) {
      EXPECT_EQ(ReasonOf(status), v1::NOT_LEADER) << status;
    }
  } while (!status.ok());
  EXPECT_EQ(election_.terms(), 2) << "it answered as if it still led";
}

}  // namespace
}  // namespace weft
