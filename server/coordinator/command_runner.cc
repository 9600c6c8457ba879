#include "server/coordinator/command_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/coordinator/load_state.h"
#include "server/core/errors.h"
#include "server/core/lookup.h"
#include "server/core/sessions.h"
#include "server/core/unrecorded.h"

namespace weft {
namespace {

constexpr absl::Duration kRetryPauseMin = absl::Milliseconds(100);
constexpr absl::Duration kRetryPauseMax = absl::Seconds(5);
// Without another failure for so long, the store is taken to be well again.
constexpr absl::Duration kCalm = absl::Minutes(1);

absl::Status NotLoaded() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   "the coordinator has no state loaded from its store now; try again");
}

// Why mutations are not run for a while.
absl::Status RefusalAfter(const absl::Status& cause) {
  if (absl::IsResourceExhausted(cause)) return cause;
  return MakeError(
      absl::StatusCode::kUnavailable, v1::UNREACHABLE,
      absl::StrCat("the coordinator's store has just refused a transaction; try again: ",
                   cause.message()));
}

absl::Status CannotConfirm(const absl::Status& cause) {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   absl::StrCat("cannot confirm that this coordinator leads: ", cause.message()));
}

// Whether a transaction that ended with `status` did not happen, and the store goes on all the
// same.
bool OnlyRefused(const absl::Status& status) {
  return OutcomeOf(status) == Outcome::kNotCommitted && !absl::IsFailedPrecondition(status) &&
         !absl::IsDataLoss(status);
}

}  // namespace

CommandRunner::CommandRunner(const Clock& clock, CoreOptions options, RunnerObserver& observer)
    : clock_(clock),
      options_(std::move(options)),
      observer_(observer),
      retry_pause_(kRetryPauseMin) {}

CommandRunner::CommandRunner(Store& store, const Clock& clock, CoreOptions options,
                             RunnerObserver& observer)
    : CommandRunner(clock, std::move(options), observer) {
  BeginTerm(store);
}

void CommandRunner::EndTerm() {
  state_ = nullptr;
  observer_.OnUnloaded(NotLeader(""));
}

void CommandRunner::BeginTerm(Store& store) {
  store_ = &store;
  state_ = nullptr;
  deposed_ = absl::OkStatus();
  retry_pause_ = kRetryPauseMin;
  next_load_ = clock_.MonotonicNow();
  refusal_ = absl::OkStatus();
  staged_ = Staged(store.limits());
}

Now CommandRunner::TakeNow() const {
  return {
      .monotonic = clock_.MonotonicNow().since_start(),
      .unix_ms = static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixMillis(clock_.UnixNow())))};
}

absl::Status CommandRunner::Load() {
  if (!deposed_.ok()) return deposed_;
  absl::StatusOr<std::unique_ptr<State>> state = LoadState(*store_, options_, TakeNow());
  if (!state.ok()) {
    next_load_ = clock_.MonotonicNow() + retry_pause_;
    retry_pause_ = std::min(retry_pause_ * 2, kRetryPauseMax);
    ConfirmLeadership().IgnoreError();
    return state.status();
  }
  state_ = *std::move(state);
  retry_pause_ = kRetryPauseMin;
  next_tick_ = absl::ZeroDuration();
  observer_.OnLoaded(*state_);
  return absl::OkStatus();
}

absl::Status CommandRunner::ConfirmLeadership() {
  absl::Status status = store_->ConfirmLeadership();
  if (absl::IsFailedPrecondition(status)) deposed_ = status;
  return status;
}

bool CommandRunner::EnsureLoaded() {
  if (state_ != nullptr) return true;
  if (clock_.MonotonicNow() < next_load_) return false;
  const absl::Status status = Load();
  if (!status.ok()) observer_.OnUnloaded(status);
  return status.ok();
}

absl::Status CommandRunner::NotServing() const {
  return deposed_.ok() ? NotLoaded() : NotLeader("");
}

void CommandRunner::Unload(const absl::Status& cause) {
  state_.reset();
  refusal_ = absl::OkStatus();
  ConfirmLeadership().IgnoreError();
  next_load_ = clock_.MonotonicNow();
  observer_.OnUnloaded(cause);
}

void CommandRunner::LoadAgain(const absl::Status& cause) {
  Unrecorded unrecorded = UnrecordedOf(*state_);
  state_.reset();
  absl::StatusOr<std::unique_ptr<State>> state = LoadState(*store_, options_, TakeNow());
  if (!state.ok()) {
    Unload(state.status());
    return;
  }
  state_ = *std::move(state);
  TakeOver(std::move(unrecorded), *state_);
  next_tick_ = absl::ZeroDuration();
  Pause(cause);
  observer_.OnLoadedAgain(*state_, cause);
}

void CommandRunner::Pause(const absl::Status& cause) {
  const MonotonicTime now = clock_.MonotonicNow();
  const bool calm = now - pause_began_ > kCalm;
  pause_ = calm ? kRetryPauseMin : std::min(pause_ * 2, kRetryPauseMax);
  pause_began_ = now;
  pause_ends_ = now + pause_;
  refusal_ = RefusalAfter(cause);
}

void CommandRunner::TryToEndPause() {
  if (state_ == nullptr || refusal_.ok() || clock_.MonotonicNow() < pause_ends_) return;
  Changes same;
  PutCluster(*state_, same);
  const absl::Status status = Commit(same);
  if (status.ok()) {
    refusal_ = absl::OkStatus();
  } else if (OnlyRefused(status)) {
    Pause(status);
  } else {
    Unload(status);
    EnsureLoaded();
  }
}

MonotonicTime CommandRunner::NextDue() const {
  if (!deposed_.ok()) return MonotonicTime::InfiniteFuture();
  if (state_ == nullptr) return next_load_;
  const MonotonicTime tick(next_tick_);
  return refusal_.ok() ? tick : std::max(tick, pause_ends_);
}

void CommandRunner::RunOnce(std::vector<Command> commands) {
  observer_.OnRound(commands.size());
  EnsureLoaded();
  const auto mutations = std::stable_partition(
      commands.begin(), commands.end(),
      [](const Command& command) { return command.kind != CommandKind::kMutation; });
  std::vector<Command> unchanging(std::make_move_iterator(commands.begin()),
                                  std::make_move_iterator(mutations));
  const Now now = TakeNow();
  if (!unchanging.empty()) RunUnchanging(unchanging, now);
  const bool may_change = mutations != commands.end() || now.monotonic >= next_tick_;
  if (may_change) TryToEndPause();
  for (auto it = mutations; it != commands.end(); ++it) RunMutation(*it, now);
  if (may_change) RunTick(now);
  absl::Status error;
  Flush(&error);
}

void CommandRunner::RunUnchanging(std::vector<Command>& commands, const Now& now) {
  const bool any_confirmed =
      std::any_of(commands.begin(), commands.end(),
                  [](const Command& command) { return command.kind == CommandKind::kConfirmed; });
  absl::Status leads;
  if (any_confirmed && state_ != nullptr) {
    leads = ConfirmLeadership();
    if (!deposed_.ok()) Unload(deposed_);
  }
  for (Command& command : commands) {
    if (state_ == nullptr) {
      command.done(NotServing());
    } else if (command.kind == CommandKind::kConfirmed && !leads.ok()) {
      command.done(CannotConfirm(leads));
    } else {
      Changes none;
      command.done(command.run(*state_, now, none));
    }
  }
}

void CommandRunner::RunMutation(Command& command, const Now& now) {
  if (state_ == nullptr) {
    command.done(NotServing());
    return;
  }
  Changes changes;
  if (!refusal_.ok()) {
    if (command.run_unrecorded) {
      absl::Status status = command.run_unrecorded(*state_, now, changes);
      answers_.push_back({std::move(command.done), std::move(status)});
    } else {
      command.done(refusal_);
    }
    return;
  }
  absl::Status status = command.run(*state_, now, changes);
  if (status.ok()) {
    const uint64_t revision = state_->cluster.revision();
    absl::Status error;
    if (!staged_.Fits(changes) && !Flush(&error)) {
      if (command.done) command.done(error);
      return;
    }
    staged_.Append(std::move(changes), revision);
  }
  if (command.done) answers_.push_back({std::move(command.done), std::move(status)});
}

// A mutation like others: what it changes joins the round's transaction. It runs after
// every round with mutations, since each may have made something due earlier.
void CommandRunner::RunTick(const Now& now) {
  if (state_ == nullptr || !refusal_.ok()) return;
  Command tick;
  tick.run = [this](State& state, const Now& at, Changes& changes) {
    next_tick_ = Tick(state, Context{at, /*principal=*/"", /*host=*/""}, changes);
    return absl::OkStatus();
  };
  RunMutation(tick, now);
}

absl::Status CommandRunner::Commit(const Changes& changes) {
  const MonotonicTime start = clock_.MonotonicNow();
  absl::Status status = store_->Commit(ToTransaction(changes)).status();
  observer_.OnCommit(status, clock_.MonotonicNow() - start);
  return status;
}

bool CommandRunner::Flush(absl::Status* error) {
  Staged staged = std::exchange(staged_, Staged(store_->limits()));
  std::vector<Answer> answers = std::exchange(answers_, {});
  if (!staged.changes().mutations.empty()) {
    const absl::Status status = Commit(staged.changes());
    if (!status.ok()) {
      *error = ErrorForCommands(status);
      const bool goes_on = OnlyRefused(status);
      if (!goes_on) Unload(status);
      for (Answer& answer : answers) answer.done(*error);
      if (goes_on) {
        LoadAgain(status);
      } else {
        EnsureLoaded();
      }
      return false;
    }
  } else if (!answers.empty() && !ConfirmAnswers(staged, answers, error)) {
    return false;
  }
  for (Answer& answer : answers) answer.done(answer.status);
  if (!staged.changes().empty()) {
    observer_.OnCommitted(*state_, staged.changes(), staged.revision());
  }
  return true;
}

bool CommandRunner::ConfirmAnswers(const Staged& staged, std::vector<Answer>& answers,
                                   absl::Status* error) {
  const absl::Status leads = ConfirmLeadership();
  if (leads.ok()) return true;
  *error = deposed_.ok() ? CannotConfirm(leads) : NotLeader("");
  if (!deposed_.ok() || !staged.changes().empty()) Unload(leads);
  for (Answer& answer : answers) answer.done(*error);
  return false;
}

absl::Status CommandRunner::ErrorForCommands(const absl::Status& status) {
  if (OutcomeOf(status) == Outcome::kUnknown) {
    return ReasonOf(status) == v1::OUTCOME_UNKNOWN ? status : UnknownOutcome(status);
  }
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDataLoss:
      return status;
    case absl::StatusCode::kFailedPrecondition:
      return NotLeader("");
    default:
      return absl::InternalError(
          absl::StrCat("the store refused the transaction: ", status.message()));
  }
}

}  // namespace weft
