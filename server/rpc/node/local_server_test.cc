#include "server/rpc/node/local_server.h"

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/node.grpc.pb.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

// As local_server.cc has it: half of all calls.
constexpr size_t kShare = 128;

// A ticket is its user's name. GetNodeStatus is answered when the test says so.
class FakeApi final : public LocalApi {
 public:
  absl::StatusOr<Caller> FindCaller(const std::string& ticket) override {
    return Caller{1000, ticket};
  }
  absl::StatusOr<CallIdentity> IdentityOf(const std::string&) override {
    return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "no session");
  }
  void GetNodeStatus(Done<v1::NodeStatus> done) override {
    absl::MutexLock lock(&mu_);
    waiting_.push_back(std::move(done));
  }
  void ListLocalDevices(Done<v1::ListLocalDevicesResponse> done) override {
    done(v1::ListLocalDevicesResponse());
  }
  void FormatDevice(const Caller&, const v1::FormatDeviceRequest&,
                    Done<v1::LocalDeviceInfo> done) override {
    done(v1::LocalDeviceInfo());
  }
  void ReleaseDevice(const Caller&, const v1::ReleaseDeviceRequest&,
                     Done<v1::LocalDeviceInfo> done) override {
    done(v1::LocalDeviceInfo());
  }

  void AnswerAll() {
    absl::MutexLock lock(&mu_);
    for (auto& done : waiting_) done(v1::NodeStatus());
    waiting_.clear();
  }
  void Await(size_t count) {
    const auto come = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return waiting_.size() >= count; };
    absl::MutexLock lock(&mu_, absl::Condition(&come));
  }

 private:
  absl::Mutex mu_;
  std::vector<Done<v1::NodeStatus>> waiting_ ABSL_GUARDED_BY(mu_);
};

class LocalServerTest : public testing::Test {
 protected:
  LocalServerTest() {
    const std::string address = "unix:" + folder_.File("grpc.sock");
    auto started = LocalServer::Start(address, {}, api_, [] { return nullptr; });
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    channel_ = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    node_ = v1::NodeService::NewStub(channel_);
  }
  ~LocalServerTest() override { server_->Shutdown(); }

  absl::Status List(const std::string& user) {
    grpc::ClientContext context;
    context.AddMetadata("weft-ticket", user);
    v1::ListLocalDevicesResponse reply;
    return FromGrpcStatus(node_->ListLocalDevices(&context, {}, &reply));
  }
  absl::Status Get(const std::string& user) {
    grpc::ClientContext context;
    context.AddMetadata("weft-ticket", user);
    v1::Segment reply;
    return FromGrpcStatus(v1::SegmentService::NewStub(channel_)->GetSegment(&context, {}, &reply));
  }

  TempDir folder_;
  FakeApi api_;
  std::unique_ptr<LocalServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::NodeService::Stub> node_;
};

TEST_F(LocalServerTest, AUserWithItsShareOfCallsIsToldToComeLaterAndOthersAreServed) {
  struct Call {
    grpc::ClientContext context;
    v1::GetNodeStatusRequest request;
    v1::NodeStatus reply;
  };
  std::list<Call> calls(kShare);
  absl::BlockingCounter left(kShare);
  for (Call& call : calls) {
    call.context.AddMetadata("weft-ticket", "greedy");
    node_->async()->GetNodeStatus(&call.context, &call.request, &call.reply,
                                  [&](const grpc::Status&) { left.DecrementCount(); });
  }
  api_.Await(kShare);
  for (const absl::Status& refused : {List("greedy"), Get("greedy")}) {
    EXPECT_EQ(ReasonOf(refused), v1::OVERLOADED) << refused;
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(RetryDelayOf(refused).has_value());
  }
  EXPECT_TRUE(List("other").ok());
  EXPECT_EQ(ReasonOf(Get("other")), v1::UNREACHABLE);
  api_.AnswerAll();
  left.Wait();
  // A call counts until gRPC is done with it.
  absl::Status later;
  do {
    later = List("greedy");
  } while (ReasonOf(later) == v1::OVERLOADED);
  EXPECT_TRUE(later.ok()) << later;
}

// Also those that fail: the user has its share anew.
TEST_F(LocalServerTest, ACallThatIsOverCountsNoMore) {
  for (size_t i = 0; i < 4 * kShare; ++i) ASSERT_EQ(ReasonOf(Get("user")), v1::UNREACHABLE) << i;
  EXPECT_TRUE(List("user").ok());
}

}  // namespace
}  // namespace weft
