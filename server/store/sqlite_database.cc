#include "server/store/sqlite_database.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"

namespace weft {
namespace {

bool IsUnreadable(int code, int system_errno) {
  return code == SQLITE_IOERR_CORRUPTFS || code == SQLITE_IOERR_DATA ||
         (code == SQLITE_IOERR_READ && system_errno == EIO);
}

absl::Status StatusFor(int code, int system_errno, const std::string& message) {
  if (IsUnreadable(code, system_errno)) {
    return MakeError(absl::StatusCode::kDataLoss, v1::STORE_DAMAGED,
                     absl::StrCat(message, ": restore it from a backup"));
  }
  switch (code & 0xff) {
    case SQLITE_FULL:
      return MakeError(absl::StatusCode::kResourceExhausted, v1::STORE_FULL,
                       absl::StrCat(message, ": free space on its file system"));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return MakeError(absl::StatusCode::kDataLoss, v1::STORE_DAMAGED,
                       absl::StrCat(message, ": restore it from a backup, or name another file"));
    case SQLITE_BUSY:
      return MakeError(absl::StatusCode::kFailedPrecondition, v1::STORE_IN_USE,
                       absl::StrCat(message, ": another program has it open: stop that first"));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::FailedPreconditionError(
          absl::StrCat(message, ": it and its directory must be writable by this user"));
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace

absl::StatusOr<SqliteDatabase> SqliteDatabase::Open(const std::string& path,
                                                    const std::string& vfs) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                       SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE,
                                   vfs.empty() ? nullptr : vfs.c_str());
  // SQLite gives out a handle, to be closed, in most failures too.
  SqliteDatabase database(path, handle);
  if (code != SQLITE_OK) return database.Error(code, "open");
  for (const int option : {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, SQLITE_DBCONFIG_DEFENSIVE}) {
    const int result = sqlite3_db_config(handle, option, 1, nullptr);
    if (result != SQLITE_OK) return database.Error(result, "configure");
  }
  return database;
}

absl::Status SqliteDatabase::Execute(const char* sql) {
  const int code = sqlite3_exec(raw(), sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, sql);
}

absl::StatusOr<std::string> SqliteDatabase::QueryText(const char* sql) {
  absl::StatusOr<SqliteStatement> statement = SqliteStatement::Prepare(*this, sql);
  if (!statement.ok()) return statement.status();
  const absl::StatusOr<bool> row = statement->Step(*this);
  if (!row.ok()) return row.status();
  if (!*row) return absl::InternalError(absl::StrCat(path_, ": ", sql, " returned no row"));
  return std::string(statement->ColumnBlob(0));
}

absl::StatusOr<int64_t> SqliteDatabase::QueryInt(const char* sql) {
  absl::StatusOr<SqliteStatement> statement = SqliteStatement::Prepare(*this, sql);
  if (!statement.ok()) return statement.status();
  const absl::StatusOr<bool> row = statement->Step(*this);
  if (!row.ok()) return row.status();
  if (!*row) return absl::InternalError(absl::StrCat(path_, ": ", sql, " returned no row"));
  return statement->ColumnInt(0);
}

absl::Status SqliteDatabase::Error(int code, std::string_view doing) const {
  const int system_errno = raw() == nullptr ? 0 : sqlite3_system_errno(raw());
  const char* detail = raw() == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(raw());
  std::string message = absl::StrCat(path_, ": ", absl::string_view(doing.data(), doing.size()),
                                     ": ", detail, " (SQLite code ", code);
  if (system_errno != 0) absl::StrAppend(&message, ", ", strerror(system_errno));
  message += ")";
  return StatusFor(code, system_errno, message);
}

absl::StatusOr<SqliteStatement> SqliteStatement::Prepare(const SqliteDatabase& database,
                                                         const char* sql) {
  sqlite3_stmt* handle = nullptr;
  const int code =
      sqlite3_prepare_v3(database.raw(), sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (code != SQLITE_OK) return database.Error(code, sql);
  return SqliteStatement(handle);
}

void SqliteStatement::BindBlob(int parameter, std::string_view bytes) {
  // A null pointer would bind NULL rather than no bytes.
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  const int code = sqlite3_bind_blob64(handle_.get(), parameter, data, bytes.size(), SQLITE_STATIC);
  WEFT_CHECK(code == SQLITE_OK, sqlite3_errstr(code));
}

void SqliteStatement::BindInt(int parameter, int64_t value) {
  const int code = sqlite3_bind_int64(handle_.get(), parameter, value);
  WEFT_CHECK(code == SQLITE_OK, sqlite3_errstr(code));
}

absl::StatusOr<bool> SqliteStatement::Step(const SqliteDatabase& database) {
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database.Error(code, sqlite3_sql(handle_.get()));
}

std::string_view SqliteStatement::ColumnBlob(int column) const {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  const int size = sqlite3_column_bytes(handle_.get(), column);
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

int64_t SqliteStatement::ColumnInt(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}

void SqliteStatement::Reset() {
  sqlite3_reset(handle_.get());
  sqlite3_clear_bindings(handle_.get());
}

}  // namespace weft
