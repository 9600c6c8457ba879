#include "server/coordinator/executor.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/core/errors.h"

namespace weft {
namespace {

absl::Status Overloaded() {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                   "the coordinator has too many requests queued; try again");
}

absl::Status Stopped() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "the coordinator is stopping");
}

constexpr size_t IndexOf(Lane lane) { return static_cast<size_t>(lane); }

}  // namespace

CommandExecutor::CommandExecutor(CommandRunner& runner, Clock& clock, ExecutorOptions options)
    : runner_(runner), clock_(clock), options_(options) {}

void CommandExecutor::Submit(Lane lane, Command command) {
  absl::Status refusal;
  {
    absl::MutexLock lock(&mu_);
    std::deque<Command>& queue = lanes_[IndexOf(lane)];
    if (stopping_) {
      refusal = Stopped();
    } else if (!refusal_.ok()) {
      refusal = refusal_;
    } else if (queue.size() >= options_.max_queued[IndexOf(lane)]) {
      refusal = Overloaded();
    } else {
      queue.push_back(std::move(command));
      return;
    }
  }
  command.done(refusal);
}

absl::Status CommandExecutor::Run() {
  while (accepting() && runner_.deposed().ok()) {
    Await(runner_.NextDue());
    RunRound();
  }
  if (accepting()) Refuse(NotLeader(""));
  RefuseAll();
  return runner_.deposed();
}

void CommandExecutor::Refuse(const absl::Status& why) {
  {
    absl::MutexLock lock(&mu_);
    refusal_ = why;
  }
  RefuseAll();
}

void CommandExecutor::Accept() {
  absl::MutexLock lock(&mu_);
  refusal_ = absl::OkStatus();
}

void CommandExecutor::Stop() {
  absl::MutexLock lock(&mu_);
  stopping_ = true;
}

bool CommandExecutor::stopping() const {
  absl::MutexLock lock(&mu_);
  return stopping_;
}

size_t CommandExecutor::Queued(Lane lane) const {
  absl::MutexLock lock(&mu_);
  return lanes_[IndexOf(lane)].size();
}

bool CommandExecutor::accepting() const {
  absl::MutexLock lock(&mu_);
  return !stopping_ && refusal_.ok();
}

bool CommandExecutor::MustWake() const {
  return stopping_ || !refusal_.ok() ||
         std::any_of(lanes_.begin(), lanes_.end(),
                     [](const auto& queue) { return !queue.empty(); });
}

void CommandExecutor::Await(MonotonicTime due) {
  const BootTime deadline = clock_.BootNow() + (due - clock_.MonotonicNow());
  absl::MutexLock lock(&mu_);
  clock_.WaitUntil(mu_, absl::Condition(this, &CommandExecutor::MustWake), deadline);
}

void CommandExecutor::RunRound() {
  std::vector<Command> round;
  {
    absl::MutexLock lock(&mu_);
    TakeFrom(Lane::kRenewal, lanes_[IndexOf(Lane::kRenewal)].size(), round);
    TakeFrom(Lane::kSession, options_.max_round, round);
    TakeFrom(Lane::kRequest, options_.max_round, round);
  }
  runner_.RunOnce(std::move(round));
}

void CommandExecutor::TakeFrom(Lane lane, size_t max, std::vector<Command>& round) {
  std::deque<Command>& queue = lanes_[IndexOf(lane)];
  const auto end = queue.begin() + static_cast<ptrdiff_t>(std::min(max, queue.size()));
  std::move(queue.begin(), end, std::back_inserter(round));
  queue.erase(queue.begin(), end);
}

void CommandExecutor::RefuseAll() {
  std::array<std::deque<Command>, kLanes> lanes;
  absl::Status why;
  {
    absl::MutexLock lock(&mu_);
    lanes.swap(lanes_);
    why = stopping_ ? Stopped() : refusal_;
  }
  for (std::deque<Command>& queue : lanes) {
    for (Command& command : queue) command.done(why);
  }
}

}  // namespace weft
