#include "server/platform/linux/program.h"

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include "gtest/gtest.h"

namespace weft {
namespace {

class ProgramTest : public testing::Test {
 protected:
  std::unique_ptr<Program> Start(const std::string& script, const std::string& input = "",
                                 absl::Duration timeout = absl::Minutes(1)) {
    auto program = runner_.Start({{"/bin/sh", "-c", script}, input, timeout});
    EXPECT_TRUE(program.ok()) << program.status();
    return *std::move(program);
  }

  LinuxProgramRunner runner_;
};

TEST_F(ProgramTest, GivesInputAndBringsBackStatusAndOutput) {
  const auto end = Start("cat; echo oops >&2; exit 3", "action=off\nplug=7\n")->Wait();
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->status, 3);
  EXPECT_EQ(end->output, "action=off\nplug=7\noops\n");
}

TEST_F(ProgramTest, ASignalIsAStatusToo) {
  const auto end = Start("kill -TERM $$")->Wait();
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->status, 128 + SIGTERM);
}

TEST_F(ProgramTest, KeepsTheEndOfALongOutput) {
  const auto end = Start("head -c 1000000 /dev/zero | tr '\\0' x; echo end")->Wait();
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->output.size(), 4096u);
  EXPECT_TRUE(end->output.ends_with("xend\n"));
}

TEST_F(ProgramTest, OneThatDoesNotReadItsInputDoesNoHarm) {
  const auto end = Start("exit 0", std::string(kMaxProgramInput, 'x'))->Wait();
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->status, 0);
  const std::string too_much(kMaxProgramInput + 1, 'x');
  EXPECT_FALSE(runner_.Start({{"/bin/true"}, too_much, absl::Seconds(1)}).ok());
}

// The pipe, which the child inherits, ends with the last process that has it.
TEST_F(ProgramTest, ATimeoutEndsTheProgramAndItsChildren) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string write_end = std::to_string(ends[1]);
  const auto end = Start("echo begun; sleep 1000 >&" + write_end + " & wait", "",
                         /*timeout=*/absl::Milliseconds(200))
                       ->Wait();
  close(ends[1]);
  EXPECT_TRUE(absl::IsDeadlineExceeded(end.status())) << end.status();
  EXPECT_NE(end.status().message().find("begun"), std::string::npos);
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), 0) << "the child still has the other end";
  close(ends[0]);
}

TEST_F(ProgramTest, KillEndsTheWaitOfAnotherThread) {
  const std::unique_ptr<Program> program = Start("sleep 1000");
  std::thread killer([&] { program->Kill(); });
  EXPECT_TRUE(absl::IsCancelled(program->Wait().status()));
  killer.join();
  program->Kill();
}

TEST_F(ProgramTest, SignalsOfTheParentAreNotBlockedInTheChild) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const auto end = Start("grep SigBlk /proc/self/status")->Wait();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->output, "SigBlk:\t0000000000000000\n");
}

TEST_F(ProgramTest, NamesAProgramThatIsNotThere) {
  const auto program = runner_.Start({{"/nowhere/fence_none"}, "", absl::Seconds(1)});
  EXPECT_FALSE(program.ok());
  EXPECT_NE(program.status().message().find("/nowhere/fence_none"), std::string::npos);
}

}  // namespace
}  // namespace weft
