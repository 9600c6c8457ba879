#include "server/platform/linux/interrupter.h"

#include <errno.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace weft {
namespace {

class InterrupterTest : public testing::Test {
 protected:
  InterrupterTest() { EXPECT_EQ(pipe(pipe_), 0); }
  ~InterrupterTest() override {
    close(pipe_[0]);
    close(pipe_[1]);
  }

  int pipe_[2];
  char byte_ = 0;
};

TEST_F(InterrupterTest, EndsACallThatWouldLastForEver) {
  const Interrupter interrupter(absl::Milliseconds(5));
  EXPECT_EQ(read(pipe_[0], &byte_, 1), -1);
  EXPECT_EQ(errno, EINTR);
}

TEST_F(InterrupterTest, AlsoOneThatBeginsAfterItsTime) {
  const Interrupter interrupter(absl::ZeroDuration());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(read(pipe_[0], &byte_, 1), -1);
    EXPECT_EQ(errno, EINTR);
  }
}

TEST_F(InterrupterTest, LeavesOthersAlone) {
  const Interrupter interrupter(absl::Hours(1));
  ASSERT_EQ(write(pipe_[1], "x", 1), 1);
  EXPECT_EQ(read(pipe_[0], &byte_, 1), 1);
}

TEST_F(InterrupterTest, PutsTheHandlerBack) {
  struct sigaction before, after;
  ASSERT_EQ(sigaction(SIGALRM, nullptr, &before), 0);
  {
    const Interrupter interrupter(absl::Hours(1));
  }
  ASSERT_EQ(sigaction(SIGALRM, nullptr, &after), 0);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

}  // namespace
}  // namespace weft
