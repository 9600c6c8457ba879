// kill -9 under load: what was acknowledged is there, and nothing is there by half.

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "server/platform/linux/temp_dir.h"
#include "server/store/child_process.h"
#include "server/store/sqlite_store.h"
#include "server/store/store_test_util.h"
#include "server/store/store_workload.h"

namespace weft {
namespace {

constexpr uint64_t kWorkload = 1;

class SqliteStoreKillTest : public testing::Test {
 protected:
  // Runs a process that commits, kills it somewhere after `acknowledgements`, and
  // returns the last one that it gave.
  uint64_t RunAndKill(uint64_t acknowledgements) {
    ChildProcess child({std::getenv("STORE_PROCESS"), path_, std::to_string(kWorkload)});
    uint64_t last = 0;
    for (uint64_t i = 0; i <= acknowledgements; ++i) {
      const auto number = child.ReadNumber();
      if (!number) {
        ADD_FAILURE() << "the process ended by itself";
        return last;
      }
      last = *number;
    }
    // Lets it get anywhere in its next commits.
    volatile uint64_t busy = random_() % 1'000'000;
    while (busy > 0) busy = busy - 1;
    child.Kill();
    while (const auto number = child.ReadNumber()) last = *number;
    return last;
  }

  Contents Reopen() {
    auto store = SqliteStore::Open({.path = path_, .vfs = ""});
    EXPECT_TRUE(store.ok()) << store.status();
    if (!store.ok()) return {};
    const auto contents = ReadContents(**store);
    WEFT_EXPECT_OK(contents);
    return contents.value_or(Contents());
  }

  // Takes what the store's owner would have left behind, without opening it.
  void CopyTo(const std::string& copy) {
    for (const char* suffix : {"", "-wal"}) {
      std::filesystem::copy_file(path_ + suffix, copy + suffix,
                                 std::filesystem::copy_options::overwrite_existing);
    }
  }

  TempDir folder_;
  std::string path_ = folder_.File("store.db");
  std::mt19937_64 random_{20};
};

TEST_F(SqliteStoreKillTest, AcknowledgedTransactionsSurviveAndNoneIsHalved) {
  WorkloadModel model(kWorkload);
  for (int round = 0; round < 30; ++round) {
    SCOPED_TRACE(round);
    const uint64_t acknowledged = RunAndKill(random_() % 60);
    const Contents contents = Reopen();
    const uint64_t count = WorkloadCount(contents);
    ASSERT_TRUE(count == acknowledged || count == acknowledged + 1)
        << count << " transactions are there, " << acknowledged << " were acknowledged";
    ASSERT_TRUE(contents == model.After(count));
  }
}

// A disk that loses or spoils the end of the WAL loses the newest transactions, but
// whole ones, and the store says what it has.
TEST_F(SqliteStoreKillTest, DamagedEndOfTheWalLosesOnlyWholeTransactions) {
  const uint64_t acknowledged = RunAndKill(40);
  const std::string original = folder_.File("original.db");
  CopyTo(original);
  const uint64_t wal_bytes = std::filesystem::file_size(original + "-wal");
  ASSERT_GT(wal_bytes, 0u);
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    for (const char* suffix : {"", "-wal"}) {
      std::filesystem::copy_file(original + suffix, path_ + suffix,
                                 std::filesystem::copy_options::overwrite_existing);
    }
    std::filesystem::resize_file(path_ + "-wal", random_() % wal_bytes);
    // Reads back as zeros, in every other round.
    if (round % 2 == 0) std::filesystem::resize_file(path_ + "-wal", wal_bytes);
    const Contents contents = Reopen();
    const uint64_t count = WorkloadCount(contents);
    ASSERT_LE(count, acknowledged + 1);
    ASSERT_TRUE(contents == WorkloadModel(kWorkload).After(count));
  }
}

}  // namespace
}  // namespace weft
