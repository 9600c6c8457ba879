// Kinds of faults, to be combined at will. Each is a file in workloads/.

#ifndef WEFT_TESTS_SIM_WORKLOAD_H_
#define WEFT_TESTS_SIM_WORKLOAD_H_

#include <string_view>
#include <vector>

#include "tests/sim/cluster.h"

namespace weft::sim {

struct Workload {
  std::string_view name;
  // Plans the faults: with Cluster::NowAndThen, or by setting what is faulty all the time.
  void (*start)(Cluster& cluster);
  // Probes that some run with it reaches.
  std::vector<std::string_view> probes;
  // What it wants of the cluster; null: nothing.
  void (*configure)(ClusterConfig& config) = nullptr;
};

// In a fixed order.
const std::vector<Workload>& AllWorkloads();

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_WORKLOAD_H_
