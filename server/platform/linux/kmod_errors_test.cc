#include "server/platform/linux/kmod_errors.h"

#include <errno.h>

#include <string>

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

TEST(KmodErrorTest, EachErrorOfTheInterfaceHasItsReason) {
  const struct {
    int error;
    absl::StatusCode code;
    v1::Reason reason;
  } kCases[] = {
      {ESTALE, absl::StatusCode::kFailedPrecondition, v1::STALE_TOKEN},
      {ETIME, absl::StatusCode::kFailedPrecondition, v1::SESSION_EXPIRED},
      {EBUSY, absl::StatusCode::kFailedPrecondition, v1::BUSY_PINNED},
      {EMEDIUMTYPE, absl::StatusCode::kFailedPrecondition, v1::NOT_SUPPORTED},
      {ENODEV, absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING},
      {ENOENT, absl::StatusCode::kNotFound, v1::REASON_UNSPECIFIED},
      {EEXIST, absl::StatusCode::kAlreadyExists, v1::REASON_UNSPECIFIED},
      {ENOSPC, absl::StatusCode::kResourceExhausted, v1::QUOTA},
      {EIO, absl::StatusCode::kDataLoss, v1::POISONED},
      {EHWPOISON, absl::StatusCode::kDataLoss, v1::POISONED},
      {EPERM, absl::StatusCode::kPermissionDenied, v1::NOT_ALLOWED},
  };
  for (const auto& expected : kCases) {
    const absl::Status status = KmodError(expected.error, "WEFT_SEGMENT_OPEN", "segment 7");
    EXPECT_EQ(status.code(), expected.code) << expected.error;
    EXPECT_EQ(ReasonOf(status), expected.reason) << expected.error;
    EXPECT_NE(std::string(status.message()).find("WEFT_SEGMENT_OPEN segment 7"), std::string::npos);
  }
}

}  // namespace
}  // namespace weft
