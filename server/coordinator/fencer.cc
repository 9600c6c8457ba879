#include "server/coordinator/fencer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace weft {
namespace {

constexpr size_t kMaxConcurrency = 16;
constexpr absl::Duration kFirstPause = absl::Seconds(1);
constexpr absl::Duration kLongestPause = absl::Minutes(1);

absl::Duration PauseAfter(int failures) {
  return std::min(kLongestPause, kFirstPause * (int64_t{1} << std::min(failures - 1, 10)));
}

// One line of what a program printed.
std::string OneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return absl::ascii_iscntrl(c); }, ' ');
  return std::string(absl::StripAsciiWhitespace(text));
}

std::string Text(const absl::Status& status) { return OneLine(std::string(status.message())); }

}  // namespace

Fencer::Fencer(FenceAgents agents, ProgramRunner& runner, Clock& clock, ReportFn report)
    : agents_(std::move(agents)), runner_(runner), clock_(clock), report_(std::move(report)) {}

// Without any agent: one, to say so of a host that was being fenced when there were.
size_t Fencer::concurrency() const {
  return std::clamp<size_t>(agents_.size(), 1, kMaxConcurrency);
}

void Fencer::Add(const FenceOrder& order) {
  if (jobs_.contains(order)) return;
  auto job = std::make_shared<Job>();
  job->order = order;
  jobs_[order] = std::move(job);
}

void Fencer::Remove(const FenceOrder& order) {
  const auto it = jobs_.find(order);
  if (it == jobs_.end()) return;
  if (it->second->running != nullptr) it->second->running->Kill();
  jobs_.erase(it);
}

void Fencer::Reset(const std::vector<FenceOrder>& orders) {
  absl::MutexLock lock(&mu_);
  const auto known = jobs_;
  for (const auto& [order, job] : known) {
    if (std::find(orders.begin(), orders.end(), order) == orders.end()) Remove(order);
  }
  for (const FenceOrder& order : orders) Add(order);
  ++changes_;
}

void Fencer::Apply(const absl::btree_map<FenceOrder, bool>& fences) {
  if (fences.empty()) return;
  absl::MutexLock lock(&mu_);
  for (const auto& [order, wanted] : fences) wanted ? Add(order) : Remove(order);
  ++changes_;
}

void Fencer::Run() {
  while (const std::shared_ptr<Job> job = AwaitJob()) RunJob(job);
}

void Fencer::Stop() {
  absl::MutexLock lock(&mu_);
  stopped_ = true;
  for (const auto& [order, job] : jobs_) {
    if (job->running != nullptr) job->running->Kill();
  }
  ++changes_;
}

std::shared_ptr<Fencer::Job> Fencer::TakeDue(BootTime& next) {
  next = BootTime::InfiniteFuture();
  const BootTime now = clock_.BootNow();
  for (const auto& [order, job] : jobs_) {
    if (job->busy) continue;
    if (job->not_before <= now) {
      job->busy = true;
      return job;
    }
    next = std::min(next, job->not_before);
  }
  return nullptr;
}

std::shared_ptr<Fencer::Job> Fencer::TakeJob(BootTime& next) {
  absl::MutexLock lock(&mu_);
  return TakeDue(next);
}

std::shared_ptr<Fencer::Job> Fencer::AwaitJob() {
  absl::MutexLock lock(&mu_);
  while (!stopped_) {
    BootTime first;
    if (std::shared_ptr<Job> job = TakeDue(first)) return job;
    const uint64_t seen = changes_;
    const auto changed = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return changes_ != seen; };
    clock_.WaitUntil(mu_, absl::Condition(&changed), first);
  }
  return nullptr;
}

bool Fencer::IsWanted(const Job& job) const { return !stopped_ && jobs_.contains(job.order); }

void Fencer::SetRunning(Job& job, Program* program) {
  absl::MutexLock lock(&mu_);
  job.running = program;
  if (program != nullptr && !IsWanted(job)) program->Kill();
}

std::string Fencer::RunAgent(Job& job) {
  const auto agent = agents_.find(job.order.host);
  if (agent == agents_.end()) return "the coordinator has no fence agent for it";
  const auto program =
      runner_.Start(ToProgram(job.order.host, agent->second, agent->second.action));
  if (!program.ok()) return Text(program.status());
  SetRunning(job, program->get());
  const absl::StatusOr<ProgramEnd> end = (*program)->Wait();
  SetRunning(job, nullptr);
  if (!end.ok()) return Text(end.status());
  const std::string output = OneLine(end->output);
  if (end->status != 0) {
    // Its name alone: what is kept of this is short.
    const std::string& command = agent->second.command;
    return absl::StrCat(command.substr(command.rfind('/') + 1), " ended with ", end->status, ": ",
                        output);
  }
  spdlog::info("fence_agent_succeeded host={} fence={} command={} action={} output=\"{}\"",
               job.order.host, job.order.fence_id, agent->second.command, agent->second.action,
               output);
  return "";
}

void Fencer::RunJob(const std::shared_ptr<Job>& job) {
  spdlog::warn("fencing host={} fence={} failures={}", job->order.host, job->order.fence_id,
               job->failures);
  const std::string failure = RunAgent(*job);
  if (!failure.empty()) {
    spdlog::error("fence_agent_failed host={} fence={} error=\"{}\"", job->order.host,
                  job->order.fence_id, failure);
  }
  Finish(job, failure);
}

void Fencer::Finish(const std::shared_ptr<Job>& job, const std::string& failure) {
  {
    absl::MutexLock lock(&mu_);
    if (!IsWanted(*job)) return;
  }
  report_(job->order, failure, [this, job, ok = failure.empty()](const absl::Status& status) {
    OnReported(*job, ok && status.ok());
  });
}

// After a success that is durable the job stays busy: it is about to be removed.
void Fencer::OnReported(Job& job, bool succeeded) {
  if (succeeded) return;
  absl::MutexLock lock(&mu_);
  ++job.failures;
  job.not_before = clock_.BootNow() + PauseAfter(job.failures);
  job.busy = false;
  ++changes_;
}

}  // namespace weft
