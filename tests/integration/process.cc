#include "tests/integration/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"

namespace weft {
namespace {

constexpr int kCannotExecute = 127;

// In the child of a process with threads: system calls only.
[[noreturn]] void Execute(char* const* argv, const char* log_path) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(argv[0], argv);
  _exit(kCannotExecute);
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const std::string& log_path) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_ = fork();
  WEFT_CHECK(pid_ >= 0, "fork");
  if (pid_ == 0) Execute(argv.data(), log_path.c_str());
  pidfd_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  WEFT_CHECK(pidfd_.valid(), "pidfd_open ", pid_);
}

void Process::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  Wait();
}

int Process::Terminate() {
  kill(pid_, SIGTERM);
  return Wait();
}

int Process::Wait() {
  int status = 0;
  pid_t ended;
  do {
    ended = waitpid(pid_, &status, 0);
  } while (ended < 0 && errno == EINTR);
  WEFT_CHECK(ended == pid_, "waitpid ", pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

absl::Status Process::AwaitFile(const std::string& path, absl::Duration timeout) {
  const UniqueFd notify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  WEFT_CHECK(inotify_add_watch(notify.get(), FolderOf(path).c_str(), IN_MOVED_TO | IN_CREATE) >= 0,
             path);
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    if (access(path.c_str(), F_OK) == 0) return absl::OkStatus();
    pollfd wait[] = {{notify.get(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(absl::StrCat(path, " did not appear"));
    }
    poll(wait, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (wait[1].revents != 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("process ", pid_, " ended before ", path, " was there"));
    }
    char events[4096];
    while (read(notify.get(), events, sizeof(events)) > 0) {
    }
  }
}

}  // namespace weft
