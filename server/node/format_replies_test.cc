#include "server/node/format_replies.h"

#include <string>

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

v1::FormatDeviceRequest Request(const std::string& id) {
  v1::FormatDeviceRequest request;
  request.set_device("dax0.0");
  request.set_request_id(id);
  return request;
}

v1::LocalDeviceInfo Reply(const std::string& uuid) {
  v1::LocalDeviceInfo reply;
  reply.set_uuid(uuid);
  return reply;
}

TEST(FormatRepliesTest, TheSameRequestGetsTheSameReply) {
  FormatReplies replies;
  EXPECT_FALSE(replies.Find(Request("a")).has_value());
  replies.Keep(Request("a"), Reply("1"));
  replies.Keep(Request("b"), Reply("2"));
  ASSERT_TRUE(replies.Find(Request("a")).has_value());
  EXPECT_EQ((*replies.Find(Request("a")))->uuid(), "1");
  EXPECT_EQ((*replies.Find(Request("b")))->uuid(), "2");
}

TEST(FormatRepliesTest, AnotherRequestWithTheSameIdIsRefused) {
  FormatReplies replies;
  replies.Keep(Request("a"), Reply("1"));
  v1::FormatDeviceRequest forced = Request("a");
  forced.set_force(true);
  ASSERT_TRUE(replies.Find(forced).has_value());
  EXPECT_EQ(ReasonOf(replies.Find(forced)->status()), v1::REQUEST_ID_REUSED);
}

TEST(FormatRepliesTest, WithoutAnIdEveryRequestIsNew) {
  FormatReplies replies;
  replies.Keep(Request(""), Reply("1"));
  EXPECT_FALSE(replies.Find(Request("")).has_value());
}

TEST(FormatRepliesTest, KeepsOnlySoManyAndNoLongIds) {
  FormatReplies replies;
  for (int i = 0; i <= 64; ++i) replies.Keep(Request(std::to_string(i)), Reply("1"));
  EXPECT_FALSE(replies.Find(Request("0")).has_value());
  EXPECT_TRUE(replies.Find(Request("1")).has_value());
  EXPECT_TRUE(replies.Find(Request("64")).has_value());
  const auto refused = replies.Find(Request(std::string(65, 'x')));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(ReasonOf(refused->status()), v1::BAD_ARGUMENT);
}

}  // namespace
}  // namespace weft
