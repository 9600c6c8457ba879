// The coordinator's health, metrics, TLS, and what hosts see when its store fails.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/sdk/admin/rpc_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/coordinator/coordinator_test_util.h"
#include "server/coordinator/runner_test_util.h"
#include "server/rpc/client_credentials.h"
#include "server/rpc/standard_calls.h"
#include "server/rpc/test_certificates.h"
#include "server/store/scoped_mount.h"

namespace weft {
namespace {

using testing::HasSubstr;

using Clusters = v1::ClusterService;
using Pools = v1::PoolService;

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

TEST_F(NetworkTest, HealthAndReflection) {
  StartCoordinator();
  // Answered once the state is loaded.
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register());
  EXPECT_EQ(Health(channel_), kServing);
  const std::string services = ListServices(channel_);
  for (const char* const service :
       {"ClusterService", "DeviceService", "EventService", "GrantService", "HostService",
        "PoolService", "SegmentService", "SessionService"}) {
    EXPECT_THAT(services, HasSubstr(absl::StrCat("weft.v1.", service)));
  }
}

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

// A coordinator whose store fails when it is told to.
class StoreTest : public NetworkTest {
 protected:
  void SetUp() override {
    auto coordinator = Coordinator::Start(options_, failing_, clock_, random_, programs_);
    ASSERT_TRUE(coordinator.ok()) << coordinator.status();
    coordinator_ = *std::move(coordinator);
    thread_ = std::thread([this] { EXPECT_TRUE(coordinator_->Run().ok()); });
    channel_ = Connect(grpc::InsecureChannelCredentials());
  }
  void TearDown() override { StopCoordinator(); }

  v1::Reason CreatePool() {
    v1::CreatePoolRequest request;
    request.set_pool_id("p");
    v1::Pool pool;
    return ReasonOf(Call<Pools>(&Pools::Stub::CreatePool, request, &pool));
  }

  TestStore fake_store_{std::make_shared<MemoryMedium>()};

 private:
  SoleLeadership failing_{fake_store_};
};

// Longer than any lease, and clients go on trying: no stream ends, no lease runs out.
TEST_F(StoreTest, SessionsGoOnWhileTheStoreIsFull) {
  TestHost host(Connect(grpc::InsecureChannelCredentials()), "host-a", medium_);
  ASSERT_TRUE(host.Register(OneDevice()));
  fake_store_.set_full(true);
  const int before = fake_store_.commits();
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < 10; ++j) ASSERT_EQ(CreatePool(), v1::STORE_FULL);
    v1::NodeMessage report;
    *report.mutable_devices() = OneDevice();
    host.Write(report);
    ASSERT_TRUE(host.Renew()) << i;
    clock_.Advance(absl::Seconds(3));
  }
  EXPECT_LE(fake_store_.commits(), before + 30);
  EXPECT_EQ(Health(channel_), kServing);
  v1::ClusterStatus status;
  ASSERT_TRUE(Call<Clusters>(&Clusters::Stub::GetStatus, {}, &status).ok());
  EXPECT_EQ(status.hosts_alive(), 1u);

  fake_store_.set_full(false);
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(CreatePool(), v1::REASON_UNSPECIFIED);
  EXPECT_TRUE(host.Renew());
  // What it had reported meanwhile is asked for again.
  ASSERT_TRUE(host.PumpUntil([&] { return host.resyncs() > 0; }));
}

// The same with a disk.
TEST_F(NetworkTest, SessionsGoOnWhileTheDiskIsFull) {
  ScopedMount mount(folder_.path(), "size=4m");
  if (!mount.mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << mount.error();
  StartCoordinator();
  TestHost host(Connect(grpc::InsecureChannelCredentials()), "host-a", medium_);
  ASSERT_TRUE(host.Register(OneDevice()));
  MakePool(host);
  const std::string ballast = folder_.File("ballast");
  const auto fill = [&] {
    std::ofstream file(ballast, std::ios::app);
    while (file << std::string(4096, 'x') << std::flush) {
    }
  };
  fill();
  int segments = 0;
  const auto create = [&] {
    v1::Segment segment;
    const absl::Status status =
        CreateSegment(SegmentRequest(absl::StrCat("s", segments), 2), &segment);
    segments += status.ok();
    return ReasonOf(status);
  };
  while (create() != v1::STORE_FULL) {
  }
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(host.Renew()) << i;
    clock_.Advance(absl::Seconds(3));
    EXPECT_EQ(create(), v1::STORE_FULL);
  }
  // The coordinator can be restarted, too. The log of the store is empty then: its space is taken.
  Restart();
  fill();
  TestHost again(Connect(grpc::InsecureChannelCredentials()), "host-a", medium_);
  v1::CreatePoolRequest request;
  request.set_pool_id("q");
  v1::Pool pool;
  EXPECT_EQ(ReasonOf(Call<Pools>(&Pools::Stub::CreatePool, request, &pool)), v1::STORE_FULL);
  ASSERT_TRUE(again.Register(OneDevice()));
  EXPECT_EQ(again.session_id(), host.session_id());
  EXPECT_TRUE(again.Renew());

  std::filesystem::remove(ballast);
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(create(), v1::REASON_UNSPECIFIED);
  v1::GetPoolRequest get;
  get.set_name("pools/p");
  ASSERT_TRUE(Call<Pools>(&Pools::Stub::GetPool, get, &pool).ok());
  EXPECT_EQ(pool.usage().segments(), static_cast<uint64_t>(segments));
}

TEST_F(StoreTest, ItsFailureEndsStreamsAndNoSession) {
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register());
  EXPECT_EQ(Health(channel_), kServing);

  fake_store_.FailNextCommit(CommitFault::kUnknownLost);
  fake_store_.set_cannot_recover(true);
  EXPECT_EQ(CreatePool(), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(Health(channel_), kNotServing);
  v1::ClusterStatus status;
  EXPECT_EQ(ReasonOf(Call<Clusters>(&Clusters::Stub::GetStatus, {}, &status)), v1::UNREACHABLE);

  fake_store_.set_cannot_recover(false);
  clock_.Advance(absl::Seconds(5));
  ASSERT_TRUE(Call<Clusters>(&Clusters::Stub::GetStatus, {}, &status).ok());
  EXPECT_EQ(Health(channel_), kServing);
  EXPECT_EQ(status.pools(), 0u);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(host.AwaitEnd())), v1::UNREACHABLE);
  TestHost again(channel_, "host-a", medium_);
  ASSERT_TRUE(again.Register());
  EXPECT_EQ(again.session_id(), host.session_id());
}

class TlsTest : public CoordinatorTestBase {
 protected:
  TlsTest() {
    certificates_.MakeAuthority("ca");
    certificates_.Sign("ca", "server", "coordinator", "IP:127.0.0.1");
    certificates_.Sign("ca", "admin", "admin", "DNS:admin");
    certificates_.Sign("ca", "host-a", "host-a", "URI:weft://cluster/hosts/host-a");
    certificates_.Sign("ca", "nobody", "nobody", "DNS:nobody");
    options_.server.tls = certificates_.Files("server", "ca");
    StartCoordinator();
  }

  void ConnectAs(const std::string& name, const std::string& authority = "ca") {
    channel_ = Connect(ClientCredentials(certificates_.Files(name, authority)));
  }

  absl::Status GetStatus() {
    v1::ClusterStatus status;
    return Call<Clusters>(&Clusters::Stub::GetStatus, v1::GetStatusRequest(), &status);
  }

  const TestCertificates certificates_{folder_.path()};
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
  TlsFiles nothing_to_show = certificates_.Files("", "ca");
  nothing_to_show.cert.clear();
  nothing_to_show.key.clear();
  channel_ = Connect(ClientCredentials(nothing_to_show));
  EXPECT_TRUE(absl::IsUnavailable(GetStatus()));
}

TEST_F(TlsTest, WhoeverTheOtherSideDoesNotKnowDoesNotConnect) {
  certificates_.MakeAuthority("other");
  certificates_.Sign("other", "impostor", "admin", "DNS:admin");
  ConnectAs("impostor");
  EXPECT_TRUE(absl::IsUnavailable(GetStatus()));
  ConnectAs("admin", "other");
  EXPECT_TRUE(absl::IsUnavailable(GetStatus()));
}

TEST_F(TlsTest, AnAdministratorsProgramConnects) {
  const auto client = sdk::RpcClient::Make(
      {.address = coordinator_->addresses().front(), .tls = certificates_.Files("admin", "ca")});
  ASSERT_TRUE(client.ok()) << client.status();
  const auto status = (*client)->Call(&Clusters::Stub::GetStatus, v1::GetStatusRequest());
  EXPECT_TRUE(status.ok()) << status.status();
}

// The server's certificate expired, say: no restart is needed for the next one.
TEST_F(TlsTest, FilesThatAreReplacedAreReadAgain) {
  certificates_.MakeAuthority("next");
  certificates_.Sign("next", "replacement", "coordinator", "IP:127.0.0.1");
  ConnectAs("admin", "next");
  ASSERT_TRUE(absl::IsUnavailable(GetStatus()));
  for (const char* const suffix : {".pem", ".key"}) {
    std::filesystem::rename(folder_.File(absl::StrCat("replacement", suffix)),
                            folder_.File(absl::StrCat("server", suffix)));
  }
  absl::Status status;
  do {
    ConnectAs("admin", "next");
    status = GetStatus();
  } while (absl::IsUnavailable(status));
  EXPECT_TRUE(status.ok()) << status;
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
