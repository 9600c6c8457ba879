#include "server/node/kmod_backend.h"

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/node/fake_dax.h"
#include "server/node/fake_signatures.h"
#include "server/node/kmod_runs.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_kmod.h"
#include "server/platform/fake_random.h"
#include "server/platform/fake_record_dir.h"

namespace weft {
namespace {

// Runs what is posted when it is told to.
class Tasks final : public Executor {
 public:
  void Post(Task task) override { tasks_.push_back(std::move(task)); }
  void PostAt(BootTime, Task task) override { tasks_.push_back(std::move(task)); }
  void RunOne() {
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }
  void RunAll() {
    while (!tasks_.empty()) RunOne();
  }

 private:
  std::deque<Task> tasks_;
};

constexpr SegmentId kSegment{7};

class KmodBackendTest : public testing::Test {
 protected:
  KmodBackendTest() {
    dax_.media["dax0.0"] = std::make_shared<FakeMedia>(ByteCount(64 * kMiB.value()));
    EXPECT_TRUE(catalog_.Rescan().ok());
    id_ = *Uuid::Parse(catalog_.Format("dax0.0", false)->uuid());
    device_ = kmod_.AddDevice("/dev/dax0.0", id_, false)->id;
    backend_.dead_man()->Arm(BootTime(absl::Seconds(10)));
  }

  v1::GrantAssignment Grant(uint64_t counter, uint64_t length_mib = 8) {
    v1::GrantAssignment grant;
    grant.mutable_grant()->set_segment_id(kSegment.value());
    grant.mutable_grant()->set_segment("pools/p/segments/s");
    grant.mutable_grant()->set_mode(v1::READ_WRITE);
    grant.mutable_grant()->set_state(v1::GRANT_ACTIVE);
    grant.mutable_grant()->mutable_token()->set_epoch(1);
    grant.mutable_grant()->mutable_token()->set_counter(counter);
    v1::Extent& extent = *grant.add_runs()->add_extents();
    extent.set_device(FormatDeviceName(id_));
    extent.set_offset_bytes(2 << 20);
    extent.set_length_bytes(length_mib << 20);
    return grant;
  }
  KmodState state() const { return kmod_.Get(kSegment).info.state; }

  FakeClock clock_;
  FakeRandom random_;
  FakeSignatureProbe probe_;
  FakeDax dax_;
  DeviceCatalog catalog_{dax_, {clock_, random_, probe_}};
  FakeKmod kmod_;
  FakeRecordDir records_;
  Tasks tasks_;
  KmodBackend backend_{kmod_, catalog_, records_, tasks_, KmodBackendOptions()};
  DeviceId id_;
  KmodDeviceId device_;
};

TEST_F(KmodBackendTest, AGrantBecomesASegmentOfItsExtents) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  const FakeKmod::Segment segment = kmod_.Get(kSegment);
  EXPECT_EQ(segment.info.token, (Token{1, 1}));
  EXPECT_EQ(segment.info.size, ByteCount(8 << 20));
  EXPECT_EQ(segment.runs[0].extents[0],
            (KmodExtent{device_, ByteOffset(2 << 20), ByteCount(8 << 20)}));
  EXPECT_TRUE(backend_.Prepare(Grant(1)).ok());
  EXPECT_EQ(kmod_.Get(kSegment).runs.size(), 1u);
}

TEST_F(KmodBackendTest, OneDescriptorIsTheSegment) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  const auto files = backend_.Open(Grant(1), v1::READ_WRITE);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->fds.size(), 1u);
  EXPECT_TRUE(files->devices.empty());
  EXPECT_EQ(files->incarnation.size(), 1u);
  EXPECT_EQ(files->page_size, kExtentUnit);
}

// Dirty lines of a holder before must not be written back over what the next one writes.
TEST_F(KmodBackendTest, WhatIsNotInUseIsRevokedBeforeItIsReleased) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  EXPECT_TRUE(backend_.FindInUse({Grant(1)})->empty());
  EXPECT_EQ(state(), KmodState::kRevoked);
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  EXPECT_EQ(state(), KmodState::kLive);
}

// It may be another memory than the one on which the segment was granted.
TEST_F(KmodBackendTest, NoSegmentIsMadeOnADeviceThatCameBackUnproved) {
  const std::shared_ptr<FakeMedia> media = dax_.media.at("dax0.0");
  dax_.media.clear();
  ASSERT_TRUE(catalog_.Rescan().ok());
  dax_.media["dax0.0"] = media->Clone();
  ASSERT_TRUE(catalog_.Rescan().ok());
  EXPECT_TRUE(absl::IsUnavailable(backend_.Prepare(Grant(1))));
  EXPECT_FALSE(kmod_.Has(kSegment));
  catalog_.SetAnnounced(catalog_.newest_opening());
  EXPECT_TRUE(backend_.Prepare(Grant(1)).ok());
}

TEST_F(KmodBackendTest, GrowthIsAppended) {
  ASSERT_TRUE(backend_.Prepare(Grant(1, 8)).ok());
  ASSERT_TRUE(backend_.Prepare(Grant(1, 12)).ok());
  const FakeKmod::Segment segment = kmod_.Get(kSegment);
  ASSERT_EQ(segment.runs.size(), 2u);
  EXPECT_EQ(segment.runs[1].extents[0],
            (KmodExtent{device_, ByteOffset(10 << 20), ByteCount(4 << 20)}));
}

TEST_F(KmodBackendTest, WhatTheDeadManTookGoesOnUnderTheSameToken) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  const auto files = backend_.Open(Grant(1), v1::READ_WRITE);
  kmod_.FireDeadMan();
  EXPECT_EQ(state(), KmodState::kRevoked);
  backend_.dead_man()->Arm(BootTime(absl::Seconds(20)));
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  EXPECT_EQ(state(), KmodState::kLive);
  EXPECT_EQ(backend_.FindInUse({Grant(1)})->count(kSegment), 1u);
}

// The coordinator says once that the host has the grant: the module is told when that can be
// recorded.
TEST_F(KmodBackendTest, WhatCannotBeRecordedIsResumedWhenTheDiskHasSpaceAgain) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  kmod_.FireDeadMan();
  backend_.dead_man()->Arm(BootTime(absl::Seconds(20)));
  records_.write_error = absl::ResourceExhaustedError("No space left on device");
  EXPECT_FALSE(backend_.Keep(Grant(1)).ok());
  backend_.dead_man()->Arm(BootTime(absl::Seconds(30)));
  tasks_.RunAll();
  EXPECT_EQ(state(), KmodState::kRevoked);
  records_.write_error = absl::OkStatus();
  backend_.dead_man()->Arm(BootTime(absl::Seconds(40)));
  tasks_.RunAll();
  EXPECT_EQ(state(), KmodState::kLive);
}

TEST_F(KmodBackendTest, NothingIsResumedWhileTheDeadManTakesBack) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  kmod_.FireDeadMan();
  kmod_.SetTakingBack(true);
  backend_.dead_man()->Arm(BootTime(absl::Seconds(20)));
  EXPECT_EQ(ReasonOf(backend_.Prepare(Grant(1))), v1::SESSION_EXPIRED);
  EXPECT_EQ(state(), KmodState::kRevoked);
  kmod_.SetTakingBack(false);
  backend_.dead_man()->Arm(BootTime(absl::Seconds(30)));
  tasks_.RunAll();
  EXPECT_EQ(state(), KmodState::kLive);
}

TEST_F(KmodBackendTest, AGrantThatIsBeingTakenBackIsNotResumed) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  ASSERT_FALSE(*backend_.TakeBack(Grant(1)));
  v1::GrantAssignment revoking = Grant(1);
  revoking.mutable_grant()->set_state(v1::GRANT_REVOKING);
  EXPECT_TRUE(backend_.Prepare(revoking).ok());
  EXPECT_EQ(state(), KmodState::kRevoked);
}

TEST_F(KmodBackendTest, PinnedPagesAreWaitedFor) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  kmod_.SetPinned(3);
  EXPECT_TRUE(*backend_.TakeBack(Grant(1)));
  kmod_.SetPinned(0);
  EXPECT_FALSE(*backend_.TakeBack(Grant(1)));
}

TEST_F(KmodBackendTest, ALaterTokenEndsTheHandlesOfTheEarlier) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  ASSERT_TRUE(backend_.Open(Grant(1), v1::READ_WRITE).ok());
  ASSERT_TRUE(backend_.Prepare(Grant(2)).ok());
  EXPECT_EQ(kmod_.Get(kSegment).info.token, (Token{1, 2}));
  EXPECT_TRUE(backend_.FindInUse({Grant(2)})->empty());
}

TEST_F(KmodBackendTest, AnEarlierTokenIsRefused) {
  ASSERT_TRUE(backend_.Prepare(Grant(2)).ok());
  EXPECT_EQ(ReasonOf(backend_.Prepare(Grant(1))), v1::STALE_TOKEN);
  EXPECT_EQ(ReasonOf(backend_.Open(Grant(1), v1::READ_ONLY).status()), v1::STALE_TOKEN);
  EXPECT_TRUE(backend_.Forget(Grant(1)).ok());
  EXPECT_TRUE(kmod_.Has(kSegment));
}

TEST_F(KmodBackendTest, AHandleEndsByTheKernelsWord) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  {
    const auto files = backend_.Open(Grant(1), v1::READ_ONLY);
    ASSERT_TRUE(files.ok());
  }
  EXPECT_EQ(backend_.FindInUse({Grant(1)})->count(kSegment), 1u);
  kmod_.ReleaseHandles(kSegment);
  EXPECT_TRUE(backend_.FindInUse({Grant(1)})->empty());
}

TEST_F(KmodBackendTest, ASuccessorFindsWhatItsPredecessorHeld) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  KmodBackend successor(kmod_, catalog_, records_, tasks_, KmodBackendOptions());
  const auto grants = successor.Recall();
  ASSERT_TRUE(grants.ok()) << grants.status();
  ASSERT_EQ(grants->size(), 1u);
  EXPECT_EQ((*grants)[0].SerializeAsString(), Grant(1).SerializeAsString());
}

TEST_F(KmodBackendTest, ASegmentWithoutARecordIsHeldToo) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  records_.records.clear();
  const auto grants = backend_.Recall();
  ASSERT_EQ(grants->size(), 1u);
  EXPECT_EQ((*grants)[0].grant().segment_id(), kSegment.value());
  EXPECT_EQ((*grants)[0].grant().token().counter(), 1u);
  ASSERT_TRUE(backend_.Forget((*grants)[0]).ok());
  EXPECT_FALSE(kmod_.Has(kSegment));
}

TEST_F(KmodBackendTest, WhatAScrubLeftIsDestroyed) {
  const SegmentId scratch(kFirstScrubSegment | 5);
  ASSERT_TRUE(kmod_
                  .CreateSegment(scratch, {0, 1}, Access::kReadWrite,
                                 {{{{device_, ByteOffset(2 << 20), kExtentUnit}}, ByteCount(0)}})
                  .ok());
  EXPECT_TRUE(backend_.Recall()->empty());
  EXPECT_FALSE(kmod_.Has(scratch));
}

TEST_F(KmodBackendTest, WhatIsPinnedIsForgottenLater) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  kmod_.SetPinned(1);
  EXPECT_EQ(ReasonOf(backend_.Forget(Grant(1))), v1::BUSY_PINNED);
  kmod_.SetPinned(0);
  backend_.dead_man()->Arm(BootTime(absl::Seconds(20)));
  tasks_.RunAll();
  EXPECT_FALSE(kmod_.Has(kSegment));
  EXPECT_TRUE(records_.records.empty());
}

TEST_F(KmodBackendTest, ADeviceThatTheModuleLacksIsNamed) {
  ASSERT_TRUE(kmod_.RemoveDevice(device_).ok());
  const absl::Status status = backend_.Prepare(Grant(1));
  EXPECT_EQ(ReasonOf(status), v1::DEVICE_MISSING);
  EXPECT_NE(std::string(status.message()).find(id_.ToString()), std::string::npos);
}

// The later grant could not be recorded, and is over.
TEST_F(KmodBackendTest, WhatWasTakenBackUnderALaterTokenIsForgottenToo) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  ASSERT_TRUE(kmod_.RevokeSegment(kSegment, Token{1, 2}, absl::ZeroDuration()).ok());
  ASSERT_TRUE(backend_.Forget(Grant(1)).ok());
  EXPECT_TRUE(absl::IsNotFound(kmod_.FindSegment(kSegment).status()));
}

TEST_F(KmodBackendTest, ADaemonThatStartsAfterTheDeadManCanReadLabels) {
  kmod_.FireDeadMan();
  ASSERT_TRUE(ReleaseDeadMan(kmod_).ok());
  EXPECT_EQ(kmod_.GetDeadMan()->state, KmodDeadMan::State::kOff);
  kmod_.SetTakingBack(true);
  EXPECT_TRUE(absl::IsUnavailable(ReleaseDeadMan(kmod_)));
}

TEST_F(KmodBackendTest, ADaemonRestartedAfterTheDeadManGoesOnUnderTheSameToken) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  ASSERT_TRUE(backend_.Open(Grant(1), v1::READ_WRITE).ok());
  kmod_.FireDeadMan();
  ASSERT_TRUE(ReleaseDeadMan(kmod_).ok());
  KmodBackend successor(kmod_, catalog_, records_, tasks_, KmodBackendOptions());
  const auto grants = successor.Recall();
  ASSERT_TRUE(grants.ok()) << grants.status();
  ASSERT_EQ(grants->size(), 1u);
  EXPECT_EQ(state(), KmodState::kRevoked);
  // The coordinator confirms the grant.
  successor.dead_man()->Arm(BootTime(absl::Seconds(20)));
  ASSERT_TRUE(successor.Prepare((*grants)[0]).ok());
  EXPECT_EQ(state(), KmodState::kLive);
  EXPECT_EQ(successor.FindInUse({Grant(1)})->count(kSegment), 1u);
}

TEST_F(KmodBackendTest, AScrubThatWasLongUnderWayReachesNothing) {
  ASSERT_TRUE(backend_.Prepare(Grant(5)).ok());
  ASSERT_TRUE(backend_.Forget(Grant(5)).ok());
  const std::vector<KmodRun> runs = {{{{device_, ByteOffset(2 << 20), kExtentUnit}}, ByteCount(0)}};
  const SegmentId scratch(kFirstScrubSegment | 5);
  EXPECT_EQ(ReasonOf(kmod_.CreateSegment(scratch, {1, 4}, Access::kReadWrite, runs)),
            v1::STALE_TOKEN);
  EXPECT_TRUE(kmod_.CreateSegment(scratch, {1, 6}, Access::kReadWrite, runs).ok());
}

TEST_F(KmodBackendTest, TheModuleKeepsWhoItWorksFor) {
  KmodBackendOptions options;
  options.host_id = "host-a";
  KmodBackend backend(kmod_, catalog_, records_, tasks_, options);
  backend.SetTerms("1.7", absl::Seconds(5));
  tasks_.RunAll();
  ASSERT_TRUE(backend.Prepare(Grant(9)).ok());
  EXPECT_EQ(*kmod_.GetHost(), (KmodHost{"host-a", "1.7", {1, 9}}));
  EXPECT_TRUE(CheckHost(kmod_, "host-a").ok());
  const absl::Status other = CheckHost(kmod_, "host-b");
  EXPECT_EQ(ReasonOf(other), v1::IN_USE);
  EXPECT_NE(std::string(other.message()).find("host-a"), std::string::npos);
  ASSERT_TRUE(backend.Forget(Grant(9)).ok());
  EXPECT_TRUE(CheckHost(kmod_, "host-b").ok());
}

TEST_F(KmodBackendTest, ANewSessionResumesNothingThatItWasNotGranted) {
  backend_.SetTerms("1.1", absl::Seconds(5));
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  tasks_.RunAll();
  kmod_.FireDeadMan();
  kmod_.SetTakingBack(true);
  EXPECT_EQ(ReasonOf(backend_.Keep(Grant(1))), v1::SESSION_EXPIRED) << "and waits for another try";
  kmod_.SetTakingBack(false);
  backend_.SetTerms("1.2", absl::Seconds(5));
  backend_.dead_man()->Arm(BootTime(absl::Seconds(30)));
  tasks_.RunAll();
  EXPECT_EQ(state(), KmodState::kRevoked);
  EXPECT_TRUE(backend_.Keep(Grant(1)).ok()) << "the coordinator says that it is granted still";
  EXPECT_EQ(state(), KmodState::kLive);
}

TEST_F(KmodBackendTest, AGrantOfAnOlderEpochIsRefused) {
  v1::GrantAssignment later = Grant(1);
  later.mutable_grant()->mutable_token()->set_epoch(2);
  ASSERT_TRUE(backend_.Prepare(later).ok());
  v1::GrantAssignment older = Grant(50);
  older.mutable_grant()->set_segment_id(8);
  EXPECT_EQ(ReasonOf(backend_.Prepare(older)), v1::STALE_TOKEN);
}

TEST_F(KmodBackendTest, WhatWasGrantedInTheEpochBeforeGoesOn) {
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok());
  ASSERT_TRUE(backend_.Open(Grant(1), v1::READ_WRITE).ok());
  v1::GrantAssignment later = Grant(2, 2);
  later.mutable_grant()->set_segment_id(8);
  later.mutable_grant()->mutable_token()->set_epoch(2);
  later.mutable_runs(0)->mutable_extents(0)->set_offset_bytes(32 << 20);
  ASSERT_TRUE(backend_.Prepare(later).ok());
  ASSERT_TRUE(backend_.Prepare(Grant(1)).ok()) << "one more open";
  EXPECT_TRUE(backend_.Open(Grant(1), v1::READ_WRITE).ok());
  kmod_.FireDeadMan();
  backend_.dead_man()->Arm(BootTime(absl::Seconds(20)));
  ASSERT_TRUE(backend_.Keep(Grant(1)).ok());
  EXPECT_EQ(state(), KmodState::kLive);
  EXPECT_EQ(kmod_.GetHost()->last_token, (Token{2, 2}));
  EXPECT_EQ(ReasonOf(backend_.Prepare(Grant(3))), v1::STALE_TOKEN)
      << "nothing new is granted in an epoch that is over";
}

TEST_F(KmodBackendTest, ASessionIsArmedBehindTheWorkOfAllBeforeIt) {
  backend_.SetTerms("1.1", absl::Seconds(5));
  tasks_.RunAll();
  backend_.SetTerms("1.2", absl::Seconds(5));
  backend_.SetTerms("1.3", absl::Seconds(5));
  tasks_.RunOne();  // the end of the first session
  backend_.dead_man()->Arm(BootTime(absl::Seconds(40)));
  EXPECT_EQ(kmod_.deadline(), BootTime(absl::Seconds(10)));
  tasks_.RunOne();  // and of the second
  EXPECT_EQ(kmod_.deadline(), BootTime(absl::Seconds(10)));
  backend_.dead_man()->Arm(BootTime(absl::Seconds(50)));
  EXPECT_EQ(kmod_.deadline(), BootTime(absl::Seconds(50)));
  tasks_.RunAll();
  EXPECT_EQ(kmod_.deadline(), BootTime(absl::Seconds(50))) << "an earlier one came late";
}

TEST_F(KmodBackendTest, ALongerRevokeRaisesTheBoundOnceItIsDurable) {
  EXPECT_EQ(*backend_.RevokeBound(), absl::Seconds(5));
  kmod_.SetLongestRevoke(absl::Seconds(4));
  EXPECT_EQ(*backend_.RevokeBound(), absl::Seconds(8));
  backend_.dead_man()->Arm(BootTime(absl::Seconds(20)));
  EXPECT_EQ(kmod_.bound(), absl::Seconds(5));
  backend_.SetTerms("1.1", absl::Seconds(8));
  backend_.dead_man()->Arm(BootTime(absl::Seconds(30)));
  EXPECT_EQ(kmod_.bound(), absl::Seconds(8));
}

TEST_F(KmodBackendTest, AHandleWaitsForTheBoundThatItsFlushNeeds) {
  v1::GrantAssignment grant = Grant(1);
  grant.set_coherence(v1::SOFTWARE);
  grant.set_size_bytes(uint64_t{16} << 30);
  ASSERT_TRUE(backend_.Prepare(grant).ok());
  EXPECT_TRUE(absl::IsUnavailable(backend_.Open(grant, v1::READ_ONLY).status()));
  const absl::Duration bound = *backend_.RevokeBound();
  EXPECT_GT(bound, absl::Seconds(5));
  backend_.SetTerms("1.1", bound);
  EXPECT_TRUE(backend_.Open(grant, v1::READ_ONLY).ok());
  ASSERT_TRUE(backend_.Forget(grant).ok());
  EXPECT_EQ(*backend_.RevokeBound(), absl::Seconds(5));
}

TEST(KmodRunsTest, AStripeSetIsNotCut) {
  v1::GrantAssignment grant;
  v1::Run& run = *grant.add_runs();
  run.set_chunk_bytes(2 << 20);
  std::map<DeviceId, KmodDeviceId> devices;
  for (uint8_t i = 1; i <= 2; ++i) {
    const DeviceId id(std::array<uint8_t, 16>{i});
    devices[id] = KmodDeviceId(i);
    v1::Extent& extent = *run.add_extents();
    extent.set_device(FormatDeviceName(id));
    extent.set_length_bytes(4 << 20);
  }
  const auto runs = ToKmodRuns(grant, devices, ByteCount(0));
  ASSERT_EQ(runs->size(), 1u);
  EXPECT_EQ((*runs)[0].stripe_chunk, ByteCount(2 << 20));
  EXPECT_EQ((*runs)[0].extents.size(), 2u);
  EXPECT_TRUE(ToKmodRuns(grant, devices, ByteCount(8 << 20))->empty());
  EXPECT_EQ(ToKmodRuns(grant, devices, ByteCount(4 << 20)).status().code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace weft
