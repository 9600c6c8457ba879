// Floods: what is too much is refused with a hint, and nobody loses a lease for it.

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "gtest/gtest.h"
#include "server/coordinator/coordinator_test_util.h"

namespace weft {
namespace {

constexpr int kRenewals = 50;

class OverloadTest : public CoordinatorTestBase {
 protected:
  OverloadTest() {
    options_.executor.max_queued = {16'384, 16'384, 64};
    StartCoordinator();
  }
};

// Calls under way all at once, over one connection.
class Flood {
 public:
  Flood(std::shared_ptr<grpc::Channel> channel, int calls)
      : stub_(v1::PoolService::NewStub(std::move(channel))), left_(calls), calls_(calls) {
    for (size_t i = 0; i < calls_.size(); ++i) {
      Call& call = calls_[i];
      call.request.set_pool_id(absl::StrCat("flood", i));
      stub_->async()->CreatePool(&call.context, &call.request, &call.reply,
                                 [this, &call](const grpc::Status& status) {
                                   call.status = FromGrpcStatus(status);
                                   left_.DecrementCount();
                                 });
    }
  }

  // Waits for all answers.
  void Await() { left_.Wait(); }
  int served() const { return Count(absl::StatusCode::kOk); }
  // Refused, and asked to come again later.
  int refused() const {
    int refused = 0;
    for (const Call& call : calls_) {
      refused += ReasonOf(call.status) == v1::OVERLOADED && RetryDelayOf(call.status).has_value();
    }
    return refused;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::CreatePoolRequest request;
    v1::Pool reply;
    absl::Status status;
  };

  int Count(absl::StatusCode code) const {
    int count = 0;
    for (const Call& call : calls_) count += call.status.code() == code;
    return count;
  }

  std::unique_ptr<v1::PoolService::Stub> stub_;
  absl::BlockingCounter left_;
  std::vector<Call> calls_;
};

TEST_F(OverloadTest, AClientThatFloodsIsRefusedAndRenewalsGoOn) {
  TestHost host(Connect(grpc::InsecureChannelCredentials()), "host-a", medium_);
  ASSERT_TRUE(host.Register());
  constexpr int kCalls = 1000;
  Flood flood(channel_, kCalls);
  for (int i = 0; i < kRenewals; ++i) ASSERT_TRUE(host.Renew()) << i;
  flood.Await();
  EXPECT_GT(flood.served(), 0);
  EXPECT_GT(flood.refused(), 0);
  EXPECT_EQ(flood.served() + flood.refused(), kCalls);
}

TEST_F(OverloadTest, ADaemonThatFloodsDelaysNoOther) {
  TestHost host(Connect(grpc::InsecureChannelCredentials()), "host-a", medium_);
  ASSERT_TRUE(host.Register());
  TestHost flooder(Connect(grpc::InsecureChannelCredentials()), "host-b", medium_);
  ASSERT_TRUE(flooder.Register());
  std::atomic<bool> stop = false;
  // Reports without end, and it reads nothing: the coordinator stops reading them.
  std::thread flood([&] {
    v1::NodeMessage report;
    *report.mutable_devices() = OneDevice();
    while (!stop && flooder.TryWrite(report)) {
    }
  });
  for (int i = 0; i < kRenewals; ++i) ASSERT_TRUE(host.Renew()) << i;
  v1::CreatePoolRequest request;
  request.set_pool_id("p");
  v1::Pool pool;
  EXPECT_TRUE(Call<v1::PoolService>(&v1::PoolService::Stub::CreatePool, request, &pool).ok());
  stop = true;
  flooder.Cancel();
  flood.join();
}

TEST_F(OverloadTest, WatchersBeyondTheLimitAreRefused) {
  StopCoordinator();
  options_.executor = {};
  StartCoordinator();
  v1::EventService::Stub stub(channel_);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::Event>>> readers;
  // So many that some connections are needed: each has at most 1024 streams.
  v1::EventService::Stub other(Connect(grpc::InsecureChannelCredentials()));
  constexpr size_t kWatchers = 1024;
  for (size_t i = 0; i < kWatchers; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back((i % 2 == 0 ? stub : other).WatchEvents(contexts.back().get(), {}));
  }
  // A watcher is told of the pool once it is counted.
  v1::CreatePoolRequest request;
  request.set_pool_id("p");
  v1::Pool pool;
  ASSERT_TRUE(Call<v1::PoolService>(&v1::PoolService::Stub::CreatePool, request, &pool).ok());
  v1::Event event;
  for (const auto& reader : readers) ASSERT_TRUE(reader->Read(&event));
  grpc::ClientContext context;
  const auto refused = stub.WatchEvents(&context, {});
  EXPECT_FALSE(refused->Read(&event));
  const absl::Status status = FromGrpcStatus(refused->Finish());
  EXPECT_EQ(ReasonOf(status), v1::OVERLOADED) << status;
  EXPECT_TRUE(RetryDelayOf(status).has_value());
  for (const auto& one : contexts) one->TryCancel();
  for (const auto& reader : readers) reader->Finish();
}

TEST_F(OverloadTest, WhoSendsTooManyRequestIdsIsToldWhenThereIsRoom) {
  StopCoordinator();
  options_.core.max_requests_per_principal = 2;
  StartCoordinator();
  absl::Status status;
  for (const char* const id : {"a", "b", "c"}) {
    v1::CreatePoolRequest request;
    request.set_pool_id(id);
    request.set_request_id(id);
    v1::Pool pool;
    status = Call<v1::PoolService>(&v1::PoolService::Stub::CreatePool, request, &pool);
  }
  EXPECT_EQ(ReasonOf(status), v1::QUOTA) << status;
  EXPECT_EQ(RetryDelayOf(status), absl::Minutes(2));
}

// Each holds the whole state until its reader has taken it.
TEST_F(OverloadTest, BackupsBeyondTheLimitAreRefused) {
  StopCoordinator();
  options_.executor = {};
  StartCoordinator();
  // More than fits into a stream that nobody reads and whose window does not grow.
  constexpr int kPools = 2000;
  Flood pools(channel_, kPools);
  pools.Await();
  ASSERT_EQ(pools.served(), kPools);
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1 << 16);
  v1::ClusterService::Stub stub(grpc::CreateCustomChannel(
      coordinator_->addresses().front(), grpc::InsecureChannelCredentials(), arguments));
  struct Backup {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::BackupChunk>> reader;
  };
  std::array<Backup, 2> slow;
  for (Backup& backup : slow) {
    backup.reader = stub.Backup(&backup.context, {});
    backup.reader->WaitForInitialMetadata();
  }
  const auto whole_backup = [&] {
    grpc::ClientContext context;
    const auto reader = stub.Backup(&context, {});
    v1::BackupChunk chunk;
    while (reader->Read(&chunk)) {
    }
    return FromGrpcStatus(reader->Finish());
  };
  const absl::Status refused = whole_backup();
  EXPECT_EQ(ReasonOf(refused), v1::OVERLOADED) << refused;
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  slow[0].context.TryCancel();
  absl::Status status = refused;
  while (ReasonOf(status) == v1::OVERLOADED) status = whole_backup();
  EXPECT_TRUE(status.ok()) << status;
  slow[1].context.TryCancel();
  for (Backup& backup : slow) backup.reader->Finish();
}

}  // namespace
}  // namespace weft
