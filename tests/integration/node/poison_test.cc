// Memory that fails, from a host's word to its end: coordinator, two daemons and a client.

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/sdk/weft.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/node.grpc.pb.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

using sdk::AccessMode;

constexpr uint64_t kUnit = kExtentUnit.value();
constexpr uint64_t kPage = 4096;

class PoisonTest : public testing::Test {
 protected:
  void Start() {
    const absl::Status started = cluster_.StartWithPool();
    ASSERT_TRUE(started.ok()) << started;
    client_ = Connect("host-a");
    ASSERT_NE(client_, nullptr);
    const auto segment = client_->CreateSegment("p/s", 4 * kUnit);
    ASSERT_TRUE(segment.ok()) << segment.status();
    begin_ = segment->runs[0].extents[0].offset_bytes;
  }
  std::unique_ptr<sdk::Client> Connect(const std::string& host) {
    auto client = cluster_.Connect(host, {.connect_timeout = absl::Minutes(1),
                                          .call_timeout = absl::Minutes(1),
                                          .on_poison = [this](const sdk::PoisonNotice& notice) {
                                            absl::MutexLock lock(&mu_);
                                            notices_.push_back(notice);
                                          }});
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  // A page of the segment fails.
  void Fail(uint64_t offset) {
    std::ofstream(cluster_.device_path(0) + ".bad", std::ios::app)
        << begin_ + offset << " " << kPage << "\n";
    Look(*client_);
  }
  // Has the client's weftd look at its devices now.
  static void Look(sdk::Client& client) {
    auto daemon = Cluster::ConnectLocal(client);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    const auto listed =
        (*daemon)->Call(&v1::NodeService::Stub::ListLocalDevices, v1::ListLocalDevicesRequest());
    EXPECT_TRUE(listed.ok()) << listed.status();
  }
  absl::StatusOr<v1::Device> Clear() {
    const auto devices = cluster_.ListDevices();
    if (!devices.ok()) return devices.status();
    v1::ClearPoisonRequest request;
    request.set_name((*devices)[0].name());
    return cluster_.admin().Call(&v1::DeviceService::Stub::ClearPoison, request);
  }
  // Waits until the device is as `condition` says.
  void Await(const std::string& what, bool (*condition)(const v1::Device&)) {
    const absl::Status status = cluster_.Await(what, [&]() -> absl::StatusOr<bool> {
      const auto devices = cluster_.ListDevices();
      if (!devices.ok()) return devices.status();
      return condition((*devices)[0]);
    });
    ASSERT_TRUE(status.ok()) << status;
  }
  sdk::PoisonNotice FirstNotice() {
    const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !notices_.empty(); };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&any));
    return notices_.front();
  }

  absl::Mutex mu_;
  std::vector<sdk::PoisonNotice> notices_ ABSL_GUARDED_BY(mu_);
  Cluster cluster_;
  std::unique_ptr<sdk::Client> client_;
  // Of the segment on its device.
  uint64_t begin_ = 0;
};

TEST_F(PoisonTest, WhoHasTheSegmentOpenIsToldAndGoesOn) {
  Start();
  auto handle = client_->Open("p/s", AccessMode::kReadWrite);
  ASSERT_TRUE(handle.ok()) << handle.status();
  Fail(kUnit + kPage);
  const sdk::PoisonNotice notice = FirstNotice();
  EXPECT_EQ(notice.handle_id, handle->id());
  EXPECT_EQ(notice.segment, "p/s");
  EXPECT_EQ(notice.ranges, (std::vector<sdk::ByteRange>{{kUnit + kPage, kPage}}));
  EXPECT_TRUE(handle->Map().ok());

  EXPECT_EQ(ReasonOf(client_->Open("p/s", AccessMode::kReadOnly).status()), v1::POISONED);
  // On a host that has not found it itself, too.
  const auto other = Connect("host-b");
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(ReasonOf(other->Open("p/s", AccessMode::kReadOnly).status()), v1::POISONED);
  const auto knowing = client_->Open("p/s", AccessMode::kReadOnly, {.allow_poisoned = true});
  ASSERT_TRUE(knowing.ok()) << knowing.status();
  EXPECT_EQ(knowing->segment().bad_ranges, notice.ranges);
}

TEST_F(PoisonTest, WhatFailedIsQuarantinedUntilItIsCleared) {
  Start();
  Fail(kUnit);
  Await("the failure", [](const v1::Device& device) { return device.bad_ranges_size() == 1; });
  EXPECT_EQ(ReasonOf(Clear().status()), v1::POISONED);  // it is the segment's
  ASSERT_TRUE(client_->DeleteSegment("p/s").ok());
  Await("the scrub of the rest", [](const v1::Device& device) {
    return device.scrubbing_bytes() == 0 && device.used_bytes() == 0;
  });
  const auto quarantined = cluster_.ListDevices();
  ASSERT_TRUE(quarantined.ok()) << quarantined.status();
  EXPECT_EQ((*quarantined)[0].quarantined_bytes(), kUnit);

  // The coordinator's restart changes nothing.
  cluster_.coordinator().Kill();
  ASSERT_TRUE(cluster_.StartCoordinator().ok());
  ASSERT_TRUE(cluster_.AwaitPool("p", {"host-a", "host-b"}).ok());
  ASSERT_TRUE(Clear().ok());
  Await("the clearing", [](const v1::Device& device) {
    return device.bad_ranges_size() == 0 && device.free_bytes() == device.data_bytes();
  });
}

}  // namespace
}  // namespace weft
