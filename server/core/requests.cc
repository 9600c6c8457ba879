#include "server/core/requests.h"

#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/keys.h"

namespace weft {
namespace {

constexpr size_t kMaxRequestIdLength = 64;

bool IsValidId(std::string_view id) {
  return id.size() <= kMaxRequestIdLength && std::all_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '/';
         });
}

absl::Duration Age(const Context& context, uint64_t time_unix_ms) {
  // A clock that was set back makes records of the future: these are no younger.
  return absl::AbsDuration(absl::Milliseconds(context.now.unix_ms) -
                           absl::Milliseconds(time_unix_ms));
}

void Forget(RequestLog& log, Changes& changes) {
  const auto oldest = *log.by_time.begin();
  const store::v1::RequestRecord& record = log.by_id.at(oldest.second);
  changes.Delete(keys::Request(record.principal(), record.request_id()));
  log.by_id.erase(oldest.second);
  log.by_time.erase(oldest);
}

}  // namespace

absl::StatusOr<std::optional<std::string>> FindReply(const State& state, const Context& context,
                                                     std::string_view request_id,
                                                     std::string_view request_hash) {
  if (!IsValidId(request_id)) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     "request_id must be at most 64 printable characters, without \"/\"");
  }
  auto log = state.requests.find(context.principal);
  if (log == state.requests.end()) return std::nullopt;
  auto record = log->second.by_id.find(std::string(request_id));
  if (record != log->second.by_id.end()) {
    if (record->second.request_hash() == request_hash) return record->second.reply();
    return MakeError(absl::StatusCode::kInvalidArgument, v1::REQUEST_ID_REUSED,
                     absl::StrCat("request_id \"", std::string(request_id),
                                  "\" came before with another request: use a new one"));
  }
  if (log->second.by_id.size() < state.options.max_requests_per_principal) return std::nullopt;
  const absl::Duration oldest_age = Age(context, log->second.by_time.begin()->first);
  if (oldest_age >= state.options.request_retention_min) return std::nullopt;  // KeepReply
  return MakeError(
      absl::StatusCode::kResourceExhausted, v1::QUOTA,
      absl::StrCat(context.principal, " has sent ", state.options.max_requests_per_principal,
                   " requests with ids lately: send fewer a second"));
}

void KeepReply(State& state, const Context& context, const std::string& request_id,
               std::string_view request_hash, std::string reply, Changes& changes) {
  RequestLog& log = state.requests[context.principal];
  if (log.by_id.size() >= state.options.max_requests_per_principal) Forget(log, changes);
  store::v1::RequestRecord record;
  record.set_principal(context.principal);
  record.set_request_id(request_id);
  record.set_request_hash(std::string(request_hash));
  record.set_reply(std::move(reply));
  record.set_time_unix_ms(context.now.unix_ms);
  changes.Put(keys::Request(context.principal, request_id), record);
  log.by_time.emplace(record.time_unix_ms(), request_id);
  log.by_id.emplace(request_id, std::move(record));
}

void ForgetOldRequests(State& state, const Context& context, size_t max, Changes& changes) {
  for (auto it = state.requests.begin(); it != state.requests.end();) {
    RequestLog& log = it->second;
    while (max > 0 && !log.by_time.empty() &&
           Age(context, log.by_time.begin()->first) >= state.options.request_retention) {
      Forget(log, changes);
      --max;
    }
    it = log.by_id.empty() ? state.requests.erase(it) : std::next(it);
    if (max == 0) return;
  }
}

std::string HashRequest(std::string_view method, const google::protobuf::MessageLite& request) {
  std::string text(method);
  text.push_back('\0');
  request.AppendToString(&text);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

}  // namespace weft
