// weftd as its clients and the coordinator see it, when things go wrong.

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/event.grpc.pb.h"
#include "proto/weft/v1/grant.grpc.pb.h"
#include "proto/weft/v1/node.grpc.pb.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "proto/weft/v1/session.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "server/platform/unique_fd.h"
#include "server/rpc/standard_calls.h"
#include "server/rpc/status.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using sdk::AccessMode;

constexpr uint64_t kSize = 4 * kExtentUnit.value();

// A client of the fd socket that does as it likes.
class RawClient {
 public:
  explicit RawClient(const std::string& path)
      : socket_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }

  void SendBytes(const std::string& bytes) {
    EXPECT_EQ(send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void Send(v1::ClientMessage message) {
    message.set_sequence(++sequence_);
    SendBytes(message.SerializeAsString());
  }
  // The next packet; nothing if weftd hung up. Descriptors are dropped.
  std::optional<v1::ServerMessage> Receive() {
    std::string bytes(128 << 10, '\0');
    const ssize_t size = recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (size <= 0) return std::nullopt;
    v1::ServerMessage message;
    EXPECT_TRUE(message.ParseFromArray(bytes.data(), static_cast<int>(size)));
    return message;
  }
  std::optional<v1::ServerMessage> Hello(uint32_t version = 1) {
    v1::ClientMessage message;
    message.mutable_hello()->set_protocol_version(version);
    Send(message);
    return Receive();
  }
  void SendOpen(const std::string& segment, v1::AccessMode mode = v1::READ_WRITE) {
    v1::ClientMessage message;
    message.mutable_open()->set_segment(segment);
    message.mutable_open()->set_mode(mode);
    Send(message);
  }

 private:
  UniqueFd socket_;
  uint64_t sequence_ = 0;
};

// A copy of this process that maps what this one does when it is made, and does nothing.
class Child {
 public:
  Child() : pid_(fork()) {
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  bool valid() const { return pid_ > 0; }

 private:
  const pid_t pid_;
};

class WeftdTest : public testing::Test {
 protected:
  void Start() {
    const absl::Status started = cluster_.StartWithPool();
    ASSERT_TRUE(started.ok()) << started;
    client_ = Connect("host-a");
    const auto created = client_->CreateSegment("p/s", kSize);
    ASSERT_TRUE(created.ok()) << created.status();
  }
  std::unique_ptr<sdk::Client> Connect(const std::string& host) {
    // As long as it takes a daemon to start on a machine that is busy.
    auto client = cluster_.Connect(
        host, {.connect_timeout = absl::Minutes(1), .call_timeout = absl::Minutes(1)});
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  size_t Grants() {
    v1::ListGrantsRequest request;
    request.set_parent("pools/-/segments/-");
    const auto grants = cluster_.admin().Call(&v1::GrantService::Stub::ListGrants, request);
    EXPECT_TRUE(grants.ok()) << grants.status();
    return grants.ok() ? static_cast<size_t>(grants->grants_size()) : 0;
  }
  // Waits until there has been an event of this type.
  void Await(v1::EventType type) {
    const absl::Status status =
        cluster_.Await(v1::EventType_Name(type), [&]() -> absl::StatusOr<bool> {
          v1::ListEventsRequest request;
          request.set_page_size(1000);
          const auto page = cluster_.admin().Call(&v1::EventService::Stub::ListEvents, request);
          if (!page.ok()) return page.status();
          return std::any_of(page->events().begin(), page->events().end(),
                             [&](const v1::Event& event) { return event.type() == type; });
        });
    ASSERT_TRUE(status.ok()) << status;
  }

  Cluster cluster_;
  std::unique_ptr<sdk::Client> client_;
};

TEST_F(WeftdTest, ARestartDoesNotDisturbAMappingAndItsHandleGoesOn) {
  Start();
  auto handle = client_->Open("p/s", AccessMode::kReadWrite);
  ASSERT_TRUE(handle.ok()) << handle.status();
  auto mapping = handle->Map();
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  mapping->data()[kSize - 1] = std::byte{42};

  cluster_.host("host-a").Kill();
  mapping->data()[0] = std::byte{43};
  ASSERT_TRUE(cluster_.StartHost("host-a").ok());
  // Answered by the new daemon, which has taken the handle over.
  const absl::Status refreshed = handle->Refresh();
  EXPECT_TRUE(refreshed.ok()) << refreshed;
  EXPECT_EQ(mapping->data()[0], std::byte{43});
  EXPECT_EQ(mapping->data()[kSize - 1], std::byte{42});
  const auto status = Cluster::StatusOf(*client_);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->handles(), 1u);
  EXPECT_EQ(Grants(), 1u);

  {
    const auto gone = *std::move(mapping);
  }
  EXPECT_TRUE(handle->Close().ok());
  // Not at once: other clients have some time to claim handles of the daemon that died.
  const absl::Status released = cluster_.AwaitNoGrants();
  EXPECT_TRUE(released.ok()) << released;
}

TEST_F(WeftdTest, AMappingThatNobodyClaimsAfterARestartKeepsItsGrant) {
  Start();
  // A process that only maps: its client is not there to claim the handle.
  auto handle = client_->Open("p/s", AccessMode::kReadOnly);
  ASSERT_TRUE(handle.ok()) << handle.status();
  auto mapping = handle->Map();
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  auto child = std::make_unique<Child>();
  ASSERT_TRUE(child->valid());
  cluster_.host("host-a").Kill();
  {
    const auto gone = *std::move(mapping);
  }
  ASSERT_TRUE(handle->Close().ok());
  ASSERT_TRUE(cluster_.StartHost("host-a", {"--claim-grace=0s"}).ok());
  // The answer to Close comes after weftd has looked for who else maps the segment.
  auto another = client_->Open("p/s", AccessMode::kReadOnly);
  ASSERT_TRUE(another.ok()) << another.status();
  ASSERT_TRUE(another->Close().ok());
  EXPECT_EQ(Grants(), 1u);
  child.reset();
  const absl::Status released = cluster_.AwaitNoGrants();
  EXPECT_TRUE(released.ok()) << released;
}

// As when the coordinator died before it had heard of the release, and then the daemon.
TEST_F(WeftdTest, AGrantWithoutARecordCanBeOpenedThoughOthersOfThisMachineMapTheSegment) {
  Start();
  auto held = client_->Open("p/s", AccessMode::kReadWrite);
  ASSERT_TRUE(held.ok()) << held.status();
  const auto mapping = held->Map();
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  const auto reader = Connect("host-b");
  const auto earlier = reader->Open("p/s", AccessMode::kReadOnly);
  ASSERT_TRUE(earlier.ok()) << earlier.status();
  cluster_.host("host-b").Kill();
  for (const auto& entry : std::filesystem::directory_iterator(cluster_.File("host-b.state"))) {
    if (entry.is_directory()) std::filesystem::remove_all(entry);
  }
  ASSERT_TRUE(cluster_.StartHost("host-b").ok());
  const auto opened = reader->Open("p/s", AccessMode::kReadOnly);
  EXPECT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(Grants(), 2u);
}

TEST_F(WeftdTest, AHandleThatIsNotMappedOutlivesARestartInWhichOthersOpenAndClose) {
  Start();
  auto handle = client_->Open("p/s", AccessMode::kReadOnly);
  ASSERT_TRUE(handle.ok()) << handle.status();
  cluster_.host("host-a").Kill();
  ASSERT_TRUE(cluster_.StartHost("host-a", {"--claim-grace=1m"}).ok());
  const auto other = Connect("host-a");
  auto another = other->Open("p/s", AccessMode::kReadOnly);
  ASSERT_TRUE(another.ok()) << another.status();
  ASSERT_TRUE(another->Close().ok());
  const absl::Status refreshed = handle->Refresh();
  EXPECT_TRUE(refreshed.ok()) << refreshed;
  EXPECT_EQ(Grants(), 1u);
}

TEST_F(WeftdTest, AClientThatLeavesBeforeItsDescriptorArrivesHoldsNothing) {
  Start();
  {
    RawClient raw(cluster_.fd_socket("host-a"));
    ASSERT_TRUE(raw.Hello().has_value());
    raw.SendOpen("pools/p/segments/s");
  }
  Await(v1::GRANT_RELEASED);
  EXPECT_EQ(Grants(), 0u);
  EXPECT_TRUE(client_->DeleteSegment("p/s").ok());
}

TEST_F(WeftdTest, GarbageEndsOneConnectionAndNothingElse) {
  Start();
  auto handle = client_->Open("p/s", AccessMode::kReadWrite);
  ASSERT_TRUE(handle.ok()) << handle.status();
  for (const std::string& bytes : {std::string("\xff\xff\xff"), std::string(1, '\0')}) {
    RawClient raw(cluster_.fd_socket("host-a"));
    raw.SendBytes(bytes);
    EXPECT_FALSE(raw.Receive().has_value());
  }
  RawClient no_hello(cluster_.fd_socket("host-a"));
  no_hello.SendOpen("pools/p/segments/s");
  EXPECT_FALSE(no_hello.Receive().has_value());
  EXPECT_TRUE(handle->Refresh().ok());
  const auto status = Cluster::StatusOf(*client_);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->handles(), 1u);
}

TEST_F(WeftdTest, AClientOfANewerProtocolIsTold) {
  Start();
  RawClient raw(cluster_.fd_socket("host-a"));
  const auto reply = raw.Hello(/*version=*/99);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->error().reason(), "VERSION_TOO_NEW");
}

TEST_F(WeftdTest, AModeThatIsNoneIsRefused) {
  Start();
  RawClient raw(cluster_.fd_socket("host-a"));
  ASSERT_TRUE(raw.Hello().has_value());
  raw.SendOpen("pools/p/segments/s", static_cast<v1::AccessMode>(77));
  const auto reply = raw.Receive();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->error().reason(), "BAD_ARGUMENT") << reply->DebugString();
  EXPECT_EQ(Grants(), 0u);
}

TEST_F(WeftdTest, LocalCallsNeedTheTicketOfALiveConnection) {
  Start();
  const auto endpoint = client_->GetEndpoint();
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  for (const std::string& ticket : {std::string(), std::string("0123456789abcdef")}) {
    auto local = sdk::RpcClient::Make({.address = endpoint->grpc_address, .ticket = ticket});
    ASSERT_TRUE(local.ok()) << local.status();
    const auto status =
        (*local)->Call(&v1::NodeService::Stub::GetNodeStatus, v1::GetNodeStatusRequest());
    EXPECT_EQ(ReasonOf(status.status()), v1::NO_IDENTITY) << status.status();
  }
}

TEST_F(WeftdTest, TheLocalSocketHasHealthAndReflection) {
  Start();
  const auto endpoint = client_->GetEndpoint();
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  const auto channel =
      grpc::CreateChannel(endpoint->grpc_address, grpc::InsecureChannelCredentials());
  EXPECT_EQ(Health(channel), kServing);
  const std::string services = ListServices(channel);
  EXPECT_THAT(services, testing::HasSubstr("weft.v1.NodeService"));
  EXPECT_THAT(services, testing::HasSubstr("weft.v1.SegmentService"));
}

// The reply was lost, say.
TEST_F(WeftdTest, AFormatThatIsAskedForAgainIsNotCarriedOutAgain) {
  ASSERT_TRUE(cluster_.StartCoordinator().ok());
  ASSERT_TRUE(cluster_.StartHost("host-a").ok());
  client_ = Connect("host-a");
  const auto endpoint = client_->GetEndpoint();
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  v1::NodeService::Stub node(
      grpc::CreateChannel(endpoint->grpc_address, grpc::InsecureChannelCredentials()));
  const auto format = [&](const std::string& id, bool force, std::string* uuid) {
    grpc::ClientContext context;
    context.AddMetadata("weft-ticket", endpoint->ticket);
    v1::FormatDeviceRequest request;
    request.set_device(cluster_.device_name(0));
    request.set_force(force);
    request.set_request_id(id);
    v1::LocalDeviceInfo info;
    const absl::Status status = FromGrpcStatus(node.FormatDevice(&context, request, &info));
    *uuid = info.uuid();
    return ReasonOf(status);
  };
  std::string first, again;
  ASSERT_EQ(format("one", /*force=*/false, &first), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(format("one", /*force=*/false, &again), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(again, first);
  EXPECT_EQ(format("one", /*force=*/true, &again), v1::REQUEST_ID_REUSED);
  EXPECT_EQ(format("two", /*force=*/false, &again), v1::FOREIGN_DATA);
  ASSERT_EQ(format("three", /*force=*/true, &again), v1::REASON_UNSPECIFIED);
  EXPECT_NE(again, first);
  // Also when a pool has it by now.
  const absl::Status pooled = cluster_.Await("the pool", [&]() -> absl::StatusOr<bool> {
    v1::CreatePoolRequest request;
    request.set_pool_id("p");
    request.add_devices("devices/" + again);
    const auto pool = cluster_.admin().Call(&v1::PoolService::Stub::CreatePool, request);
    if (pool.ok() || ReasonOf(pool.status()) == v1::DEVICE_NOT_FOUND) return pool.ok();
    return pool.status();
  });
  ASSERT_TRUE(pooled.ok()) << pooled;
  std::string third;
  EXPECT_EQ(format("three", /*force=*/true, &third), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(third, again);
}

TEST_F(WeftdTest, ADeviceThatAPoolHasIsNotFormatted) {
  Start();
  const absl::Status formatted = cluster_.Format("host-a", 0, /*force=*/true);
  EXPECT_EQ(ReasonOf(formatted), v1::IN_USE) << formatted;
}

TEST_F(WeftdTest, ACloneOfADeviceIsCaught) {
  ASSERT_TRUE(cluster_.StartCoordinator().ok());
  ASSERT_TRUE(cluster_.StartHost("host-a").ok());
  ASSERT_TRUE(cluster_.Format("host-a", 0).ok());
  Await(v1::DEVICE_ATTACHED);
  const std::string clone = cluster_.File("clone");
  fs::copy_file(cluster_.device_path(0), clone);
  // The next host finds the copy where the device was.
  fs::rename(cluster_.device_path(0), cluster_.File("original"));
  fs::rename(clone, cluster_.device_path(0));
  ASSERT_TRUE(cluster_.StartHost("host-b").ok());
  Await(v1::DEVICE_MISMATCHED);
}

TEST_F(WeftdTest, AnOpenOutlastsARestartOfTheCoordinator) {
  Start();
  cluster_.coordinator().Kill();
  absl::Status opened = absl::UnknownError("");
  std::thread thread([&] {
    const auto handle = client_->Open("p/s", AccessMode::kReadWrite);
    opened = handle.status();
  });
  const absl::Status started = cluster_.StartCoordinator();
  thread.join();
  EXPECT_TRUE(started.ok()) << started;
  EXPECT_TRUE(opened.ok()) << opened;
}

TEST_F(WeftdTest, ASecondDaemonOnTheSameStateIsRefused) {
  Start();
  Cluster& cluster = cluster_;
  Process second(
      {getenv("WEFTD"), "--host-id=host-a", "--state-dir=" + cluster.File("host-a.state"),
       "--socket-dir=" + cluster.File("second"), "--coordinator=" + cluster.coordinator_address(),
       "--backend=emulated", "--metrics-address=127.0.0.1:0"},
      cluster.File("second.log"));
  EXPECT_EQ(second.Wait(), 1);
  EXPECT_NE(cluster.Log("second").find("is locked"), std::string::npos) << cluster.Log("second");
}

// A coordinator of an older version.
class OldCoordinator final : public v1::SessionService::Service {
  grpc::Status Connect(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::NodeMessage>* stream) override {
    v1::NodeMessage message;
    stream->Read(&message);
    return ToGrpcStatus(MakeError(absl::StatusCode::kFailedPrecondition, v1::VERSION_TOO_NEW,
                                  "upgrade the coordinator first"));
  }
};

TEST_F(WeftdTest, ADaemonThatIsTooNewEndsWithAStatusOfItsOwn) {
  OldCoordinator old;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(cluster_.coordinator_address(), grpc::InsecureServerCredentials());
  builder.RegisterService(&old);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  cluster_.LaunchHost("host-a");
  EXPECT_EQ(cluster_.host("host-a").Wait(), 3);
  EXPECT_NE(cluster_.Log("host-a").find("VERSION_TOO_NEW"), std::string::npos);
}

}  // namespace
}  // namespace weft
