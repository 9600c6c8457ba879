#include "server/node/work_table.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

using testing::ElementsAre;

v1::Assignment Scrub(uint64_t counter, uint64_t done = 0) {
  v1::Assignment work;
  work.set_key("scrub/1");
  work.mutable_scrub()->set_scrub_id(1);
  work.mutable_scrub()->mutable_token()->set_counter(counter);
  work.mutable_scrub()->set_done_bytes(done);
  return work;
}

v1::Assignment Copy(uint64_t id) {
  v1::Assignment work;
  work.set_key("scrub/" + std::to_string(id));
  work.mutable_copy()->set_id(id);
  return work;
}

v1::Assignment Step(uint64_t id) {
  v1::Assignment work;
  work.set_key("exchange/d");
  work.mutable_exchange()->set_step_id(id);
  return work;
}

v1::Assignments List(bool whole, std::initializer_list<v1::Assignment> upserts) {
  v1::Assignments assignments;
  assignments.set_whole(whole);
  for (const v1::Assignment& work : upserts) *assignments.add_upserts() = work;
  return assignments;
}

v1::NodeMessage Progress(uint64_t done) {
  v1::NodeMessage report;
  report.mutable_scrub_progress()->set_done_bytes(done);
  return report;
}

TEST(WorkTableTest, WorkIsStartedOnceHoweverOftenItIsSaid) {
  WorkTable table;
  EXPECT_EQ(table.Apply(List(true, {Scrub(1)})).start.size(), 1u);
  EXPECT_TRUE(table.Apply(List(true, {Scrub(1, 4096)})).start.empty());
  EXPECT_TRUE(table.Apply(List(false, {Scrub(1)})).start.empty());
}

TEST(WorkTableTest, AnotherTokenIsOtherWork) {
  WorkTable table;
  table.Apply(List(true, {Scrub(1)}));
  const WorkTable::Changes changes = table.Apply(List(false, {Scrub(2)}));
  ASSERT_EQ(changes.stop.size(), 1u);
  EXPECT_EQ(changes.stop[0].scrub().token().counter(), 1u);
  EXPECT_EQ(changes.start.size(), 1u);
  EXPECT_FALSE(table.Report(Scrub(1), Progress(1)));
  EXPECT_TRUE(table.Report(Scrub(2), Progress(1)));
}

TEST(WorkTableTest, WhatAWholeListDoesNotNameIsStopped) {
  WorkTable table;
  table.Apply(List(true, {Scrub(1), Step(1)}));
  const WorkTable::Changes changes = table.Apply(List(true, {Step(1)}));
  ASSERT_EQ(changes.stop.size(), 1u);
  EXPECT_TRUE(changes.stop[0].has_scrub());
  EXPECT_FALSE(table.IsWanted(Scrub(1)));
}

TEST(WorkTableTest, ARemovalStopsJustThat) {
  WorkTable table;
  table.Apply(List(true, {Scrub(1), Step(1)}));
  v1::Assignments removal;
  removal.add_removals("exchange/d");
  EXPECT_EQ(table.Apply(removal).stop.size(), 1u);
  EXPECT_TRUE(table.IsWanted(Scrub(1)));
}

TEST(WorkTableTest, ReportsAreKeptForACoordinatorThatMissedThem) {
  WorkTable table;
  table.Apply(List(true, {Scrub(1), Step(1)}));
  EXPECT_TRUE(table.Reports().empty());
  table.Report(Scrub(1), Progress(1));
  table.Report(Scrub(1), Progress(2));
  ASSERT_EQ(table.Reports().size(), 1u);
  EXPECT_EQ(table.Reports()[0].scrub_progress().done_bytes(), 2u);
  table.Apply(List(true, {Step(1)}));
  EXPECT_TRUE(table.Reports().empty());
}

TEST(WorkTableTest, ACopyIsListedLikeAnyOtherScrub) {
  WorkTable table;
  table.Apply(List(true, {Scrub(1), Copy(2), Step(3)}));
  EXPECT_THAT(table.Scrubs(), ElementsAre(1, 2));
}

TEST(WorkTableTest, GrantsAreNoneOfItsBusiness) {
  WorkTable table;
  v1::Assignment grant;
  grant.set_key("grant/1");
  grant.mutable_grant();
  EXPECT_TRUE(table.Apply(List(true, {grant})).start.empty());
}

}  // namespace
}  // namespace weft
