#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/sim/run.h"
#include "tests/sim/workload.h"

namespace weft::sim {
namespace {

// Run, where a test has a Run of its own.
RunResult Simulate(const RunOptions& options) { return Run(options); }

std::string LogOf(uint64_t seed) {
  std::string log;
  RunOptions options;
  options.seed = seed;
  options.log_line = [&log](const std::string& line) { absl::StrAppend(&log, line, "\n"); };
  Run(options);
  return log;
}

TEST(SimTest, TheSameSeedIsTheSameRunToTheByte) {
  for (const uint64_t seed : {11, 12, 13}) {
    const std::string log = LogOf(seed);
    EXPECT_GT(log.size(), 10'000u);
    EXPECT_TRUE(log == LogOf(seed)) << seed;
    EXPECT_FALSE(log == LogOf(seed + 100)) << seed;
  }
}

// Alone each kind of fault is worn.
TEST(SimTest, EveryWorkloadByItself) {
  for (const Workload& workload : AllWorkloads()) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      RunOptions options;
      options.seed = seed;
      options.workloads = {std::string(workload.name)};
      const RunResult result = Simulate(options);
      EXPECT_TRUE(result.ok) << "--seed " << seed << " --workload " << workload.name << ": "
                             << result.violation.text;
    }
  }
}

struct PlantedBug {
  std::string name;
  std::vector<std::string> workloads;
  // What the checker says; empty: that an invariant is violated, whichever.
  std::string says = {};
};

bool IsCaught(const PlantedBug& bug, const RunResult& result) {
  if (result.ok) return false;
  return bug.says.empty() ? result.violation.invariant != 0
                          : absl::StrContains(result.violation.text, bug.says);
}

class PlantedBugTest : public testing::TestWithParam<PlantedBug> {};

// A checker finds it within these many seeds.
TEST_P(PlantedBugTest, IsCaught) {
  constexpr uint64_t kMostSeeds = 1000;
  RunOptions options;
  options.workloads = GetParam().workloads;
  for (const BugName& bug : AllBugs()) {
    if (bug.name == GetParam().name) options.bugs.*bug.flag = true;
  }
  for (options.seed = 1; options.seed <= kMostSeeds; ++options.seed) {
    const RunResult result = Simulate(options);
    if (!IsCaught(GetParam(), result)) continue;
    std::printf("%s: caught at seed %d: invariant %d: %s\n", GetParam().name.c_str(),
                static_cast<int>(options.seed), result.violation.invariant,
                result.violation.text.substr(0, 160).c_str());
    return;
  }
  ADD_FAILURE() << GetParam().name << " was not caught in " << kMostSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(
    All, PlantedBugTest,
    testing::Values(PlantedBug{"skip_scrub", {"client-deaths"}},
                    PlantedBug{"skip_copy", {"device-drains"}},
                    PlantedBug{"acknowledge_before_commit",
                               {"coordinator-crashes", "store-faults"}},
                    PlantedBug{"expire_early", {"daemon-stalls", "partitions"}},
                    PlantedBug{"reuse_token", {"coordinator-crashes"}},
                    PlantedBug{"forget_request_id", {"lossy-network"}},
                    PlantedBug{"no_dead_man", {"daemon-stalls", "partitions"}},
                    PlantedBug{"no_write_back", {"client-deaths"}},
                    PlantedBug{"resume_unasked", {"daemon-stalls", "partitions"}},
                    PlantedBug{"no_challenge", {"device-clones"}},
                    PlantedBug{"forget_scrubs", {"coordinator-crashes"}},
                    PlantedBug{"forget_grants", {"coordinator-crashes"}},
                    PlantedBug{"confirm_unrevoked", {"client-deaths"}},
                    PlantedBug{"late_deadline", {"daemon-stalls", "partitions"}},
                    PlantedBug{"confirm_deposed", {"failovers"}},
                    PlantedBug{"fence_too_early", {"fence-agents"}},
                    PlantedBug{"fence_nothing", {"fence-agents"}},
                    PlantedBug{"ignore_fence_policy", {"fence-agents"}},
                    PlantedBug{"trust_timer", {"raw-hosts"}},
                    PlantedBug{"due_at_once", {"lossy-network"}, "time stands still"}),
    [](const testing::TestParamInfo<PlantedBug>& info) { return info.param.name; });

TEST(SimTest, EveryBugHasATest) { EXPECT_EQ(AllBugs().size(), 20u); }

}  // namespace
}  // namespace weft::sim
