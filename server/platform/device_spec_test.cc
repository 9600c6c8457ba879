#include "server/platform/device_spec.h"

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

TEST(DeviceSpecTest, AllThatCanBeSaid) {
  EXPECT_EQ(*ParseDeviceSpec("name=dax0.0"), (DeviceSpec{"dax0.0", false, true}));
  EXPECT_EQ(*ParseDeviceSpec("coherence=software,name=dax1.0,use=no"),
            (DeviceSpec{"dax1.0", true, false}));
  EXPECT_EQ(*ParseDeviceSpec("name=dax1.0,coherence=hardware,use=yes"),
            (DeviceSpec{"dax1.0", false, true}));
}

TEST(DeviceSpecTest, AnythingElseIsRefusedWithTheForm) {
  for (const char* wrong :
       {"", "dax0.0", "name=", "name=nvme0", "name=dax0.0,name=dax0.1", "name=dax0.0,use=perhaps",
        "name=dax0.0,coherence", "name=dax0.0,size=1G", "coherence=software"}) {
    const absl::Status status = ParseDeviceSpec(wrong).status();
    EXPECT_EQ(ReasonOf(status), v1::BAD_ARGUMENT) << wrong;
    EXPECT_NE(std::string(status.message()).find("name=dax0.0[,"), std::string::npos);
  }
}

}  // namespace
}  // namespace weft
