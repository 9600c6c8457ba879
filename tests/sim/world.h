// What everything in a run shares.

#ifndef WEFT_TESTS_SIM_WORLD_H_
#define WEFT_TESTS_SIM_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "tests/sim/bugs.h"
#include "tests/sim/loop.h"
#include "tests/sim/rng.h"

namespace weft::sim {

// Rare paths, each of which some run should take: counted, and reported if none does.
using Probes = std::map<std::string, uint64_t, std::less<>>;
// Of histories for an order that explains them: all, and those without a result.
inline constexpr std::string_view kSearches = "history searched";
inline constexpr std::string_view kSearchesGivenUp = "search of a history given up";

// What a run found to be wrong: the first thing counts.
struct Violation {
  int invariant = 0;  // as numbered in docs/ARCHITECTURE.md; 0: another promise
  std::string text;
  absl::Duration when;
};

struct World {
  explicit World(uint64_t seed) : rng(seed) {}

  Loop loop;
  Rng rng;
  Bugs bugs;
  Probes probes;
  // Where the log goes; null: nowhere.
  std::function<void(const std::string&)> log_line;
  Violation violation;
  bool failed = false;

  void Probe(std::string_view name, uint64_t times = 1) {
    if (times == 0) return;
    const auto it = probes.find(name);
    if (it == probes.end()) {
      probes.emplace(name, times);
    } else {
      it->second += times;
    }
  }
  // For what costs much to put into words.
  bool logging() const { return log_line != nullptr; }
  template <typename... Parts>
  void Log(const Parts&... parts) const {
    if (!logging()) return;
    log_line(absl::StrCat(absl::FormatDuration(loop.now()), " ", parts...));
  }
  void Fail(int invariant, const std::string& text) {
    Log("VIOLATION of ", invariant, ": ", text);
    if (failed) return;
    failed = true;
    violation = {invariant, text, loop.now()};
  }
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_WORLD_H_
