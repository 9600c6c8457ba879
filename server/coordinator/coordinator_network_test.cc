// The coordinator's health, metrics, TLS, and what hosts see when its store fails.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "server/coordinator/coordinator_test_util.h"
#include "server/coordinator/runner_test_util.h"

namespace weft {
namespace {

using testing::HasSubstr;

using Clusters = v1::ClusterService;
using Pools = v1::PoolService;

// What the service at `method` answers to an empty message, as bytes.
std::string CallWithEmptyMessage(const std::shared_ptr<grpc::Channel>& channel,
                                 const std::string& method) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  const grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  absl::Notification done;
  stub.UnaryCall(&context, method, grpc::StubOptions(), &request, &response,
                 [&](const grpc::Status& status) {
                   EXPECT_TRUE(status.ok()) << status.error_message();
                   done.Notify();
                 });
  done.WaitForNotification();
  grpc::Slice bytes;
  EXPECT_TRUE(response.DumpToSingleSlice(&bytes).ok());
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

// HealthCheckResponse{status}, serialised.
const std::string kServing = {0x08, 0x01};
const std::string kNotServing = {0x08, 0x02};

std::string Health(const std::shared_ptr<grpc::Channel>& channel) {
  return CallWithEmptyMessage(channel, "/grpc.health.v1.Health/Check");
}

// GET /metrics from `address`, an IPv4 address with a port.
std::string Scrape(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(colon + 1), &port));
  sockaddr_in peer = {};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr), 1);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof(peer)), 0);
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string response;
  char buffer[4096];
  for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) response.append(buffer, n);
  close(fd);
  return response;
}

class NetworkTest : public CoordinatorTestBase {};

TEST_F(NetworkTest, Metrics) {
  options_.metrics_address = "127.0.0.1:0";
  StartCoordinator();
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register(OneDevice()));
  ASSERT_TRUE(host.Renew());
  MakePool(host);
  v1::Segment segment;
  ASSERT_TRUE(CreateSegment(SegmentRequest("s", 2), &segment).ok());
  EXPECT_FALSE(CreateSegment(SegmentRequest("s", 2), &segment).ok());

  const std::string metrics = Scrape(coordinator_->metrics_address());
  for (const char* line : {
           "weft_coordinator_serving 1\n",
           "weft_coordinator_sessions 1\n",
           "weft_coordinator_renewals_total 1\n",
           "weft_coordinator_session_expiries_total 0\n",
           "weft_coordinator_pool_bytes{pool=\"p\",state=\"used\"} 2097152\n",
           "weft_coordinator_pool_bytes{pool=\"p\",state=\"scrubbing\"} 0\n",
           "weft_coordinator_pool_segments{pool=\"p\"} 1\n",
           "weft_coordinator_pool_free_extents{pool=\"p\"} 1\n",
           "weft_coordinator_operation_seconds_count{method=\"CreateSegment\",result=\"OK\"} 1\n",
           "weft_coordinator_operation_seconds_count{method=\"CreateSegment\","
           "result=\"ALREADY_EXISTS\"} 1\n",
           "weft_coordinator_queued_commands{lane=\"request\"} 0\n",
           "weft_coordinator_state_loads_total 1\n",
       }) {
    EXPECT_THAT(metrics, HasSubstr(line));
  }
  EXPECT_THAT(metrics, HasSubstr("weft_coordinator_store_commit_seconds_bucket{result=\"OK\""));
  EXPECT_THAT(metrics, HasSubstr("weft_coordinator_round_commands_bucket"));
}

TEST_F(NetworkTest, MetricsAddressInUse) {
  options_.metrics_address = "127.0.0.1:0";
  StartCoordinator();
  auto store = SqliteStore::Open({.path = folder_.File("other.db"), .vfs = ""});
  ASSERT_TRUE(store.ok()) << store.status();
  CoordinatorOptions options = options_;
  options.metrics_address = coordinator_->metrics_address();
  SoleLeadership leadership(**store);
  const absl::Status status =
      Coordinator::Start(options, leadership, clock_, random_, programs_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(options.metrics_address));
}

TEST_F(NetworkTest, StoreFailure) {
  TestStore store(std::make_shared<MemoryMedium>());
  SoleLeadership leadership(store);
  auto coordinator = Coordinator::Start(options_, leadership, clock_, random_, programs_);
  ASSERT_TRUE(coordinator.ok()) << coordinator.status();
  coordinator_ = *std::move(coordinator);
  thread_ = std::thread([this] { EXPECT_TRUE(coordinator_->Run().ok()); });
  channel_ = Connect(grpc::InsecureChannelCredentials());
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register());
  EXPECT_EQ(Health(channel_), kServing);

  store.FailNextCommit(CommitFault::kUnknownLost);
  store.set_cannot_recover(true);
  v1::CreatePoolRequest request;
  request.set_pool_id("p");
  v1::Pool pool;
  EXPECT_EQ(ReasonOf(Call<Pools>(&Pools::Stub::CreatePool, request, &pool)), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(Health(channel_), kNotServing);
  v1::ClusterStatus status;
  EXPECT_EQ(ReasonOf(Call<Clusters>(&Clusters::Stub::GetStatus, {}, &status)), v1::UNREACHABLE);

  store.set_cannot_recover(false);
  clock_.Advance(absl::Seconds(5));
  ASSERT_TRUE(Call<Clusters>(&Clusters::Stub::GetStatus, {}, &status).ok());
  EXPECT_EQ(Health(channel_), kServing);
  EXPECT_EQ(status.pools(), 0u);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(host.AwaitEnd())), v1::UNREACHABLE);
  TestHost again(channel_, "host-a", medium_);
  ASSERT_TRUE(again.Register());
  EXPECT_EQ(again.session_id(), host.session_id());
  StopCoordinator();
}

// A certificate authority and what it signs, made with the openssl command.
class TlsTest : public CoordinatorTestBase {
 protected:
  TlsTest() {
    Shell(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
        "-keyout ca.key -out ca.pem -subj /CN=test-ca");
    Sign("server", "coordinator", "IP:127.0.0.1");
    Sign("admin", "admin", "DNS:admin");
    Sign("host-a", "host-a", "URI:weft://cluster/hosts/host-a");
    Sign("nobody", "nobody", "DNS:nobody");
    options_.server.tls =
        TlsFiles{folder_.File("server.pem"), folder_.File("server.key"), folder_.File("ca.pem")};
    StartCoordinator();
  }

  void Shell(const std::string& command) {
    const std::string line =
        absl::StrCat("cd ", folder_.path(), " && { ", command, "; } >log 2>&1");
    ASSERT_EQ(std::system(line.c_str()), 0) << line << "\n" << File("log");
  }

  void Sign(const std::string& file, const std::string& common_name, const std::string& san) {
    std::ofstream(folder_.File("extensions")) << "subjectAltName=" << san << "\n";
    Shell(absl::StrCat("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ",
                       file, ".key -out request -subj /CN=", common_name,
                       " && openssl x509 -req -in request -CA ca.pem -CAkey ca.key "
                       "-CAcreateserial -days 1 -extfile extensions -out ",
                       file, ".pem"));
  }

  std::string File(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(folder_.File(name)).rdbuf();
    return text.str();
  }

  void ConnectAs(const std::string& file) {
    channel_ =
        Connect(grpc::SslCredentials({File("ca.pem"), File(file + ".key"), File(file + ".pem")}));
  }

  absl::Status GetStatus() {
    v1::ClusterStatus status;
    return Call<Clusters>(&Clusters::Stub::GetStatus, v1::GetStatusRequest(), &status);
  }
};

TEST_F(TlsTest, CertificatesDecide) {
  ConnectAs("admin");
  EXPECT_TRUE(GetStatus().ok());
  v1::CreatePoolRequest request;
  request.set_pool_id("p");
  v1::Pool pool;
  EXPECT_TRUE(Call<Pools>(&Pools::Stub::CreatePool, request, &pool).ok());

  ConnectAs("nobody");
  EXPECT_EQ(ReasonOf(GetStatus()), v1::NO_IDENTITY);

  ConnectAs("host-a");
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register());
  EXPECT_TRUE(host.Renew());
  request.set_pool_id("q");
  EXPECT_EQ(ReasonOf(Call<Pools>(&Pools::Stub::CreatePool, request, &pool,
                                 [&](grpc::ClientContext& context) { host.Identify(context); })),
            v1::NOT_ALLOWED);
  TestHost other(channel_, "host-b", medium_);
  EXPECT_FALSE(other.Register());
  EXPECT_EQ(ReasonOf(FromGrpcStatus(other.AwaitEnd())), v1::NOT_ALLOWED);
}

TEST_F(TlsTest, WithoutACertificateNobodyConnects) {
  channel_ = Connect(grpc::InsecureChannelCredentials());
  EXPECT_TRUE(absl::IsUnavailable(GetStatus()));
  channel_ = Connect(grpc::SslCredentials({File("ca.pem"), "", ""}));
  EXPECT_TRUE(absl::IsUnavailable(GetStatus()));
}

TEST_F(TlsTest, MissingFile) {
  auto store = SqliteStore::Open({.path = folder_.File("other.db"), .vfs = ""});
  ASSERT_TRUE(store.ok()) << store.status();
  CoordinatorOptions options = options_;
  options.server.tls->key = folder_.File("absent.key");
  SoleLeadership leadership(**store);
  const absl::Status status =
      Coordinator::Start(options, leadership, clock_, random_, programs_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("absent.key"));
}

}  // namespace
}  // namespace weft
