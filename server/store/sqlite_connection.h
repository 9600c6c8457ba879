// The tables of the SQLite store and the transactions on them.

#ifndef WEFT_SERVER_STORE_SQLITE_CONNECTION_H_
#define WEFT_SERVER_STORE_SQLITE_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/store/sqlite_database.h"
#include "server/store/store.h"

namespace weft {

// One opening of a database file in WAL mode, synchronous=FULL, exclusively locked.
// After an unknown outcome it must be destroyed: only a fresh opening sees what is
// really in the file. Not thread-safe.
class SqliteConnection {
 public:
  // Opens the file at `path`, which exists, makes an empty one a store, and moves the
  // whole WAL into it. Errors as SqliteDatabase's, and
  //   FAILED_PRECONDITION FOREIGN_DATA: a database of another application.
  //   FAILED_PRECONDITION VERSION_TOO_NEW: tables of a newer Weft.
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path,
                                                                const std::string& vfs);

  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  // As Store's, for a transaction that has been checked.
  absl::StatusOr<CommitResult> Commit(const Transaction& transaction);
  absl::StatusOr<int64_t> Scan(std::string_view prefix, Store::Visitor visit);

  // Moves the whole WAL into the database file and empties it.
  absl::Status EmptyWal();

 private:
  struct Statements {
    SqliteStatement get_revision;
    SqliteStatement put;
    SqliteStatement remove;
    SqliteStatement set_revision;
    SqliteStatement scan;
  };

  SqliteConnection(SqliteDatabase database, Statements statements, int64_t revision);

  static absl::StatusOr<Statements> Prepare(const SqliteDatabase& database);

  // Everything between BEGIN and COMMIT.
  absl::Status Apply(const Transaction& transaction, int64_t revision);
  absl::Status Check(const Compare& compare);
  absl::Status Mutate(const Mutation& mutation, int64_t revision);
  absl::Status Run(SqliteStatement& statement);
  absl::Status Checkpoint(int mode);

  SqliteDatabase database_;
  // Destroyed before the database.
  Statements statements_;
  int64_t revision_;
  // The length of the WAL after the last commit.
  int wal_pages_ = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_SQLITE_CONNECTION_H_
