#include "server/node/grant_table.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

constexpr SegmentId kSegment{7};
constexpr char kName[] = "pools/p/segments/s";
constexpr ConnectionId kClient = 3;
constexpr HandleKey kHandle{kClient, 100};
constexpr HandleKey kOther{4, 100};

class GrantTableTest : public testing::Test {
 protected:
  explicit GrantTableTest(GrantTableOptions options = {}) : table_(options) {
    table_.SetConnected(true);
  }

  static v1::AcquireGrantResponse Granted(uint64_t revision, uint64_t counter = 1) {
    v1::AcquireGrantResponse response;
    v1::Grant& grant = *response.mutable_grant();
    grant.set_segment(kName);
    grant.set_segment_id(kSegment.value());
    grant.set_mode(v1::READ_WRITE);
    grant.mutable_token()->set_epoch(1);
    grant.mutable_token()->set_counter(counter);
    grant.set_state(v1::GRANT_ACTIVE);
    response.mutable_segment()->set_generation(1);
    response.set_revision(revision);
    return response;
  }

  static v1::Assignments Listed(uint64_t revision, bool whole,
                                v1::GrantState state = v1::GRANT_ACTIVE, uint32_t grace_ms = 0) {
    v1::Assignments assignments;
    assignments.set_revision(revision);
    assignments.set_whole(whole);
    v1::Assignment& assignment = *assignments.add_upserts();
    assignment.set_key(absl::StrCat("grant/", kSegment.value()));
    *assignment.mutable_grant()->mutable_grant() = Granted(revision).grant();
    assignment.mutable_grant()->mutable_grant()->set_state(state);
    assignment.mutable_grant()->set_generation(1);
    assignment.mutable_grant()->set_grace_ms(grace_ms);
    return assignments;
  }

  static v1::Assignments Unlisted(uint64_t revision) {
    v1::Assignments assignments;
    assignments.set_revision(revision);
    assignments.set_whole(true);
    return assignments;
  }

  static v1::HandleState Claim(uint64_t counter = 1, uint64_t generation = 1) {
    v1::HandleState claim;
    claim.set_segment(kName);
    claim.set_segment_id(kSegment.value());
    claim.set_generation(generation);
    claim.mutable_token()->set_epoch(1);
    claim.mutable_token()->set_counter(counter);
    claim.set_mode(v1::READ_ONLY);
    return claim;
  }

  // As GrantKeeper does for a client.
  void Open(const HandleKey& key, uint64_t revision = 5, const std::string& user = "user") {
    table_.BeginAcquire(kName);
    ASSERT_TRUE(table_.Acquired(Granted(revision)));
    ASSERT_TRUE(table_.AddHandle(key, user, kSegment, v1::READ_WRITE).ok());
    table_.EndAcquire(kName);
  }

  GrantActions Reconcile() { return table_.Reconcile(now_); }
  // An inspection finds it unmapped: it is released.
  void ReleaseUnmapped() {
    const std::vector<SegmentId> it = {kSegment};
    EXPECT_EQ(Reconcile().inspect, it);
    table_.Inspected(kSegment, false, now_);
    EXPECT_EQ(Reconcile().release, it);
  }
  void Pass(absl::Duration time) { now_ = now_ + time; }
  void EndRelease(bool released, uint64_t counter = 1) {
    table_.EndRelease(kSegment, Granted(0, counter).grant().token(), released, now_);
  }

  GrantTable table_;
  BootTime now_{absl::Hours(1)};
};

using Segments = std::vector<SegmentId>;

TEST_F(GrantTableTest, TheLastCloseReleasesTheGrantAtTheClientsWord) {
  Open(kHandle);
  Open(kOther);
  EXPECT_TRUE(Reconcile().release.empty());
  table_.CloseHandle(kHandle);
  EXPECT_TRUE(Reconcile().release.empty());
  table_.CloseHandle(kOther);
  const GrantActions actions = Reconcile();
  EXPECT_EQ(actions.release, Segments{kSegment});
  EXPECT_TRUE(actions.inspect.empty());
  EXPECT_TRUE(table_.IsSettling(kSegment));
  EXPECT_TRUE(actions.settled.empty());
  EndRelease(true);
  EXPECT_EQ(table_.grants(), 0u);
  EXPECT_FALSE(table_.IsSettling(kSegment));
  const GrantActions after = Reconcile();
  EXPECT_EQ(after.settled, Segments{kSegment});
  EXPECT_EQ(after.acquirable, std::vector<std::string>{kName});
}

TEST_F(GrantTableTest, AReleaseThatMayHaveFailedIsRepeatedAndKeepsOpensWaiting) {
  Open(kHandle);
  table_.CloseHandle(kHandle);
  Reconcile();
  EndRelease(false);
  EXPECT_TRUE(table_.IsReleasing(kName));
  EXPECT_FALSE(table_.IsSettling(kSegment));
  const GrantActions later = Reconcile();
  EXPECT_TRUE(later.release.empty());
  now_ = later.next;
  EXPECT_EQ(Reconcile().release, Segments{kSegment});
  EndRelease(true);
  EXPECT_FALSE(table_.IsReleasing(kName));
}

TEST_F(GrantTableTest, TheEndOfAnOlderReleaseSaysNothing) {
  Open(kHandle);
  table_.CloseHandle(kHandle);
  Reconcile();
  EndRelease(true, /*counter=*/0);
  EXPECT_EQ(table_.grants(), 1u);
}

TEST_F(GrantTableTest, NothingIsReleasedWhileAnOpenIsUnderWay) {
  Open(kHandle);
  table_.BeginAcquire(kName);
  table_.CloseHandle(kHandle);
  EXPECT_TRUE(Reconcile().release.empty());
  table_.EndAcquire(kName);  // it failed
  EXPECT_EQ(Reconcile().release, Segments{kSegment});
}

TEST_F(GrantTableTest, NothingIsReleasedWhileTheCoordinatorIsAway) {
  Open(kHandle);
  table_.SetConnected(false);
  table_.CloseHandle(kHandle);
  EXPECT_TRUE(Reconcile().release.empty());
  table_.SetConnected(true);
  EXPECT_EQ(Reconcile().release, Segments{kSegment});
}

TEST_F(GrantTableTest, AClientThatDiedIsNotTakenAtItsWord) {
  Open(kHandle);
  table_.DropConnection(kClient);
  GrantActions actions = Reconcile();
  EXPECT_EQ(actions.inspect, Segments{kSegment});
  EXPECT_TRUE(actions.release.empty());
  // A child of it still maps the segment.
  table_.Inspected(kSegment, /*in_use=*/true, now_);
  actions = Reconcile();
  EXPECT_TRUE(actions.inspect.empty());
  now_ = actions.next;
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
  table_.Inspected(kSegment, /*in_use=*/false, now_);
  EXPECT_EQ(Reconcile().release, Segments{kSegment});
}

TEST_F(GrantTableTest, AnInspectionBegunBeforeAnOpenSaysNothing) {
  Open(kHandle);
  table_.DropConnection(kClient);
  Reconcile();
  Open(kOther, 6);
  table_.Inspected(kSegment, /*in_use=*/false, now_);
  table_.CloseHandle(kOther);
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});  // the dead client is still in doubt
}

TEST_F(GrantTableTest, AWholeListThatIsOlderDoesNotDropAGrant) {
  Open(kHandle, 5);
  EXPECT_TRUE(table_.Apply(Unlisted(4)).handles.empty());
  EXPECT_NE(table_.Find(kSegment), nullptr);
  const GrantTable::Gone gone = table_.Apply(Unlisted(5));
  EXPECT_EQ(gone.handles, std::vector<HandleKey>{kHandle});
  EXPECT_EQ(gone.grants.size(), 1u);
  EXPECT_EQ(table_.handles(), 0u);
}

TEST_F(GrantTableTest, ARemovalThatIsOlderDoesNotDropAGrant) {
  table_.BeginAcquire(kName);
  table_.Apply(Listed(5, false));
  table_.Acquired(Granted(9));
  table_.EndAcquire(kName);
  v1::Assignments removal;
  removal.set_revision(8);
  removal.add_removals("grant/7");
  table_.Apply(removal);
  EXPECT_NE(table_.Find(kSegment), nullptr);
}

TEST_F(GrantTableTest, AnAnswerThatWasOvertakenGivesNoGrant) {
  table_.Apply(Unlisted(6));
  table_.BeginAcquire(kName);
  EXPECT_FALSE(table_.Acquired(Granted(5)));
  EXPECT_EQ(table_.grants(), 0u);
}

TEST_F(GrantTableTest, ARevokeIsPoliteAndConfirmedOnlyByAnInspection) {
  Open(kHandle);
  table_.Apply(Listed(6, false, v1::GRANT_REVOKING, 250));
  GrantActions actions = Reconcile();
  ASSERT_EQ(actions.notices.size(), 1u);
  EXPECT_EQ(actions.notices[0].handle, kHandle);
  EXPECT_EQ(actions.notices[0].grace_ms, 250u);
  EXPECT_TRUE(Reconcile().notices.empty());
  EXPECT_EQ(ReasonOf(table_.AddHandle(kOther, "user", kSegment, v1::READ_ONLY)), v1::STALE_TOKEN);
  table_.CloseHandle(kHandle);
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
  table_.Inspected(kSegment, /*in_use=*/false, now_);
  EXPECT_EQ(Reconcile().release, Segments{kSegment});
}

class RevocableTest : public GrantTableTest {
 protected:
  RevocableTest() : GrantTableTest({.can_revoke = true}) {}
};

TEST_F(RevocableTest, ARevokeIsForcedWhenTheGraceIsOver) {
  Open(kHandle);
  table_.Apply(Listed(6, false, v1::GRANT_REVOKING, 250));
  GrantActions actions = Reconcile();
  EXPECT_TRUE(actions.take_back.empty());
  EXPECT_EQ(actions.next, now_ + absl::Milliseconds(250));
  now_ = actions.next;
  EXPECT_EQ(Reconcile().take_back, Segments{kSegment});
  table_.Inspected(kSegment, /*in_use=*/true, now_);  // pages are pinned
  now_ = Reconcile().next;
  EXPECT_EQ(Reconcile().take_back, Segments{kSegment});
  table_.Inspected(kSegment, /*in_use=*/false, now_);
  EXPECT_EQ(Reconcile().release, Segments{kSegment});
  EXPECT_EQ(table_.handles(), 0u);
}

TEST_F(RevocableTest, AClientThatClosesIsNotTakenAtItsWord) {
  Open(kHandle);
  table_.CloseHandle(kHandle);
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
  table_.Inspected(kSegment, /*in_use=*/true, now_);
  GrantActions actions = Reconcile();
  EXPECT_TRUE(actions.inspect.empty());
  EXPECT_TRUE(actions.release.empty());
  table_.HandleReleased(kSegment);
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
  table_.Inspected(kSegment, /*in_use=*/false, now_);
  EXPECT_EQ(Reconcile().release, Segments{kSegment});
}

TEST_F(RevocableTest, AHandleThatIsOverDuringAnInspectionMakesAnother) {
  Open(kHandle);
  table_.CloseHandle(kHandle);
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
  table_.HandleReleased(kSegment);
  table_.Inspected(kSegment, /*in_use=*/true, now_);
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
}

TEST_F(RevocableTest, AnExpiredLeaseIsNotToldSinceTheGrantMayGoOn) {
  Open(kHandle);
  table_.SetConnected(false);
  table_.ExpireLease();
  EXPECT_TRUE(Reconcile().notices.empty());
  EXPECT_EQ(table_.handles(), 1u);
}

TEST_F(GrantTableTest, AnExpiredLeaseTellsEveryClientOnce) {
  Open(kHandle);
  Open(kOther);
  table_.SetConnected(false);
  table_.ExpireLease();
  EXPECT_EQ(Reconcile().notices.size(), 2u);
  EXPECT_TRUE(Reconcile().notices.empty());
  EXPECT_EQ(table_.Held().size(), 1u);  // it may still be mapped
}

TEST_F(GrantTableTest, AGrantOfAnEarlierRunWaitsForItsClientThenIsInspected) {
  table_.Recall(Listed(0, false).upserts(0).grant(), now_);
  GrantActions actions = Reconcile();
  EXPECT_TRUE(actions.inspect.empty());
  now_ = actions.next;
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
}

// The coordinator saw the acquire twice, the second time after the release.
TEST_F(GrantTableTest, AGrantThatComesWhileTheOneBeforeItIsReleasedIsReleasedToo) {
  table_.Apply(Listed(5, /*whole=*/true));
  ReleaseUnmapped();
  v1::Assignments again = Listed(6, /*whole=*/false);
  again.mutable_upserts(0)->mutable_grant()->mutable_grant()->mutable_token()->set_counter(99);
  table_.Apply(again);
  EndRelease(true);
  EXPECT_TRUE(table_.IsReleasing(kName));
  EXPECT_EQ(Reconcile().release, Segments{kSegment});
  v1::Token token = again.upserts(0).grant().grant().token();
  table_.EndRelease(kSegment, token, true, now_);
  EXPECT_EQ(table_.grants(), 0u);
}

// An earlier run of the daemon released it, and was killed before it had an answer.
TEST_F(GrantTableTest, AGrantThatNobodyLeftIsReleasedAndNotClaimed) {
  table_.Apply(Listed(5, /*whole=*/true));
  EXPECT_FALSE(table_.Adopt(kHandle, "user", Claim()));
  ReleaseUnmapped();
  EXPECT_TRUE(table_.IsReleasing(kName)) << "an open waits";
  EndRelease(true);
  EXPECT_FALSE(table_.IsReleasing(kName));
  Open(kHandle, 6);
}

// What an earlier run recorded of it was lost, and its clients live on. Or it is the clients of
// another daemon on this machine that have it mapped.
TEST_F(GrantTableTest, AGrantThatNobodyAskedForIsNotReleasedWhileItIsMapped) {
  table_.Apply(Listed(5, /*whole=*/true));
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
  table_.Inspected(kSegment, true, now_);
  EXPECT_TRUE(Reconcile().release.empty());
  EXPECT_FALSE(table_.IsReleasing(kName)) << "an open need not wait for them";
  Open(kHandle, 6);
  table_.CloseHandle(kHandle);
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment}) << "they may have it mapped still";
  table_.Inspected(kSegment, true, now_);
  Pass(absl::Seconds(1));
  ReleaseUnmapped();
}

TEST_F(GrantTableTest, AGrantThatNobodyLeftAndThatIsOpenedCanBeClaimed) {
  table_.Apply(Listed(5, /*whole=*/true));
  Open(kHandle, 6);
  table_.DropConnection(kHandle.connection);
  EXPECT_TRUE(table_.Adopt({7, kHandle.id}, "user", Claim()));
}

TEST_F(GrantTableTest, ALongSegmentDoesNotHideWhereTheOthersAre) {
  for (uint64_t id = 1; id <= 3; ++id) {
    v1::GrantAssignment grant = Listed(0, false).upserts(0).grant();
    grant.mutable_grant()->set_segment_id(id);
    for (int extent = 0; extent < (id == 3 ? 30'000 : 1); ++extent) {
      grant.add_runs()->add_extents()->set_length_bytes(1 << 21);
    }
    table_.Recall(grant, now_);
  }
  const std::vector<v1::HeldGrant> held = table_.Held();
  ASSERT_EQ(held.size(), 3u);
  EXPECT_EQ(held[0].runs_size(), 1);
  EXPECT_EQ(held[1].runs_size(), 1);
  EXPECT_EQ(held[2].runs_size(), 0) << "longer than a message may be";
}

// The coordinator died before it answered.
TEST_F(GrantTableTest, AGrantWhoseAnswerWasLostIsReleasedAtOnce) {
  v1::Assignments none;
  none.set_whole(true);
  table_.Apply(none);
  table_.Apply(Listed(5, /*whole=*/false));
  EXPECT_EQ(Reconcile().release, Segments{kSegment});
}

TEST_F(GrantTableTest, AGrantThatComesBackMayBeMappedStill) {
  Open(kHandle, 5);
  v1::Assignments none;
  none.set_whole(true);
  none.set_revision(6);
  table_.Apply(none);
  table_.Apply(Listed(7, /*whole=*/true));
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
}

TEST_F(GrantTableTest, AHandleOfAnEarlierRunIsAdopted) {
  table_.Recall(Listed(0, false).upserts(0).grant(), now_);
  EXPECT_TRUE(table_.Adopt(kHandle, "user", Claim()));
  Pass(absl::Hours(1));
  EXPECT_TRUE(Reconcile().inspect.empty());
  EXPECT_EQ(table_.FindHandle(kHandle)->mode, v1::READ_ONLY);
}

TEST_F(GrantTableTest, AnotherClientDoesNotEndTheTimeToClaim) {
  table_.Recall(Listed(0, false).upserts(0).grant(), now_);
  const BootTime over = Reconcile().next;
  Open(kOther);
  table_.CloseHandle(kOther);
  table_.HandleReleased(kSegment);
  GrantActions actions = Reconcile();
  EXPECT_TRUE(actions.inspect.empty());
  EXPECT_TRUE(actions.release.empty());
  EXPECT_EQ(actions.next, over);
  EXPECT_TRUE(table_.Adopt(kHandle, "user", Claim()));  // not too late
  table_.CloseHandle(kHandle);
  now_ = over;
  EXPECT_EQ(Reconcile().inspect, Segments{kSegment});
}

TEST_F(GrantTableTest, AHandleOfAnotherTokenOrGenerationIsStale) {
  table_.Recall(Listed(0, false).upserts(0).grant(), now_);
  EXPECT_FALSE(table_.Adopt(kHandle, "user", Claim(/*counter=*/2)));
  EXPECT_FALSE(table_.Adopt(kHandle, "user", Claim(1, /*generation=*/2)));
  v1::HandleState unknown = Claim();
  unknown.set_segment_id(8);
  EXPECT_FALSE(table_.Adopt(kHandle, "user", unknown));
}

class BadMemoryTest : public GrantTableTest {
 protected:
  // The coordinator says which bytes are bad.
  void Say(uint64_t revision, std::initializer_list<uint64_t> offsets) {
    v1::Assignments assignments = Listed(revision, false);
    for (const uint64_t offset : offsets) {
      v1::ByteRange& range =
          *assignments.mutable_upserts(0)->mutable_grant()->mutable_bad_ranges()->Add();
      range.set_offset_bytes(offset);
      range.set_length_bytes(4096);
    }
    table_.Apply(assignments);
  }
  size_t Told() { return Reconcile().poisoned.size(); }
};

TEST_F(BadMemoryTest, EveryClientIsToldOnceOfWhatIsNew) {
  Open(kHandle);
  Open(kOther);
  EXPECT_EQ(Told(), 0u);
  Say(6, {8192});
  EXPECT_EQ(Told(), 2u);
  EXPECT_EQ(Told(), 0u);
  Say(7, {8192});
  EXPECT_EQ(Told(), 0u);
  Say(8, {8192, 16384});
  EXPECT_EQ(Told(), 2u);
  Say(9, {});  // cleared
  EXPECT_EQ(Told(), 0u);
  EXPECT_EQ(table_.handles(), 2u);
}

TEST_F(BadMemoryTest, AClientThatComesLaterOrComesBackIsToldToo) {
  Open(kHandle);
  Say(6, {8192});
  EXPECT_EQ(Told(), 1u);
  EXPECT_TRUE(table_.Adopt(kOther, "user", Claim()));
  const GrantActions actions = Reconcile();
  ASSERT_EQ(actions.poisoned.size(), 1u);
  EXPECT_EQ(actions.poisoned[0].first, kOther);
  EXPECT_EQ(table_.Find(actions.poisoned[0].second)->bad_ranges(0).offset_bytes(), 8192u);
}

class QuotaTest : public GrantTableTest {
 protected:
  QuotaTest() : GrantTableTest({.max_handles = 6, .max_handles_per_client = 2}) {}
};

TEST_F(QuotaTest, HandlesAreBoundedForAClientAndForAUser) {
  Open({1, 1});
  Open({1, 2});
  EXPECT_EQ(ReasonOf(table_.CheckQuota(1, "user")), v1::QUOTA);
  EXPECT_TRUE(table_.CheckQuota(2, "user").ok());
  Open({2, 1});
  EXPECT_EQ(ReasonOf(table_.CheckQuota(3, "user")), v1::QUOTA);
  EXPECT_TRUE(table_.CheckQuota(3, "other").ok());
  table_.CloseHandle({1, 1});
  EXPECT_TRUE(table_.CheckQuota(3, "user").ok());
}

TEST_F(QuotaTest, AHandleThatIsTakenAwayCountsNoMore) {
  Open({1, 1});
  Open({1, 2});
  Open({2, 1});
  table_.Apply(Unlisted(6));
  Open({3, 1}, /*revision=*/7);
  Open({4, 1}, /*revision=*/7);
  EXPECT_TRUE(table_.CheckQuota(5, "user").ok());
}

}  // namespace
}  // namespace weft
