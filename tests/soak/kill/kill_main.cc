// The soak `kill`: a coordinator and two daemons, killed again and again under load.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/integration/harness.h"
#include "tests/soak/kill/soak.h"

namespace weft::soak {
namespace {

constexpr int kFailure = 1;
constexpr int kRoundsPerLine = 10;

struct Flags {
  int rounds = 200;
  SoakOptions soak;
  ClusterOptions cluster;
};

template <typename Counts>
std::string Join(const Counts& counts) {
  return absl::StrJoin(counts, ", ", [](std::string* out, const auto& item) {
    absl::StrAppend(out, item.first, " ", item.second);
  });
}

void Report(const Flags& flags, const Soak& soak, int rounds, absl::Duration elapsed) {
  int kills = 0;
  for (const auto& [kind, count] : soak.kills()) kills += count;
  std::cout << "seed:         " << flags.soak.seed << "\n"
            << "rounds:       " << rounds << "\n"
            << "acknowledged: " << soak.progress().acknowledged() << " ("
            << Join(soak.progress().acknowledged_by_operation()) << ")\n"
            << "refused:      " << Join(soak.progress().refused_by_reason()) << "\n"
            << "kills:        " << kills << " (" << Join(soak.kills()) << ")\n"
            << "violations:   " << soak.violations().size() << "\n"
            << "time:         " << absl::FormatDuration(absl::Trunc(elapsed, absl::Seconds(1)))
            << "\n";
}

int Fail(const Flags& flags, Cluster& cluster, const Violations& violations) {
  for (const std::string& violation : violations) std::cerr << "violation: " << violation << "\n";
  std::cerr << "repeat with --seed " << flags.soak.seed << "; logs, store and devices are in "
            << cluster.KeepFolder() << "\n";
  return kFailure;
}

int Main(const Flags& flags) {
  const absl::Time begin = absl::Now();
  Cluster cluster(flags.cluster);
  if (absl::Status status = cluster.StartWithPool(); !status.ok()) {
    return Fail(flags, cluster, {absl::StrCat("start: ", status.ToString())});
  }
  Soak soak(flags.soak, cluster);
  if (absl::Status status = soak.Start(); !status.ok()) {
    return Fail(flags, cluster, {absl::StrCat("start: ", status.ToString())});
  }
  int rounds = 0;
  while (rounds < flags.rounds && soak.violations().empty()) {
    soak.RunRound();
    if (++rounds % kRoundsPerLine == 0) {
      std::cout << "round " << rounds << ": " << soak.progress().acknowledged() << " acknowledged, "
                << soak.violations().size() << " violations" << std::endl;
    }
  }
  Report(flags, soak, rounds, absl::Now() - begin);
  return soak.violations().empty() ? 0 : Fail(flags, cluster, soak.violations());
}

}  // namespace
}  // namespace weft::soak

int main(int argc, char** argv) {
  weft::soak::Flags flags;
  flags.cluster.devices = 2;
  CLI::App app("Kills coordinator and daemons under load and checks that nothing is lost.");
  app.add_option("--rounds", flags.rounds, "Rounds of load, kill and checks")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", flags.soak.seed, "Of all that is left to chance")->capture_default_str();
  app.add_option("--coordinator", flags.cluster.coordinator_path, "Path of weft-coordinator")
      ->required();
  app.add_option("--weftd", flags.cluster.weftd_path, "Path of weftd")->required();
  CLI11_PARSE(app, argc, argv);
  return weft::soak::Main(flags);
}
