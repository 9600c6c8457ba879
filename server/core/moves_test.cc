#include "server/core/moves.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/devices.h"
#include "server/core/drain.h"
#include "server/core/errors.h"
#include "server/core/fencing.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/load.h"
#include "server/core/lookup.h"
#include "server/core/pools.h"
#include "server/core/segments.h"

namespace weft {
namespace {

constexpr uint64_t kMi = 1 << 20;

class MovesTest : public testing::Test {
 protected:
  explicit MovesTest(CoreOptions options = {}) : cluster_(std::move(options)) {
    first_ = cluster_.AddDevice(64);
    second_ = cluster_.AddDevice(64);
    cluster_.RegisterHost("a");
    cluster_.RegisterHost("b");
    cluster_.MakePool("fam");
  }

  // A segment of exactly these extents: device, offset in MiB, length in MiB.
  struct At {
    std::string device;
    uint64_t offset_mib;
    uint64_t length_mib;
  };
  void Create(const std::string& id, const std::vector<At>& extents,
              v1::SharingMode sharing = v1::EXCLUSIVE) {
    v1::CreateSegmentRequest request;
    request.set_parent("pools/fam");
    request.set_segment_id(id);
    request.mutable_segment()->set_sharing(sharing);
    uint64_t size = 0;
    for (const At& at : extents) {
      v1::Extent& extent = *request.add_extents();
      extent.set_device(at.device);
      extent.set_offset_bytes(at.offset_mib * kMi);
      extent.set_length_bytes(at.length_mib * kMi);
      size += at.length_mib * kMi;
    }
    request.mutable_segment()->set_size_bytes(size);
    const auto created = cluster_.Call(CreateSegment, request);
    ASSERT_TRUE(created.ok()) << created.status();
  }
  // Over two devices.
  void CreateStriped(const std::string& id, uint64_t size_mib) {
    v1::CreateSegmentRequest request;
    request.set_parent("pools/fam");
    request.set_segment_id(id);
    request.mutable_segment()->set_size_bytes(size_mib * kMi);
    request.mutable_segment()->set_placement(v1::STRIPED);
    request.mutable_segment()->set_stripe_devices(2);
    request.mutable_segment()->set_chunk_bytes(2 * kMi);
    const auto created = cluster_.Call(CreateSegment, request);
    ASSERT_TRUE(created.ok()) << created.status();
  }
  // A device that both hosts see and that is in no pool.
  std::string AnotherDevice(v1::Coherence coherence = v1::HARDWARE) {
    const std::string name = cluster_.AddDevice(64, coherence);
    cluster_.RegisterHost("a", 1, 2);
    cluster_.RegisterHost("b", 1, 2);
    cluster_.Settle();
    return name;
  }
  void AddToPool(const std::string& device) {
    v1::AddDeviceRequest request;
    request.set_pool("pools/fam");
    request.set_device(device);
    const auto added = cluster_.Call(AddDevice, request);
    ASSERT_TRUE(added.ok()) << added.status();
    cluster_.Settle();
  }
  v1::Segment Get(const std::string& id) {
    v1::GetSegmentRequest request;
    request.set_name("pools/fam/segments/" + id);
    return *GetSegment(cluster_.state(), request);
  }
  std::vector<Extent> ExtentsOf(const std::string& id) { return weft::ExtentsOf(Get(id)); }
  bool IsOn(const std::string& id, const std::string& device) {
    for (const Extent& extent : ExtentsOf(id)) {
      if ("devices/" + extent.device.ToString() == device) return true;
    }
    return false;
  }
  absl::StatusOr<v1::Device> Drain(bool revoke = false) {
    v1::DrainDeviceRequest request;
    request.set_name(first_);
    request.set_revoke(revoke);
    auto drained = cluster_.Call(DrainDevice, request);
    cluster_.TickAll();
    return drained;
  }
  absl::Status Undrain() {
    v1::UndrainDeviceRequest request;
    request.set_name(first_);
    return cluster_.Call(UndrainDevice, request).status();
  }
  absl::Status Remove() {
    v1::RemoveDeviceRequest request;
    request.set_name(first_);
    return cluster_.Call(RemoveDevice, request).status();
  }
  absl::StatusOr<v1::AcquireGrantResponse> Open(const std::string& host, const std::string& id) {
    return cluster_.Acquire(host, "pools/fam/segments/" + id, v1::READ_WRITE);
  }
  std::vector<v1::Move> Moves() {
    v1::ListMovesRequest request;
    request.set_parent(first_);
    const auto response = ListMoves(cluster_.state(), request);
    EXPECT_TRUE(response.ok()) << response.status();
    return {response->moves().begin(), response->moves().end()};
  }
  v1::Device First() {
    v1::GetDeviceRequest get;
    get.set_name(first_);
    return *GetDevice(cluster_.state(), get);
  }
  struct Copying {
    std::string host;  // empty: nobody
    v1::CopyTask task;
  };
  // The one copy that a host is assigned.
  Copying Copy() {
    Copying found;
    for (const auto& [id, by_key] : cluster_.assigned) {
      for (const auto& [key, assignment] : by_key) {
        if (!assignment.has_copy()) continue;
        EXPECT_EQ(found.host, "") << "two copies";
        found = {id, assignment.copy()};
      }
    }
    return found;
  }
  // "s", of 8 MiB, is on its way off the first device.
  Copying DrainOneSegment() {
    Create("s", {{first_, 2, 8}});
    EXPECT_TRUE(Drain().ok());
    return Copy();
  }
  void Report(const std::string& host, const v1::CopyTask& task, uint64_t done_mib,
              const std::string& error = "") {
    v1::NodeMessage message;
    message.mutable_copy_progress()->set_id(task.id());
    *message.mutable_copy_progress()->mutable_token() = task.token();
    message.mutable_copy_progress()->set_done_bytes(done_mib * kMi);
    message.mutable_copy_progress()->set_error(error);
    EXPECT_TRUE(cluster_.Report(host, message).ok());
  }
  int Events(v1::EventType type) const {
    int count = 0;
    for (const v1::Event& event : cluster_.events) count += event.type() == type ? 1 : 0;
    return count;
  }

  TestCluster cluster_;
  std::string first_;
  std::string second_;
};

TEST_F(MovesTest, WhatNobodyHoldsLeavesTheDeviceAndThenTheDeviceItsPool) {
  Create("s", {{second_, 2, 4}, {first_, 10, 6}, {second_, 20, 4}});
  const uint64_t id = Get("s").id();
  ASSERT_TRUE(Drain().ok());
  const v1::CopyTask task = Copy().task;
  EXPECT_EQ(task.from().offset_bytes(), 10 * kMi);
  EXPECT_EQ(task.from().length_bytes(), 6 * kMi);
  EXPECT_EQ(task.to(0).device(), second_);
  EXPECT_TRUE(IsOn("s", first_)) << "the old extents hold until the switch";
  ASSERT_EQ(Moves().size(), 1u);
  EXPECT_EQ(Moves()[0].state(), v1::MOVE_COPYING);
  EXPECT_FALSE(First().drained());

  cluster_.Settle();
  EXPECT_FALSE(IsOn("s", first_));
  EXPECT_EQ(Get("s").size_bytes(), 14 * kMi);
  EXPECT_EQ(ExtentsOf("s").front().offset.value(), 2 * kMi) << "what need not move stays";
  EXPECT_GT(Get("s").id(), id);
  EXPECT_EQ(First().used_bytes(), 0u);
  EXPECT_TRUE(First().drained());
  EXPECT_EQ(Events(v1::SEGMENT_MOVED), 1);
  EXPECT_EQ(Events(v1::DEVICE_DRAINED), 1);
  EXPECT_TRUE(Moves().empty());
  EXPECT_TRUE(Remove().ok());
  EXPECT_TRUE(Open("a", "s").ok());
}

TEST_F(MovesTest, AHeldSegmentIsListedWithItsHoldersAndMovesWhenTheyLetGo) {
  Create("s", {{first_, 2, 4}});
  const auto held = Open("b", "s");
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(Drain().ok());
  cluster_.Settle();
  ASSERT_EQ(Moves().size(), 1u);
  EXPECT_EQ(Moves()[0].state(), v1::MOVE_HELD);
  ASSERT_EQ(Moves()[0].holders_size(), 1);
  EXPECT_EQ(Moves()[0].holders(0).host(), "hosts/b");
  EXPECT_EQ(Moves()[0].holders(0).mode(), v1::READ_WRITE);
  EXPECT_EQ(Moves()[0].left_bytes(), 4 * kMi);
  ASSERT_TRUE(cluster_.Release("b", held->grant()).ok());
  EXPECT_EQ(Copy().task.from().offset_bytes(), 2 * kMi) << "at once";
  cluster_.Settle();
  EXPECT_FALSE(IsOn("s", first_));
}

TEST_F(MovesTest, AnOpenEndsTheCopyAndWhatWasCopiedIsZeroedByTheSameHost) {
  const auto [copier, task] = DrainOneSegment();
  Report(copier, task, 4);
  const auto held = Open("b", "s");
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_EQ(held->segment().runs(0).extents(0).device(), first_);
  EXPECT_GT(FromProto(held->grant().token()), FromProto(task.token()));
  const v1::Assignment instead = cluster_.assigned[copier].begin()->second;
  ASSERT_TRUE(instead.has_scrub()) << instead.DebugString();
  EXPECT_EQ(instead.scrub().scrub_id(), task.id());
  EXPECT_GT(FromProto(instead.scrub().token()), FromProto(task.token()));
  EXPECT_EQ(instead.scrub().done_bytes(), 0u);
  Report(copier, task, 8);  // that was on its way
  EXPECT_TRUE(IsOn("s", first_));
  EXPECT_EQ(Events(v1::SEGMENT_MOVE_STOPPED), 1);
  ASSERT_TRUE(cluster_.Release("b", held->grant()).ok());
  cluster_.Settle();
  EXPECT_FALSE(IsOn("s", first_));
}

TEST_F(MovesTest, ACopyGoesOnAfterARestartOfTheCoordinator) {
  const auto [copier, task] = DrainOneSegment();
  Report(copier, task, 4);
  cluster_.Restart();
  EXPECT_EQ(Moves()[0].copied_bytes(), 4 * kMi);
  cluster_.RegisterHost(copier);
  EXPECT_EQ(Copy().task.done_bytes(), 4 * kMi);
  Report(copier, task, 8);
  EXPECT_FALSE(IsOn("s", first_));
}

// A coordinator that knows of no copies was between: it keeps the record of this one and has the
// scrub zeroed.
TEST_F(MovesTest, ACopyThatAnOlderCoordinatorWorkedOnIsZeroed) {
  const auto [copier, task] = DrainOneSegment();
  Report(copier, task, 4);
  const std::string key = keys::Scrub(task.id());
  const auto stored = cluster_.store;
  const std::vector<std::pair<std::string, std::function<void(store::v1::ScrubRecord&)>>> ways = {
      {"zeroed in part", [](auto& record) { record.set_done_bytes(2 * kMi); }},
      {"nobody's",
       [](auto& record) {
         record.clear_host();
         record.clear_token();
       }},
      {"of another part", [](auto& record) { record.mutable_copy()->set_segment_id(99); }},
      {"opened",
       [&](auto& record) {
         store::v1::GrantRecord grant;
         const SegmentId segment(record.copy().segment_id());
         grant.mutable_grant()->set_segment_id(segment.value());
         grant.mutable_grant()->set_host("hosts/b");
         cluster_.store[keys::Grant(segment, "b")] = grant.SerializeAsString();
       }},
  };
  for (const auto& [name, change] : ways) {
    SCOPED_TRACE(name);
    cluster_.store = stored;
    store::v1::ScrubRecord record;
    ASSERT_TRUE(record.ParseFromString(stored.at(key)));
    change(record);
    cluster_.store[key] = record.SerializeAsString();
    Loader loader(cluster_.state().options);
    for (const auto& [id, value] : cluster_.store) ASSERT_TRUE(loader.Add(id, value).ok()) << id;
    Changes changes;
    const auto loaded = std::move(loader).Finish(cluster_.now, &changes);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    const store::v1::ScrubRecord& now = (*loaded)->scrubs.at(task.id());
    EXPECT_FALSE(now.has_copy());
    EXPECT_TRUE((*loaded)->copies.empty());
    EXPECT_TRUE(now.host().empty() || FromProto(now.token()) > FromProto(task.token()))
        << "the copier would go on";
    EXPECT_EQ(changes.mutations.at(key), now.SerializeAsString());
  }
}

TEST_F(MovesTest, WhenTheCopierIsGoneAnotherStartsOverElsewhere) {
  const auto [copier, task] = DrainOneSegment();
  Report(copier, task, 4);
  // It cannot revoke: what it was to write stays its own, and the segment does not wait for it.
  cluster_.frozen = {copier};
  const std::string other = copier == "a" ? "b" : "a";
  cluster_.Advance(absl::Minutes(1));
  ASSERT_TRUE(Renew(cluster_.state(), cluster_.now, other, cluster_.sessions[other]).ok());
  cluster_.TickAll();
  EXPECT_EQ(cluster_.state().hosts.at(copier).scrubs.size(), 1u);
  cluster_.assigned[copier].clear();
  const Copying next = Copy();
  EXPECT_EQ(next.host, other);
  EXPECT_NE(next.task.to(0).offset_bytes(), task.to(0).offset_bytes());
  cluster_.Settle();
  EXPECT_FALSE(IsOn("s", first_));
}

TEST_F(MovesTest, AHostThatLosesTheSourceZeroesWhatItWasToWrite) {
  const auto [copier, task] = DrainOneSegment();
  v1::NodeMessage message;
  for (const v1::LocalDevice& device : cluster_.devices) {
    if ("devices/" + device.uuid() != first_) *message.mutable_devices()->add_devices() = device;
  }
  ASSERT_TRUE(cluster_.Report(copier, message).ok());
  EXPECT_TRUE(cluster_.assigned[copier].begin()->second.has_scrub());
  Report(copier, task, 8);
  EXPECT_TRUE(IsOn("s", first_));
  cluster_.TickAll();
  cluster_.Settle();  // the other host
  EXPECT_FALSE(IsOn("s", first_));
}

TEST_F(MovesTest, AColumnOfAStripeStaysInOnePiece) {
  const std::string third = AnotherDevice();
  CreateStriped("s", 16);
  AddToPool(third);
  const v1::Segment before = Get("s");
  ASSERT_TRUE(Drain().ok());
  cluster_.Settle();
  const v1::Segment after = Get("s");
  ASSERT_EQ(after.runs_size(), 1);
  ASSERT_EQ(after.runs(0).extents_size(), 2);
  for (int i = 0; i < 2; ++i) {
    const v1::Extent& was = before.runs(0).extents(i);
    const v1::Extent& is = after.runs(0).extents(i);
    EXPECT_EQ(is.length_bytes(), 8 * kMi);
    EXPECT_EQ(is.device(), was.device() == first_ ? third : was.device())
        << "not two columns on one device";
  }
}

TEST_F(MovesTest, AColumnThatGetsLongerIsNotSwitched) {
  const std::string third = AnotherDevice();
  CreateStriped("s", 16);
  AddToPool(third);
  ASSERT_TRUE(Drain().ok());
  const Copying copying = Copy();
  ASSERT_NE(copying.host, "");
  ASSERT_TRUE(Undrain().ok());
  v1::GrowSegmentRequest request;
  request.set_name("pools/fam/segments/s");
  request.set_size_bytes(32 * kMi);
  ASSERT_TRUE(cluster_.Call(GrowSegment, request).ok());
  Report(copying.host, copying.task, 8);
  cluster_.Settle();
  EXPECT_TRUE(IsOn("s", first_));
  EXPECT_EQ(Get("s").size_bytes(), 32 * kMi);
  EXPECT_TRUE(cluster_.state().scrubs.empty());
}

TEST_F(MovesTest, WithoutRoomItSaysSoOnceAndGoesOnWhenThereIs) {
  Create("s", {{first_, 2, 8}});
  Create("t", {{second_, 2, 62}});
  ASSERT_TRUE(Drain().ok());
  for (int i = 0; i < 5; ++i) {
    cluster_.Advance(absl::Milliseconds(1100));
    cluster_.TickAll();
  }
  EXPECT_EQ(Events(v1::DEVICE_DRAIN_STALLED), 1);
  ASSERT_EQ(Moves().size(), 1u);
  EXPECT_EQ(Moves()[0].state(), v1::MOVE_WAITING);
  EXPECT_NE(Moves()[0].detail(), "");
  EXPECT_TRUE(Open("b", "s").ok()) << "it can be used meanwhile";
  cluster_.Restart();
  cluster_.RegisterHost("a");
  cluster_.RegisterHost("b");
  ASSERT_TRUE(cluster_.Release("b", cluster_.state().grants.begin()->second.grant()).ok());
  ASSERT_TRUE(cluster_.Delete("pools/fam/segments/t").ok());
  cluster_.Settle();
  cluster_.TickAll();
  cluster_.Settle();
  EXPECT_FALSE(IsOn("s", first_));
}

TEST_F(MovesTest, NothingCoherentByHardwareMovesToWhatIsNot) {
  const std::string soft = AnotherDevice(v1::SOFTWARE);
  AddToPool(soft);
  Create("s", {{first_, 2, 8}});
  Create("t", {{second_, 2, 62}});
  Create("soft", {{soft, 2, 2}, {first_, 20, 2}});
  ASSERT_TRUE(Drain().ok());
  cluster_.Settle();
  EXPECT_TRUE(IsOn("s", first_));
  EXPECT_FALSE(IsOn("soft", first_));
}

TEST_F(MovesTest, ACopyThatFailsIsNotTriedAgainBeforeTheDrainIsAskedForAgain) {
  const auto [copier, task] = DrainOneSegment();
  Report(copier, task, 2, "bad memory at offset 5");
  cluster_.TickAll();
  EXPECT_EQ(Copy().host, "");
  ASSERT_EQ(Moves().size(), 1u);
  EXPECT_EQ(Moves()[0].state(), v1::MOVE_STUCK);
  EXPECT_EQ(Moves()[0].detail(), "bad memory at offset 5");
  cluster_.Settle();
  ASSERT_TRUE(Drain().ok());
  cluster_.Settle();
  EXPECT_FALSE(IsOn("s", first_));
}

TEST_F(MovesTest, MemoryThatFailedKeepsASegmentWhereItIs) {
  const auto [copier, task] = DrainOneSegment();
  v1::NodeMessage message;
  for (const v1::LocalDevice& device : cluster_.devices) {
    v1::LocalDevice& local = *message.mutable_devices()->add_devices() = device;
    if ("devices/" + device.uuid() != first_) continue;
    local.add_bad_ranges()->set_offset_bytes(4 * kMi);
    local.mutable_bad_ranges(0)->set_length_bytes(4096);
  }
  ASSERT_TRUE(cluster_.Report(copier, message).ok());
  Report(copier, task, 8);  // with what the host's caches had
  cluster_.Settle();
  EXPECT_TRUE(IsOn("s", first_));
  EXPECT_EQ(Moves()[0].state(), v1::MOVE_STUCK);
  EXPECT_EQ(First().scrubbing_bytes(), 0u);
}

TEST_F(MovesTest, ADrainThatGoesFirstTakesSegmentsBackAndLetsOpensWait) {
  Create("s", {{first_, 2, 8}});
  const auto held = Open("b", "s");
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(Drain(/*revoke=*/true).ok());
  EXPECT_EQ(cluster_.assigned["b"].begin()->second.grant().grant().state(), v1::GRANT_REVOKING);
  EXPECT_EQ(ReasonOf(Open("a", "s").status()), v1::MOVING);
  EXPECT_EQ(ReasonOf(Open("b", "s").status()), v1::MOVING) << "its other programs are to wait, too";
  ASSERT_TRUE(cluster_.Release("b", held->grant()).ok());
  EXPECT_NE(Copy().host, "");
  EXPECT_EQ(ReasonOf(Open("a", "s").status()), v1::MOVING);
  cluster_.Restart();
  EXPECT_EQ(ReasonOf(Open("a", "s").status()), v1::MOVING);
  cluster_.RegisterHost("a");
  cluster_.RegisterHost("b");
  cluster_.Settle();
  EXPECT_FALSE(IsOn("s", first_));
  EXPECT_TRUE(Open("a", "s").ok());
  EXPECT_TRUE(cluster_.state().taking.empty());
}

TEST_F(MovesTest, NobodyIsAskedToLetGoOfWhatHasNowhereToGo) {
  Create("s", {{first_, 2, 8}});
  Create("t", {{second_, 2, 62}});
  ASSERT_TRUE(Open("b", "s").ok());
  ASSERT_TRUE(Drain(/*revoke=*/true).ok());
  EXPECT_EQ(cluster_.assigned["b"].begin()->second.grant().grant().state(), v1::GRANT_ACTIVE);
  EXPECT_EQ(Events(v1::DEVICE_DRAIN_STALLED), 1);
}

TEST_F(MovesTest, NobodyWaitsForAHolderThatIsSilent) {
  Create("s", {{first_, 2, 8}}, v1::SHARED);
  ASSERT_TRUE(Open("b", "s").ok());
  ASSERT_TRUE(Drain(/*revoke=*/true).ok());
  EXPECT_EQ(ReasonOf(Open("a", "s").status()), v1::MOVING);
  // It cannot revoke: what it holds stays its own.
  cluster_.frozen = {"b"};
  cluster_.Advance(absl::Minutes(1));
  cluster_.RegisterHost("a");
  cluster_.TickAll();
  cluster_.TickAll();
  EXPECT_TRUE(cluster_.state().taking.empty());
  EXPECT_TRUE(Open("a", "s").ok());
}

TEST_F(MovesTest, WhoIsFencedByHandCopiesNoMore) {
  const auto [copier, task] = DrainOneSegment();
  cluster_.state().options.has_fence_agent = [](const std::string&) { return true; };
  v1::FenceHostRequest request;
  request.set_name("hosts/" + copier);
  request.set_force(true);
  const auto fenced = cluster_.Call(FenceHost, request);
  ASSERT_TRUE(fenced.ok()) << fenced.status();
  EXPECT_EQ(fenced->state(), v1::HOST_FENCING);
  EXPECT_EQ(Events(v1::SEGMENT_MOVE_STOPPED), 1);
  cluster_.assigned[copier].clear();
  cluster_.TickAll();
  EXPECT_NE(Copy().host, "") << "another copies";
}

TEST_F(MovesTest, ADeviceWhoseLastBytesAreBadIsDrained) {
  const auto [copier, task] = DrainOneSegment();
  v1::NodeMessage message;
  for (const v1::LocalDevice& device : cluster_.devices) {
    v1::LocalDevice& local = *message.mutable_devices()->add_devices() = device;
    if ("devices/" + device.uuid() != first_) continue;
    local.add_bad_ranges()->set_offset_bytes(2 * kMi);
    local.mutable_bad_ranges(0)->set_length_bytes(8 * kMi);
  }
  ASSERT_TRUE(cluster_.Report(copier, message).ok());
  Report(copier, task, 8);
  cluster_.Settle();
  ASSERT_FALSE(First().drained());
  ASSERT_TRUE(cluster_.Delete("pools/fam/segments/s").ok());
  EXPECT_TRUE(First().drained());
  EXPECT_EQ(Events(v1::DEVICE_DRAINED), 1);
}

TEST_F(MovesTest, ASegmentThatIsDeletedMeanwhileLeavesNothingBehind) {
  const auto [copier, task] = DrainOneSegment();
  ASSERT_TRUE(cluster_.Delete("pools/fam/segments/s").ok());
  Report(copier, task, 8);
  EXPECT_TRUE(Moves().empty());
  cluster_.Settle();
  EXPECT_TRUE(First().drained());
  EXPECT_TRUE(cluster_.state().scrubs.empty());
}

TEST_F(MovesTest, AnEndedDrainFinishesWhatIsUnderWayAndNoMore) {
  Create("s", {{first_, 2, 4}});
  const auto held = Open("b", "s");
  Create("t", {{first_, 10, 4}});
  ASSERT_TRUE(Drain().ok());
  ASSERT_TRUE(Undrain().ok());
  ASSERT_TRUE(cluster_.Release("b", held->grant()).ok());
  cluster_.TickAll();
  cluster_.Settle();
  EXPECT_TRUE(IsOn("s", first_));
  EXPECT_FALSE(IsOn("t", first_));
}

CoreOptions InSmallParts() {
  CoreOptions options;
  options.max_copy_bytes = ByteCount(4 * kMi);
  options.max_copies_per_host = 1;
  return options;
}

class SmallPartsTest : public MovesTest {
 protected:
  SmallPartsTest() : MovesTest(InSmallParts()) {}
};

TEST_F(SmallPartsTest, PartsThatFollowEachOtherAreJoinedAgain) {
  Create("s", {{first_, 2, 18}});
  ASSERT_TRUE(Drain().ok());
  cluster_.Settle();
  EXPECT_EQ(Events(v1::SEGMENT_MOVED), 5);
  ASSERT_EQ(ExtentsOf("s").size(), 1u);
  EXPECT_EQ(ExtentsOf("s")[0].length.value(), 18 * kMi);
  EXPECT_TRUE(First().drained());
}

TEST_F(SmallPartsTest, AHostCopiesOneAtATimeAndTransactionsStaySmall) {
  for (uint64_t i = 0; i < 30; ++i) Create("s" + std::to_string(i), {{first_, 2 + 2 * i, 2}});
  v1::DrainDeviceRequest request;
  request.set_name(first_);
  size_t largest = 0;
  ASSERT_TRUE(cluster_
                  .Run([&](State& state, const Context& context, Changes& changes) {
                    auto drained = DrainDevice(state, context, request, changes);
                    largest = changes.mutations.size();
                    return drained;
                  })
                  .ok());
  EXPECT_LT(largest, 128u);
  EXPECT_EQ(cluster_.state().copies.size(), 2u) << "one for each host";
  cluster_.Settle();
  cluster_.TickAll();
  cluster_.Settle();
  EXPECT_TRUE(First().drained());
}

TEST_F(SmallPartsTest, WhatWasTakenBackKeepsItsTurnUntilSomebodyCanCopy) {
  std::vector<v1::Grant> held;
  for (uint64_t i = 0; i < 4; ++i) {
    const std::string id = "s" + std::to_string(i);
    Create(id, {{first_, 2 + 4 * i, 4}});
    held.push_back(Open("b", id)->grant());
  }
  ASSERT_TRUE(Drain(/*revoke=*/true).ok());
  for (const v1::Grant& grant : held) ASSERT_TRUE(cluster_.Release("b", grant).ok());
  ASSERT_EQ(cluster_.state().copies.size(), 2u) << "one for each host";
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(ReasonOf(Open("a", "s" + std::to_string(i)).status()), v1::MOVING) << i;
  }
  cluster_.Settle();
  EXPECT_TRUE(First().drained());
  EXPECT_TRUE(cluster_.state().taking.empty());
}

}  // namespace
}  // namespace weft
