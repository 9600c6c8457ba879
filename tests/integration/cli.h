// The command line tool, as an administrator of a Cluster runs it.

#ifndef WEFT_TESTS_INTEGRATION_CLI_H_
#define WEFT_TESTS_INTEGRATION_CLI_H_

#include <string>
#include <vector>

#include "tests/integration/harness.h"
#include "tests/integration/process.h"

namespace weft {

// One command at a time. The cluster outlives it.
class Cli {
 public:
  explicit Cli(const Cluster& cluster) : cluster_(cluster) {}

  // `weft` with these arguments, under way. It finds weft-coordinator in its PATH.
  Process Start(const std::vector<std::string>& arguments);
  // Returns its exit status.
  int Run(const std::vector<std::string>& arguments) { return Start(arguments).Wait(); }
  // What the last one has printed, on both of its outputs.
  std::string Output() const { return cluster_.Log(kName); }

 private:
  static constexpr char kName[] = "weft";

  const Cluster& cluster_;
};

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_CLI_H_
