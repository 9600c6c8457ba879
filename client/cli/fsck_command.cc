// weft fsck.

#include <memory>

#include "client/cli/command.h"
#include "client/cli/fsck.h"

namespace weft::cli {

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
      "8 a host could not be checked, or an error ended the check. 2, alone: wrong usage.");
}

}  // namespace weft::cli
