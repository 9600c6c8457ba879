#include "tests/integration/holder.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/core/check.h"

namespace weft {

Holder::Holder(const Cluster& cluster, const std::string& host, const std::string& segment) {
  auto client = cluster.Connect(host, {.connect_timeout = absl::Minutes(1),
                                       .call_timeout = absl::Minutes(1),
                                       .on_revoke = [this](const sdk::RevokeNotice& notice) {
                                         absl::MutexLock lock(&mu_);
                                         notices_.push_back(notice);
                                       }});
  WEFT_CHECK(client.ok(), client.status().ToString());
  client_ = *std::move(client);
  auto handle = client_->Open(segment, sdk::AccessMode::kReadWrite);
  WEFT_CHECK(handle.ok(), handle.status().ToString());
  handle_ = *std::move(handle);
  auto mapping = handle_->Map();
  WEFT_CHECK(mapping.ok(), mapping.status().ToString());
  mapping_ = *std::move(mapping);
}

absl::StatusOr<sdk::RevokeNotice> Holder::AwaitNotice() {
  absl::MutexLock lock(&mu_);
  if (!mu_.AwaitWithTimeout(absl::Condition(this, &Holder::IsTold), absl::Minutes(1))) {
    return absl::DeadlineExceededError("no notice came");
  }
  sdk::RevokeNotice notice = std::move(notices_.front());
  notices_.pop_front();
  return notice;
}

void Holder::LetGo() {
  mapping_.reset();
  if (handle_.has_value()) handle_->Close().IgnoreError();  // there may be no weftd
  handle_.reset();
}

}  // namespace weft
