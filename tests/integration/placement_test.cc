// Where the bytes of a segment are taken from, as hosts see it.

#include <string>

#include "client/sdk/weft.h"
#include "gtest/gtest.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

constexpr uint64_t kUnit = kExtentUnit.value();

class LocalPlacementTest : public testing::Test {
 protected:
  LocalPlacementTest()
      : cluster_({.devices = 2, .distances = {{"host-a", {21, 10}}, {"host-b", {10, 21}}}}) {}

  void SetUp() override {
    const absl::Status started = cluster_.StartWithPool();
    ASSERT_TRUE(started.ok()) << started;
  }

  // The device, as all hosts call it, of a segment's first extent.
  std::string DeviceOf(const sdk::Segment& segment) {
    const auto devices = cluster_.ListDevices();
    if (!devices.ok()) return devices.status().ToString();
    for (const v1::Device& device : *devices) {
      if (device.name() == segment.runs.front().extents.front().device) {
        return device.attachments(0).dax_name();
      }
    }
    return "no such device";
  }

  // Of a new segment that a client on `host` has made.
  std::string LocalDeviceOf(const std::string& host, const std::string& name, uint64_t size) {
    const auto client = cluster_.Connect(host);
    if (!client.ok()) return client.status().ToString();
    const auto segment =
        (*client)->CreateSegment(name, size, {.placement = sdk::Placement::kLocal});
    return segment.ok() ? DeviceOf(*segment) : segment.status().ToString();
  }

  Cluster cluster_;
};

TEST_F(LocalPlacementTest, EachHostGetsTheDeviceThatIsNearestToIt) {
  EXPECT_EQ(LocalDeviceOf("host-a", "p/a", kUnit), "mem1");
  EXPECT_EQ(LocalDeviceOf("host-b", "p/b", 2 * kUnit), "mem0");
  EXPECT_EQ(LocalDeviceOf("host-b", "p/c", 4 * kUnit), "mem0") << "whatever is free there";
}

}  // namespace
}  // namespace weft
