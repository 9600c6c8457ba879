#include "server/node/task_queue.h"

#include <functional>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "server/platform/fake_clock.h"

namespace weft {
namespace {

TEST(TaskQueueTest, RunsTasksInTheOrderOfTheirTimes) {
  FakeClock clock;
  TaskQueue queue(clock);
  std::string order;
  const BootTime start = clock.BootNow();
  queue.PostAt(start + absl::Seconds(2), [&] {
    order += "3";
    queue.Stop();
  });
  queue.PostAt(start + absl::Seconds(1), [&] { order += "2"; });
  queue.Post([&] { order += "1"; });
  std::thread thread([&] { queue.Run(); });
  clock.AwaitWaiters(1);
  clock.Advance(absl::Seconds(1));
  clock.AwaitWaiters(1);
  EXPECT_EQ(order, "12");
  clock.Advance(absl::Seconds(1));
  thread.join();
  EXPECT_EQ(order, "123");
}

TEST(TaskQueueTest, RunsNothingAfterStop) {
  FakeClock clock;
  TaskQueue queue(clock);
  bool ran = false;
  queue.Stop();
  queue.Post([&] { ran = true; });
  queue.Run();
  EXPECT_FALSE(ran);
}

TEST(TaskQueueTest, ATaskMayPostAnother) {
  FakeClock clock;
  TaskQueue queue(clock);
  int runs = 0;
  queue.Post([&] {
    ++runs;
    queue.Post([&] {
      ++runs;
      queue.Stop();
    });
  });
  queue.Run();
  EXPECT_EQ(runs, 2);
}

TEST(TaskQueueTest, ATaskThatPostsItselfForEverHoldsUpNoTimer) {
  FakeClock clock;
  TaskQueue queue(clock);
  bool timer_ran = false;
  int runs = 0;
  queue.PostAt(clock.BootNow() + absl::Seconds(1), [&] {
    timer_ran = true;
    queue.Stop();
  });
  std::function<void()> flood = [&] {
    clock.Advance(absl::Milliseconds(100));
    if (++runs == 1000) queue.Stop();
    queue.Post(flood);
  };
  queue.Post(flood);
  queue.Run();
  EXPECT_TRUE(timer_ran);
  EXPECT_EQ(runs, 10);
}

// A renewal's answer that waits is heard before it is found to be missing.
TEST(TaskQueueTest, WhatWasPostedBeforeATimerWasDueRunsBeforeIt) {
  FakeClock clock;
  TaskQueue queue(clock);
  std::string order;
  queue.PostAt(clock.BootNow() + absl::Seconds(1), [&] { order += "2"; });
  queue.Post([&] { order += "1"; });
  clock.Advance(absl::Seconds(2));
  queue.Post([&] {
    order += "3";
    queue.Stop();
  });
  queue.Run();
  EXPECT_EQ(order, "123");
}

}  // namespace
}  // namespace weft
