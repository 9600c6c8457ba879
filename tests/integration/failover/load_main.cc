// The clients of failover.py, which tells them on standard input what to do, a line each,
// and gets a line back when it is done:
//
//   run N             go on until N more mutations are acknowledged
//   read N            go on until N more reads are
//   kill PID          kill -9; answers when somebody is served again
//   tolerate REASON   from now on operations may be refused for it; `-`: for none
//   hold, inherit, return
//                     what class Rivals does
//   check             stop, compare what was promised with what there is, go on
//   devices           as check, and look at every byte of the devices; only at the end
//
// Every answer is a JSON object: `acknowledged` and `refused`, by operation and by reason;
// `mutations` and `reads` of them; `gap_ms`, for how long nobody was served after the last kill.
// Anything wrong ends the program with status 1, and a line on standard error for each.

#include <signal.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/clock.h"
#include "tests/integration/failover/load.h"

namespace weft {
namespace {

constexpr int kFailure = 1;
constexpr int kUsageError = 2;

int Fail(const soak::Violations& violations) {
  for (const std::string& violation : violations) std::cerr << "violation: " << violation << "\n";
  return kFailure;
}

class Servant {
 public:
  explicit Servant(Load& load) : load_(load) {}

  // False: there is no such order.
  bool Obey(const std::string& verb, std::istream& arguments) {
    const auto order = orders_.find(verb);
    if (order == orders_.end()) return false;
    order->second(arguments);
    return true;
  }

  std::string Answer() const {
    const soak::Counts acknowledged = load_.progress().acknowledged_by_operation();
    return nlohmann::json({{"acknowledged", acknowledged},
                           {"refused", load_.progress().refused_by_reason()},
                           {"mutations", MutationsOf(acknowledged)},
                           {"reads", ReadsOf(acknowledged)},
                           {"gap_ms", absl::ToInt64Milliseconds(gap_)}})
        .dump();
  }

 private:
  static uint64_t Number(std::istream& arguments) {
    uint64_t number = 0;
    arguments >> number;
    return number;
  }

  void Kill(pid_t pid) {
    const absl::Time now = absl::Now();
    kill(pid, SIGKILL);
    gap_ = load_.AwaitServiceSince(now);
  }

  // Every operation that began before is over, and none after has begun.
  void Between(const std::function<void()>& what) {
    load_.Pause();
    what();
    load_.Resume();
  }

  Load& load_;
  absl::Duration gap_;
  const std::map<std::string, std::function<void(std::istream&)>> orders_ = {
      {"run", [this](std::istream& in) { load_.AwaitMutations(Number(in)); }},
      {"read", [this](std::istream& in) { load_.AwaitReads(Number(in)); }},
      {"kill", [this](std::istream& in) { Kill(static_cast<pid_t>(Number(in))); }},
      {"tolerate",
       [this](std::istream& in) {
         std::string reason;
         in >> reason;
         Between([&] { load_.Tolerate(reason == "-" ? "" : reason); });
       }},
      {"hold", [this](std::istream&) { load_.Hold(); }},
      {"inherit", [this](std::istream&) { load_.rivals().Inherit(); }},
      {"return", [this](std::istream&) { load_.rivals().Return(); }},
      {"check", [this](std::istream&) { Between([this] { load_.Check(); }); }},
      {"devices",
       [this](std::istream&) {
         Between([this] {
           load_.Check();
           load_.CheckDevices();
         });
       }},
  };
};

int Main(const LoadOptions& options) {
  auto load = Load::Make(options);
  if (!load.ok()) return Fail({load.status().ToString()});
  (*load)->Resume();
  Servant servant(**load);
  std::cout << servant.Answer() << std::endl;
  std::string verb;
  while (std::cin >> verb) {
    if (!servant.Obey(verb, std::cin)) return kUsageError;
    if ((*load)->progress().violated()) return Fail((*load)->progress().violations());
    std::cout << servant.Answer() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  weft::LoadOptions options;
  CLI::App app("The clients of a failover test.");
  app.add_option("--coordinators", options.coordinators)->required();
  app.add_option("--folder", options.folder, "With the hosts' sockets")->required();
  app.add_option("--host", options.hosts, "Three of them")->expected(3)->required();
  app.add_option("--ledgers", options.ledgers)->capture_default_str();
  app.add_option("--workers", options.workers)->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return weft::Main(options);
}
