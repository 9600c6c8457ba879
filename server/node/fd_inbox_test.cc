#include "server/node/fd_inbox.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

class FdInboxTest : public testing::Test {
 protected:
  // Everything there is: `<connection>:<packet>`, or `<connection>.` for its end.
  std::vector<std::string> Take() {
    std::vector<std::string> taken;
    while (const std::optional<FdEvent> event = inbox_.Next()) {
      taken.push_back(event->packet ? absl::StrCat(event->connection, ":", *event->packet)
                                    : absl::StrCat(event->connection, "."));
    }
    return taken;
  }
  bool Connect(ConnectionId id, uint32_t uid) { return inbox_.Connect(id, {.pid = 1, .uid = uid}); }

  FdInbox inbox_{{.max_connections = 8, .max_bytes = 8192, .max_connection_bytes = 2048}};
};

using Taken = std::vector<std::string>;

TEST_F(FdInboxTest, UsersTakeTurnsAndSoDoTheirConnections) {
  ASSERT_TRUE(Connect(1, 100) && Connect(2, 100) && Connect(3, 200));
  for (const char* packet : {"a", "b", "c"}) EXPECT_TRUE(inbox_.Add(1, packet));
  EXPECT_TRUE(inbox_.Add(2, "d"));
  EXPECT_TRUE(inbox_.Add(3, "e"));
  EXPECT_TRUE(inbox_.Add(3, "f"));
  EXPECT_EQ(Take(), (Taken{"1:a", "3:e", "2:d", "3:f", "1:b", "1:c"}));
  EXPECT_TRUE(inbox_.empty());
}

TEST_F(FdInboxTest, TheEndComesAfterAllThatWasSentAndGivesTheShareBack) {
  for (ConnectionId id = 1; id <= 4; ++id) EXPECT_TRUE(Connect(id, 100)) << id;
  EXPECT_FALSE(Connect(5, 100));
  EXPECT_TRUE(inbox_.Add(1, "a"));
  inbox_.Close(1);
  inbox_.Close(5);
  EXPECT_FALSE(Connect(6, 100));  // what it sent is still there
  EXPECT_EQ(Take(), (Taken{"1:a", "1."}));
  EXPECT_TRUE(Connect(6, 100));
  EXPECT_TRUE(Connect(7, 200));
}

TEST_F(FdInboxTest, WhatAConnectionAndAUserHaveSentIsBounded) {
  const std::string packet(1500, 'x');
  ASSERT_TRUE(Connect(1, 100) && Connect(2, 100) && Connect(3, 100) && Connect(4, 200));
  EXPECT_TRUE(inbox_.Add(1, packet));
  EXPECT_FALSE(inbox_.Add(1, packet));
  EXPECT_TRUE(inbox_.Add(2, packet));
  EXPECT_FALSE(inbox_.Add(3, packet));
  EXPECT_TRUE(inbox_.Add(4, packet));
  EXPECT_EQ(Take().size(), 3u);
  EXPECT_TRUE(inbox_.Add(3, packet));
}

}  // namespace
}  // namespace weft
