// A device is emptied while its segments are in use: coordinator, two daemons and their clients.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/pattern.h"
#include "client/sdk/weft.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "server/core/types.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

using sdk::AccessMode;

constexpr uint64_t kSize = 8 * kMiB.value();
constexpr uint64_t kSeed = 7;
// So slow that a copy of kSize lasts longer than it takes to kill and restart a process.
const std::vector<std::string> kSlowly = {"--scrub-rate=1M"};

class DrainTest : public testing::Test {
 protected:
  void Start(const std::vector<std::string>& flags = {}) {
    ASSERT_TRUE(cluster_.StartWithPool().ok());
    for (const char* const host : {"host-a", "host-b"}) {
      if (flags.empty()) continue;
      cluster_.host(host).Kill();
      ASSERT_TRUE(cluster_.StartHost(host, flags).ok());
    }
    ASSERT_TRUE(cluster_.AwaitPool("p", {"host-a", "host-b"}).ok());
    const auto client = cluster_.Connect("host-a");
    ASSERT_TRUE(client.ok()) << client.status();
    const auto segment = (*client)->CreateSegment("p/s", kSize);
    ASSERT_TRUE(segment.ok()) << segment.status();
    device_ = segment->runs[0].extents[0].device;
    Fill(**client);
    ASSERT_TRUE(cluster_.AwaitNoGrants().ok());
  }
  static void Fill(sdk::Client& client) {
    const auto handle = client.Open("p/s", AccessMode::kReadWrite);
    ASSERT_TRUE(handle.ok()) << handle.status();
    const auto mapping = handle->Map();
    ASSERT_TRUE(mapping.ok()) << mapping.status();
    cli::WritePattern(mapping->bytes(), 0, kSeed);
  }
  void Drain(bool revoke = false) {
    v1::DrainDeviceRequest request;
    request.set_name(device_);
    request.set_revoke(revoke);
    const auto drained = cluster_.admin().Call(&v1::DeviceService::Stub::DrainDevice, request);
    ASSERT_TRUE(drained.ok()) << drained.status();
  }
  absl::StatusOr<std::vector<v1::Move>> Moves() {
    v1::ListMovesRequest request;
    request.set_parent(device_);
    return cluster_.admin().List(&v1::DeviceService::Stub::ListMoves, request,
                                 [](auto& page) { return page.mutable_moves(); });
  }
  void Await(v1::MoveState state) {
    const absl::Status status =
        cluster_.Await(v1::MoveState_Name(state), [&]() -> absl::StatusOr<bool> {
          const auto moves = Moves();
          if (!moves.ok()) return moves.status();
          return moves->size() == 1 && moves->front().state() == state;
        });
    ASSERT_TRUE(status.ok()) << status;
  }
  void AwaitDrained() {
    const absl::Status status = cluster_.Await("drained", [&]() -> absl::StatusOr<bool> {
      v1::GetDeviceRequest get;
      get.set_name(device_);
      const auto device = cluster_.admin().Call(&v1::DeviceService::Stub::GetDevice, get);
      if (!device.ok()) return device.status();
      return device->drained();
    });
    ASSERT_TRUE(status.ok()) << status << cluster_.Log("coordinator");
  }
  // As a client on the host sees it.
  void Verify(const std::string& host) {
    const auto client = cluster_.Connect(host);
    ASSERT_TRUE(client.ok()) << client.status();
    const auto handle = (*client)->Open("p/s", AccessMode::kReadOnly);
    ASSERT_TRUE(handle.ok()) << handle.status();
    for (const sdk::Run& run : handle->segment().runs) {
      EXPECT_NE(run.extents[0].device, device_);
    }
    const auto mapping = handle->Map();
    ASSERT_TRUE(mapping.ok()) << mapping.status();
    EXPECT_FALSE(cli::FindMismatch(mapping->bytes(), 0, kSeed).has_value());
  }

  Cluster cluster_{{.devices = 2}};
  std::string device_;
};

TEST_F(DrainTest, WhatIsThereMovesAndTheDeviceIsRemoved) {
  Start();
  Drain();
  AwaitDrained();
  Verify("host-b");
  v1::RemoveDeviceRequest request;
  request.set_name(device_);
  const auto removed = cluster_.admin().Call(&v1::DeviceService::Stub::RemoveDevice, request);
  ASSERT_TRUE(removed.ok()) << removed.status();
  Verify("host-a");
}

TEST_F(DrainTest, WhatIsHeldMovesWhenItIsClosed) {
  Start();
  const auto client = cluster_.Connect("host-b");
  ASSERT_TRUE(client.ok()) << client.status();
  std::optional<sdk::Handle> handle;
  auto opened = (*client)->Open("p/s", AccessMode::kReadOnly);
  ASSERT_TRUE(opened.ok()) << opened.status();
  handle = *std::move(opened);
  Drain();
  const auto moves = Moves();
  ASSERT_TRUE(moves.ok()) << moves.status();
  ASSERT_EQ(moves->size(), 1u);
  EXPECT_EQ(moves->front().state(), v1::MOVE_HELD);
  EXPECT_EQ(moves->front().holders(0).host(), "hosts/host-b");
  handle.reset();
  AwaitDrained();
  Verify("host-a");
}

TEST_F(DrainTest, ACoordinatorAndACopierThatDieMeanwhileLoseNothing) {
  Start(kSlowly);
  Drain();
  Await(v1::MOVE_COPYING);
  cluster_.coordinator().Kill();
  ASSERT_TRUE(cluster_.StartCoordinator().ok());
  const auto moves = Moves();
  ASSERT_TRUE(moves.ok()) << moves.status();
  ASSERT_EQ(moves->size(), 1u);
  EXPECT_EQ(moves->front().state(), v1::MOVE_COPYING) << "the copy was durable";
  const std::string copier = moves->front().host().substr(std::string("hosts/").size());
  cluster_.host(copier).Kill();
  ASSERT_TRUE(cluster_.StartHost(copier).ok());
  AwaitDrained();
  Verify("host-a");
  Verify("host-b");
}

}  // namespace
}  // namespace weft
