// SQLite's C interface with owners and absl::Status.

#ifndef WEFT_SERVER_STORE_SQLITE_DATABASE_H_
#define WEFT_SERVER_STORE_SQLITE_DATABASE_H_

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weft {

// An open database. Not thread-safe. All errors name the file:
//   RESOURCE_EXHAUSTED STORE_FULL: no space left; the statement had no effect.
//   DATA_LOSS STORE_DAMAGED: damaged, not a database, or unreadable (EIO).
//   FAILED_PRECONDITION STORE_IN_USE: locked by another program.
//   FAILED_PRECONDITION: the file cannot be opened or written.
//   UNAVAILABLE: a write or sync failed, or memory ran out. The effect is unknown.
//   INTERNAL: anything else.
class SqliteDatabase {
 public:
  // Opens the existing file at `path` for reading and writing through `vfs` (empty:
  // SQLite's default). Closing it leaves the WAL as it is.
  static absl::StatusOr<SqliteDatabase> Open(const std::string& path, const std::string& vfs);

  // Runs statements that return no rows or whose rows do not matter.
  absl::Status Execute(const char* sql);

  // The first column of the first row of a query that returns one.
  absl::StatusOr<std::string> QueryText(const char* sql);
  absl::StatusOr<int64_t> QueryInt(const char* sql);

  // The status for `code`, which SQLite returned just now while `doing`.
  absl::Status Error(int code, std::string_view doing) const;

  const std::string& path() const { return path_; }
  sqlite3* raw() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close(handle); }
  };

  SqliteDatabase(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}

  std::string path_;
  std::unique_ptr<sqlite3, Close> handle_;
};

// A prepared statement. Parameters are counted from 1, columns from 0.
// REQUIRES: the database outlives it, also when that is moved.
class SqliteStatement {
 public:
  static absl::StatusOr<SqliteStatement> Prepare(const SqliteDatabase& database, const char* sql);

  // `bytes` must stay until Reset.
  void BindBlob(int parameter, std::string_view bytes);
  void BindInt(int parameter, int64_t value);

  // Moves to the next row: true if there is one.
  absl::StatusOr<bool> Step(const SqliteDatabase& database);

  // Good until the next Step or Reset.
  std::string_view ColumnBlob(int column) const;
  int64_t ColumnInt(int column) const;

  // Ends the execution and forgets what was bound.
  void Reset();

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
  };

  explicit SqliteStatement(sqlite3_stmt* handle) : handle_(handle) {}

  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_SQLITE_DATABASE_H_
