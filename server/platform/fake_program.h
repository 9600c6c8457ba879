// Programs that end when a test says so.

#ifndef WEFT_SERVER_PLATFORM_FAKE_PROGRAM_H_
#define WEFT_SERVER_PLATFORM_FAKE_PROGRAM_H_

#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/program.h"

namespace weft {

// Thread-safe.
class FakeProgramRunner final : public ProgramRunner {
 public:
  absl::StatusOr<std::unique_ptr<Program>> Start(const ProgramSpec& spec) override {
    absl::MutexLock lock(&mu_);
    started_.push_back(spec);
    return std::make_unique<FakeProgram>(*this);
  }

  // Waits until `count` programs have been started, those before included, and returns the
  // last of these.
  ProgramSpec AwaitStart(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return started_.size() >= count; };
    mu_.Await(absl::Condition(&there));
    return started_[count - 1];
  }
  size_t started() const {
    absl::MutexLock lock(&mu_);
    return started_.size();
  }

  // Ends a program that runs, or the next one that will.
  void End(absl::StatusOr<ProgramEnd> end) {
    absl::MutexLock lock(&mu_);
    ends_.push_back(std::move(end));
  }

 private:
  class FakeProgram final : public Program {
   public:
    explicit FakeProgram(FakeProgramRunner& runner) : runner_(runner) {}

    absl::StatusOr<ProgramEnd> Wait() override {
      absl::MutexLock lock(&runner_.mu_);
      const auto over = [this]() ABSL_SHARED_LOCKS_REQUIRED(runner_.mu_) {
        return killed_ || !runner_.ends_.empty();
      };
      runner_.mu_.Await(absl::Condition(&over));
      if (killed_) return absl::CancelledError("killed");
      absl::StatusOr<ProgramEnd> end = std::move(runner_.ends_.front());
      runner_.ends_.pop_front();
      return end;
    }
    void Kill() override {
      absl::MutexLock lock(&runner_.mu_);
      killed_ = true;
    }

   private:
    FakeProgramRunner& runner_;
    bool killed_ = false;
  };

  mutable absl::Mutex mu_;
  std::deque<ProgramSpec> started_ ABSL_GUARDED_BY(mu_);
  std::deque<absl::StatusOr<ProgramEnd>> ends_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_FAKE_PROGRAM_H_
