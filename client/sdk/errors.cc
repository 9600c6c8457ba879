#include "client/sdk/errors.h"

#include "server/core/errors.h"

namespace weft::sdk {

std::string ReasonName(const absl::Status& status) {
  const v1::Reason reason = ReasonOf(status);
  return reason == v1::REASON_UNSPECIFIED ? "" : v1::Reason_Name(reason);
}

}  // namespace weft::sdk
