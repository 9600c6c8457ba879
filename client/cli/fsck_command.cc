// weft fsck.

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/arguments.h"
#include "client/cli/command.h"
#include "client/cli/exit_codes.h"
#include "client/cli/table.h"
#include "client/sdk/admin/timing.h"
#include "proto/weft/v1/fsck.grpc.pb.h"
#include "proto/weft/v1/host.grpc.pb.h"

namespace weft::cli {
namespace {

using Stub = v1::FsckService::Stub;

// What is under way when it is first seen is over by then.
constexpr absl::Duration kBetweenPasses = absl::Seconds(1);
// After a repair: a host has to register, and its daemon to look at every process.
constexpr absl::Duration kRepairTime = absl::Seconds(15);

struct FsckOptions {
  bool repair = false;
  bool yes = false;
};

struct Findings {
  std::vector<v1::Difference> differences;
  size_t hosts = 0;
  // With the reason.
  std::vector<std::pair<std::string, std::string>> not_checked;
};

// All pages of a check.
template <typename Request, typename Method>
absl::Status Check(Context& context, Method method, Request request, Findings& findings) {
  const auto found = context.List(method, std::move(request),
                                  [](auto& page) { return page.mutable_differences(); });
  if (!found.ok()) return found.status();
  findings.differences.insert(findings.differences.end(), found->begin(), found->end());
  return absl::OkStatus();
}

absl::StatusOr<Findings> CheckAll(Context& context) {
  const auto hosts = context.List(&v1::HostService::Stub::ListHosts, v1::ListHostsRequest(),
                                  [](auto& page) { return page.mutable_hosts(); });
  if (!hosts.ok()) return hosts.status();
  Findings findings;
  absl::Status checked = Check(context, &Stub::CheckRecords, v1::CheckRecordsRequest(), findings);
  if (!checked.ok()) return checked;
  for (const v1::Host& host : *hosts) {
    // It has nothing that could differ.
    if (host.state() == v1::HOST_DOWN) continue;
    v1::CheckHostRequest request;
    request.set_name(host.name());
    checked = Check(context, &Stub::CheckHost, request, findings);
    if (checked.ok()) {
      ++findings.hosts;
    } else {
      findings.not_checked.emplace_back(host.name(), std::string(checked.message()));
    }
  }
  return findings;
}

// What a difference is, whatever its numbers are at the moment.
auto KeyOf(const v1::Difference& difference) {
  return std::make_tuple(difference.kind(), difference.host(), difference.segment_id(),
                         difference.resource());
}

bool IsSame(const v1::Difference& a, const v1::Difference& b) {
  // Another token says that both sides have moved on.
  const bool has_tokens = a.kind() >= v1::GRANT_MISSING && a.kind() <= v1::KERNEL_SEGMENT_DIFFERS;
  return KeyOf(a) == KeyOf(b) &&
         (!has_tokens || (a.recorded() == b.recorded() && a.found() == b.found()));
}

bool Contains(const std::vector<v1::Difference>& differences, const v1::Difference& one) {
  return std::any_of(differences.begin(), differences.end(),
                     [&](const v1::Difference& other) { return IsSame(one, other); });
}

// Only what two passes in a row say.
absl::StatusOr<Findings> CheckTwice(Context& context) {
  absl::StatusOr<Findings> first = CheckAll(context);
  if (!first.ok() || first->differences.empty()) return first;
  sdk::Pause(kBetweenPasses);
  absl::StatusOr<Findings> second = CheckAll(context);
  if (!second.ok()) return second;
  std::erase_if(second->differences,
                [&](const v1::Difference& one) { return !Contains(first->differences, one); });
  return second;
}

std::string Text(const v1::Difference& difference) {
  const std::string on =
      difference.host().empty() ? "" : absl::StrCat(" on ", ShortName(difference.host()));
  Properties text;
  text.Add("  coordinator", difference.recorded());
  text.Add("  found", difference.found());
  text.Add(difference.repair() == v1::REPAIR_BY_HAND ? "  by hand" : "  repair",
           difference.remedy());
  return absl::StrCat(v1::DifferenceKind_Name(difference.kind()), " ", difference.resource(), on,
                      "\n", text.ToString());
}

std::string Summary(const Findings& findings) {
  if (findings.differences.empty()) {
    return absl::StrCat("clean: ", Count(findings.hosts, "host"), " checked\n");
  }
  const auto by_hand =
      std::count_if(findings.differences.begin(), findings.differences.end(),
                    [](const v1::Difference& one) { return one.repair() == v1::REPAIR_BY_HAND; });
  return absl::StrCat(Count(findings.differences.size(), "difference"), ", ", by_hand,
                      " of them to be repaired by hand; ", Count(findings.hosts, "host"),
                      " checked\n");
}

std::string JsonArray(const std::vector<v1::Difference>& differences) {
  return absl::StrCat("[",
                      absl::StrJoin(differences, ",",
                                    [](std::string* out, const auto& one) {
                                      out->append("\n").append(ToJsonLine(one));
                                    }),
                      "]");
}

std::string Json(const Findings& findings, const std::vector<v1::Difference>& left) {
  std::string not_checked;
  for (const auto& [host, why] : findings.not_checked) {
    v1::Difference one;
    one.set_host(host);
    one.set_found(why);
    absl::StrAppend(&not_checked, not_checked.empty() ? "\n" : ",\n", ToJsonLine(one));
  }
  return absl::StrCat("{\"differences\": ", JsonArray(findings.differences),
                      ",\n\"left\": ", JsonArray(left), ",\n\"notChecked\": [", not_checked,
                      "]}\n");
}

absl::StatusOr<bool> Confirm(const FsckOptions& options, size_t repairs) {
  if (options.yes) return true;
  if (isatty(STDIN_FILENO) == 0) {
    return absl::InvalidArgumentError("standard input is no terminal: say --yes to repair");
  }
  std::cerr << "do these " << Count(repairs, "repair") << "? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes";
}

std::vector<v1::RepairRequest> PlanOf(const Findings& findings) {
  std::vector<v1::RepairRequest> plan;
  std::set<std::tuple<int, std::string, uint64_t>> planned;
  for (const v1::Difference& one : findings.differences) {
    if (one.repair() == v1::REPAIR_BY_HAND) continue;
    const uint64_t segment = one.repair() == v1::REVOKE_STRAY ? one.segment_id() : 0;
    if (!planned.emplace(one.repair(), one.host(), segment).second) continue;
    v1::RepairRequest& request = plan.emplace_back();
    request.set_action(one.repair());
    request.set_host(one.host());
    request.set_segment_id(segment);
  }
  return plan;
}

// Which of `before` are still there; gives what was done time to have its effect.
absl::StatusOr<std::vector<v1::Difference>> AwaitRepairs(
    Context& context, const std::vector<v1::Difference>& before) {
  const sdk::Deadline deadline = sdk::Deadline::After(kRepairTime);
  for (;;) {
    const absl::StatusOr<Findings> now = CheckAll(context);
    if (!now.ok()) return now.status();
    std::vector<v1::Difference> left;
    bool waits = false;
    for (const v1::Difference& one : before) {
      const bool is_there =
          std::any_of(now->differences.begin(), now->differences.end(),
                      [&](const v1::Difference& other) { return KeyOf(one) == KeyOf(other); });
      if (!is_there) continue;
      left.push_back(one);
      waits = waits || one.repair() != v1::REPAIR_BY_HAND;
    }
    if (!waits || deadline.passed()) return left;
    sdk::Pause(kBetweenPasses);
  }
}

void PrintFindings(Context& context, const Findings& findings) {
  if (!context.options().json) {
    for (const v1::Difference& one : findings.differences) context.out() << Text(one);
    context.out() << Summary(findings) << std::flush;
  }
  for (const auto& [host, why] : findings.not_checked) {
    context.Note(absl::StrCat(ShortName(host), " was not checked: ", why));
  }
}

// Returns what is left.
absl::StatusOr<std::vector<v1::Difference>> RepairAll(Context& context, const FsckOptions& options,
                                                      const Findings& findings) {
  const std::vector<v1::RepairRequest> plan = PlanOf(findings);
  if (!options.repair || plan.empty()) return findings.differences;
  const absl::StatusOr<bool> go = Confirm(options, plan.size());
  if (!go.ok()) return go.status();
  if (!*go) return findings.differences;
  for (const v1::RepairRequest& request : plan) {
    const auto done = context.Call(&Stub::Repair, request);
    if (!done.ok()) context.Note(std::string(done.status().message()));
  }
  const auto left = AwaitRepairs(context, findings.differences);
  if (left.ok() && !context.options().json) {
    context.out() << Count(findings.differences.size() - left->size(), "difference")
                  << " repaired, " << left->size() << " left\n";
  }
  return left;
}

absl::Status Fsck(Context& context, const FsckOptions& options) {
  const absl::StatusOr<Findings> found = CheckTwice(context);
  if (!found.ok()) return found.status();
  PrintFindings(context, *found);
  const auto left = RepairAll(context, options, *found);
  if (!left.ok()) return left.status();
  if (context.options().json) context.out() << Json(*found, *left) << std::flush;
  int code = kExitOk;
  if (left->size() < found->differences.size()) code |= kFsckRepaired;
  if (!left->empty()) code |= kFsckLeft;
  if (!found->not_checked.empty()) code |= kFsckNotChecked;
  context.SetExitCode(code);
  return absl::OkStatus();
}

}  // namespace

void AddFsckCommand(CommandLine& line) {
  const auto options = std::make_shared<FsckOptions>();
  CLI::App* const fsck =
      AddVerb(line, &line.app, "fsck", "Compares records, hosts, kernels and labels",
              [=](Context& context) { return Fsck(context, *options); });
  CLI::Option* const repair =
      fsck->add_flag("--repair", options->repair, "Do what each difference names as its repair");
  fsck->add_flag("--yes", options->yes, "Do not ask before")->needs(repair);
  fsck->footer(
      "Exit status, added up: 0 clean; 1 differences were repaired; 4 differences are left;\n"
      "8 a host could not be checked. Other failures: as weft --help says.");
}

}  // namespace weft::cli
