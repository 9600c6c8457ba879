// A device, or a host, is emptied while its segments are in use: coordinator, two daemons, their
// clients, and an administrator's `weft`.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/pattern.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "tests/integration/cli.h"
#include "tests/integration/harness.h"
#include "tests/integration/holder.h"
#include "tests/integration/process.h"

namespace weft {
namespace {

using sdk::AccessMode;
using testing::AllOf;
using testing::HasSubstr;

constexpr uint64_t kSize = 8 * kMiB.value();
constexpr uint64_t kSeed = 7;
// So slow that a copy of kSize lasts longer than it takes to kill and restart a process.
const std::vector<std::string> kSlowly = {"--scrub-rate=64k"};

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
  void Drain() {
    v1::DrainDeviceRequest request;
    request.set_name(device_);
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
    VerifyMoved(**client, kSeed);
  }
  void VerifyMoved(sdk::Client& client, uint64_t seed) {
    const auto handle = client.Open("p/s", AccessMode::kReadOnly);
    ASSERT_TRUE(handle.ok()) << handle.status();
    for (const sdk::Run& run : handle->segment().runs) {
      EXPECT_NE(run.extents[0].device, device_);
    }
    const auto mapping = handle->Map();
    ASSERT_TRUE(mapping.ok()) << mapping.status();
    EXPECT_FALSE(cli::FindMismatch(mapping->bytes(), 0, seed).has_value());
  }
  // Why a program on the host does not get the segment.
  v1::Reason WhyRefused(const std::string& host) {
    const auto client = cluster_.Connect(host, {.call_timeout = absl::Seconds(5)});
    EXPECT_TRUE(client.ok()) << client.status();
    return ReasonOf((*client)->Open("p/s", AccessMode::kReadOnly).status());
  }
  // What `weft` prints; it must succeed.
  std::string Weft(const std::vector<std::string>& arguments) {
    EXPECT_EQ(cli_.Run(arguments), 0) << cli_.Output();
    return cli_.Output();
  }
  std::string uuid() const { return device_.substr(std::string("devices/").size()); }

  Cluster cluster_{{.devices = 2}};
  Cli cli_{cluster_};
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
  // The copier, and the other, which might zero the old extents: as slowly.
  for (const char* const host : {"host-a", "host-b"}) {
    cluster_.host(host).Kill();
    ASSERT_TRUE(cluster_.StartHost(host).ok());
  }
  AwaitDrained();
  Verify("host-a");
  Verify("host-b");
}

TEST_F(DrainTest, ADrainThatGoesFirstHasTheHolderLetGoAndOpenAgainElsewhere) {
  Start();
  Holder holder(cluster_, "host-b", "p/s");
  const sdk::Incarnation before = holder.handle().incarnation();
  EXPECT_THAT(Weft({"device", "drain", "--revoke", uuid()}),
              AllOf(HasSubstr("draining"), HasSubstr("p/s"),
                    HasSubstr("host-b (read-write, asked to let go)")));

  const auto notice = holder.AwaitNotice();
  ASSERT_TRUE(notice.ok()) << notice.status();
  EXPECT_EQ(notice->segment, "p/s");
  EXPECT_EQ(notice->handle_id, holder.handle().id());
  EXPECT_FALSE(notice->gone);
  EXPECT_EQ(holder.handle().state(), sdk::HandleState::kRevoking);
  EXPECT_EQ(ReasonOf(holder.handle().Map().status()), v1::STALE_TOKEN);
  EXPECT_EQ(WhyRefused("host-a"), v1::MOVING);
  EXPECT_EQ(WhyRefused("host-b"), v1::MOVING);
  // Its bytes are its own until it lets go: what it stores last moves with the rest.
  EXPECT_FALSE(cli::FindMismatch(holder.bytes(), 0, kSeed).has_value());
  cli::WritePattern(holder.bytes(), 0, kSeed + 1);
  holder.LetGo();

  VerifyMoved(holder.client(), kSeed + 1);
  EXPECT_EQ(
      ReasonOf(holder.client().Open("p/s", AccessMode::kReadOnly, {.expected = before}).status()),
      v1::STALE_GENERATION);
  AwaitDrained();
  EXPECT_THAT(Weft({"device", "show", uuid()}), HasSubstr("drained"));
  EXPECT_THAT(Weft({"events"}), AllOf(HasSubstr("GRANT_REVOKE_STARTED"), HasSubstr("SEGMENT_MOVED"),
                                      HasSubstr("DEVICE_DRAINED")));
  Weft({"device", "remove", uuid()});
}

TEST_F(DrainTest, AHostIsDrainedOfWhatItHoldsAndStaysSoUntilThatEnds) {
  Start();
  {
    Holder one(cluster_, "host-b", "p/s");
    ASSERT_TRUE(one.client().CreateSegment("p/t", kSize).ok());
    Holder other(cluster_, "host-b", "p/t");
    EXPECT_THAT(Weft({"host", "drain", "host-b"}),
                AllOf(HasSubstr("p/s"), HasSubstr("p/t"), HasSubstr("read-write")));
    for (Holder* const holder : {&one, &other}) {
      const auto notice = holder->AwaitNotice();
      ASSERT_TRUE(notice.ok()) << notice.status();
      EXPECT_FALSE(notice->gone);
    }
    EXPECT_THAT(Weft({"grant", "list"}), HasSubstr("revoking"));
    EXPECT_EQ(WhyRefused("host-b"), v1::DRAINING);

    cluster_.coordinator().Kill();
    ASSERT_TRUE(cluster_.StartCoordinator().ok());
    Process drain = cli_.Start({"host", "drain", "host-b", "--wait"});
    one.LetGo();
    other.LetGo();
    ASSERT_EQ(drain.Wait(), 0) << cli_.Output();
    EXPECT_EQ(one.client().GetSegment("p/s")->state, sdk::SegmentState::kActive);
  }
  EXPECT_THAT(Weft({"host", "list"}), HasSubstr("alive, draining"));
  EXPECT_EQ(WhyRefused("host-b"), v1::DRAINING);
  // What it held stays where it was, for others.
  const auto devices = cluster_.ListDevices();
  ASSERT_TRUE(devices.ok()) << devices.status();
  EXPECT_TRUE(std::all_of(devices->begin(), devices->end(), [](const v1::Device& device) {
    return device.state() == v1::DEVICE_ACTIVE;
  }));
  const Holder elsewhere(cluster_, "host-a", "p/s");
  EXPECT_EQ(elsewhere.handle().segment().runs[0].extents[0].device, device_);
  EXPECT_FALSE(cli::FindMismatch(elsewhere.bytes(), 0, kSeed).has_value());

  Weft({"host", "undrain", "host-b"});
  EXPECT_EQ(WhyRefused("host-b"), v1::REASON_UNSPECIFIED);
}

}  // namespace
}  // namespace weft
