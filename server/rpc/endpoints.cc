#include "server/rpc/endpoints.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_split.h"
#include "server/core/errors.h"

namespace weft {
namespace {

// Of the addresses given and those of leaders.
constexpr size_t kMaxEndpoints = 16;

}  // namespace

Endpoints::Endpoints(std::string addresses, std::shared_ptr<grpc::ChannelCredentials> credentials,
                     const ChannelTimes& times)
    : text_(std::move(addresses)), credentials_(std::move(credentials)), times_(times) {
  absl::MutexLock lock(&mu_);
  for (const auto address : absl::StrSplit(text_, ',')) Add(std::string(address));
}

void Endpoints::Add(std::string address) {
  std::shared_ptr<grpc::Channel> channel = MakeChannel(address, credentials_, times_);
  endpoints_.push_back({std::move(address), std::move(channel)});
}

std::shared_ptr<grpc::Channel> Endpoints::current() const {
  absl::MutexLock lock(&mu_);
  return endpoints_[current_].channel;
}

std::string Endpoints::current_address() const {
  absl::MutexLock lock(&mu_);
  return endpoints_[current_].address;
}

bool Endpoints::several() const {
  absl::MutexLock lock(&mu_);
  return endpoints_.size() > 1;
}

size_t Endpoints::Find(const std::string& address, size_t otherwise) {
  const auto found =
      std::find_if(endpoints_.begin(), endpoints_.end(),
                   [&](const Endpoint& endpoint) { return endpoint.address == address; });
  if (found != endpoints_.end()) return static_cast<size_t>(found - endpoints_.begin());
  if (endpoints_.size() >= kMaxEndpoints) return otherwise;
  Add(address);
  return endpoints_.size() - 1;
}

void Endpoints::MoveOn(const std::shared_ptr<grpc::Channel>& channel, const absl::Status& error) {
  const std::string leader = LeaderOf(error);
  absl::MutexLock lock(&mu_);
  if (endpoints_[current_].channel != channel) return;
  const size_t next = (current_ + 1) % endpoints_.size();
  const bool names_another = !leader.empty() && leader != endpoints_[current_].address;
  current_ = names_another ? Find(leader, next) : next;
}

}  // namespace weft
