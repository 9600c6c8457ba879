// A coordinator as its clients see it: SQLite in a file, gRPC on a port of its own.

#ifndef WEFT_SERVER_COORDINATOR_COORDINATOR_TEST_UTIL_H_
#define WEFT_SERVER_COORDINATOR_COORDINATOR_TEST_UTIL_H_

#include <stdlib.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/event.grpc.pb.h"
#include "proto/weft/v1/grant.grpc.pb.h"
#include "proto/weft/v1/host.grpc.pb.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/test_host.h"
#include "server/core/errors.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_program.h"
#include "server/platform/fake_random.h"
#include "server/platform/linux/temp_dir.h"
#include "server/rpc/status.h"
#include "server/store/sqlite_store.h"

namespace weft {

inline constexpr char kDeviceUuid[] = "11111111-2222-4333-8444-555555555555";
inline constexpr char kDeviceName[] = "devices/11111111-2222-4333-8444-555555555555";

// One device of 1 GiB.
inline v1::DeviceInventory OneDevice() {
  v1::DeviceInventory inventory;
  v1::LocalDevice& device = *inventory.add_devices();
  device.set_uuid(kDeviceUuid);
  device.set_dax_name("dax0.0");
  device.set_path("/dev/dax0.0");
  device.set_capacity_bytes(uint64_t{1} << 30);
  device.set_data_offset_bytes(2 << 20);
  device.set_data_bytes((uint64_t{1} << 30) - (4 << 20));
  device.set_alignment_bytes(2 << 20);
  device.set_power_epoch(1);
  device.set_coherence(v1::HARDWARE);
  device.set_numa_node(-1);
  device.set_exchange_slots(8);
  return inventory;
}

class CoordinatorTestBase : public testing::Test {
 protected:
  CoordinatorTestBase() {
    options_.server.listen = {"127.0.0.1:0"};
    options_.core.version = "test";
  }
  ~CoordinatorTestBase() override { StopCoordinator(); }

  void StartCoordinator() {
    auto store = SqliteStore::Open({.path = folder_.File("store.db"), .vfs = ""});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    leadership_ = std::make_unique<SoleLeadership>(*store_);
    auto coordinator = Coordinator::Start(options_, *leadership_, clock_, random_, programs_);
    ASSERT_TRUE(coordinator.ok()) << coordinator.status();
    coordinator_ = *std::move(coordinator);
    thread_ = std::thread([this] { EXPECT_TRUE(coordinator_->Run().ok()); });
    channel_ = Connect(grpc::InsecureChannelCredentials());
  }

  void StopCoordinator() {
    if (coordinator_ == nullptr) return;
    coordinator_->Stop();
    thread_.join();
    coordinator_.reset();
    store_.reset();
  }

  void Restart() {
    StopCoordinator();
    StartCoordinator();
  }

  std::shared_ptr<grpc::Channel> Connect(std::shared_ptr<grpc::ChannelCredentials> credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(coordinator_->addresses().front(), credentials, arguments);
  }

  // Calls `method` of `Service` as an administrator, or as `identify` says.
  template <typename Service, typename Request, typename Reply>
  absl::Status Call(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&,
                                                          Reply*),
                    const Request& request, Reply* reply,
                    const std::function<void(grpc::ClientContext&)>& identify = {}) {
    grpc::ClientContext context;
    if (identify) identify(context);
    typename Service::Stub stub(channel_);
    return FromGrpcStatus((stub.*method)(&context, request, reply));
  }

  // A pool "p" with the device, which `host` has attached and scrubbed.
  void MakePool(TestHost& host) {
    v1::CreatePoolRequest request;
    request.set_pool_id("p");
    request.add_devices(kDeviceName);
    v1::Pool pool;
    ASSERT_TRUE(Call<v1::PoolService>(&v1::PoolService::Stub::CreatePool, request, &pool).ok());
    ASSERT_TRUE(host.PumpUntil([&] { return host.scrubs_done() > 0 && !host.Has("scrub"); }));
  }

  v1::CreateSegmentRequest SegmentRequest(const std::string& id, uint64_t size_mib,
                                          const std::string& request_id = "") {
    v1::CreateSegmentRequest request;
    request.set_parent("pools/p");
    request.set_segment_id(id);
    request.mutable_segment()->set_size_bytes(size_mib << 20);
    request.set_request_id(request_id);
    return request;
  }

  absl::Status CreateSegment(const v1::CreateSegmentRequest& request, v1::Segment* segment) {
    return Call<v1::SegmentService>(&v1::SegmentService::Stub::CreateSegment, request, segment);
  }

  TempDir folder_;
  CoordinatorOptions options_;
  FakeClock clock_;
  FakeRandom random_;
  FakeProgramRunner programs_;
  TestMedium medium_;
  std::unique_ptr<SqliteStore> store_;
  std::unique_ptr<SoleLeadership> leadership_;
  std::unique_ptr<Coordinator> coordinator_;
  std::thread thread_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_COORDINATOR_TEST_UTIL_H_
