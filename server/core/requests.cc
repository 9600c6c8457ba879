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

void Forget(State& state, RequestLog& log, Changes& changes) {
  const auto oldest = *log.by_time.begin();
  const store::v1::RequestRecord& record = log.by_id.at(oldest.second);
  changes.Delete(keys::Request(record.principal(), record.request_id()));
  log.by_id.erase(oldest.second);
  log.by_time.erase(oldest);
  --state.request_count;
}

// The principal whose oldest record a new one of `principal` would replace; empty: there is
// room.
std::string MustMakeRoom(const State& state, const std::string& principal) {
  const auto own = state.requests.find(principal);
  if (own != state.requests.end() &&
      own->second.by_id.size() >= state.options.max_requests_per_principal) {
    return principal;
  }
  if (state.request_count < state.options.max_requests) return "";
  const auto oldest_of = [](const RequestLog& log) {
    return log.by_time.empty() ? ~uint64_t{0} : log.by_time.begin()->first;
  };
  return std::min_element(state.requests.begin(), state.requests.end(),
                          [&](const auto& a, const auto& b) {
                            return oldest_of(a.second) < oldest_of(b.second);
                          })
      ->first;
}

}  // namespace

absl::StatusOr<std::optional<std::string>> FindReply(const State& state, const Context& context,
                                                     std::string_view request_id,
                                                     std::string_view request_hash) {
  if (!IsValidId(request_id)) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     "request_id must be at most 64 printable characters, without \"/\"");
  }
  if (auto log = state.requests.find(context.principal); log != state.requests.end()) {
    auto record = log->second.by_id.find(std::string(request_id));
    if (record != log->second.by_id.end()) {
      if (record->second.request_hash() == request_hash) return record->second.reply();
      return MakeError(absl::StatusCode::kInvalidArgument, v1::REQUEST_ID_REUSED,
                       absl::StrCat("request_id \"", std::string(request_id),
                                    "\" came before with another request: use a new one"));
    }
  }
  const std::string full = MustMakeRoom(state, context.principal);
  if (full.empty()) return std::nullopt;
  const RequestLog& log = state.requests.at(full);
  const absl::Duration oldest_age = Age(context, log.by_time.begin()->first);
  if (oldest_age >= state.options.request_retention_min) return std::nullopt;  // KeepReply
  return WithRetryDelay(MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                                  absl::StrCat(full, " has sent ", log.by_id.size(),
                                               " requests with ids lately: send fewer a second")),
                        state.options.request_retention_min - oldest_age);
}

void KeepReply(State& state, const Context& context, const std::string& request_id,
               std::string_view request_hash, std::string reply, Changes& changes) {
  const std::string full = MustMakeRoom(state, context.principal);
  if (!full.empty()) Forget(state, state.requests.at(full), changes);
  RequestLog& log = state.requests[context.principal];
  store::v1::RequestRecord record;
  record.set_principal(context.principal);
  record.set_request_id(request_id);
  record.set_request_hash(std::string(request_hash));
  record.set_reply(std::move(reply));
  record.set_time_unix_ms(context.now.unix_ms);
  changes.Put(keys::Request(context.principal, request_id), record);
  log.by_time.emplace(record.time_unix_ms(), request_id);
  log.by_id.emplace(request_id, std::move(record));
  ++state.request_count;
}

void ForgetOldRequests(State& state, const Context& context, size_t max, Changes& changes) {
  for (auto it = state.requests.begin(); it != state.requests.end();) {
    RequestLog& log = it->second;
    while (max > 0 && !log.by_time.empty() &&
           Age(context, log.by_time.begin()->first) >= state.options.request_retention) {
      Forget(state, log, changes);
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
