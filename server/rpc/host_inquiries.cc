#include "server/rpc/host_inquiries.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/rpc/session_conversation.h"

namespace weft {

uint64_t HostInquiries::Ask(const std::shared_ptr<SessionConversation>& stream,
                            v1::InventoryRequest request, Answer answer) {
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mu_);
    const auto of_host =
        std::count_if(inquiries_.begin(), inquiries_.end(),
                      [&](const auto& entry) { return entry.second.host == stream->host(); });
    if (of_host < kMaxOfHost) {
      number = ++last_number_;
      inquiries_[number] = {stream.get(), stream->host(), std::move(answer)};
    }
  }
  if (number == 0) {
    answer(MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                     absl::StrCat(stream->host(), " has ", kMaxOfHost, " such calls to answer")));
    return 0;
  }
  request.set_request_id(number);
  v1::CoordinatorMessage message;
  *message.mutable_inventory_request() = std::move(request);
  stream->Send(std::move(message));
  return number;
}

bool HostInquiries::Abandon(uint64_t number) {
  absl::MutexLock lock(&mu_);
  return inquiries_.erase(number) > 0;
}

void HostInquiries::Take(const SessionConversation& stream, v1::HostInventory inventory) {
  Answer answer;
  {
    absl::MutexLock lock(&mu_);
    const auto it = inquiries_.find(inventory.request_id());
    if (it == inquiries_.end() || it->second.stream != &stream) return;
    answer = std::move(it->second.answer);
    inquiries_.erase(it);
  }
  answer(std::move(inventory));
}

void HostInquiries::End(const SessionConversation& stream) {
  std::vector<Answer> answers;
  {
    absl::MutexLock lock(&mu_);
    for (auto it = inquiries_.begin(); it != inquiries_.end();) {
      if (it->second.stream != &stream) {
        ++it;
        continue;
      }
      answers.push_back(std::move(it->second.answer));
      it = inquiries_.erase(it);
    }
  }
  for (Answer& answer : answers) {
    answer(MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                     absl::StrCat("the session of ", stream.host(), " broke off")));
  }
}

}  // namespace weft
