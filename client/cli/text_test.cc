#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/cli/arguments.h"
#include "client/cli/choices.h"
#include "client/cli/exit_codes.h"
#include "client/cli/json.h"
#include "client/cli/table.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/host.pb.h"
#include "proto/weft/v1/pool.pb.h"
#include "proto/weft/v1/segment.pb.h"
#include "server/core/errors.h"

namespace weft::cli {
namespace {

constexpr char kUuid[] = "0b2c1f0e-3d4c-4b5a-8f6e-7d8c9b0a1f2e";

TEST(TableTest, ColumnsLineUp) {
  Table table({"POOL", ">FREE", "HOSTS"});
  table.AddRow({"a", "1.00 GiB", "host-a, host-b"});
  table.AddRow({"longer", "0 B", ""});
  EXPECT_EQ(table.ToString(),
            "POOL        FREE  HOSTS\n"
            "a       1.00 GiB  host-a, host-b\n"
            "longer       0 B  -\n");
}

TEST(TableTest, EmptyShowsItsHeadings) {
  EXPECT_EQ(Table({"POOL", ">FREE"}).ToString(), "POOL  FREE\n");
}

TEST(PropertiesTest, ValuesLineUp) {
  Properties text;
  text.Add("pool", "fam");
  text.Add("largest", "");
  EXPECT_EQ(text.ToString(), "pool     fam\nlargest  -\n");
}

TEST(SizeTest, ExactSizesAreReadBackAsTheyAre) {
  EXPECT_EQ(ExactSize(0), "0");
  EXPECT_EQ(ExactSize(4095), "4095");
  EXPECT_EQ(ExactSize(4096), "4k");
  EXPECT_EQ(ExactSize(uint64_t{1026} << 20), "1026M");
  EXPECT_EQ(ExactSize(uint64_t{1} << 60), "1024P");
}

TEST(SizeTest, CountsHaveANumber) {
  EXPECT_EQ(Count(1, "extent"), "1 extent");
  EXPECT_EQ(Count(0, "extent"), "0 extents");
}

TEST(JsonTest, NamesAndTypesAreThoseOfProtobuf) {
  v1::Segment segment;
  segment.set_name("pools/fam/segments/a");
  segment.set_size_bytes(uint64_t{1} << 62);
  segment.set_sharing(v1::SINGLE_WRITER);
  const auto json = nlohmann::json::parse(ToJson(segment));
  EXPECT_EQ(json["name"], "pools/fam/segments/a");
  EXPECT_EQ(json["sizeBytes"], "4611686018427387904");
  EXPECT_EQ(json["sharing"], "SINGLE_WRITER");
  EXPECT_EQ(json["stripeDevices"], 0) << "fields that are not set are there, too";
  EXPECT_EQ(json["runs"], nlohmann::json::array());
}

TEST(JsonTest, AListIsOneArray) {
  EXPECT_EQ(ToJson(std::vector<v1::Pool>()), "[]\n");
  std::vector<v1::Pool> pools(2);
  pools[1].set_name("pools/b");
  const auto json = nlohmann::json::parse(ToJson(pools));
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[1]["name"], "pools/b");
}

TEST(ChoiceTest, EnumsReadLikeOptions) {
  EXPECT_EQ(Choice(v1::SINGLE_WRITER), "single-writer");
  EXPECT_EQ(Choice(v1::HOST_ALIVE, "HOST_"), "alive");
  EXPECT_EQ(Choice(v1::PLACEMENT_UNSPECIFIED), "unspecified");
  EXPECT_EQ(Choice(static_cast<v1::Placement>(77)), "77") << "of a newer coordinator";
}

TEST(ChoiceTest, OptionsTakeTheNamesAndNothingElse) {
  CLI::App app;
  v1::SharingMode sharing = v1::SHARING_MODE_UNSPECIFIED;
  AddChoice(&app, "--sharing", sharing, "");
  app.parse("--sharing shared");
  EXPECT_EQ(sharing, v1::SHARED);
  for (const char* bad : {"--sharing SHARED", "--sharing unspecified", "--sharing 3"}) {
    EXPECT_THROW(app.parse(bad), CLI::ValidationError) << bad;
  }
}

TEST(ArgumentsTest, ShortAndFullNames) {
  EXPECT_EQ(*PoolResource("fam"), "pools/fam");
  EXPECT_EQ(*PoolResource("pools/fam"), "pools/fam");
  EXPECT_EQ(*PoolId("pools/fam"), "fam");
  EXPECT_EQ(*HostResource("host-a"), "hosts/host-a");
  EXPECT_EQ(*HostResource("hosts/host-a"), "hosts/host-a");
  EXPECT_EQ(*DeviceResource(kUuid), std::string("devices/") + kUuid);
  EXPECT_EQ(*DeviceResource(std::string("devices/") + kUuid), std::string("devices/") + kUuid);
  EXPECT_EQ(*SegmentResource("fam/a"), "pools/fam/segments/a");
  EXPECT_EQ(*SegmentResource("pools/fam/segments/a"), "pools/fam/segments/a");
}

TEST(ArgumentsTest, BadNamesAreRefused) {
  for (const char* bad : {"", "Fam", "-a", "a/b", "pools/", "pools/a/b", "a b"}) {
    EXPECT_EQ(ReasonOf(PoolResource(bad).status()), v1::BAD_NAME) << bad;
  }
  for (const char* bad : {"", "a", "a/", "/b", "a/b/c", "a/B", "pools/a/segments/"}) {
    EXPECT_EQ(ReasonOf(SegmentResource(bad).status()), v1::BAD_NAME) << bad;
  }
  EXPECT_EQ(ReasonOf(DeviceResource("dax0.0").status()), v1::BAD_NAME);
  EXPECT_EQ(ReasonOf(HostResource("hosts/").status()), v1::BAD_NAME);
}

TEST(ArgumentsTest, Extents) {
  const auto extent = ExtentArgument(std::string(kUuid) + ":4M:1G");
  ASSERT_TRUE(extent.ok()) << extent.status();
  EXPECT_EQ(extent->device(), std::string("devices/") + kUuid);
  EXPECT_EQ(extent->offset_bytes(), 4u << 20);
  EXPECT_EQ(extent->length_bytes(), 1u << 30);
  EXPECT_EQ(ReasonOf(ExtentArgument("4M:1G").status()), v1::BAD_ARGUMENT);
  EXPECT_EQ(ReasonOf(ExtentArgument("x:4M:1G").status()), v1::BAD_NAME);
  EXPECT_EQ(ReasonOf(ExtentArgument(std::string(kUuid) + ":x:1G").status()), v1::BAD_SIZE);
}

TEST(ArgumentsTest, ShortNamesOfResources) {
  EXPECT_EQ(ShortName("pools/fam"), "fam");
  EXPECT_EQ(ShortName("pools/fam/segments/a"), "fam/a");
  EXPECT_EQ(ShortName("pools/fam/segments/a/grants/host-a"), "fam/a/host-a");
  EXPECT_EQ(ShortName(""), "");
}

TEST(ExitCodesTest, TellCausesApart) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::DataLossError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::AlreadyExistsError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), 4);
}

}  // namespace
}  // namespace weft::cli
