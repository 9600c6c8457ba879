#include "client/sdk/admin/rpc_client.h"

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/event.grpc.pb.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "server/core/errors.h"
#include "server/rpc/status.h"

namespace weft::sdk {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

absl::Status Unavailable() {
  return MakeError(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN, "being loaded again");
}

// Answers with `failures` first.
class FakePools final : public v1::PoolService::Service {
 public:
  grpc::Status CreatePool(grpc::ServerContext* context, const v1::CreatePoolRequest* request,
                          v1::Pool* reply) override {
    absl::MutexLock lock(&mu_);
    request_ids.push_back(request->request_id());
    const auto ticket = context->client_metadata().find("weft-ticket");
    if (ticket != context->client_metadata().end()) {
      last_ticket.assign(ticket->second.data(), ticket->second.size());
    }
    if (const absl::Status failure = NextFailure(); !failure.ok()) return ToGrpcStatus(failure);
    reply->set_name("pools/" + request->pool_id());
    return grpc::Status::OK;
  }

  grpc::Status ListPools(grpc::ServerContext* context, const v1::ListPoolsRequest* request,
                         v1::ListPoolsResponse* reply) override {
    const gpr_timespec deadline = context->raw_deadline();
    time_left = absl::Milliseconds(
        gpr_time_to_millis(gpr_time_sub(deadline, gpr_now(deadline.clock_type))));
    const int page = request->page_token().empty() ? 0 : std::stoi(request->page_token());
    for (int i = 0; i < 2; ++i) reply->add_pools()->set_name(std::to_string(2 * page + i));
    if (page < 2) reply->set_next_page_token(std::to_string(page + 1));
    return grpc::Status::OK;
  }

  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    failures_.push_back(status);
  }

  std::vector<std::string> request_ids;
  std::string last_ticket;
  absl::Duration time_left;  // for the answer, when a list was asked for last

 private:
  absl::Status NextFailure() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (failures_.empty()) return absl::OkStatus();
    const absl::Status failure = failures_.front();
    failures_.pop_front();
    return failure;
  }

  absl::Mutex mu_;
  std::deque<absl::Status> failures_ ABSL_GUARDED_BY(mu_);
};

// Each stream brings two events and breaks.
class FakeEvents final : public v1::EventService::Service {
 public:
  grpc::Status WatchEvents(grpc::ServerContext*, const v1::WatchEventsRequest* request,
                           grpc::ServerWriter<v1::Event>* writer) override {
    if (request->after_revision() == kCompacted) {
      return ToGrpcStatus(
          MakeError(absl::StatusCode::kOutOfRange, v1::EVENTS_COMPACTED, "list again"));
    }
    if (request->after_revision() == kFollower) return ToGrpcStatus(NotLeader(""));
    v1::Event event;
    for (uint64_t i = 1; i <= 2; ++i) {
      event.set_revision(request->after_revision() + i);
      writer->Write(event);
    }
    return ToGrpcStatus(Unavailable());
  }

  static constexpr uint64_t kCompacted = 1000;
  static constexpr uint64_t kFollower = 2000;
};

class RpcClientTest : public testing::Test {
 protected:
  RpcClientTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&pools_);
    builder.RegisterService(&events_);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
    client_ = MakeClient(address_);
  }

  static std::unique_ptr<RpcClient> MakeClient(const std::string& address,
                                               absl::Duration timeout = absl::Seconds(30)) {
    auto client = RpcClient::Make({.address = address, .ticket = "ticket-1", .timeout = timeout});
    return *std::move(client);
  }

  absl::StatusOr<v1::Pool> Create(const std::string& id) {
    v1::CreatePoolRequest request;
    request.set_pool_id(id);
    return client_->Call(&v1::PoolService::Stub::CreatePool, request);
  }

  FakePools pools_;
  FakeEvents events_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<RpcClient> client_;
};

TEST_F(RpcClientTest, RepeatsWithTheSameRequestId) {
  pools_.Fail(Unavailable());
  pools_.Fail(MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED, "later"));
  const auto pool = Create("fam");
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_EQ(pool->name(), "pools/fam");
  ASSERT_THAT(pools_.request_ids, SizeIs(3));
  EXPECT_THAT(pools_.request_ids[0], SizeIs(32));
  EXPECT_EQ(pools_.request_ids[0], pools_.request_ids[1]);
  EXPECT_EQ(pools_.request_ids[0], pools_.request_ids[2]);
  EXPECT_EQ(pools_.last_ticket, "ticket-1");
}

TEST_F(RpcClientTest, TwoCallsHaveDifferentRequestIds) {
  ASSERT_TRUE(Create("a").ok());
  ASSERT_TRUE(Create("b").ok());
  EXPECT_NE(pools_.request_ids[0], pools_.request_ids[1]);
}

TEST_F(RpcClientTest, DoesNotRepeatWhatCannotGetBetter) {
  pools_.Fail(
      MakeError(absl::StatusCode::kAlreadyExists, v1::ALREADY_EXISTS, "pools/fam is there"));
  const absl::Status status = Create("fam").status();
  EXPECT_EQ(ReasonOf(status), v1::ALREADY_EXISTS);
  EXPECT_EQ(status.message(), "pools/fam is there");
  EXPECT_THAT(pools_.request_ids, SizeIs(1));
}

TEST_F(RpcClientTest, ListsAllPages) {
  const auto pools =
      client_->List(&v1::PoolService::Stub::ListPools, v1::ListPoolsRequest(),
                    [](v1::ListPoolsResponse& page) { return page.mutable_pools(); });
  ASSERT_TRUE(pools.ok()) << pools.status();
  std::vector<std::string> names;
  for (const v1::Pool& pool : *pools) names.push_back(pool.name());
  EXPECT_THAT(names, ElementsAre("0", "1", "2", "3", "4", "5"));
}

TEST_F(RpcClientTest, UnreachableNamesTheAddress) {
  client_ = MakeClient("unix:/nonexistent/weft.sock", absl::Milliseconds(50));
  const absl::Status status = Create("fam").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), v1::UNREACHABLE);
  EXPECT_THAT(std::string(status.message()), HasSubstr("unix:/nonexistent/weft.sock"));
}

TEST_F(RpcClientTest, FollowsTheLeaderThatIsNamed) {
  FakePools leader_pools;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&leader_pools);
  const std::unique_ptr<grpc::Server> leader = builder.BuildAndStart();
  pools_.Fail(NotLeader("127.0.0.1:" + std::to_string(port)));
  ASSERT_TRUE(Create("a").ok());
  ASSERT_TRUE(Create("b").ok());
  ASSERT_THAT(pools_.request_ids, SizeIs(1));
  ASSERT_THAT(leader_pools.request_ids, SizeIs(2));
  EXPECT_EQ(leader_pools.request_ids[0], pools_.request_ids[0]);
}

TEST_F(RpcClientTest, TriesTheNextAddress) {
  client_ = MakeClient("unix:/nonexistent/weft.sock," + address_);
  EXPECT_TRUE(Create("a").ok());
  client_ = MakeClient("unix:/nonexistent/weft.sock," + address_);
  const absl::Status status = client_->WatchEvents(10, [](const v1::Event&) { return false; });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(RpcClientTest, OfSeveralAnAttemptHasTheTimeThatTheCallerGivesIt) {
  client_ = MakeClient(address_ + ",unix:/nonexistent/weft.sock");
  const auto list = [&](absl::Duration attempt_timeout) {
    const auto pools = client_->List(
        &v1::PoolService::Stub::ListPools, v1::ListPoolsRequest(),
        [](v1::ListPoolsResponse& page) { return page.mutable_pools(); }, attempt_timeout);
    EXPECT_TRUE(pools.ok()) << pools.status();
    return pools_.time_left;
  };
  // What arrives is rounded.
  EXPECT_LT(list(RpcClient::kAttemptTimeout), absl::Seconds(10));
  EXPECT_GT(list(absl::Seconds(20)), absl::Seconds(10));
  EXPECT_LT(list(absl::InfiniteDuration()), absl::Seconds(40)) << "the whole call has 30 s";
}

TEST_F(RpcClientTest, WatchGoesOnWhereABrokenStreamEnded) {
  std::vector<uint64_t> revisions;
  const absl::Status status = client_->WatchEvents(10, [&](const v1::Event& event) {
    revisions.push_back(event.revision());
    return revisions.size() < 5;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(revisions, ElementsAre(11, 12, 13, 14, 15));
}

TEST_F(RpcClientTest, WatchOfForgottenEventsFails) {
  const absl::Status status =
      client_->WatchEvents(FakeEvents::kCompacted, [](const v1::Event&) { return true; });
  EXPECT_EQ(ReasonOf(status), v1::EVENTS_COMPACTED);
}

TEST_F(RpcClientTest, WatchOfFollowersSaysThatNobodyLeads) {
  client_ = MakeClient(address_ + ",unix:/nonexistent/weft.sock", absl::Seconds(1));
  const absl::Status status =
      client_->WatchEvents(FakeEvents::kFollower, [](const v1::Event&) { return true; });
  EXPECT_EQ(ReasonOf(status), v1::NOT_LEADER) << status;
}

TEST_F(RpcClientTest, WatchOfNobodyIsUnreachable) {
  client_ = MakeClient("unix:/nonexistent/weft.sock", absl::Milliseconds(50));
  const absl::Status status = client_->WatchEvents(0, [](const v1::Event&) { return true; });
  EXPECT_EQ(ReasonOf(status), v1::UNREACHABLE);
}

TEST(RpcClientTlsTest, NamesAFileThatCannotBeRead) {
  const auto client = RpcClient::Make(
      {.address = "127.0.0.1:1", .tls = TlsFiles{"/nonexistent/c", "/nonexistent/k", "x"}});
  ASSERT_FALSE(client.ok());
  EXPECT_THAT(std::string(client.status().message()), HasSubstr("/nonexistent/c"));
}

}  // namespace
}  // namespace weft::sdk
