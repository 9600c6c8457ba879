// Shows that the soak's checks can fail: each is given what it exists to find.

#include "tests/soak/kill/checker.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/soak/kill/pattern.h"

namespace weft::soak {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kUnit = 2 << 20;
constexpr char kDevice[] = "devices/d";
constexpr char kA[] = "pools/p/segments/a";
constexpr char kB[] = "pools/p/segments/b";

v1::Extent At(uint64_t first_unit, uint64_t units, const std::string& device = kDevice) {
  v1::Extent extent;
  extent.set_device(device);
  extent.set_offset_bytes(first_unit * kUnit);
  extent.set_length_bytes(units * kUnit);
  return extent;
}

v1::Segment MakeSegment(const std::string& name, uint64_t id,
                        const std::vector<v1::Extent>& extents) {
  v1::Segment segment;
  segment.set_name(name);
  segment.set_id(id);
  segment.set_state(v1::SEGMENT_ACTIVE);
  for (const v1::Extent& extent : extents) {
    *segment.add_runs()->add_extents() = extent;
    segment.set_size_bytes(segment.size_bytes() + extent.length_bytes());
  }
  return segment;
}

v1::Event MakeEvent(v1::EventType type, const std::string& resource) {
  v1::Event event;
  event.set_type(type);
  event.set_resource(resource);
  return event;
}

// Of four units, the first and last for labels.
v1::Device MakeDevice(uint64_t used_units) {
  v1::Device device;
  device.set_name(kDevice);
  device.set_data_offset_bytes(kUnit);
  device.set_data_bytes(2 * kUnit);
  device.set_used_bytes(used_units * kUnit);
  device.set_free_bytes((2 - used_units) * kUnit);
  return device;
}

TEST(CheckSegmentsTest, AcceptsWhatWasPromised) {
  EXPECT_THAT(CheckSegments({{kA, {1, 2 * kUnit}}}, {MakeSegment(kA, 1, {At(1, 1), At(5, 1)})}),
              IsEmpty());
}

TEST(CheckSegmentsTest, FindsLostCreate) {
  EXPECT_THAT(CheckSegments({{kA, {1, kUnit}}}, {}), ElementsAre(HasSubstr("is not there")));
}

TEST(CheckSegmentsTest, FindsLostDelete) {
  EXPECT_THAT(CheckSegments({}, {MakeSegment(kA, 1, {At(1, 1)})}),
              ElementsAre(HasSubstr("deletion was acknowledged")));
}

TEST(CheckSegmentsTest, FindsLostGrow) {
  EXPECT_THAT(CheckSegments({{kA, {1, 2 * kUnit}}}, {MakeSegment(kA, 1, {At(1, 1)})}),
              ElementsAre(HasSubstr("has 2097152 bytes, but 4194304 were")));
}

TEST(CheckSegmentsTest, FindsCreateAppliedTwice) {
  EXPECT_THAT(CheckSegments({{kA, {1, kUnit}}}, {MakeSegment(kA, 2, {At(1, 1)})}),
              ElementsAre(HasSubstr("has id 2, but id 1")));
}

TEST(CheckSegmentsTest, FindsBytesWithoutExtent) {
  v1::Segment segment = MakeSegment(kA, 1, {At(1, 1)});
  segment.set_size_bytes(2 * kUnit);
  EXPECT_THAT(CheckSegments({{kA, {1, 2 * kUnit}}}, {segment}),
              ElementsAre(HasSubstr("in extents of 2097152")));
}

TEST(CheckSegmentsTest, FindsSegmentThatIsGoingAway) {
  v1::Segment segment = MakeSegment(kA, 1, {At(1, 1)});
  segment.set_state(v1::SEGMENT_DELETING);
  EXPECT_THAT(CheckSegments({{kA, {1, kUnit}}}, {segment}),
              ElementsAre(HasSubstr("SEGMENT_DELETING")));
}

TEST(CheckEventsTest, AcceptsEachAcknowledgedOperationOnce) {
  EXPECT_THAT(CheckEvents({{kA, {.creates = 1, .grows = 1, .deletes = 1}}},
                          {MakeEvent(v1::SEGMENT_CREATED, kA), MakeEvent(v1::SEGMENT_GROWN, kA),
                           MakeEvent(v1::GRANT_ACQUIRED, kA), MakeEvent(v1::SEGMENT_DELETED, kA)}),
              IsEmpty());
}

TEST(CheckEventsTest, FindsOperationAppliedTwice) {
  const v1::Event event = MakeEvent(v1::SEGMENT_GROWN, kA);
  EXPECT_THAT(CheckEvents({{kA, {.grows = 1}}}, {event, event}),
              ElementsAre(HasSubstr("applied were 0 creates, 2 grows")));
}

TEST(CheckEventsTest, FindsOperationThatNobodyWasTold) {
  EXPECT_THAT(CheckEvents({}, {MakeEvent(v1::SEGMENT_DELETED, kA)}),
              ElementsAre(HasSubstr("1 deletes; acknowledged were 0 creates")));
}

TEST(CheckEventsTest, FindsOperationThatNeverHappened) {
  EXPECT_THAT(CheckEvents({{kA, {.creates = 1}}}, {}), ElementsAre(HasSubstr(kA)));
}

TEST(CheckOverlapsTest, AcceptsNeighboursAndOtherDevices) {
  EXPECT_THAT(CheckOverlaps({{kA, At(1, 2)}, {kB, At(3, 1)}, {kB, At(1, 4, "devices/e")}}),
              IsEmpty());
}

TEST(CheckOverlapsTest, FindsByteInTwoSegments) {
  EXPECT_THAT(CheckOverlaps({{kB, At(2, 1)}, {kA, At(1, 2)}}),
              ElementsAre(HasSubstr("segments/a has [2097152, 6291456) of devices/d, and")));
}

TEST(CheckOverlapsTest, FindsOverlapBehindASmallerExtent) {
  EXPECT_THAT(CheckOverlaps({{"scrub 7", At(1, 4)}, {kA, At(2, 1)}, {kB, At(4, 1)}}),
              ElementsAre(HasSubstr(kA), HasSubstr(kB)));
}

TEST(CheckUsageTest, AcceptsSumsThatAgree) {
  EXPECT_THAT(CheckUsage({MakeDevice(1)}, {MakeSegment(kA, 1, {At(1, 1)})}), IsEmpty());
}

TEST(CheckUsageTest, FindsBytesInNoState) {
  v1::Device device = MakeDevice(0);
  device.set_free_bytes(kUnit);
  EXPECT_THAT(CheckUsage({device}, {}), ElementsAre(HasSubstr("accounts for 2097152 of 4194304")));
}

TEST(CheckUsageTest, FindsUsedBytesOfNobody) {
  EXPECT_THAT(CheckUsage({MakeDevice(1)}, {}), ElementsAre(HasSubstr("segments have 0")));
}

class CheckFreeBytesTest : public testing::Test {
 protected:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(4 * kUnit);
  const std::vector<v1::Segment> segments_ = {MakeSegment(kA, 1, {At(1, 1)})};
};

TEST_F(CheckFreeBytesTest, LooksNeitherAtSegmentsNorAtLabels) {
  for (const uint64_t at : {uint64_t{0}, kUnit, 2 * kUnit - 1, 3 * kUnit}) {
    bytes_[at] = std::byte{1};
  }
  EXPECT_THAT(CheckFreeBytes(MakeDevice(1), bytes_, segments_), IsEmpty());
}

TEST_F(CheckFreeBytesTest, FindsUnscrubbedByte) {
  bytes_[3 * kUnit - 1] = std::byte{1};
  EXPECT_THAT(CheckFreeBytes(MakeDevice(1), bytes_, segments_),
              ElementsAre(HasSubstr("free bytes of devices/d are not zero: at byte 6291448")));
}

TEST(PatternTest, IsFoundAsItWasWritten) {
  std::vector<std::byte> bytes(4096);
  Fill(bytes, 8192, {.segment_id = 1, .generation = 1, .version = 3});
  EXPECT_EQ(Differs(bytes, 8192, {.segment_id = 1, .generation = 1, .version = 3}), "");
}

TEST(PatternTest, TellsOwnersVersionsAndPlacesApart) {
  const Stamp stamp{.segment_id = 1, .generation = 1, .version = 3};
  std::vector<std::byte> bytes(4096);
  Fill(bytes, 8192, stamp);
  EXPECT_THAT(Differs(bytes, 0, stamp), HasSubstr("at byte 0"));
  for (const Stamp& other : std::vector<Stamp>{{2, 1, 3}, {1, 2, 3}, {1, 1, 2}, {1, 1, 0}}) {
    EXPECT_THAT(Differs(bytes, 8192, other), HasSubstr("at byte 8192"));
  }
}

TEST(PatternTest, FindsASingleForeignByte) {
  const Stamp stamp{.segment_id = 1, .generation = 1, .version = 3};
  std::vector<std::byte> bytes(4096);
  Fill(bytes, 0, stamp);
  bytes[4095] ^= std::byte{1};
  EXPECT_THAT(Differs(bytes, 0, stamp), HasSubstr("at byte 4088"));
}

TEST(PatternTest, FindsWhatIsLeftOfAnEarlierOwner) {
  std::vector<std::byte> bytes(4096);
  bytes[2000] = std::byte{7};
  EXPECT_THAT(Differs(bytes, 0, {.segment_id = 1, .generation = 1}),
              HasSubstr("at byte 2000 there is 7, not zero of segment id 1"));
}

}  // namespace
}  // namespace weft::soak
