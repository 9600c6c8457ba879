// store_process PATH SEED: opens the SQLite store at PATH, writes to standard output how
// many transactions of the workload SEED it holds, then commits the following ones for
// ever, writing the number of each once it is durable. Numbers are 8 bytes, in the
// machine's order. Ends with status 1 and a message at the first error.

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "server/store/sqlite_store.h"
#include "server/store/store_workload.h"

namespace weft {
namespace {

absl::Status Acknowledge(uint64_t number) {
  if (write(STDOUT_FILENO, &number, sizeof(number)) == sizeof(number)) return absl::OkStatus();
  return absl::UnavailableError("nobody reads the acknowledgements");
}

absl::Status Run(const std::string& path, uint64_t seed) {
  auto store = SqliteStore::Open({.path = path, .vfs = ""});
  if (!store.ok()) return store.status();
  const auto contents = ReadContents(**store);
  if (!contents.ok()) return contents.status();
  uint64_t number = WorkloadCount(*contents);
  for (;;) {
    if (absl::Status status = Acknowledge(number); !status.ok()) return status;
    const auto committed = (*store)->Commit(WorkloadTransaction(seed, ++number));
    if (!committed.ok()) return committed.status();
  }
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: store_process PATH SEED\n";
    return 2;
  }
  std::cerr << weft::Run(argv[1], std::strtoull(argv[2], nullptr, 10)) << "\n";
  return 1;
}
