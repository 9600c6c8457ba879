#include "server/core/fsck.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/drain.h"
#include "server/core/errors.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/pools.h"

namespace weft {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSegment[] = "pools/fam/segments/s";

// Host a holds "s" with a handle, and host b nothing; both say what is so, until a test has
// host a say something else.
class FsckTest : public testing::Test {
 protected:
  FsckTest() {
    device_ = cluster_.AddDevice(64);
    cluster_.RegisterHost("a");
    cluster_.RegisterHost("b");
    cluster_.MakePool("fam");
    EXPECT_TRUE(cluster_.Create("fam", "s", 4).ok());
    EXPECT_TRUE(cluster_.Acquire("a", kSegment, v1::READ_WRITE).ok());
    found_ = Honest("a");
  }

  // What a host with a kernel says that has what it was assigned.
  v1::HostInventory Honest(const std::string& host) {
    v1::HostInventory inventory;
    inventory.set_has_kernel(true);
    for (const auto& [key, assignment] : cluster_.assigned[host]) {
      if (assignment.has_scrub()) inventory.add_scrub_ids(assignment.scrub().scrub_id());
      if (assignment.has_copy()) inventory.add_scrub_ids(assignment.copy().id());
      if (!assignment.has_grant()) continue;
      const v1::GrantAssignment& grant = assignment.grant();
      v1::HostSegment& segment = *inventory.add_segments();
      segment.set_segment_id(grant.grant().segment_id());
      segment.set_handles(1);
      v1::HeldGrant& held = *segment.mutable_grant();
      held.set_segment_id(grant.grant().segment_id());
      *held.mutable_token() = grant.grant().token();
      held.set_mode(grant.grant().mode());
      held.set_segment(grant.grant().segment());
      *held.mutable_runs() = grant.runs();
      held.set_size_bytes(grant.size_bytes());
      v1::KernelSegment& kernel = *segment.mutable_kernel();
      kernel.set_segment_id(grant.grant().segment_id());
      *kernel.mutable_token() = grant.grant().token();
      *kernel.mutable_last_token() = grant.grant().token();
      kernel.set_state(v1::KERNEL_LIVE);
      kernel.set_size_bytes(grant.size_bytes());
      kernel.set_handles(1);
    }
    for (v1::LocalDevice device : cluster_.devices) {
      const v1::Device& record =
          cluster_.state().devices.at(*Uuid::Parse(device.uuid())).record.device();
      device.set_dax_name("dax0.0");
      device.set_pool_uuid(
          record.pool().empty() ? "" : cluster_.state().pools.at("fam")->record.pool().uuid());
      *inventory.add_devices() = device;
    }
    return inventory;
  }

  v1::HostSegment& segment() { return *found_.mutable_segments(0); }
  v1::LocalDevice& local() { return *found_.mutable_devices(0); }

  absl::StatusOr<v1::CheckResponse> CheckA(uint64_t after = 0) {
    v1::InventoryRequest asked;
    asked.set_after_segment_id(after);
    return CompareHost(cluster_.state(), "a", asked, found_);
  }
  // The kinds of what differs on host a.
  std::vector<v1::DifferenceKind> KindsOnA() {
    const auto response = CheckA();
    EXPECT_TRUE(response.ok()) << response.status();
    if (response.ok()) last_ = *response;
    return KindsOf(last_);
  }
  std::vector<v1::DifferenceKind> KindsOfRecords() {
    const auto response = CheckRecords(cluster_.state(), v1::CheckRecordsRequest());
    EXPECT_TRUE(response.ok()) << response.status();
    last_ = *response;
    return KindsOf(last_);
  }
  static std::vector<v1::DifferenceKind> KindsOf(const v1::CheckResponse& response) {
    std::vector<v1::DifferenceKind> kinds;
    for (const v1::Difference& one : response.differences()) {
      EXPECT_FALSE(one.recorded().empty() || one.found().empty() || one.remedy().empty())
          << one.DebugString();
      EXPECT_NE(one.repair(), v1::REPAIR_ACTION_UNSPECIFIED) << one.DebugString();
      kinds.push_back(one.kind());
    }
    return kinds;
  }

  TestCluster cluster_;
  std::string device_;
  v1::HostInventory found_;
  v1::CheckResponse last_;
};

TEST_F(FsckTest, WhatAgreesIsClean) {
  EXPECT_THAT(KindsOnA(), IsEmpty()) << last_.DebugString();
  EXPECT_THAT(KindsOfRecords(), IsEmpty()) << last_.DebugString();
}

TEST_F(FsckTest, AGrantThatTheHostDoesNotHave) {
  found_.clear_segments();
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::GRANT_MISSING));
  EXPECT_EQ(last_.differences(0).resource(), kSegment);
  EXPECT_EQ(last_.differences(0).host(), "hosts/a");
  EXPECT_EQ(last_.differences(0).repair(), v1::RESYNC_HOST);
}

TEST_F(FsckTest, AGrantThatTheCoordinatorDoesNotHave) {
  v1::HostSegment& other = *found_.add_segments();
  other = segment();
  other.set_segment_id(9);
  other.clear_kernel();
  other.set_handles(0);
  other.mutable_grant()->set_segment("pools/fam/segments/other");
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::GRANT_UNKNOWN));
  EXPECT_EQ(last_.differences(0).resource(), "pools/fam/segments/other");
  EXPECT_EQ(last_.differences(0).segment_id(), 9u);
}

TEST_F(FsckTest, AnotherTokenOrMode) {
  v1::HostSegment before = segment();
  ASSERT_TRUE(cluster_.Release("a", cluster_.state().grants.begin()->second.grant()).ok());
  ASSERT_TRUE(cluster_.Acquire("a", kSegment, v1::READ_WRITE).ok());
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::GRANT_DIFFERS));
  found_ = Honest("a");
  segment().mutable_grant()->set_mode(v1::READ_ONLY);
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::GRANT_DIFFERS));
}

TEST_F(FsckTest, ATokenThatWasNeverGivenOut) {
  segment().mutable_grant()->mutable_token()->set_epoch(7);
  segment().mutable_kernel()->mutable_token()->set_epoch(7);
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::TOKEN_AHEAD));
  EXPECT_THAT(last_.differences(0).found(), HasSubstr("old copy"));
  found_ = Honest("a");
  segment().mutable_kernel()->mutable_last_token()->set_epoch(7);
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::TOKEN_AHEAD));
}

TEST_F(FsckTest, RegisteringRepairsATokenThatIsAhead) {
  v1::Register request = cluster_.RegisterRequest("a", 1, 1);
  *request.add_held() = segment().grant();
  request.mutable_held(0)->mutable_token()->set_epoch(7);
  ASSERT_TRUE(cluster_.TryRegister(request).ok());
  EXPECT_EQ(cluster_.state().cluster.epoch(), 8u);
  found_ = Honest("a");
  EXPECT_EQ(segment().grant().token().epoch(), 7u) << "as the host has it";
  EXPECT_THAT(KindsOnA(), IsEmpty()) << last_.DebugString();
}

TEST_F(FsckTest, OtherExtents) {
  v1::Extent& extent = *segment().mutable_grant()->mutable_runs(0)->mutable_extents(0);
  extent.set_offset_bytes(extent.offset_bytes() + (2 << 20));
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::EXTENTS_DIFFER));
  found_ = Honest("a");
  segment().mutable_grant()->clear_runs();  // a daemon that says nothing of them
  EXPECT_THAT(KindsOnA(), IsEmpty());
}

TEST_F(FsckTest, ASegmentOnlyInTheKernel) {
  v1::HostSegment& other = *found_.add_segments();
  other.set_segment_id(9);
  *other.mutable_kernel() = segment().kernel();
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::KERNEL_SEGMENT_UNKNOWN));
  EXPECT_EQ(last_.differences(0).resource(), "segment 9");
  EXPECT_THAT(last_.differences(0).found(), HasSubstr("1 handles"));
}

TEST_F(FsckTest, TheKernelHasItUnderAnotherTokenOrTooLong) {
  segment().mutable_kernel()->mutable_token()->set_counter(1);
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::KERNEL_SEGMENT_DIFFERS));
  found_ = Honest("a");
  segment().mutable_kernel()->set_size_bytes(8 << 20);
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::KERNEL_SEGMENT_DIFFERS));
  segment().mutable_kernel()->set_size_bytes(2 << 20);
  EXPECT_THAT(KindsOnA(), IsEmpty()) << "it grows when it is opened next";
}

TEST_F(FsckTest, HandlesOfNothing) {
  segment().clear_kernel();
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::HANDLE_WITHOUT_SEGMENT));
  segment().set_handles(0);
  EXPECT_THAT(KindsOnA(), IsEmpty()) << "it is made when it is opened";
  segment().set_handles(1);
  found_.set_has_kernel(false);
  EXPECT_THAT(KindsOnA(), IsEmpty()) << "another backend";
}

TEST_F(FsckTest, PinnedPages) {
  segment().mutable_kernel()->set_state(v1::KERNEL_REVOKING);
  EXPECT_THAT(KindsOnA(), IsEmpty());
  segment().mutable_kernel()->set_pages_pinned(3);
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::SEGMENT_PINNED));
  EXPECT_EQ(last_.differences(0).repair(), v1::REPAIR_BY_HAND);
}

TEST_F(FsckTest, ADeviceThatTheHostHasAndDoesNotHave) {
  v1::LocalDevice& other = *found_.add_devices();
  other = local();
  other.set_uuid("eeeeeeee-0000-4000-8000-000000000001");
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::DEVICE_UNKNOWN));
  found_ = Honest("a");
  found_.clear_devices();
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::DEVICE_NOT_THERE));
  EXPECT_EQ(last_.differences(0).resource(), device_);
}

TEST_F(FsckTest, WhyADeviceIsSkippedIsTold) {
  cluster_.devices[0].set_dax_name("dax0.0");
  cluster_.RegisterHost("a", 1, 1, {segment().grant()});
  found_ = Honest("a");
  found_.clear_devices();
  found_.add_skipped()->set_dax_name("dax0.0");
  found_.mutable_skipped(0)->set_reason("the label is damaged");
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::DEVICE_NOT_THERE));
  EXPECT_THAT(last_.differences(0).found(), HasSubstr("the label is damaged"));
}

TEST_F(FsckTest, LabelsThatSaySomethingElse) {
  local().set_pool_uuid("");
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::LABEL_POOL));
  EXPECT_EQ(last_.differences(0).repair(), v1::RESYNC_HOST);
  found_ = Honest("a");
  local().set_power_epoch(local().power_epoch() + 1);
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::LABEL_POWER_EPOCH));
  EXPECT_EQ(last_.differences(0).repair(), v1::REPAIR_BY_HAND);
  found_ = Honest("a");
  local().set_capacity_bytes(local().capacity_bytes() + (2 << 20));
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::LABEL_SIZE));
}

TEST_F(FsckTest, OtherMemoryUnderAKnownUuid) {
  cluster_.memory_of[{"a", device_}] = 1;
  cluster_.RegisterHost("a", 1, 7, {segment().grant()});
  cluster_.Settle();
  found_ = Honest("a");
  EXPECT_THAT(KindsOnA(), ElementsAre(v1::DEVICE_OTHER_MEMORY));
}

TEST_F(FsckTest, Scrubs) {
  cluster_.frozen = {"a", "b"};
  ASSERT_TRUE(cluster_.Create("fam", "t", 2).ok());
  ASSERT_TRUE(cluster_.Delete("pools/fam/segments/t").ok());
  const bool is_a = !cluster_.state().hosts.at("a").scrubs.empty();
  const std::string host = is_a ? "a" : "b";
  v1::HostInventory found = Honest(host);
  ASSERT_EQ(found.scrub_ids_size(), 1);
  const auto kinds = [&] {
    return KindsOf(*CompareHost(cluster_.state(), host, v1::InventoryRequest(), found));
  };
  EXPECT_THAT(kinds(), IsEmpty());
  found.add_scrub_ids(99);
  EXPECT_THAT(kinds(), ElementsAre(v1::SCRUB_UNKNOWN));
  found.clear_scrub_ids();
  EXPECT_THAT(kinds(), ElementsAre(v1::SCRUB_MISSING));
}

TEST_F(FsckTest, ACopyUnderWay) {
  ASSERT_TRUE(cluster_.Release("a", cluster_.state().grants.begin()->second.grant()).ok());
  v1::AddDeviceRequest add;
  add.set_pool("pools/fam");
  add.set_device(cluster_.AddDevice(64));
  for (const char* const host : {"a", "b"}) cluster_.RegisterHost(host, 1, 2);
  cluster_.Settle();
  ASSERT_TRUE(cluster_.Call(AddDevice, add).ok());
  cluster_.Settle();
  cluster_.frozen = {"a", "b"};
  v1::DrainDeviceRequest drain;
  drain.set_name(device_);
  ASSERT_TRUE(cluster_.Call(DrainDevice, drain).ok());
  cluster_.TickAll();
  ASSERT_EQ(cluster_.state().copies.size(), 1u);
  const uint64_t copy = cluster_.state().copies.begin()->second;
  const std::string host = cluster_.state().scrubs.at(copy).host();
  v1::HostInventory found = Honest(host);
  const auto kinds = [&] {
    return KindsOf(*CompareHost(cluster_.state(), host, v1::InventoryRequest(), found));
  };
  EXPECT_THAT(kinds(), IsEmpty());
  found.clear_scrub_ids();
  EXPECT_THAT(kinds(), ElementsAre(v1::SCRUB_MISSING));
}

TEST_F(FsckTest, ADeviceThatNobodySees) {
  cluster_.Advance(absl::Minutes(1));
  cluster_.TickAll();
  EXPECT_THAT(KindsOfRecords(), ElementsAre(v1::DEVICE_NOT_ATTACHED));
}

TEST_F(FsckTest, ADeviceInRecoveryWaitsForItsHosts) {
  cluster_.Restore(cluster_.store);
  EXPECT_THAT(KindsOfRecords(), ElementsAre(v1::DEVICE_RECOVERING, v1::DEVICE_NOT_ATTACHED));
  EXPECT_THAT(last_.differences(0).found(), HasSubstr("a, b"));
}

TEST_F(FsckTest, BytesWithTwoOwners) {
  const DeviceId id = *FindDevice(cluster_.state(), device_);
  cluster_.state().devices.at(id).used_bytes += 2 << 20;
  EXPECT_THAT(KindsOfRecords(), ElementsAre(v1::BYTES_DO_NOT_ADD_UP));
  EXPECT_EQ(last_.differences(0).repair(), v1::REPAIR_BY_HAND);
}

TEST_F(FsckTest, ASegmentThatTheBackupDoesNotKnow) {
  const v1::HeldGrant held = segment().grant();
  auto backup = cluster_.store;
  std::erase_if(backup, [](const auto& entry) {
    return entry.first.find("/segments/") != std::string::npos ||
           entry.first.find("/grants/") != std::string::npos;
  });
  // As it was before the segment was made.
  store::v1::ClusterRecord record;
  ASSERT_TRUE(record.ParseFromString(backup.at("/weft/v1/cluster")));
  record.set_last_segment_id(0);
  backup["/weft/v1/cluster"] = record.SerializeAsString();
  cluster_.Restore(backup);
  v1::Register request = cluster_.RegisterRequest("a", 1, 1);
  *request.add_held() = held;
  ASSERT_TRUE(cluster_.TryRegister(request).ok());
  cluster_.RegisterHost("b");
  cluster_.TickAll();
  cluster_.Settle();
  EXPECT_THAT(KindsOfRecords(), ElementsAre(v1::STRAY_SEGMENT));
  EXPECT_EQ(last_.differences(0).resource(), kSegment);
  EXPECT_EQ(last_.differences(0).repair(), v1::REVOKE_STRAY);
  found_ = Honest("a");
  EXPECT_THAT(KindsOnA(), IsEmpty()) << "it has what it should have: " << last_.DebugString();
}

TEST_F(FsckTest, PagesAreComparedWithWhatTheyCover) {
  ASSERT_TRUE(cluster_.Create("fam", "t", 2).ok());
  ASSERT_TRUE(cluster_.Acquire("a", "pools/fam/segments/t", v1::READ_WRITE).ok());
  found_.set_through_segment_id(1);
  const auto first = CheckA();
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->differences_size(), 0) << first->DebugString();
  v1::CheckHostRequest next;
  next.set_name("hosts/a");
  next.set_page_token(first->next_page_token());
  const auto asked = InventoryFor(cluster_.state(), next);
  ASSERT_TRUE(asked.ok()) << asked.status();
  EXPECT_EQ(asked->after_segment_id(), 1u);
  found_ = v1::HostInventory();
  const auto second = CheckA(1);
  ASSERT_TRUE(second.ok());
  EXPECT_THAT(KindsOf(*second), ElementsAre(v1::GRANT_MISSING)) << "devices are of the first page";
  EXPECT_EQ(second->next_page_token(), "");
}

TEST_F(FsckTest, AnAnswerThatMakesNoSense) {
  found_.mutable_devices(0)->set_uuid("?");
  EXPECT_EQ(ReasonOf(CheckA().status()), v1::BAD_ARGUMENT);
  found_ = Honest("a");
  found_.set_through_segment_id(3);
  EXPECT_EQ(ReasonOf(CheckA(3).status()), v1::BAD_ARGUMENT) << "it would never end";
  found_ = v1::HostInventory();
  found_.set_error("ioctl: no such device");
  EXPECT_EQ(ReasonOf(CheckA().status()), v1::UNREACHABLE);
}

TEST_F(FsckTest, AHostThatIsNotAliveIsNotAsked) {
  v1::CheckHostRequest request;
  request.set_name("hosts/none");
  EXPECT_EQ(ReasonOf(InventoryFor(cluster_.state(), request).status()), v1::HOST_NOT_FOUND);
  request.set_name("hosts/a");
  request.set_page_token("?");
  EXPECT_EQ(ReasonOf(InventoryFor(cluster_.state(), request).status()), v1::BAD_PAGE_TOKEN);
  cluster_.Advance(absl::Minutes(1));
  cluster_.TickAll();
  request.clear_page_token();
  EXPECT_EQ(ReasonOf(InventoryFor(cluster_.state(), request).status()), v1::SESSION_EXPIRED);
  EXPECT_EQ(ReasonOf(CheckA().status()), v1::SESSION_EXPIRED);
}

// What a page may have is bounded, and ids are of the page.
TEST_F(FsckTest, AHostThatSaysTooMuchIsNotBelieved) {
  const auto refused = [&](const v1::HostInventory& found, uint64_t after = 0) {
    v1::InventoryRequest asked;
    asked.set_after_segment_id(after);
    return ReasonOf(CompareHost(cluster_.state(), "a", asked, found).status()) == v1::BAD_ARGUMENT;
  };
  ASSERT_FALSE(refused(found_));
  v1::HostInventory segments = found_;
  for (uint64_t id = 100; id < 400; ++id) segments.add_segments()->set_segment_id(id);
  EXPECT_TRUE(refused(segments));
  v1::HostInventory skipped = found_;
  for (int i = 0; i < 2000; ++i) skipped.add_skipped();
  EXPECT_TRUE(refused(skipped));
  v1::HostInventory scrubs = found_;
  for (uint64_t id = 0; id < 2000; ++id) scrubs.add_scrub_ids(id);
  EXPECT_TRUE(refused(scrubs));
  v1::HostInventory pool = found_;
  *pool.add_devices() = cluster_.devices[0];
  pool.mutable_devices(0)->set_pool_uuid("no uuid");
  EXPECT_TRUE(refused(pool));
  EXPECT_TRUE(refused(found_, found_.segments(0).segment_id())) << "of the page before";
}

TEST_F(FsckTest, RecordsComeInPages) {
  for (int i = 0; i < 300; ++i) cluster_.AddDevice(2);
  cluster_.RegisterHost("a", 1, 1, {segment().grant()});
  v1::CheckRecordsRequest request;
  const auto first = CheckRecords(cluster_.state(), request);
  ASSERT_TRUE(first.ok());
  ASSERT_NE(first->next_page_token(), "");
  request.set_page_token(first->next_page_token());
  const auto second = CheckRecords(cluster_.state(), request);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->next_page_token(), "");
  for (const char* token : {"zzzz", "ZGFh"}) {  // the latter: device "aa"
    request.set_page_token(token);
    EXPECT_EQ(ReasonOf(CheckRecords(cluster_.state(), request).status()), v1::BAD_PAGE_TOKEN);
  }
}

TEST(FsckRecordsTest, EachIsGivenOnceHoweverManyDevicesHaveDifferences) {
  constexpr size_t kPools = 6;
  constexpr size_t kDevices = kPools * 50;
  constexpr size_t kStrays = 600;
  TestCluster cluster;
  std::vector<v1::CreatePoolRequest> pools(kPools);
  for (size_t i = 0; i < kDevices; ++i) pools[i % kPools].add_devices(cluster.AddDevice(2));
  cluster.RegisterHost("a");
  for (size_t i = 0; i < kPools; ++i) {
    pools[i].set_pool_id(absl::StrCat("p", i));
    ASSERT_TRUE(cluster.Call(CreatePool, pools[i]).ok());
  }
  cluster.Settle();
  State& state = cluster.state();
  for (auto& [id, device] : state.devices) device.record.mutable_device()->set_recovering(true);
  for (uint64_t i = 1; i <= kStrays; ++i) {
    v1::Grant& grant = *state.strays[{SegmentId(i), "a"}].mutable_grant();
    grant.set_segment("pools/fam/segments/s");
    grant.set_segment_id(i);
    grant.set_host("hosts/a");
  }
  std::multiset<std::string> found;
  v1::CheckRecordsRequest request;
  do {
    const auto page = CheckRecords(state, request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::Difference& one : page->differences()) {
      found.insert(absl::StrCat(one.kind(), one.resource(), one.segment_id()));
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(found.size(), kDevices + kStrays);
  EXPECT_EQ(std::set<std::string>(found.begin(), found.end()).size(), found.size());
}

}  // namespace
}  // namespace weft
