// weft doctor.

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/doctor.h"
#include "server/core/errors.h"

namespace weft::cli {
namespace {

void Print(Context& context, const std::vector<Finding>& findings) {
  if (context.options().json) {
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    for (const Finding& finding : findings) {
      json.push_back(
          {{"object", finding.object}, {"problem", finding.problem}, {"remedy", finding.remedy}});
    }
    context.out() << json.dump(1) << std::endl;
    return;
  }
  for (const Finding& finding : findings) {
    context.out() << finding.object << ": " << finding.problem << "\n  " << finding.remedy
                  << std::endl;
  }
  if (findings.empty()) context.out() << "nothing is in the way of --backend=kmod" << std::endl;
}

absl::Status Doctor(Context& context) {
  const std::vector<Finding> findings = Examine("");
  Print(context, findings);
  if (findings.empty()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_SUPPORTED,
                   absl::StrCat(findings.size(), findings.size() == 1 ? " thing is" : " things are",
                                " in the way of --backend=kmod"));
}

}  // namespace

void AddDoctorCommand(CommandLine& line) {
  AddVerb(line, &line.app, "doctor",
          "Says what is missing on this host to give out memory with the kernel module", Doctor);
}

}  // namespace weft::cli
