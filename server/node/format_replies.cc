#include "server/node/format_replies.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "server/core/errors.h"

namespace weft {
namespace {

constexpr size_t kMaxKept = 64;
constexpr size_t kMaxRequestIdLength = 64;

}  // namespace

std::optional<absl::StatusOr<v1::LocalDeviceInfo>> FormatReplies::Find(
    const v1::FormatDeviceRequest& request) const {
  if (request.request_id().empty()) return std::nullopt;
  if (request.request_id().size() > kMaxRequestIdLength) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     "request_id must be at most 64 characters");
  }
  absl::MutexLock lock(&mu_);
  for (const auto& [kept, reply] : kept_) {
    if (kept.request_id() != request.request_id()) continue;
    if (google::protobuf::util::MessageDifferencer::Equals(kept, request)) return reply;
    return MakeError(absl::StatusCode::kInvalidArgument, v1::REQUEST_ID_REUSED,
                     absl::StrCat("request_id \"", request.request_id(),
                                  "\" came before with another request: use a new one"));
  }
  return std::nullopt;
}

void FormatReplies::Keep(const v1::FormatDeviceRequest& request, const v1::LocalDeviceInfo& reply) {
  if (request.request_id().empty()) return;
  absl::MutexLock lock(&mu_);
  if (kept_.size() == kMaxKept) kept_.pop_front();
  kept_.emplace_back(request, reply);
}

}  // namespace weft
