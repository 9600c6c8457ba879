#include "server/platform/linux/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/unique_fd.h"

namespace weft {
namespace {

using std::chrono::steady_clock;

constexpr size_t kMaxOutput = 4 << 10;
constexpr int kSignalled = 128;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe MakePipe() {
  int ends[2];
  WEFT_CHECK(pipe2(ends, O_CLOEXEC) == 0, "pipe2 ", errno);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// What a child is given, for posix_spawn.
class SpawnSettings {
 public:
  SpawnSettings(int input, int output) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
    posix_spawnattr_init(&attributes_);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// Only the thread in Wait, or the destructor, signals and reaps the process: its id is
// never used after it was reaped.
class LinuxProgram final : public Program {
 public:
  LinuxProgram(std::string path, pid_t pid, UniqueFd output, absl::Duration timeout)
      : path_(std::move(path)),
        pid_(pid),
        output_(std::move(output)),
        timeout_(timeout),
        pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))),
        killed_(eventfd(0, EFD_CLOEXEC)) {
    WEFT_CHECK(pidfd_.valid() && killed_.valid(), "pidfd_open or eventfd ", errno);
    fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  }
  ~LinuxProgram() override {
    if (pid_ > 0) EndGroup();
  }

  absl::StatusOr<ProgramEnd> Wait() override;
  void Kill() override {
    const uint64_t one = 1;
    WEFT_CHECK(write(killed_.get(), &one, sizeof(one)) == sizeof(one), "eventfd ", errno);
  }

 private:
  // Keeps the end of what there is to read. False: there will be no more.
  bool ReadOutput();
  // Returns its exit status.
  int Reap();
  void EndGroup() {
    kill(-pid_, SIGKILL);
    Reap();
  }

  const std::string path_;
  pid_t pid_;  // -1 once reaped
  UniqueFd output_;
  const absl::Duration timeout_;
  const UniqueFd pidfd_;
  const UniqueFd killed_;
  std::string text_;
};

bool LinuxProgram::ReadOutput() {
  char buffer[kMaxOutput];
  for (;;) {
    const ssize_t size = read(output_.get(), buffer, sizeof(buffer));
    if (size == 0) return false;
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    text_.append(buffer, static_cast<size_t>(size));
    if (text_.size() > kMaxOutput) text_.erase(0, text_.size() - kMaxOutput);
  }
}

int LinuxProgram::Reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFSIGNALED(status) ? kSignalled + WTERMSIG(status) : WEXITSTATUS(status);
}

absl::StatusOr<ProgramEnd> LinuxProgram::Wait() {
  const auto deadline = steady_clock::now() + absl::ToChronoNanoseconds(timeout_);
  bool open = true;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
    pollfd events[] = {{pidfd_.get(), POLLIN, 0},
                       {killed_.get(), POLLIN, 0},
                       {open ? output_.get() : -1, POLLIN, 0}};
    poll(events, std::size(events), static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30)));
    if (open) open = ReadOutput();
    if (events[0].revents != 0) return ProgramEnd{Reap(), text_};
    if (events[1].revents != 0) {
      EndGroup();
      return absl::CancelledError(absl::StrCat(path_, " was killed: ", text_));
    }
    if (left <= 0) {
      EndGroup();
      return absl::DeadlineExceededError(
          absl::StrCat(path_, " was killed after ", absl::FormatDuration(timeout_), ": ", text_));
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Program>> LinuxProgramRunner::Start(const ProgramSpec& spec) {
  WEFT_CHECK(!spec.arguments.empty());
  const std::string& path = spec.arguments.front();
  if (spec.input.size() > kMaxProgramInput) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " would get ", spec.input.size(), " bytes of input"));
  }
  Pipe input = MakePipe();
  Pipe output = MakePipe();
  // It fits into a pipe.
  WEFT_CHECK(write(input.write.get(), spec.input.data(), spec.input.size()) ==
                 static_cast<ssize_t>(spec.input.size()),
             "write to a pipe ", errno);
  std::vector<char*> argv;
  for (const std::string& word : spec.arguments) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const SpawnSettings settings(input.read.get(), output.write.get());
  pid_t pid = -1;
  const int error = posix_spawn(&pid, path.c_str(), settings.actions(), settings.attributes(),
                                argv.data(), environ);
  if (error != 0) return ErrnoError(error, "posix_spawn", path);
  return std::make_unique<LinuxProgram>(path, pid, std::move(output.read), spec.timeout);
}

}  // namespace weft
