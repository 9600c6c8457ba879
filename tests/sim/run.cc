#include "tests/sim/run.h"

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

#include "server/core/check.h"
#include "tests/sim/cluster.h"
#include "tests/sim/workload.h"

namespace weft::sim {
namespace {

constexpr absl::Duration kLoadTime = absl::Seconds(40);

bool IsNamed(const Workload& workload, const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), workload.name) != names.end();
}

std::vector<const Workload*> Choose(World& world, const std::vector<std::string>& names) {
  std::vector<const Workload*> chosen;
  for (const Workload& workload : AllWorkloads()) {
    // Chance is asked for all, so that naming those that a seed chooses changes nothing.
    const bool by_chance = world.rng.OneIn(4);
    if (names.empty() ? by_chance : IsNamed(workload, names)) chosen.push_back(&workload);
  }
  WEFT_CHECK(names.empty() || chosen.size() == names.size(), "no such workload");
  return chosen;
}

ClusterConfig ConfigFor(const std::vector<const Workload*>& workloads) {
  ClusterConfig config;
  for (const Workload* workload : workloads) {
    if (workload->configure != nullptr) workload->configure(config);
  }
  return config;
}

class LogSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit LogSink(const World& world) : world_(world) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    world_.Log("log: ", std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

  const World& world_;
};

// Sends what the product logs to the run's log, while it lives.
class ProductLog {
 public:
  explicit ProductLog(const World& world) : before_(spdlog::default_logger()) {
    if (!world.logging()) {
      spdlog::set_default_logger(Silent());
      return;
    }
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("sim", std::make_shared<LogSink>(world)));
  }
  ~ProductLog() { spdlog::set_default_logger(before_); }

 private:
  static std::shared_ptr<spdlog::logger> Silent() {
    auto silent = std::make_shared<spdlog::logger>("sim");
    silent->set_level(spdlog::level::off);
    return silent;
  }

  const std::shared_ptr<spdlog::logger> before_;
};

}  // namespace

RunResult Run(const RunOptions& options) {
  World world(options.seed);
  world.bugs = options.bugs;
  world.log_line = options.log_line;
  const ProductLog product_log(world);
  RunResult result;
  const std::vector<const Workload*> workloads = Choose(world, options.workloads);
  for (const Workload* workload : workloads) result.workloads.emplace_back(workload->name);
  {
    Cluster cluster(world, ConfigFor(workloads));
    cluster.SetUp();
    if (!world.failed) {
      for (const Workload* workload : workloads) workload->start(cluster);
      cluster.StartLoad();
      cluster.RunFor(kLoadTime);
    }
    if (!world.failed) {
      cluster.EndFaults();
      cluster.Converge();
    }
    if (!world.failed) cluster.JudgeHistory();
  }
  result.ok = !world.failed;
  result.violation = world.violation;
  result.probes = std::move(world.probes);
  result.simulated = world.loop.now();
  result.tasks = world.loop.tasks_run();
  return result;
}

std::vector<std::string> ProbesNeverReached(const Probes& probes,
                                            const std::vector<std::string>& workloads) {
  std::vector<std::string> missing;
  for (const Workload& workload : AllWorkloads()) {
    if (!workloads.empty() && !IsNamed(workload, workloads)) continue;
    for (const std::string_view probe : workload.probes) {
      if (!probes.contains(probe)) missing.emplace_back(probe);
    }
  }
  return missing;
}

}  // namespace weft::sim
