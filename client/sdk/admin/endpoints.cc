#include "client/sdk/admin/endpoints.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_split.h"
#include "server/core/errors.h"
#include "server/rpc/channel.h"

namespace weft::sdk {
namespace {

// Keeps alive no more often than servers allow.
constexpr ChannelTimes kTimes = {.connect = absl::Seconds(3),
                                 .max_pause = absl::Seconds(1),
                                 .keepalive = absl::Seconds(10),
                                 .keepalive_timeout = absl::Seconds(10)};
// Of the addresses given and those of leaders.
constexpr size_t kMaxEndpoints = 16;

}  // namespace

Endpoints::Endpoints(std::string addresses, std::shared_ptr<grpc::ChannelCredentials> credentials)
    : text_(std::move(addresses)), credentials_(std::move(credentials)) {
  absl::MutexLock lock(&mu_);
  for (const auto address : absl::StrSplit(text_, ',')) Add(std::string(address));
}

void Endpoints::Add(std::string address) {
  std::shared_ptr<grpc::Channel> channel = MakeChannel(address, credentials_, kTimes);
  endpoints_.push_back({std::move(address), std::move(channel)});
}

std::shared_ptr<grpc::Channel> Endpoints::current() const {
  absl::MutexLock lock(&mu_);
  return endpoints_[current_].channel;
}

bool Endpoints::several() const {
  absl::MutexLock lock(&mu_);
  return endpoints_.size() > 1;
}

size_t Endpoints::Find(const std::string& address) {
  const auto found =
      std::find_if(endpoints_.begin(), endpoints_.end(),
                   [&](const Endpoint& endpoint) { return endpoint.address == address; });
  if (found != endpoints_.end()) return static_cast<size_t>(found - endpoints_.begin());
  if (endpoints_.size() >= kMaxEndpoints) return current_;
  Add(address);
  return endpoints_.size() - 1;
}

void Endpoints::MoveOn(const std::shared_ptr<grpc::Channel>& channel, const absl::Status& error) {
  const std::string leader = LeaderOf(error);
  absl::MutexLock lock(&mu_);
  // Another call has moved on already.
  if (endpoints_[current_].channel != channel) return;
  const size_t next = (current_ + 1) % endpoints_.size();
  if (!leader.empty() && leader != endpoints_[current_].address) {
    current_ = Find(leader);
  } else {
    current_ = next;
  }
}

}  // namespace weft::sdk
