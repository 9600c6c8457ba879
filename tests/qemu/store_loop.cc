// store_loop NAME SEGMENT: maps a segment read-write and stores into every page of it, round
// and round, whatever happens. Says on its standard output, each line after "NAME store ":
//   storing              the first round is done
//   refused              a store got SIGBUS for the first time; said before any store after it
//   poisoned             the same, but the SIGBUS says that the memory is bad
//   told OFFSET LENGTH   the SDK told that these bytes of the segment are bad
//   stored N refused M   what became of all stores since it was asked
//   ended                it has read the end of its standard input
// and asks, from lines of its standard input: SECONDS for which it is to go on, at least a
// whole round, before it says what became of its stores.

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/weft.h"

namespace weft {
namespace {

using std::chrono::steady_clock;

constexpr size_t kPageBytes = 4096;

enum Outcome { kStored, kRefused, kPoisoned };

sigjmp_buf refused_store;

void OnSigbus(int, siginfo_t* info, void*) {
  const bool bad = info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO;
  siglongjmp(refused_store, bad ? kPoisoned : kRefused);
}

Outcome Store(std::byte* at, uint64_t value) {
  const int outcome = sigsetjmp(refused_store, 1);
  if (outcome == kStored) *reinterpret_cast<volatile uint64_t*>(at) = value;
  return static_cast<Outcome>(outcome);
}

// One write, so that lines of several threads and processes do not mix.
void Say(const std::string& name, const std::string& what) {
  const std::string line = name + " store " + what + "\n";
  if (write(STDOUT_FILENO, line.data(), line.size()) < 0) perror("store_loop");
}

class StoreLoop {
 public:
  StoreLoop(std::string name, sdk::Mapping mapping)
      : name_(std::move(name)), mapping_(std::move(mapping)) {}

  void Run() {
    Round();
    Say("storing");
    while (!ended_) {
      if (!until_) Ask();
      Round();
      if (until_ && steady_clock::now() >= *until_) Answer();
    }
    Say("ended");
  }

 private:
  void Say(const std::string& what) { weft::Say(name_, what); }

  // Takes the next question, if there is one.
  void Ask() {
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 0) <= 0) return;
    std::string line;
    ended_ = !std::getline(std::cin, line);
    if (ended_) return;
    until_ = steady_clock::now() + std::chrono::seconds(atoi(line.c_str()));
    stored_ = refused_ = 0;
  }

  void Answer() {
    Say("stored " + std::to_string(stored_) + " refused " + std::to_string(refused_));
    until_.reset();
  }

  void Round() {
    for (size_t at = 0; at < mapping_.size(); at += kPageBytes) {
      const Outcome outcome = Store(mapping_.bytes().data() + at, ++value_);
      ++(outcome == kStored ? stored_ : refused_);
      if (outcome == kRefused && !std::exchange(was_refused_, true)) Say("refused");
      if (outcome == kPoisoned && !std::exchange(was_poisoned_, true)) Say("poisoned");
    }
  }

  const std::string name_;
  const sdk::Mapping mapping_;
  uint64_t value_ = 0;
  bool was_refused_ = false;
  bool was_poisoned_ = false;
  bool ended_ = false;
  // Of the question that is being answered: when it is time to, and what is known so far.
  std::optional<steady_clock::time_point> until_;
  uint64_t stored_ = 0;
  uint64_t refused_ = 0;
};

int Fail(const absl::Status& status) {
  std::cerr << "store_loop: " << status.ToString() << std::endl;
  return 1;
}

int Run(const std::string& name, const std::string& segment) {
  sdk::ClientOptions options;
  options.call_timeout = absl::Seconds(60);
  options.on_poison = [&name](const sdk::PoisonNotice& notice) {
    for (const sdk::ByteRange& range : notice.ranges) {
      Say(name, absl::StrCat("told ", range.offset_bytes, " ", range.length_bytes));
    }
  };
  absl::StatusOr<std::unique_ptr<sdk::Client>> client = sdk::Client::Connect(options);
  if (!client.ok()) return Fail(client.status());
  absl::StatusOr<sdk::Handle> handle = (*client)->Open(segment, sdk::AccessMode::kReadWrite);
  if (!handle.ok()) return Fail(handle.status());
  absl::StatusOr<sdk::Mapping> mapping = handle->Map();
  if (!mapping.ok()) return Fail(mapping.status());
  struct sigaction action = {};
  action.sa_sigaction = OnSigbus;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
  StoreLoop(name, *std::move(mapping)).Run();
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  if (argc == 3) return weft::Run(argv[1], argv[2]);
  std::cerr << "usage: store_loop NAME SEGMENT" << std::endl;
  return 2;
}
