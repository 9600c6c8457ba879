#include "client/sdk/internal/handle_table.h"

#include "absl/strings/str_cat.h"
#include "client/sdk/internal/convert.h"
#include "server/core/errors.h"

namespace weft::sdk {
namespace {

constexpr uint32_t kProtocolVersion = 1;

}  // namespace

void HandleTable::Add(const v1::OpenReply& opened) {
  Entry entry;
  entry.claim.set_handle_id(opened.handle_id());
  entry.claim.set_segment(opened.segment().name());
  entry.claim.set_segment_id(opened.segment().id());
  entry.claim.set_generation(opened.segment().generation());
  *entry.claim.mutable_token() = opened.token();
  entry.claim.set_mode(opened.mode());
  absl::MutexLock lock(&mu_);
  entries_[opened.handle_id()] = std::move(entry);
}

bool HandleTable::Remove(uint64_t handle_id) {
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find(handle_id);
  if (found == entries_.end()) return false;
  const bool counted = found->second.counted;
  entries_.erase(found);
  return counted;
}

bool HandleTable::Contains(uint64_t handle_id) const {
  absl::MutexLock lock(&mu_);
  return entries_.contains(handle_id);
}

std::optional<std::string> HandleTable::SegmentOf(uint64_t handle_id) const {
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find(handle_id);
  if (found == entries_.end()) return std::nullopt;
  return ShortName(found->second.claim.segment());
}

std::optional<std::string> HandleTable::MarkRevoking(uint64_t handle_id,
                                                     const std::string& detail) {
  absl::MutexLock lock(&mu_);
  return Mark(handle_id, HandleState::kRevoking, detail);
}

std::optional<std::string> HandleTable::MarkStale(uint64_t handle_id, const std::string& detail) {
  absl::MutexLock lock(&mu_);
  return Mark(handle_id, HandleState::kStale, detail);
}

std::optional<std::string> HandleTable::MarkGone(uint64_t handle_id, const std::string& detail) {
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find(handle_id);
  if (found != entries_.end()) found->second.counted = false;
  return Mark(handle_id, HandleState::kStale, detail);
}

std::optional<std::string> HandleTable::Mark(uint64_t handle_id, HandleState state,
                                             const std::string& detail) {
  const auto found = entries_.find(handle_id);
  if (found == entries_.end() || found->second.state >= state) return std::nullopt;
  found->second.state = state;
  found->second.detail = detail;
  return ShortName(found->second.claim.segment());
}

HandleState HandleTable::StateOf(uint64_t handle_id) const {
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find(handle_id);
  return found == entries_.end() ? HandleState::kStale : found->second.state;
}

absl::Status HandleTable::CheckLive(uint64_t handle_id) const {
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find(handle_id);
  if (found == entries_.end()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::STALE_GENERATION,
                     "the handle is closed; open the segment again");
  }
  const Entry& entry = found->second;
  switch (entry.state) {
    case HandleState::kLive:
      return absl::OkStatus();
    case HandleState::kRevoking:
      return MakeError(absl::StatusCode::kFailedPrecondition, v1::STALE_TOKEN,
                       absl::StrCat(ShortName(entry.claim.segment()), " is being taken back (",
                                    entry.detail, "): close the handle and open it again"));
    case HandleState::kStale:
      break;
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::STALE_GENERATION,
                   absl::StrCat("the handle of ", ShortName(entry.claim.segment()), " is stale (",
                                entry.detail, "): close it and open it again"));
}

v1::Hello HandleTable::MakeHello() const {
  v1::Hello hello;
  hello.set_protocol_version(kProtocolVersion);
  absl::MutexLock lock(&mu_);
  for (const auto& [id, entry] : entries_) {
    if (entry.counted) *hello.add_handles() = entry.claim;
  }
  return hello;
}

}  // namespace weft::sdk
