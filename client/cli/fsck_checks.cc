#include "client/cli/fsck_checks.h"

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

#include "client/sdk/admin/parallel.h"
#include "client/sdk/admin/timing.h"
#include "proto/weft/v1/fsck.grpc.pb.h"
#include "proto/weft/v1/host.grpc.pb.h"

namespace weft::cli {
namespace {

using Differences = std::vector<v1::Difference>;

constexpr size_t kHostsAtATime = 16;

auto DifferencesOf(v1::CheckResponse& page) { return page.mutable_differences(); }

absl::StatusOr<Differences> CheckHost(sdk::RpcClient& coordinator, const std::string& name,
                                      absl::Duration timeout) {
  v1::CheckHostRequest request;
  request.set_name(name);
  // The coordinator answers when the host has, which looks at its media first.
  return coordinator.List(&v1::FsckService::Stub::CheckHost, request, DifferencesOf,
                          /*attempt_timeout=*/timeout);
}

bool IsLike(const v1::Difference& a, const v1::Difference& b) {
  const auto key = [](const v1::Difference& one) {
    return std::make_tuple(one.kind(), one.host(), one.segment_id(), one.resource());
  };
  return key(a) == key(b);
}

bool IsSame(const v1::Difference& a, const v1::Difference& b) {
  // Another token says that both sides have moved on.
  const bool has_tokens = a.kind() >= v1::GRANT_MISSING && a.kind() <= v1::KERNEL_SEGMENT_DIFFERS;
  return IsLike(a, b) && (!has_tokens || (a.recorded() == b.recorded() && a.found() == b.found()));
}

}  // namespace

bool HasOneLike(const Differences& differences, const v1::Difference& one) {
  return std::any_of(differences.begin(), differences.end(),
                     [&](const v1::Difference& other) { return IsLike(one, other); });
}

absl::StatusOr<Findings> CheckAll(Context& context) {
  const absl::StatusOr<sdk::RpcClient*> connected = context.Coordinator();
  if (!connected.ok()) return connected.status();
  sdk::RpcClient& coordinator = **connected;
  auto hosts = coordinator.List(&v1::HostService::Stub::ListHosts, v1::ListHostsRequest(),
                                [](auto& page) { return page.mutable_hosts(); });
  if (!hosts.ok()) return hosts.status();
  // It has nothing that could differ.
  std::erase_if(*hosts, [](const v1::Host& host) { return host.state() == v1::HOST_DOWN; });
  absl::StatusOr<Differences> of_records = coordinator.List(
      &v1::FsckService::Stub::CheckRecords, v1::CheckRecordsRequest(), DifferencesOf);
  if (!of_records.ok()) return of_records.status();
  std::vector<absl::StatusOr<Differences>> of_hosts(hosts->size());
  sdk::InParallel(hosts->size(), kHostsAtATime, [&](size_t i) {
    of_hosts[i] = CheckHost(coordinator, (*hosts)[i].name(), context.options().timeout);
  });

  Findings findings;
  findings.differences = *std::move(of_records);
  for (size_t i = 0; i < hosts->size(); ++i) {
    const std::string& name = (*hosts)[i].name();
    if (!of_hosts[i].ok()) {
      findings.not_checked.emplace(name, std::string(of_hosts[i].status().message()));
      continue;
    }
    findings.checked.insert(name);
    findings.differences.insert(findings.differences.end(), of_hosts[i]->begin(),
                                of_hosts[i]->end());
  }
  return findings;
}

absl::StatusOr<Findings> CheckTwice(Context& context, absl::Duration between_passes) {
  absl::StatusOr<Findings> first = CheckAll(context);
  if (!first.ok() || first->differences.empty()) return first;
  sdk::Pause(between_passes);
  absl::StatusOr<Findings> second = CheckAll(context);
  if (!second.ok()) return second;
  std::erase_if(second->differences, [&](const v1::Difference& one) {
    return std::none_of(first->differences.begin(), first->differences.end(),
                        [&](const v1::Difference& other) { return IsSame(one, other); });
  });
  for (const auto& [host, why] : first->not_checked) {
    if (second->checked.erase(host) > 0) second->not_checked.emplace(host, why);
  }
  return second;
}

}  // namespace weft::cli
