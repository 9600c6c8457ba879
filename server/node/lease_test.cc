#include "server/node/lease.h"

#include <vector>

#include "gtest/gtest.h"

namespace weft {
namespace {

class RecordingDeadMan : public DeadMan {
 public:
  void Arm(BootTime deadline) override { armed.push_back(deadline); }

  std::vector<BootTime> armed;
};

BootTime At(int64_t ms) { return BootTime(absl::Milliseconds(ms)); }

TEST(LeaseTest, NothingIsHeldBeforeTheFirstRegistration) {
  const Lease lease(nullptr);
  EXPECT_EQ(lease.deadline(), BootTime::InfinitePast());
}

TEST(LeaseTest, RegisteringCountsFromWhenItWasSent) {
  RecordingDeadMan dead_man;
  Lease lease(&dead_man);
  lease.Begin(At(1000), absl::Seconds(10));
  EXPECT_EQ(lease.deadline(), At(10'000));  // 1 s + 10 s - 1 s
  EXPECT_EQ(lease.renew_interval(), absl::Seconds(10) / 3);
  EXPECT_EQ(dead_man.armed, std::vector<BootTime>({At(10'000)}));
}

TEST(LeaseTest, ARenewalMovesTheDeadlineOnlyOnceConfirmed) {
  Lease lease(nullptr);
  lease.Begin(At(0), absl::Seconds(10));
  const v1::Renew renew = lease.MakeRenew(At(3000));
  EXPECT_EQ(lease.deadline(), At(9000));
  lease.Confirm(renew.sequence());
  EXPECT_EQ(lease.deadline(), At(12'000));
}

TEST(LeaseTest, ALateConfirmationCountsFromItsOwnSending) {
  Lease lease(nullptr);
  lease.Begin(At(0), absl::Seconds(10));
  const uint64_t first = lease.MakeRenew(At(3000)).sequence();
  const uint64_t second = lease.MakeRenew(At(6000)).sequence();
  lease.Confirm(first);
  EXPECT_EQ(lease.deadline(), At(12'000));
  lease.Confirm(second);
  EXPECT_EQ(lease.deadline(), At(15'000));
}

TEST(LeaseTest, TheDeadlineNeverMovesBack) {
  Lease lease(nullptr);
  lease.Begin(At(0), absl::Seconds(10));
  const uint64_t first = lease.MakeRenew(At(3000)).sequence();
  const uint64_t second = lease.MakeRenew(At(6000)).sequence();
  lease.Confirm(second);
  lease.Confirm(first);
  EXPECT_EQ(lease.deadline(), At(15'000));
}

TEST(LeaseTest, UnknownConfirmationsChangeNothing) {
  RecordingDeadMan dead_man;
  Lease lease(&dead_man);
  lease.Begin(At(0), absl::Seconds(10));
  const uint64_t sequence = lease.MakeRenew(At(3000)).sequence();
  lease.Confirm(sequence + 1);
  lease.ForgetUnconfirmed();
  lease.Confirm(sequence);
  EXPECT_EQ(lease.deadline(), At(9000));
  EXPECT_EQ(dead_man.armed.size(), 1u);
}

TEST(LeaseTest, SequenceNumbersGoOnAcrossStreams) {
  Lease lease(nullptr);
  lease.Begin(At(0), absl::Seconds(10));
  const uint64_t before = lease.MakeRenew(At(3000)).sequence();
  lease.ForgetUnconfirmed();
  lease.Begin(At(4000), absl::Seconds(10));
  EXPECT_GT(lease.MakeRenew(At(5000)).sequence(), before);
}

}  // namespace
}  // namespace weft
