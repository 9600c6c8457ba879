// The embedded store: one SQLite file, one coordinator.

#ifndef WEFT_SERVER_STORE_SQLITE_STORE_H_
#define WEFT_SERVER_STORE_SQLITE_STORE_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/platform/linux/file_lock.h"
#include "server/store/sqlite_connection.h"
#include "server/store/store.h"

namespace weft {

struct SqliteStoreOptions {
  // Of the database file. SQLite keeps `<path>-wal` beside it and this class
  // `<path>.lock`; a backup is made with SQLite's tools or with all of them stopped.
  std::string path;
  // SQLite's name of the layer that reads and writes files; empty: the default.
  std::string vfs;
};

// See Store. A commit is one sync of the WAL; the database file is touched only when
// the WAL is moved into it. Owner is who holds the lock on `<path>.lock`, and SQLite's
// own exclusive lock keeps tools such as sqlite3 out.
class SqliteStore final : public Store {
 public:
  // Opens the store, or creates it (mode 0600) in a directory that exists. Reads the
  // whole file once to check it.
  //   FAILED_PRECONDITION STORE_IN_USE: another process has it; the message names the
  //       file and that process.
  //   FAILED_PRECONDITION FOREIGN_DATA, VERSION_TOO_NEW: not, or not yet, for us.
  //   DATA_LOSS STORE_DAMAGED: damaged, or no database at all.
  //   RESOURCE_EXHAUSTED STORE_FULL; and an errno as a status, naming call and file.
  static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(const SqliteStoreOptions& options);

  ~SqliteStore() override;

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction) override;
  absl::StatusOr<int64_t> Scan(std::string_view prefix, Visitor visit) override;
  absl::Status ConfirmLeadership() override;
  absl::Status Recover() override;
  StoreLimits limits() const override;

 private:
  SqliteStore(const SqliteStoreOptions& options, std::unique_ptr<FileLock> lock)
      : options_(options), lock_(std::move(lock)) {}

  const SqliteStoreOptions options_;
  const std::unique_ptr<FileLock> lock_;
  // Null from an unknown outcome until Recover.
  std::unique_ptr<SqliteConnection> connection_;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_SQLITE_STORE_H_
