#include "server/coordinator/restore.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/coordinator/load_state.h"
#include "server/coordinator/runner_test_util.h"
#include "server/core/backup_file.h"
#include "server/core/dump.h"
#include "server/core/errors.h"
#include "server/core/schema_version.h"

namespace weft {
namespace {

const Now kNow{absl::Hours(1), 1'700'000'000'000};

// The records of a cluster with some pools.
Records SomeRecords(int pools) {
  TestStore store(std::make_shared<MemoryMedium>());
  const auto state = LoadState(store, TestCoreOptions(), kNow);
  EXPECT_TRUE(state.ok()) << state.status();
  Changes unheard;
  for (int i = 0; i < pools; ++i) {
    v1::CreatePoolRequest request;
    request.set_pool_id(absl::StrCat("p", i));
    EXPECT_TRUE(CreatePool(**state, Context{kNow, "admin", ""}, request, unheard).ok());
  }
  Records records = RecordsOf(**state);
  records[kSchemaKey] = "1";
  return records;
}

std::string BackupOf(const Records& records) {
  BackupWriter writer(kNow.unix_ms);
  for (const auto& [key, value] : records) writer.Add(key, value);
  return std::move(writer).Finish();
}

TEST(RestoreTest, AStoreIsFilledInTransactionsThatItTakesAndReadAgain) {
  const Records records = SomeRecords(500);
  TestStore store(std::make_shared<MemoryMedium>());
  ASSERT_TRUE(FillStore(store, records).ok());
  EXPECT_GT(store.commits(), 5);
  const auto read = ReadStore(store);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, records);
  EXPECT_TRUE(LoadState(store, TestCoreOptions(), kNow).ok());
}

TEST(RestoreTest, AStoreThatHoldsSomethingIsLeftAlone) {
  TestStore store(std::make_shared<MemoryMedium>());
  ASSERT_TRUE(LoadState(store, TestCoreOptions(), kNow).ok());
  const auto before = ReadStore(store);
  EXPECT_EQ(ReasonOf(FillStore(store, SomeRecords(1))), v1::IN_USE);
  EXPECT_EQ(*ReadStore(store), *before);
}

TEST(RestoreTest, AStoreThatWasFilledInPartIsRefused) {
  TestStore store(std::make_shared<MemoryMedium>());
  const Records records = SomeRecords(500);
  Records first_half(records.begin(), std::next(records.begin(), 200));
  Transaction transaction;
  for (const auto& [key, value] : first_half) {
    if (key != kSchemaKey) transaction.mutations.push_back({key, value});
    if (transaction.mutations.size() == 100) break;
  }
  ASSERT_TRUE(store.Commit(transaction).ok());
  EXPECT_EQ(ReasonOf(LoadState(store, TestCoreOptions(), kNow).status()), v1::STORE_DAMAGED);
  EXPECT_EQ(ReasonOf(ReadStore(store).status()), v1::STORE_DAMAGED);
}

TEST(RestoreTest, WhatIsRestoredGoesOnUnderANewEpoch) {
  const auto restored = RecordsToRestore(BackupOf(SomeRecords(3)), TestCoreOptions(), kNow);
  ASSERT_TRUE(restored.ok()) << restored.status();
  TestStore store(std::make_shared<MemoryMedium>());
  ASSERT_TRUE(FillStore(store, *restored).ok());
  const auto state = LoadState(store, TestCoreOptions(), kNow);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ((*state)->cluster.epoch(), 2u);
  EXPECT_EQ((*state)->pools.size(), 3u);
}

TEST(RestoreTest, NothingIsMadeOfADamagedOrNewerBackup) {
  Records records = SomeRecords(3);
  std::string bytes = BackupOf(records);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  EXPECT_EQ(ReasonOf(RecordsToRestore(bytes, TestCoreOptions(), kNow).status()), v1::STORE_DAMAGED);
  records[kSchemaKey] = "2";
  EXPECT_EQ(ReasonOf(RecordsToRestore(BackupOf(records), TestCoreOptions(), kNow).status()),
            v1::VERSION_TOO_NEW);
  records.erase(kSchemaKey);
  EXPECT_EQ(ReasonOf(RecordsToRestore(BackupOf(records), TestCoreOptions(), kNow).status()),
            v1::STORE_DAMAGED);
}

}  // namespace
}  // namespace weft
