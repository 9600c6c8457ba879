// store_loop SEGMENT DIRECTORY NAME: maps a segment read-write and stores into every page of
// it, round and round, whatever happens. Tells what happened by files:
//   DIRECTORY/NAME.storing  the first round is done
//   DIRECTORY/NAME.refused  the first store that got SIGBUS; made before any store after it
//   /run/NAME.rounds        how many rounds were done without a refusal, at any time
// Ends once DIRECTORY/NAME.stop is there, and leaves DIRECTORY/NAME.ended: how many stores
// landed after the first that was refused.

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "client/sdk/weft.h"

namespace weft {
namespace {

constexpr size_t kPageBytes = 4096;

sigjmp_buf refused_store;

void OnSigbus(int) { siglongjmp(refused_store, 1); }

void Tell(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, text.data(), text.size()) < 0) perror(path.c_str());
  close(fd);
}

// Whether the store was done.
bool Store(std::byte* at, uint64_t value) {
  if (sigsetjmp(refused_store, 1) != 0) return false;
  *reinterpret_cast<volatile uint64_t*>(at) = value;
  return true;
}

int Fail(const absl::Status& status) {
  fprintf(stderr, "store_loop: %s\n", status.ToString().c_str());
  return 1;
}

int Run(const std::string& segment, const std::string& directory, const std::string& name) {
  const absl::StatusOr<std::unique_ptr<sdk::Client>> client = sdk::Client::Connect();
  if (!client.ok()) return Fail(client.status());
  const absl::StatusOr<sdk::Handle> handle = (*client)->Open(segment, sdk::AccessMode::kReadWrite);
  if (!handle.ok()) return Fail(handle.status());
  const absl::StatusOr<sdk::Mapping> mapping = handle->Map();
  if (!mapping.ok()) return Fail(mapping.status());
  struct sigaction action = {};
  action.sa_handler = OnSigbus;
  sigaction(SIGBUS, &action, nullptr);
  const std::string prefix = directory + "/" + name;
  uint64_t value = 0, rounds = 0, refused = 0, landed_after = 0;
  while (access((prefix + ".stop").c_str(), F_OK) != 0) {
    const uint64_t refused_before = refused;
    for (size_t at = 0; at < mapping->size(); at += kPageBytes) {
      if (Store(mapping->bytes().data() + at, ++value)) {
        landed_after += refused > 0 ? 1 : 0;
      } else if (++refused == 1) {
        Tell(prefix + ".refused", std::to_string(rounds));
      }
    }
    if (refused != refused_before) continue;
    if (++rounds == 1) Tell(prefix + ".storing", "");
    Tell("/run/" + name + ".rounds", std::to_string(rounds));
  }
  Tell(prefix + ".ended", std::to_string(landed_after));
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  if (argc == 4) return weft::Run(argv[1], argv[2], argv[3]);
  fprintf(stderr, "usage: store_loop SEGMENT DIRECTORY NAME\n");
  return 2;
}
