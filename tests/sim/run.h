// One run of the simulation, from a seed.

#ifndef WEFT_TESTS_SIM_RUN_H_
#define WEFT_TESTS_SIM_RUN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace weft::sim {

struct RunOptions {
  uint64_t seed = 1;
  // By name; empty: those that the seed chooses.
  std::vector<std::string> workloads;
  Bugs bugs;
  // Takes the log, line by line; null: none is made.
  std::function<void(const std::string&)> log_line;
};

struct RunResult {
  bool ok = false;
  Violation violation;
  Probes probes;
  // Those that took part.
  std::vector<std::string> workloads;
  absl::Duration simulated;
  uint64_t tasks = 0;
};

// The same options give the same result and the same log, to the byte. Not thread-safe: the
// product logs by a logger that the whole process shares, and which this silences.
RunResult Run(const RunOptions& options);

// The probes that the workloads of these names, or all if there are none, promise and `probes`
// lacks.
std::vector<std::string> ProbesNeverReached(const Probes& probes,
                                            const std::vector<std::string>& workloads);

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_RUN_H_
