#include "server/coordinator/coordinator.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/coordinator/coordinator_test_util.h"

namespace weft {
namespace {

using testing::HasSubstr;

using Clusters = v1::ClusterService;
using Devices = v1::DeviceService;
using Events = v1::EventService;
using Grants = v1::GrantService;
using Hosts = v1::HostService;
using Pools = v1::PoolService;
using Segments = v1::SegmentService;

class CoordinatorTest : public CoordinatorTestBase {
 protected:
  CoordinatorTest() { StartCoordinator(); }

  v1::Pool GetPool() {
    v1::GetPoolRequest request;
    request.set_name("pools/p");
    v1::Pool pool;
    EXPECT_TRUE(Call<Pools>(&Pools::Stub::GetPool, request, &pool).ok());
    return pool;
  }

  absl::Status Acquire(const TestHost& host, v1::AcquireGrantResponse* response) {
    v1::AcquireGrantRequest request;
    request.set_session_id(host.session_id());
    request.set_segment("pools/p/segments/s");
    request.set_mode(v1::READ_WRITE);
    return Call<Grants>(&Grants::Stub::AcquireGrant, request, response,
                        [&](grpc::ClientContext& context) { host.Identify(context); });
  }
};

TEST_F(CoordinatorTest, LifeOfASegment) {
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register(OneDevice()));
  EXPECT_EQ(host.registered().ttl_ms(), 10'000u);
  MakePool(host);
  EXPECT_EQ(GetPool().usage().free_bytes(), OneDevice().devices(0).data_bytes());

  v1::Segment segment;
  ASSERT_TRUE(CreateSegment(SegmentRequest("s", 64), &segment).ok());
  EXPECT_EQ(segment.name(), "pools/p/segments/s");
  EXPECT_EQ(segment.owner(), "admin");
  EXPECT_EQ(GetPool().usage().used_bytes(), uint64_t{64} << 20);

  v1::AcquireGrantResponse grant;
  ASSERT_TRUE(Acquire(host, &grant).ok());
  EXPECT_EQ(grant.grant().host(), "hosts/host-a");
  EXPECT_GT(grant.grant().token().counter(), 0u);
  ASSERT_TRUE(host.PumpUntil([&] { return host.Has("grant"); }));

  v1::GrowSegmentRequest grow;
  grow.set_name(segment.name());
  grow.set_size_bytes(uint64_t{128} << 20);
  ASSERT_TRUE(Call<Segments>(&Segments::Stub::GrowSegment, grow, &segment).ok());
  const auto grown = [&] {
    for (const auto& [key, assignment] : host.assigned()) {
      if (assignment.grant().size_bytes() == grow.size_bytes()) return true;
    }
    return false;
  };
  EXPECT_TRUE(host.PumpUntil(grown));

  v1::DeleteSegmentRequest remove;
  remove.set_name(segment.name());
  google::protobuf::Empty empty;
  EXPECT_EQ(ReasonOf(Call<Segments>(&Segments::Stub::DeleteSegment, remove, &empty)), v1::IN_USE);
  remove.set_force(true);
  ASSERT_TRUE(Call<Segments>(&Segments::Stub::DeleteSegment, remove, &empty).ok());
  v1::ReleaseGrantRequest release;
  release.set_session_id(host.session_id());
  release.set_segment(segment.name());
  release.set_segment_id(segment.id());
  *release.mutable_token() = grant.grant().token();
  ASSERT_TRUE(
      Call<Grants>(&Grants::Stub::ReleaseGrant, release, &empty, [&](grpc::ClientContext& context) {
        host.Identify(context);
      }).ok());
  const int scrubs = host.scrubs_done();
  ASSERT_TRUE(host.PumpUntil([&] { return host.scrubs_done() > scrubs && !host.Has("scrub"); }));
  EXPECT_EQ(GetPool().usage().free_bytes(), OneDevice().devices(0).data_bytes());
}

TEST_F(CoordinatorTest, AHostSpeaksForItsClients) {
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register(OneDevice()));
  MakePool(host);
  v1::Segment segment;
  const auto as_client = [&](grpc::ClientContext& context) {
    host.Identify(context, "uid:1000@host-a");
  };
  ASSERT_TRUE(
      Call<Segments>(&Segments::Stub::CreateSegment, SegmentRequest("s", 2), &segment, as_client)
          .ok());
  EXPECT_EQ(segment.owner(), "uid:1000@host-a");

  v1::CreatePoolRequest pool_request;
  pool_request.set_pool_id("q");
  v1::Pool pool;
  EXPECT_EQ(ReasonOf(Call<Pools>(&Pools::Stub::CreatePool, pool_request, &pool, as_client)),
            v1::NOT_ALLOWED);
  v1::AcquireGrantRequest acquire;
  acquire.set_segment(segment.name());
  v1::AcquireGrantResponse grant;
  EXPECT_EQ(ReasonOf(Call<Grants>(&Grants::Stub::AcquireGrant, acquire, &grant)), v1::NOT_ALLOWED);
  EXPECT_EQ(
      ReasonOf(Call<Segments>(&Segments::Stub::CreateSegment, SegmentRequest("t", 2), &segment,
                              [](grpc::ClientContext& context) {
                                context.AddMetadata("weft-host", "host-a");
                                context.AddMetadata("weft-session", "1.999");
                              })),
      v1::SESSION_EXPIRED);
}

TEST_F(CoordinatorTest, ARestartLosesNothingAndRepeatsNothing) {
  v1::Segment first;
  {
    TestHost host(channel_, "host-a", medium_);
    ASSERT_TRUE(host.Register(OneDevice()));
    MakePool(host);
    ASSERT_TRUE(CreateSegment(SegmentRequest("s", 64, "request-1"), &first).ok());
  }
  const std::string pool_before = GetPool().SerializeAsString();
  Restart();
  EXPECT_EQ(GetPool().SerializeAsString(), pool_before);

  v1::Segment again;
  ASSERT_TRUE(CreateSegment(SegmentRequest("s", 64, "request-1"), &again).ok());
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(ReasonOf(CreateSegment(SegmentRequest("s", 64, "request-2"), &again)),
            v1::ALREADY_EXISTS);
  EXPECT_EQ(ReasonOf(CreateSegment(SegmentRequest("s", 32, "request-1"), &again)),
            v1::REQUEST_ID_REUSED);
  EXPECT_EQ(GetPool().usage().segments(), 1u);
}

TEST_F(CoordinatorTest, ASessionGoesOnAfterARestart) {
  std::string session;
  {
    TestHost host(channel_, "host-a", medium_);
    ASSERT_TRUE(host.Register(OneDevice()));
    session = host.session_id();
  }
  Restart();
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register(OneDevice()));
  EXPECT_EQ(host.session_id(), session);
  EXPECT_TRUE(host.Renew());
}

TEST_F(CoordinatorTest, ASilentHostExpires) {
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register());
  clock_.Advance(absl::Seconds(9));
  ASSERT_TRUE(host.Renew());
  clock_.Advance(absl::Seconds(10));  // T is over, B is not.
  ASSERT_TRUE(host.Renew());
  clock_.Advance(absl::Seconds(12));
  const absl::Status end = FromGrpcStatus(host.AwaitEnd());
  EXPECT_TRUE(absl::IsFailedPrecondition(end)) << end;
  EXPECT_EQ(ReasonOf(end), v1::SESSION_EXPIRED);

  v1::GetHostRequest request;
  request.set_name("hosts/host-a");
  v1::Host record;
  ASSERT_TRUE(Call<Hosts>(&Hosts::Stub::GetHost, request, &record).ok());
  EXPECT_EQ(record.state(), v1::HOST_DOWN);
}

TEST_F(CoordinatorTest, ANewStreamOfAHostReplacesTheOld) {
  TestHost old_stream(channel_, "host-a", medium_);
  ASSERT_TRUE(old_stream.Register());
  TestHost new_stream(channel_, "host-a", medium_);
  ASSERT_TRUE(new_stream.Register());
  EXPECT_EQ(ReasonOf(FromGrpcStatus(old_stream.AwaitEnd())), v1::SESSION_EXPIRED);
  EXPECT_TRUE(new_stream.Renew());
}

TEST_F(CoordinatorTest, AStreamMustBeginWithOneRegister) {
  TestHost early(channel_, "host-a", medium_);
  v1::NodeMessage renew;
  renew.mutable_renew()->set_sequence(1);
  early.Write(renew);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(early.AwaitEnd())), v1::BAD_ARGUMENT);

  TestHost twice(channel_, "host-a", medium_);
  ASSERT_TRUE(twice.Register());
  v1::NodeMessage again;
  again.mutable_register_()->set_host_id("host-a");
  twice.Write(again);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(twice.AwaitEnd())), v1::BAD_ARGUMENT);

  TestHost nameless(channel_, "Not A Name", medium_);
  EXPECT_FALSE(nameless.Register());
  EXPECT_EQ(ReasonOf(FromGrpcStatus(nameless.AwaitEnd())), v1::BAD_NAME);
}

TEST_F(CoordinatorTest, EventsResumeAndGoOnLive) {
  v1::CreatePoolRequest request;
  v1::Pool pool;
  request.set_pool_id("p1");
  ASSERT_TRUE(Call<Pools>(&Pools::Stub::CreatePool, request, &pool).ok());
  request.set_pool_id("p2");
  ASSERT_TRUE(Call<Pools>(&Pools::Stub::CreatePool, request, &pool).ok());

  const auto stub = Events::NewStub(channel_);
  grpc::ClientContext context;
  v1::WatchEventsRequest watch;
  auto stream = stub->WatchEvents(&context, watch);
  v1::Event event;
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.type(), v1::POOL_CREATED);
  EXPECT_EQ(event.resource(), "pools/p1");
  EXPECT_EQ(event.principal(), "admin");

  grpc::ClientContext later_context;
  watch.set_after_revision(event.revision());
  auto later = stub->WatchEvents(&later_context, watch);
  ASSERT_TRUE(later->Read(&event));
  EXPECT_EQ(event.resource(), "pools/p2");
  request.set_pool_id("p3");
  ASSERT_TRUE(Call<Pools>(&Pools::Stub::CreatePool, request, &pool).ok());
  ASSERT_TRUE(later->Read(&event));
  EXPECT_EQ(event.resource(), "pools/p3");
  later_context.TryCancel();
  EXPECT_EQ(later->Finish().error_code(), grpc::StatusCode::CANCELLED);

  grpc::ClientContext future_context;
  watch.set_after_revision(1'000'000);
  auto future = stub->WatchEvents(&future_context, watch);
  EXPECT_FALSE(future->Read(&event));
  EXPECT_EQ(ReasonOf(FromGrpcStatus(future->Finish())), v1::EVENTS_COMPACTED);
}

TEST_F(CoordinatorTest, ErrorsCarryTheirReason) {
  v1::Segment segment;
  v1::GetSegmentRequest get;
  get.set_name("nonsense");
  EXPECT_EQ(ReasonOf(Call<Segments>(&Segments::Stub::GetSegment, get, &segment)), v1::BAD_NAME);
  get.set_name("pools/p/segments/s");
  const absl::Status missing = Call<Segments>(&Segments::Stub::GetSegment, get, &segment);
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_EQ(ReasonOf(CreateSegment(SegmentRequest("s", 2), &segment)), v1::POOL_NOT_FOUND);
  v1::GetDeviceRequest device_request;
  device_request.set_name(kDeviceName);
  v1::Device device;
  EXPECT_EQ(ReasonOf(Call<Devices>(&Devices::Stub::GetDevice, device_request, &device)),
            v1::DEVICE_NOT_FOUND);
}

TEST_F(CoordinatorTest, Status) {
  TestHost host(channel_, "host-a", medium_);
  ASSERT_TRUE(host.Register());
  clock_.Advance(absl::Milliseconds(1500));
  v1::ClusterStatus status;
  ASSERT_TRUE(Call<Clusters>(&Clusters::Stub::GetStatus, v1::GetStatusRequest(), &status).ok());
  EXPECT_EQ(status.hosts_alive(), 1u);
  EXPECT_EQ(status.uptime_ms(), 1500u);
  EXPECT_EQ(status.coordinator_version(), "test");
  EXPECT_FALSE(status.cluster_uuid().empty());
}

TEST_F(CoordinatorTest, ASecondCoordinatorOnTheSameStoreIsRefused) {
  const auto second = SqliteStore::Open({.path = folder_.File("store.db"), .vfs = ""});
  EXPECT_EQ(ReasonOf(second.status()), v1::STORE_IN_USE);
}

TEST_F(CoordinatorTest, AddressInUse) {
  auto store = SqliteStore::Open({.path = folder_.File("other.db"), .vfs = ""});
  ASSERT_TRUE(store.ok()) << store.status();
  CoordinatorOptions options = options_;
  options.server.listen = {coordinator_->addresses().front()};
  SoleLeadership leadership(**store);
  const auto second = Coordinator::Start(options, leadership, clock_, random_, programs_);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(options.server.listen.front()));
}

TEST_F(CoordinatorTest, AnAddressThatOthersReachNeedsTls) {
  auto store = SqliteStore::Open({.path = folder_.File("other.db"), .vfs = ""});
  ASSERT_TRUE(store.ok()) << store.status();
  CoordinatorOptions options = options_;
  options.server.listen = {"0.0.0.0:0"};
  SoleLeadership leadership(**store);
  EXPECT_EQ(ReasonOf(Coordinator::Start(options, leadership, clock_, random_, programs_).status()),
            v1::BAD_ARGUMENT);
  options.server.allow_insecure = true;
  EXPECT_TRUE(Coordinator::Start(options, leadership, clock_, random_, programs_).ok());
}

}  // namespace
}  // namespace weft
