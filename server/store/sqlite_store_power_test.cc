// Power cuts and failing disks under the SQLite store.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"
#include "server/store/fault_vfs.h"
#include "server/store/sqlite_store.h"
#include "server/store/store_test_util.h"
#include "server/store/store_workload.h"

namespace weft {
namespace {

constexpr char kVfs[] = "weft-fault";
constexpr uint64_t kWorkload = 3;

class SqliteStorePowerTest : public testing::Test {
 protected:
  void Open() {
    auto store = SqliteStore::Open(options_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  // Commits until there are `end` transactions, or until an error.
  void CommitUntil(uint64_t end) {
    while (acknowledged_ < end) {
      if (!store_->Commit(WorkloadTransaction(kWorkload, acknowledged_ + 1)).ok()) break;
      ++acknowledged_;
    }
  }

  // The store holds what was acknowledged and at most one transaction more.
  void ExpectAcknowledged() {
    ASSERT_NE(store_, nullptr);
    const auto contents = ReadContents(*store_);
    WEFT_ASSERT_OK(contents);
    const uint64_t count = WorkloadCount(*contents);
    ASSERT_TRUE(count == acknowledged_ || count == acknowledged_ + 1)
        << count << " transactions are there, " << acknowledged_ << " were acknowledged";
    ASSERT_TRUE(*contents == model_.After(count));
    acknowledged_ = count;
  }

  void CutPowerAndReopen(uint64_t seed) {
    store_.reset();
    vfs_.CutPower(seed);
    Open();
  }

  FaultVfs vfs_{kVfs};
  TempDir folder_;
  const SqliteStoreOptions options_ = {.path = folder_.File("store.db"), .vfs = kVfs};
  std::unique_ptr<SqliteStore> store_;
  uint64_t acknowledged_ = 0;
  WorkloadModel model_{kWorkload};
};

TEST_F(SqliteStorePowerTest, AcknowledgedTransactionsSurvivePowerCuts) {
  std::mt19937_64 random(4);
  Open();
  for (int round = 0; round < 50; ++round) {
    SCOPED_TRACE(round);
    vfs_.StopAfter(random() % 400 + 1);
    CommitUntil(UINT64_MAX);
    ASSERT_TRUE(vfs_.stopped());
    CutPowerAndReopen(random());
    ASSERT_NO_FATAL_FAILURE(ExpectAcknowledged());
  }
}

// The WAL is moved into the database then.
TEST_F(SqliteStorePowerTest, PowerCutsWhileItIsClosedLoseNothing) {
  std::mt19937_64 random(6);
  Open();
  for (int round = 0; round < 50; ++round) {
    SCOPED_TRACE(round);
    CommitUntil(acknowledged_ + random() % 5);
    vfs_.StopAfter(random() % 40 + 1);
    store_.reset();
    CutPowerAndReopen(random());
    ASSERT_NO_FATAL_FAILURE(ExpectAcknowledged());
  }
}

TEST_F(SqliteStorePowerTest, FailedSyncIsUnknownAndDemandsRecovery) {
  Open();
  WEFT_ASSERT_OK(store_->Commit(Put("a", "old")));
  vfs_.FailNextSync("-wal");
  const absl::Status status = store_->Commit(Put("a", "new")).status();
  EXPECT_EQ(OutcomeOf(status), Outcome::kUnknown) << status;
  EXPECT_EQ(ReasonOf(status), v1::OUTCOME_UNKNOWN);

  EXPECT_EQ(ReasonOf(store_->Commit(Put("b", "1")).status()), v1::OUTCOME_UNKNOWN);
  const auto scanned = store_->Scan("", [](const KeyValue&) { return absl::OkStatus(); });
  EXPECT_EQ(ReasonOf(scanned.status()), v1::OUTCOME_UNKNOWN);
  WEFT_EXPECT_OK(store_->ConfirmLeadership());

  WEFT_ASSERT_OK(store_->Recover());
  const std::string recovered = ValueOf(*store_, "a");
  EXPECT_TRUE(recovered == "old" || recovered == "new") << recovered;
  EXPECT_EQ(ValueOf(*store_, "b"), "(none)");
  WEFT_EXPECT_OK(store_->Commit(Put("b", "1")));

  CutPowerAndReopen(1);
  EXPECT_EQ(ValueOf(*store_, "a"), recovered);
  EXPECT_EQ(ValueOf(*store_, "b"), "1");
}

// Once a sync has failed, a later sync that succeeds proves nothing about the bytes
// before it: recovery must write them again before it builds on them.
TEST_F(SqliteStorePowerTest, WhatAFailedSyncForgotIsNotBuiltUpon) {
  std::mt19937_64 random(9);
  Open();
  for (int round = 0; round < 50; ++round) {
    SCOPED_TRACE(round);
    CommitUntil(acknowledged_ + random() % 5);
    vfs_.FailNextSync("-wal");
    EXPECT_EQ(OutcomeOf(store_->Commit(WorkloadTransaction(kWorkload, acknowledged_ + 1)).status()),
              Outcome::kUnknown);
    vfs_.StopAfter(random() % 40 + 1);
    store_->Recover().IgnoreError();
    CutPowerAndReopen(random());
    ASSERT_NO_FATAL_FAILURE(ExpectAcknowledged());
  }
}

TEST_F(SqliteStorePowerTest, FullDiskChangesNothingAndPasses) {
  Open();
  WEFT_ASSERT_OK(store_->Commit(Put("a", "old")));
  vfs_.FailNextWrite("-wal", SQLITE_FULL);
  const absl::Status status = store_->Commit(Put("a", "new")).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::STORE_FULL);
  EXPECT_EQ(ValueOf(*store_, "a"), "old");
  CutPowerAndReopen(2);
  EXPECT_EQ(ValueOf(*store_, "a"), "old");
  WEFT_EXPECT_OK(store_->Commit(Put("a", "new")));
}

TEST_F(SqliteStorePowerTest, FailedWriteIsUnknown) {
  Open();
  WEFT_ASSERT_OK(store_->Commit(Put("a", "old")));
  vfs_.FailNextWrite("-wal", SQLITE_IOERR_WRITE);
  EXPECT_EQ(OutcomeOf(store_->Commit(Put("a", "new")).status()), Outcome::kUnknown);
  WEFT_ASSERT_OK(store_->Recover());
  WEFT_EXPECT_OK(store_->Commit(Put("a", "newer")));
}

// The commit that finds the WAL long moves it first: when that fails, the commit has
// not begun.
TEST_F(SqliteStorePowerTest, FullDatabaseFileRefusesCommitsWhileTheWalIsLong) {
  Open();
  vfs_.FailNextWrite("store.db", SQLITE_FULL);
  absl::Status status;
  while (status.ok()) {
    status = store_->Commit(WorkloadTransaction(kWorkload, acknowledged_ + 1)).status();
    if (status.ok()) ++acknowledged_;
  }
  EXPECT_EQ(ReasonOf(status), v1::STORE_FULL) << status;
  const uint64_t acknowledged = acknowledged_;
  ASSERT_NO_FATAL_FAILURE(ExpectAcknowledged());
  EXPECT_EQ(acknowledged_, acknowledged);
  CommitUntil(acknowledged + 10);
  EXPECT_EQ(acknowledged_, acknowledged + 10);
}

TEST_F(SqliteStorePowerTest, WalStaysShortUnderLoad) {
  constexpr uintmax_t kCheckpointBytes = 1000 * (4096 + 24);
  constexpr uintmax_t kGreatestTransactionBytes = 10 * 110'000;
  Open();
  uintmax_t longest = 0;
  for (uint64_t number = 1; number <= 800; ++number) {
    WEFT_ASSERT_OK(store_->Commit(WorkloadTransaction(kWorkload, number)));
    longest = std::max(longest, std::filesystem::file_size(options_.path + "-wal"));
  }
  EXPECT_GT(longest, kCheckpointBytes / 2);
  EXPECT_LE(longest, kCheckpointBytes + kGreatestTransactionBytes);
}

}  // namespace
}  // namespace weft
