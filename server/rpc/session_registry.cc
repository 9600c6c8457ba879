#include "server/rpc/session_registry.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/core/sessions.h"
#include "server/rpc/session_conversation.h"

namespace weft {
namespace {

using AssignmentsByKey = absl::btree_map<std::string, std::optional<v1::Assignment>>;

v1::CoordinatorMessage ToMessage(const AssignmentsByKey& by_key, uint64_t revision) {
  v1::CoordinatorMessage message;
  v1::Assignments& assignments = *message.mutable_assignments();
  assignments.set_revision(revision);
  for (const auto& [key, assignment] : by_key) {
    if (assignment) {
      *assignments.add_upserts() = *assignment;
    } else {
      assignments.add_removals(key);
    }
  }
  return message;
}

bool EndsSessions(v1::EventType type) {
  return type == v1::HOST_EXPIRED || type == v1::HOST_FENCED || type == v1::HOST_FENCE_STARTED;
}

}  // namespace

void SessionRegistry::Attach(std::shared_ptr<SessionConversation> stream) {
  {
    absl::MutexLock lock(&mu_);
    by_host_[stream->host()].swap(stream);
  }
  if (stream == nullptr) return;
  inquiries_.End(*stream);
  stream->End(
      MakeError(absl::StatusCode::kFailedPrecondition, v1::SESSION_EXPIRED,
                absl::StrCat("host \"", stream->host(), "\" registered again on another stream")));
}

void SessionRegistry::Detach(const SessionConversation& stream) {
  inquiries_.End(stream);
  std::shared_ptr<SessionConversation> detached;
  absl::MutexLock lock(&mu_);
  const auto it = by_host_.find(stream.host());
  if (it == by_host_.end() || it->second.get() != &stream) return;
  detached = std::move(it->second);
  by_host_.erase(it);
}

std::shared_ptr<SessionConversation> SessionRegistry::Find(const std::string& host) const {
  absl::MutexLock lock(&mu_);
  const auto it = by_host_.find(host);
  return it == by_host_.end() ? nullptr : it->second;
}

std::vector<std::shared_ptr<SessionConversation>> SessionRegistry::All() const {
  absl::MutexLock lock(&mu_);
  std::vector<std::shared_ptr<SessionConversation>> streams;
  for (const auto& [host, stream] : by_host_) streams.push_back(stream);
  return streams;
}

void SessionRegistry::Deliver(const State& state, const Changes& changes, uint64_t revision) {
  for (const auto& [host, by_key] : changes.assignments) {
    if (const auto stream = Find(host)) stream->Send(ToMessage(by_key, revision));
  }
  for (const v1::Event& event : changes.events) {
    if (!EndsSessions(event.type())) continue;
    const absl::StatusOr<std::string> host = ParseHostName(event.resource());
    const auto stream = host.ok() ? Find(*host) : nullptr;
    if (stream == nullptr) continue;
    const absl::Status alive = CheckSession(state, stream->host(), stream->session_id());
    if (!alive.ok()) stream->End(alive);
  }
}

uint64_t SessionRegistry::Ask(const std::string& host, v1::InventoryRequest request,
                              HostInquiries::Answer answer) {
  if (const auto stream = Find(host)) {
    const uint64_t number = inquiries_.Ask(stream, std::move(request), std::move(answer));
    // One that ended meanwhile may not have known of this.
    if (Find(host) != stream) inquiries_.End(*stream);
    return number;
  }
  answer(MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   absl::StrCat(host, " is not connected now")));
  return 0;
}

void SessionRegistry::Resync(const std::string& host) {
  const auto stream = Find(host);
  if (stream == nullptr) return;
  v1::CoordinatorMessage message;
  message.mutable_resync();
  stream->Send(std::move(message));
}

void SessionRegistry::Resend(const State& state) {
  for (const std::shared_ptr<SessionConversation>& stream : All()) {
    if (!state.hosts.contains(stream->host())) continue;
    v1::CoordinatorMessage message;
    *message.mutable_assignments() = WholeAssignments(state, stream->host());
    stream->Send(std::move(message));
  }
}

bool SessionRegistry::StartRegistering(const std::string& host) {
  absl::MutexLock lock(&mu_);
  int& count = registering_[host];
  if (count == kMaxRegistering) return false;
  ++count;
  return true;
}

void SessionRegistry::EndRegistering(const std::string& host) {
  absl::MutexLock lock(&mu_);
  const auto it = registering_.find(host);
  if (--it->second == 0) registering_.erase(it);
}

void SessionRegistry::EndAll(const absl::Status& why) {
  for (const std::shared_ptr<SessionConversation>& stream : All()) stream->End(why);
}

}  // namespace weft
