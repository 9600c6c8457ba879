// The clients of failover.py, which tells them on standard input what to do, a line each,
// and gets a line back when it is done:
//
//   run N       go on until N more operations are acknowledged
//   kill PID    kill -9; answers `gap MS`, how long nobody was served
//   check       stop, compare what was promised with what there is, go on
//   devices     as check, and look at every byte of the devices; only at the end
//
// Every answer but that of `kill` is `ok ACKNOWLEDGED`; anything wrong ends the program with
// status 1, and a line on standard error for each.

#include <signal.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "absl/time/clock.h"
#include "tests/integration/failover/load.h"

namespace weft {
namespace {

constexpr int kFailure = 1;

int Fail(const soak::Violations& violations) {
  for (const std::string& violation : violations) std::cerr << "violation: " << violation << "\n";
  return kFailure;
}

void Obey(const std::string& verb, int64_t number, Load& load) {
  if (verb == "kill") {
    const absl::Time now = absl::Now();
    kill(static_cast<pid_t>(number), SIGKILL);
    const absl::Duration gap = load.AwaitServiceSince(now);
    std::cout << "gap " << absl::ToInt64Milliseconds(gap) << std::endl;
    return;
  }
  if (verb == "run") {
    load.Await(static_cast<uint64_t>(number));
  } else {
    load.Pause();
    load.Check();
    if (verb == "devices") load.CheckDevices();
    load.Resume();
  }
  std::cout << "ok " << load.progress().acknowledged() << std::endl;
}

int Main(const LoadOptions& options) {
  auto load = Load::Make(options);
  if (!load.ok()) return Fail({load.status().ToString()});
  (*load)->Resume();
  std::cout << "ok 0" << std::endl;
  std::string verb;
  while (std::cin >> verb) {
    int64_t number = 0;
    if (verb == "run" || verb == "kill") std::cin >> number;
    Obey(verb, number, **load);
    if ((*load)->progress().violated()) return Fail((*load)->progress().violations());
  }
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  weft::LoadOptions options;
  CLI::App app("The clients of a failover test.");
  app.add_option("--coordinators", options.coordinators)->required();
  app.add_option("--socket", options.sockets, "Of two hosts")->expected(2)->required();
  app.add_option("--ledgers", options.ledgers)->capture_default_str();
  app.add_option("--workers", options.workers)->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return weft::Main(options);
}
