#include "server/core/names.h"

#include <string>

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

constexpr char kUuid[] = "6f1c0f6e-4d0e-4c57-9d4b-0d8c5a1f2e3b";

void ExpectBadName(const absl::Status& status, const std::string& part_of_message) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), v1::BAD_NAME) << status;
  EXPECT_NE(std::string(status.message()).find(part_of_message), std::string::npos) << status;
}

TEST(CheckId, AcceptsLettersDigitsAndInnerPunctuation) {
  for (const std::string id : {"a", "0", "a1", "host-a", "kv_cache.v2", "a..b", "a--b", "0.0"}) {
    EXPECT_TRUE(CheckId("pool", id).ok()) << id;
  }
  EXPECT_TRUE(CheckId("pool", std::string(63, 'x')).ok());
}

TEST(CheckId, SaysWhatIsWrong) {
  ExpectBadName(CheckId("pool", ""), "the pool id \"\" is empty");
  ExpectBadName(CheckId("host", std::string(64, 'x')), "has 64 characters, more than 63");
  ExpectBadName(CheckId("pool", "Fast"), "has the character \"F\"");
  ExpectBadName(CheckId("pool", "a b"), "has the character \" \"");
  ExpectBadName(CheckId("pool", "a/b"), "has the character \"/\"");
  ExpectBadName(CheckId("pool", std::string("a\0b", 3)), "has the character \"\\x00\"");
  ExpectBadName(CheckId("pool", "caf\xc3\xa9"), "has the character \"\\xc3\"");
  ExpectBadName(CheckId("pool", "-a"), "does not start with");
  ExpectBadName(CheckId("pool", "."), "does not start with");
  ExpectBadName(CheckId("pool", "a."), "does not end with");
  ExpectBadName(CheckId("segment", "a-"), "choose one such as \"segment-1\"");
}

TEST(CheckId, DoesNotRepeatLongGarbageInFull) {
  const absl::Status status = CheckId("pool", std::string(1 << 20, '!'));
  ExpectBadName(status, "...\"");
  EXPECT_LT(status.message().size(), 300u);
}

TEST(ResourceNames, AreReadBackAsWritten) {
  EXPECT_EQ(FormatPoolName("p"), "pools/p");
  EXPECT_EQ(ParsePoolName("pools/p").value(), "p");
  const SegmentName segment{"p", "s.1"};
  EXPECT_EQ(FormatSegmentName(segment), "pools/p/segments/s.1");
  EXPECT_EQ(ParseSegmentName("pools/p/segments/s.1").value(), segment);
  EXPECT_EQ(ParseShortSegmentName("p/s.1").value(), segment);
  EXPECT_EQ(FormatHostName("h"), "hosts/h");
  EXPECT_EQ(ParseHostName("hosts/h").value(), "h");
  const DeviceId device = Uuid::Parse(kUuid).value();
  EXPECT_EQ(FormatDeviceName(device), std::string("devices/") + kUuid);
  EXPECT_EQ(ParseDeviceName(std::string("devices/") + kUuid).value(), device);
}

TEST(ResourceNames, OfAnotherFormAreRefusedWithAnExample) {
  for (const char* name : {"", "p", "pool/p", "Pools/p", "/pools/p", "hosts/p"}) {
    ExpectBadName(ParsePoolName(name).status(), "as in pools/fast");
  }
  for (const char* name : {"", "p/s", "pools/p", "pools/p/segment/s", "segments/s"}) {
    ExpectBadName(ParseSegmentName(name).status(), "as in pools/fast/segments/cache");
  }
  ExpectBadName(ParseHostName("host/h").status(), "as in hosts/host-a");
  ExpectBadName(ParseShortSegmentName("s").status(), "as in fast/cache");
  for (const char* name : {"", "devices/", "devices/dax0.0", "devices/6f1c0f6e", kUuid}) {
    ExpectBadName(ParseDeviceName(name).status(), "as in devices/");
  }
  ExpectBadName(ParseDeviceName(std::string("devices/") + kUuid + "0").status(), "devices/<uuid>");
}

TEST(ResourceNames, WithBadIdsAreRefused) {
  ExpectBadName(ParsePoolName("pools/").status(), "pool id \"\" is empty");
  ExpectBadName(ParsePoolName("pools/p/").status(), "has the character \"/\"");
  ExpectBadName(ParsePoolName("pools/p/segments/s").status(), "has the character \"/\"");
  ExpectBadName(ParseSegmentName("pools//segments/s").status(), "pool id \"\" is empty");
  ExpectBadName(ParseSegmentName("pools/p/segments/").status(), "segment id \"\" is empty");
  ExpectBadName(ParseSegmentName("pools/p/segments/s/x").status(), "has the character \"/\"");
  ExpectBadName(ParseHostName("hosts/H").status(), "host id \"H\"");
  ExpectBadName(ParseShortSegmentName("p/").status(), "segment id \"\" is empty");
  ExpectBadName(ParseShortSegmentName("/s").status(), "pool id \"\" is empty");
  ExpectBadName(ParseShortSegmentName("p/s/t").status(), "has the character \"/\"");
}

}  // namespace
}  // namespace weft
