#include "client/cli/fsck.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/arguments.h"
#include "client/cli/exit_codes.h"
#include "client/cli/fsck_checks.h"
#include "client/cli/table.h"
#include "client/sdk/admin/timing.h"
#include "proto/weft/v1/fsck.grpc.pb.h"
#include "server/core/errors.h"

namespace weft::cli {
namespace {

// A newer coordinator may name repairs that this program does not know: they are left.
bool CanRepair(const v1::Difference& difference) {
  return difference.repair() == v1::RESYNC_HOST || difference.repair() == v1::REVOKE_STRAY;
}

std::string KindText(const v1::Difference& difference) {
  const std::string& name = v1::DifferenceKind_Name(difference.kind());
  return name.empty() ? absl::StrCat("DIFFERENCE_", static_cast<int>(difference.kind())) : name;
}

std::string Text(const v1::Difference& difference) {
  const std::string on =
      difference.host().empty() ? "" : absl::StrCat(" on ", ShortName(difference.host()));
  Properties text;
  text.Add("  coordinator", difference.recorded());
  text.Add("  found", difference.found());
  text.Add(CanRepair(difference) ? "  repair" : "  by hand", difference.remedy());
  return absl::StrCat(KindText(difference), " ", difference.resource(), on, "\n", text.ToString());
}

std::string Summary(const Findings& findings) {
  if (findings.differences.empty()) {
    return absl::StrCat("clean: ", Count(findings.checked.size(), "host"), " checked\n");
  }
  const auto by_hand = std::count_if(findings.differences.begin(), findings.differences.end(),
                                     [](const v1::Difference& one) { return !CanRepair(one); });
  return absl::StrCat(Count(findings.differences.size(), "difference"), ", ", by_hand,
                      " of them to be repaired by hand; ", Count(findings.checked.size(), "host"),
                      " checked\n");
}

std::string Json(const Findings& findings, const Findings& left) {
  using nlohmann::ordered_json;
  ordered_json json;
  json["differences"] = ordered_json::parse(ToJson(findings.differences));
  json["left"] = ordered_json::parse(ToJson(left.differences));
  json["notChecked"] = ordered_json::array();
  for (const auto& [host, why] : findings.not_checked) {
    json["notChecked"].push_back({{"host", host}, {"reason", why}});
  }
  return json.dump(1, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace) + "\n";
}

absl::Status CheckCanAsk(Context& context, const FsckOptions& options) {
  if (!options.repair || options.yes) return absl::OkStatus();
  if (context.options().json) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     "--repair asks before it does what was printed, and --json prints when all is "
                     "done: say --yes to repair without being asked");
  }
  if (isatty(STDIN_FILENO) == 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     "--repair asks before, and standard input is no terminal: say --yes to "
                     "repair without being asked");
  }
  return absl::OkStatus();
}

bool Confirm(const FsckOptions& options, size_t repairs) {
  if (options.yes) return true;
  std::cerr << "do these " << Count(repairs, "repair") << "? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes";
}

std::vector<v1::RepairRequest> PlanOf(const Findings& findings) {
  std::vector<v1::RepairRequest> plan;
  std::set<std::tuple<int, std::string, uint64_t>> planned;
  for (const v1::Difference& one : findings.differences) {
    if (!CanRepair(one)) continue;
    const uint64_t segment = one.repair() == v1::REVOKE_STRAY ? one.segment_id() : 0;
    if (!planned.emplace(one.repair(), one.host(), segment).second) continue;
    v1::RepairRequest& request = plan.emplace_back();
    request.set_action(one.repair());
    request.set_host(one.host());
    request.set_segment_id(segment);
  }
  return plan;
}

// Which of `before` are still there, and which hosts could not be asked; gives what was done
// time to have its effect. Nobody knows that a difference of such a host is gone.
absl::StatusOr<Findings> AwaitRepairs(Context& context, const FsckOptions& options,
                                      const std::vector<v1::Difference>& before) {
  const sdk::Deadline deadline = sdk::Deadline::After(options.repair_time);
  for (;;) {
    absl::StatusOr<Findings> now = CheckAll(context);
    if (!now.ok()) return now;
    std::vector<v1::Difference> left = before;
    std::erase_if(left, [&](const v1::Difference& one) {
      return !HasOneLike(now->differences, one) && !now->not_checked.contains(one.host());
    });
    now->differences = std::move(left);
    if (std::none_of(now->differences.begin(), now->differences.end(), CanRepair)) return now;
    if (deadline.passed()) return now;
    sdk::Pause(options.between_passes);
  }
}

void NoteNotChecked(Context& context, const std::string& host, const std::string& why) {
  context.Note(absl::StrCat(ShortName(host), " was not checked: ", why));
}

void PrintFindings(Context& context, const Findings& findings) {
  if (!context.options().json) {
    for (const v1::Difference& one : findings.differences) context.out() << Text(one);
    context.out() << Summary(findings) << std::flush;
  }
  for (const auto& [host, why] : findings.not_checked) NoteNotChecked(context, host, why);
}

// Returns what is left.
absl::StatusOr<Findings> RepairAll(Context& context, const FsckOptions& options,
                                   const Findings& findings) {
  const std::vector<v1::RepairRequest> plan = PlanOf(findings);
  if (!options.repair || plan.empty() || !Confirm(options, plan.size())) return findings;
  for (const v1::RepairRequest& request : plan) {
    const auto done = context.Call(&v1::FsckService::Stub::Repair, request);
    if (!done.ok()) context.Note(std::string(done.status().message()));
  }
  absl::StatusOr<Findings> left = AwaitRepairs(context, options, findings.differences);
  if (left.ok() && !context.options().json) {
    context.out() << Count(findings.differences.size() - left->differences.size(), "difference")
                  << " repaired, " << left->differences.size() << " left\n"
                  << std::flush;
  }
  return left;
}

int FsckCodeOf(const Findings& found, const Findings& left) {
  int code = kExitOk;
  if (left.differences.size() < found.differences.size()) code |= kFsckRepaired;
  if (!left.differences.empty()) code |= kFsckLeft;
  if (!found.not_checked.empty()) code |= kFsckNotChecked;
  return code;
}

}  // namespace

absl::Status Fsck(Context& context, const FsckOptions& options) {
  if (absl::Status status = CheckCanAsk(context, options); !status.ok()) return status;
  // Until it has come to its end.
  context.SetExitCode(kFsckNotChecked);
  absl::StatusOr<Findings> found = CheckTwice(context, options.between_passes);
  if (!found.ok()) return found.status();
  PrintFindings(context, *found);
  const absl::StatusOr<Findings> left = RepairAll(context, options, *found);
  if (!left.ok()) return left.status();
  for (const auto& [host, why] : left->not_checked) {
    if (found->not_checked.emplace(host, why).second) NoteNotChecked(context, host, why);
  }
  if (context.options().json) context.out() << Json(*found, *left) << std::flush;
  context.SetExitCode(FsckCodeOf(*found, *left));
  return absl::OkStatus();
}

}  // namespace weft::cli
