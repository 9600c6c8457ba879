// tools/sim and tools/soak sim: runs of the simulation.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/core/check.h"
#include "tests/sim/run.h"
#include "tests/sim/workload.h"

namespace weft::sim {
namespace {

// Of the searches for an order of what clients were told at most one in so many may be given up.
constexpr uint64_t kSearchesPerGivenUp = 1000;

struct Flags {
  std::optional<uint64_t> seed;
  uint64_t base = 0;
  uint64_t runs = 1;
  uint64_t jobs = 1;
  std::vector<std::string> workloads;
  std::string bug;
  bool log = false;
  bool list = false;
};

struct Totals {
  uint64_t runs = 0;
  uint64_t violations = 0;
  Probes probes;
};

// One line, in one write: several processes share the output.
void Say(const std::string& line) {
  std::fputs(absl::StrCat(line, "\n").c_str(), stdout);
  std::fflush(stdout);
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// The command that runs the seed again.
std::string Again(const Flags& flags, uint64_t seed) {
  std::string command = absl::StrCat("tools/sim --seed ", seed);
  for (const std::string& name : flags.workloads) absl::StrAppend(&command, " --workload ", name);
  if (!flags.bug.empty()) absl::StrAppend(&command, " --bug ", flags.bug);
  return absl::StrCat(command, " --log");
}

void Report(const Flags& flags, uint64_t seed, const RunResult& result) {
  const std::string workloads = absl::StrJoin(result.workloads, " ");
  if (result.ok) {
    Say(absl::StrCat("seed ", seed, ": OK (", workloads, "; ",
                     absl::FormatDuration(result.simulated), " simulated, ", result.tasks,
                     " tasks)"));
    return;
  }
  Say(absl::StrCat("seed ", seed, ": VIOLATION of ", result.violation.invariant, " at ",
                   absl::FormatDuration(result.violation.when), " (", workloads,
                   "): ", result.violation.text, "\n  again: ", Again(flags, seed)));
}

// Every `jobs`-th seed from the `job`-th on. `current` has the one that runs.
Totals RunSome(const Flags& flags, uint64_t job, volatile uint64_t& current) {
  RunOptions options;
  options.workloads = flags.workloads;
  options.bugs = Plant(flags.bug);
  if (flags.log) options.log_line = [](const std::string& line) { std::puts(line.c_str()); };
  Totals totals;
  const Stopwatch watch;
  for (uint64_t i = job; i < flags.runs; i += flags.jobs) {
    current = options.seed = flags.seed.value_or(flags.base) + i;
    const RunResult result = Run(options);
    ++totals.runs;
    if (!result.ok) ++totals.violations;
    for (const auto& [name, count] : result.probes) totals.probes[name] += count;
    if (!result.ok || flags.seed) Report(flags, options.seed, result);
    if (totals.runs % 1000 == 0) {
      Say(absl::StrFormat("job %d: %d runs, %d violations, %.1f runs/s", job, totals.runs,
                          totals.violations, static_cast<double>(totals.runs) / watch.seconds()));
    }
  }
  return totals;
}

std::string Encode(const Totals& totals) {
  std::string text = absl::StrCat(totals.runs, "\t", totals.violations, "\n");
  for (const auto& [name, count] : totals.probes) absl::StrAppend(&text, name, "\t", count, "\n");
  return text;
}

void AddEncoded(const std::string& text, Totals& totals) {
  bool first = true;
  for (const auto& line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(line, '\t');
    uint64_t number = 0;
    if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &number)) continue;
    if (std::exchange(first, false)) {
      uint64_t runs = 0;
      if (absl::SimpleAtoi(parts[0], &runs)) totals.runs += runs;
      totals.violations += number;
    } else {
      totals.probes[parts[0]] += number;
    }
  }
}

// What several processes see: by job, the seed that runs.
class CurrentSeeds {
 public:
  explicit CurrentSeeds(uint64_t jobs)
      : bytes_(jobs * sizeof(uint64_t)),
        seeds_(static_cast<uint64_t*>(
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    WEFT_CHECK(seeds_ != MAP_FAILED, jobs);
  }
  ~CurrentSeeds() { munmap(seeds_, bytes_); }

  CurrentSeeds(const CurrentSeeds&) = delete;
  CurrentSeeds& operator=(const CurrentSeeds&) = delete;

  volatile uint64_t& operator[](uint64_t job) { return seeds_[job]; }

 private:
  const size_t bytes_;
  uint64_t* const seeds_;
};

// Each job is a process of its own, which tells its totals through a pipe. One that dies does so
// of its seed.
Totals RunInProcesses(const Flags& flags) {
  CurrentSeeds current(flags.jobs);
  std::map<pid_t, uint64_t> jobs;
  std::vector<int> pipes;
  for (uint64_t job = 0; job < flags.jobs; ++job) {
    int ends[2];
    if (pipe(ends) != 0) break;
    const pid_t child = fork();
    if (child == 0) {
      const std::string text = Encode(RunSome(flags, job, current[job]));
      const bool told = write(ends[1], text.data(), text.size()) == ssize_t(text.size());
      _exit(told ? 0 : 1);
    }
    jobs[child] = job;
    close(ends[1]);
    pipes.push_back(ends[0]);
  }
  Totals totals;
  for (const int end : pipes) {
    std::string text;
    char buffer[4096];
    for (ssize_t got = 0; (got = read(end, buffer, sizeof(buffer))) > 0;) text.append(buffer, got);
    close(end);
    AddEncoded(text, totals);
  }
  int status = 0;
  for (pid_t child; (child = wait(&status)) > 0;) {
    if (!WIFSIGNALED(status)) continue;
    const uint64_t seed = current[jobs.at(child)];
    ++totals.violations;
    Say(absl::StrCat("seed ", seed, ": died: ", strsignal(WTERMSIG(status)),
                     "\n  again: ", Again(flags, seed)));
  }
  return totals;
}

template <typename Named>
std::vector<std::string> NamesOf(const std::vector<Named>& all) {
  std::vector<std::string> names;
  for (const Named& each : all) names.emplace_back(each.name);
  return names;
}

int List() {
  for (const std::string& name : NamesOf(AllWorkloads())) Say(absl::StrCat("workload ", name));
  for (const std::string& name : NamesOf(AllBugs())) Say(absl::StrCat("bug ", name));
  return 0;
}

uint64_t CountOf(const Probes& probes, std::string_view name) {
  const auto found = probes.find(name);
  return found == probes.end() ? 0 : found->second;
}

int Main(const Flags& flags) {
  if (flags.list) return List();
  if (!flags.seed) Say(absl::StrCat("seeds ", flags.base, " to ", flags.base + flags.runs - 1));
  const Stopwatch watch;
  uint64_t current = 0;
  const Totals totals = flags.seed ? RunSome(flags, 0, current) : RunInProcesses(flags);
  if (!flags.seed) {
    for (const auto& [name, count] : totals.probes) Say(absl::StrCat("probe ", name, ": ", count));
    for (const std::string& name : ProbesNeverReached(totals.probes, flags.workloads)) {
      Say(absl::StrCat("probe never reached: ", name));
    }
  }
  const uint64_t searches = CountOf(totals.probes, kSearches);
  const uint64_t given_up = CountOf(totals.probes, kSearchesGivenUp);
  Say(absl::StrFormat("%d histories searched, %d searches given up", searches, given_up));
  const bool judged = given_up * kSearchesPerGivenUp <= searches;
  if (!judged) Say("too many searches were given up: the histories were not judged");
  Say(absl::StrFormat("%d runs, %d violations, %.1f s, %.1f runs/s", totals.runs, totals.violations,
                      watch.seconds(), static_cast<double>(totals.runs) / watch.seconds()));
  // A process that died took its seeds with it.
  return totals.violations == 0 && totals.runs == flags.runs && judged ? 0 : 1;
}

}  // namespace
}  // namespace weft::sim

int main(int argc, char** argv) {
  weft::sim::Flags flags;
  CLI::App app("Runs Weft in a simulated world; the same seed gives the same run.");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--seed", flags.seed, "The one seed to run");
  app.add_option("--base", flags.base, "The first of several seeds");
  app.add_option("--runs", flags.runs, "How many seeds");
  app.add_option("--jobs", flags.jobs, "In how many processes")->check(CLI::PositiveNumber);
  app.add_option("--workload", flags.workloads, "By name, instead of those the seed chooses")
      ->check(CLI::IsMember(weft::sim::NamesOf(weft::sim::AllWorkloads())))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--bug", flags.bug, "Plant this bug")
      ->check(CLI::IsMember(weft::sim::NamesOf(weft::sim::AllBugs())));
  app.add_flag("--log", flags.log, "Print what happens");
  app.add_flag("--list", flags.list, "List workloads and bugs");
  CLI11_PARSE(app, argc, argv);
  return weft::sim::Main(flags);
}
