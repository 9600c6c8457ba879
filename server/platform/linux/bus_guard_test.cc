#include "server/platform/linux/bus_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

#include "gtest/gtest.h"

namespace weft {
namespace {

// Two pages of mapping over one page of file: touching the second raises SIGBUS.
class BusGuardTest : public testing::Test {
 protected:
  void SetUp() override {
    fd_ = memfd_create("bus_guard_test", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(fd_, page_), 0);
    void* const mapping = mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    ASSERT_NE(mapping, MAP_FAILED);
    bytes_ = static_cast<volatile char*>(mapping);
  }
  void TearDown() override {
    munmap(const_cast<char*>(bytes_), 2 * page_);
    close(fd_);
  }
  const void* base() const { return const_cast<const char*>(bytes_); }

  const size_t page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  int fd_ = -1;
  volatile char* bytes_ = nullptr;
};

TEST_F(BusGuardTest, AccessThatWorksReportsNothing) {
  EXPECT_EQ(RunGuarded(base(), 2 * page_, [&] { bytes_[0] = 7; }), std::nullopt);
  EXPECT_EQ(bytes_[0], 7);
}

TEST_F(BusGuardTest, FaultIsReportedWithItsPlaceAndTheRestLeftOut) {
  const auto fault = RunGuarded(base(), 2 * page_, [&] {
    bytes_[page_ + 8] = 1;
    bytes_[0] = 9;
  });
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->offset, page_ + 8);
  EXPECT_FALSE(fault->hardware);
  EXPECT_EQ(bytes_[0], 0);
}

TEST_F(BusGuardTest, WorksAgainAndAgain) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(RunGuarded(base(), 2 * page_, [&] { bytes_[page_] = 1; }).has_value());
    ASSERT_FALSE(RunGuarded(base(), 2 * page_, [&] { bytes_[0] = 1; }).has_value());
  }
}

TEST_F(BusGuardTest, ThreadsFaultIndependently) {
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) {
      EXPECT_TRUE(RunGuarded(base(), 2 * page_, [&] { bytes_[page_] = 1; }).has_value());
    }
  });
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(RunGuarded(base(), 2 * page_, [&] { bytes_[0] = 1; }).has_value());
  }
  other.join();
}

using BusGuardDeathTest = BusGuardTest;

// Clears the handlers of a sanitizer, which would turn the signal into a report.
void Install(const void* base) {
  signal(SIGBUS, SIG_DFL);
  RunGuarded(base, 1, [] {});
}

TEST_F(BusGuardDeathTest, FaultOutsideTheRangeStillKills) {
  EXPECT_EXIT(
      {
        Install(base());
        RunGuarded(base(), page_, [&] { bytes_[page_] = 1; });
      },
      testing::KilledBySignal(SIGBUS), "");
}

TEST_F(BusGuardDeathTest, FaultOutsideAnyGuardStillKills) {
  EXPECT_EXIT(
      {
        Install(base());
        bytes_[page_] = 1;
      },
      testing::KilledBySignal(SIGBUS), "");
}

TEST_F(BusGuardDeathTest, SignalThatWasSentStillKills) {
  EXPECT_EXIT(
      {
        Install(base());
        raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace weft
