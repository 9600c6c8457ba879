// What only the SQLite store does: files, locks and their errors. See also
// store_contract_test.cc.

#include "server/store/sqlite_store.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"
#include "server/store/child_process.h"
#include "server/store/scoped_mount.h"
#include "server/store/store_test_util.h"
#include "server/store/store_workload.h"

namespace weft {
namespace {

using ::testing::HasSubstr;

class SqliteStoreTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<SqliteStore>> Open() {
    return SqliteStore::Open({.path = path_, .vfs = ""});
  }

  absl::Status OpenError() {
    const absl::Status status = Open().status();
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
    return status;
  }

  std::unique_ptr<SqliteStore> MustOpen() {
    auto store = Open();
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  void RunSql(const std::string& sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
  }

  std::string ReadFile() {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void WriteFile(const std::string& content) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
  }

  // A store of many pages, closed.
  void MakeStore() {
    const auto store = MustOpen();
    for (uint64_t number = 1; number <= 100; ++number) {
      WEFT_ASSERT_OK(store->Commit(WorkloadTransaction(1, number)));
    }
  }

  TempDir folder_;
  std::string path_ = folder_.File("store.db");
};

TEST_F(SqliteStoreTest, FilesAreForTheOwnerAlone) {
  const auto store = MustOpen();
  WEFT_ASSERT_OK(store->Commit(Put("a", "1")));
  for (const char* suffix : {"", "-wal", ".lock"}) {
    struct stat file;
    ASSERT_EQ(stat((path_ + suffix).c_str(), &file), 0) << suffix;
    EXPECT_EQ(file.st_mode & 07777, 0600u) << suffix;
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + "-shm"));
}

TEST_F(SqliteStoreTest, ClosedStoreIsOneFile) {
  WEFT_ASSERT_OK(MustOpen()->Commit(Put("a", "1")));
  std::filesystem::remove(path_ + "-wal");
  EXPECT_EQ(ValueOf(*MustOpen(), "a"), "1");
}

TEST_F(SqliteStoreTest, FileMayBeReachedThroughASymbolicLink) {
  const std::string target = path_;
  {
    // Killed, so that there is a WAL beside the target to be found.
    ChildProcess child({std::getenv("STORE_PROCESS"), target, "1"});
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(child.ReadNumber().has_value());
  }
  path_ = folder_.File("link.db");
  std::filesystem::create_symlink(target, path_);
  const auto store = MustOpen();
  ASSERT_NE(store, nullptr);
  EXPECT_GE(WorkloadCount(ReadContents(*store).value()), 4u);
}

TEST_F(SqliteStoreTest, SecondProcessIsRefusedAndTheFirstIsNamed) {
  ChildProcess child({std::getenv("STORE_PROCESS"), path_, "1"});
  ASSERT_TRUE(child.ReadNumber().has_value());
  const absl::Status status = OpenError();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::STORE_IN_USE);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("locked by process " + std::to_string(child.pid())));
  child.Kill();
  EXPECT_NE(MustOpen(), nullptr);
}

TEST_F(SqliteStoreTest, OtherProgramsAreKeptOut) {
  const auto store = MustOpen();
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(other, "SELECT * FROM kv", nullptr, nullptr, nullptr), SQLITE_BUSY);
  sqlite3_close(other);
}

TEST_F(SqliteStoreTest, OtherProgramThatHasItOpenIsReported) {
  MakeStore();
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "PRAGMA locking_mode=EXCLUSIVE; SELECT count(*) FROM kv", nullptr,
                         nullptr, nullptr),
            SQLITE_OK);
  const absl::Status status = OpenError();
  EXPECT_EQ(ReasonOf(status), v1::STORE_IN_USE) << status;
  sqlite3_close(other);
}

TEST_F(SqliteStoreTest, LeadershipEndsWithTheLockFile) {
  const auto store = MustOpen();
  WEFT_EXPECT_OK(store->ConfirmLeadership());
  std::filesystem::rename(path_ + ".lock", path_ + ".moved");
  const absl::Status status = store->ConfirmLeadership();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::STORE_IN_USE);
}

TEST_F(SqliteStoreTest, OtherKindOfFileIsRefusedAndUntouched) {
  const std::string text(10'000, 'x');
  WriteFile(text);
  const absl::Status status = OpenError();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::STORE_DAMAGED);
  EXPECT_TRUE(ReadFile() == text);
}

TEST_F(SqliteStoreTest, DatabaseOfAnotherApplicationIsRefusedAndUntouched) {
  RunSql("CREATE TABLE t (x)");
  const std::string before = ReadFile();
  const absl::Status status = OpenError();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::FOREIGN_DATA);
  EXPECT_TRUE(ReadFile() == before);
}

TEST_F(SqliteStoreTest, NewerLayoutIsRefused) {
  MakeStore();
  RunSql("PRAGMA user_version=9");
  const absl::Status status = OpenError();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::VERSION_TOO_NEW);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 9"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("up to 1"));
}

TEST_F(SqliteStoreTest, DamagedPageIsFoundAtOpen) {
  MakeStore();
  std::string content = ReadFile();
  ASSERT_GT(content.size(), 5u * 4096);
  // The roots of the tables.
  content.replace(4096, 3 * 4096, 3 * 4096, '\xa5');
  WriteFile(content);
  const absl::Status status = OpenError();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::STORE_DAMAGED);
}

TEST_F(SqliteStoreTest, TruncatedFileIsFoundAtOpen) {
  MakeStore();
  const std::string content = ReadFile();
  WriteFile(content.substr(0, content.size() / 2 / 4096 * 4096));
  const absl::Status status = OpenError();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::STORE_DAMAGED);
}

TEST_F(SqliteStoreTest, MissingFolderIsNamed) {
  path_ = folder_.File("none/store.db");
  const absl::Status status = OpenError();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
}

TEST_F(SqliteStoreTest, ReadOnlyFolderIsNamed) {
  ScopedMount mount(folder_.path(), "size=1m");
  if (!mount.mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << mount.error();
  ASSERT_TRUE(mount.MakeReadOnly());
  const absl::Status status = OpenError();
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("Read-only file system"));
}

TEST_F(SqliteStoreTest, FullDiskRefusesCommitsUntilThereIsSpace) {
  ScopedMount mount(folder_.path(), "size=1m");
  if (!mount.mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << mount.error();
  const std::string ballast = folder_.File("ballast");
  std::ofstream(ballast) << std::string(512 << 10, 'x');
  auto store = MustOpen();
  uint64_t count = 0;
  absl::Status status;
  while (status.ok()) {
    status = store->Commit(WorkloadTransaction(2, count + 1)).status();
    if (status.ok()) ++count;
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::STORE_FULL);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  EXPECT_GT(count, 0u);
  EXPECT_TRUE(ReadContents(*store).value() == WorkloadModel(2).After(count));
  WEFT_EXPECT_OK(store->Recover());

  // It can be opened, too: reads and leases need no space.
  store.reset();
  store = MustOpen();
  ASSERT_NE(store, nullptr);
  EXPECT_TRUE(ReadContents(*store).value() == WorkloadModel(2).After(count));
  EXPECT_EQ(ReasonOf(store->Commit(WorkloadTransaction(2, count + 1)).status()), v1::STORE_FULL);

  std::filesystem::remove(ballast);
  WEFT_EXPECT_OK(store->Commit(WorkloadTransaction(2, count + 1)));
  EXPECT_TRUE(ReadContents(*store).value() == WorkloadModel(2).After(count + 1));
}

TEST_F(SqliteStoreTest, NoSpaceToCreateIsNamed) {
  ScopedMount mount(folder_.path(), "size=8k");
  if (!mount.mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << mount.error();
  std::ofstream(folder_.File("ballast")) << std::string(4096, 'x');
  const absl::Status status = OpenError();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace weft
