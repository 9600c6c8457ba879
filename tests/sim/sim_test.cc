#include <malloc.h>

#include <set>
#include <string>
#include <string_view>
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

// What a run keeps adds up over the hundreds of thousands of a soak. (With a sanitizer that looks
// for leaks itself this sees nothing.)
TEST(SimTest, ARunLeavesNothingBehind) {
  const auto in_use_after_some = [] {
    RunOptions options;
    for (options.seed = 1; options.seed <= 20; ++options.seed) Simulate(options);
    return mallinfo2().uordblks;
  };
  const size_t before = in_use_after_some();  // with what a process makes once
  EXPECT_LE(in_use_after_some(), before + (16 << 10));
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

// A violation of this invariant, with this in its text.
struct Expected {
  int invariant;
  std::string_view says;
};

// Whoever has to zero a device must be told that it is gone: what the kernel's side of weftd saw
// first was once kept from the coordinator, for one seed in 25 of these.
TEST(SimTest, DevicesThatTurnBadAndLoseTheirContents) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    RunOptions options;
    options.seed = seed;
    options.workloads = {"device-losses", "poison"};
    const RunResult result = Simulate(options);
    EXPECT_TRUE(result.ok) << "--seed " << seed << ": " << result.violation.text;
  }
}

struct PlantedBug {
  std::string_view name;
  std::vector<std::string> workloads;
  Expected expected;
};

constexpr Expected kAfterTheEnd = {2, "which it does not hold"};
constexpr Expected kTwoOwners = {1, "is of"};
constexpr Expected kTwoHolders = {2, "exclude each other"};
constexpr Expected kNoOrder = {4, "no order of the operations"};

const std::vector<PlantedBug>& PlantedBugs() {
  static const std::vector<PlantedBug> all = {
      {"skip_scrub", {"client-deaths"}, {5, "is not zero"}},
      {"skip_copy", {"device-drains"}, {4, "is not what it was"}},
      {"acknowledge_before_commit", {"coordinator-crashes", "store-faults"}, kNoOrder},
      {"token_before_durable", {"lossy-network"}, {3, "left before it was durable"}},
      {"expire_early", {"daemon-stalls", "partitions"}, kAfterTheEnd},
      {"slow_host_clock", {"daemon-stalls", "partitions"}, kAfterTheEnd},
      {"reuse_token", {"coordinator-crashes"}, {3, "has token"}},
      {"forget_request_id", {"lossy-network", "store-faults"}, kNoOrder},
      {"no_dead_man", {"daemon-stalls", "partitions"}, kAfterTheEnd},
      {"no_write_back", {"client-deaths"}, {2, "writes back"}},
      {"revive_handles", {"daemon-stalls", "partitions"}, {2, "which it lost, and holds again"}},
      {"zero_again", {"client-deaths"}, {2, "which it has since token"}},
      {"resume_unasked", {"daemon-stalls", "partitions"}, kAfterTheEnd},
      {"no_challenge", {"device-clones"}, {2, "which is no device's"}},
      {"forget_scrubs", {"coordinator-crashes"}, kTwoOwners},
      {"forget_grants", {"coordinator-crashes"}, kTwoHolders},
      {"forget_segments", {"coordinator-crashes"}, kTwoOwners},
      {"store_exclusive", {"lossy-network"}, kTwoHolders},
      {"ignore_releases", {"client-deaths"}, {0, "grants are left"}},
      {"confirm_unrevoked", {"client-deaths"}, kAfterTheEnd},
      {"late_deadline", {"daemon-stalls", "partitions"}, kAfterTheEnd},
      {"confirm_deposed", {"failovers", "partitions"}, kAfterTheEnd},
      {"fence_too_early", {"fence-agents"}, kAfterTheEnd},
      {"fence_nothing", {"fence-agents"}, kAfterTheEnd},
      {"ignore_fence_policy", {"fence-agents"}, kAfterTheEnd},
      {"trust_timer", {"raw-hosts"}, kAfterTheEnd},
      {"due_at_once", {"lossy-network"}, {0, "time stands still"}},
  };
  return all;
}

bool IsCaught(const PlantedBug& bug, const RunResult& result) {
  return !result.ok && result.violation.invariant == bug.expected.invariant &&
         absl::StrContains(result.violation.text, std::string(bug.expected.says));
}

class PlantedBugTest : public testing::TestWithParam<PlantedBug> {};

// The checker whose work it is finds it within these many seeds.
TEST_P(PlantedBugTest, IsCaught) {
  constexpr uint64_t kMostSeeds = 1000;
  RunOptions options;
  options.workloads = GetParam().workloads;
  options.bugs = Plant(GetParam().name);
  for (options.seed = 1; options.seed <= kMostSeeds; ++options.seed) {
    const RunResult result = Simulate(options);
    if (!IsCaught(GetParam(), result)) continue;
    std::printf("%s: caught at seed %d: invariant %d: %s\n", std::string(GetParam().name).c_str(),
                static_cast<int>(options.seed), result.violation.invariant,
                result.violation.text.substr(0, 160).c_str());
    return;
  }
  ADD_FAILURE() << GetParam().name << " was not caught in " << kMostSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBugTest, testing::ValuesIn(PlantedBugs()),
                         [](const testing::TestParamInfo<PlantedBug>& info) {
                           return std::string(info.param.name);
                         });

TEST(SimTest, EveryBugHasATest) {
  std::multiset<std::string_view> bugs;
  std::multiset<std::string_view> tested;
  for (const BugName& bug : AllBugs()) bugs.insert(bug.name);
  for (const PlantedBug& bug : PlantedBugs()) tested.insert(bug.name);
  EXPECT_EQ(bugs, tested);
}

}  // namespace
}  // namespace weft::sim
