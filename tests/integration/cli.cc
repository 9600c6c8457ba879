#include "tests/integration/cli.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"

namespace weft {
namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  WEFT_CHECK(value != nullptr, name, " is not set");
  return value;
}

}  // namespace

Process Cli::Start(const std::vector<std::string>& arguments) {
  const std::filesystem::path coordinator = std::filesystem::absolute(Variable("WEFT_COORDINATOR"));
  std::vector<std::string> all = {
      "/usr/bin/env",
      absl::StrCat("PATH=", coordinator.parent_path().string(), ":", Variable("PATH")),
      Variable("WEFT"),
      "--coordinator=" + cluster_.coordinator_address(),
      "--timeout=1m",
  };
  all.insert(all.end(), arguments.begin(), arguments.end());
  const std::string output = cluster_.File(absl::StrCat(kName, ".log"));
  std::filesystem::remove(output);
  return Process(all, output);
}

}  // namespace weft
