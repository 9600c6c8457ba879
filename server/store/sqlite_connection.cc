#include "server/store/sqlite_connection.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/store/sqlite_wal.h"

namespace weft {
namespace {

// "weft" in ASCII, in the file's header: tells `file` and us whose database it is.
constexpr int64_t kApplicationId = 0x77656674;
// Of the tables, in the header's user_version. What the values mean has a version of
// its own: see schema.h.
constexpr int64_t kLayoutVersion = 1;

// A commit that finds the WAL this long moves it into the database first. So the WAL
// is bounded by this and the greatest transaction, and a failed move is never mistaken
// for a failed commit.
constexpr int kCheckpointPages = 1000;

constexpr char kConfigure[] =
    "PRAGMA synchronous=FULL;"
    "PRAGMA wal_autocheckpoint=0;"
    // What a great transaction left behind is cut off at the next restart of the WAL.
    "PRAGMA journal_size_limit=8388608;"
    "PRAGMA cache_size=-16384;"
    "PRAGMA cell_size_check=ON;"
    "PRAGMA trusted_schema=OFF;";

constexpr char kCreate[] =
    "BEGIN EXCLUSIVE;"
    "PRAGMA application_id=0x77656674;"
    "PRAGMA user_version=1;"
    "CREATE TABLE kv (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL,"
    "                 revision INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL);"
    "INSERT INTO head VALUES (0, 0);"
    "COMMIT;";

absl::Status Foreign(const std::string& path) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::FOREIGN_DATA,
                   absl::StrCat(path,
                                " is an SQLite database of another application: "
                                "name another file"));
}

absl::Status TooNew(const std::string& path, int64_t version) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, v1::VERSION_TOO_NEW,
      absl::StrCat(path, " has layout version ", version, "; this build knows versions up to ",
                   kLayoutVersion, ": run a newer weft-coordinator"));
}

// False for a database without anything in it, true for a store of ours.
absl::StatusOr<bool> IsStore(SqliteDatabase& database) {
  const absl::StatusOr<int64_t> id = database.QueryInt("PRAGMA application_id");
  if (!id.ok()) return id.status();
  const absl::StatusOr<int64_t> version = database.QueryInt("PRAGMA user_version");
  if (!version.ok()) return version.status();
  const absl::StatusOr<int64_t> tables = database.QueryInt("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  if (*id == 0 && *version == 0 && *tables == 0) return false;
  if (*id != kApplicationId) return Foreign(database.path());
  if (*version > kLayoutVersion) return TooNew(database.path(), *version);
  return true;
}

struct Opened {
  SqliteDatabase database;
  bool is_store;
};

absl::StatusOr<Opened> OpenLocked(const std::string& path, const std::string& vfs) {
  absl::StatusOr<SqliteDatabase> database = SqliteDatabase::Open(path, vfs);
  if (!database.ok()) return database.status();
  // Before the first access, so that SQLite keeps the WAL's index in its own memory
  // instead of in a file that others can map.
  absl::Status status = database->Execute("PRAGMA locking_mode=EXCLUSIVE");
  if (!status.ok()) return status;
  const absl::StatusOr<bool> is_store = IsStore(*database);
  if (!is_store.ok()) return is_store.status();
  return Opened{*std::move(database), *is_store};
}

absl::Status Configure(SqliteDatabase& database) {
  const absl::StatusOr<std::string> mode = database.QueryText("PRAGMA journal_mode=WAL");
  if (!mode.ok()) return mode.status();
  if (*mode != "wal") {
    return absl::FailedPreconditionError(
        absl::StrCat(database.path(), ": SQLite refuses WAL mode on this file system"));
  }
  return database.Execute(kConfigure);
}

absl::Status QuickCheck(SqliteDatabase& database) {
  const absl::StatusOr<std::string> result = database.QueryText("PRAGMA quick_check(1)");
  if (!result.ok()) return result.status();
  if (*result == "ok") return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kDataLoss, v1::STORE_DAMAGED,
      absl::StrCat(database.path(), " is damaged: ", *result, ": restore it from a backup"));
}

absl::StatusOr<SqliteDatabase> OpenStore(const std::string& path, const std::string& vfs) {
  // Proves that the file is ours, and unused, before anything is written to it.
  absl::StatusOr<Opened> opened = OpenLocked(path, vfs);
  if (!opened.ok()) return opened.status();
  // Where SQLite itself looks, symbolic links followed.
  const std::string resolved = sqlite3_db_filename(opened->database.raw(), "main");
  {
    const SqliteDatabase closed = std::move(opened->database);
  }

  // An earlier sync of the WAL may have failed, in this process or before it: what
  // SQLite is about to read from it must not vanish later.
  absl::Status status = RewriteWalDurably(resolved, vfs);
  if (!status.ok()) return status;

  opened = OpenLocked(path, vfs);
  if (!opened.ok()) return opened.status();
  status = Configure(opened->database);
  if (status.ok() && !opened->is_store) status = opened->database.Execute(kCreate);
  if (status.ok()) status = QuickCheck(opened->database);
  if (!status.ok()) return status;
  return std::move(opened->database);
}

int KeepWalPages(void* wal_pages, sqlite3*, const char*, int pages) {
  *static_cast<int*>(wal_pages) = pages;
  return SQLITE_OK;
}

}  // namespace

SqliteConnection::SqliteConnection(SqliteDatabase database, Statements statements, int64_t revision)
    : database_(std::move(database)), statements_(std::move(statements)), revision_(revision) {
  sqlite3_wal_hook(database_.raw(), KeepWalPages, &wal_pages_);
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(const std::string& path,
                                                                         const std::string& vfs) {
  absl::StatusOr<SqliteDatabase> database = OpenStore(path, vfs);
  if (!database.ok()) return database.status();
  const absl::StatusOr<int64_t> revision = database->QueryInt("SELECT revision FROM head");
  if (!revision.ok()) return revision.status();
  absl::StatusOr<Statements> statements = Prepare(*database);
  if (!statements.ok()) return statements.status();
  std::unique_ptr<SqliteConnection> connection(
      new SqliteConnection(*std::move(database), *std::move(statements), *revision));
  const absl::Status status = connection->EmptyWal();
  if (absl::IsResourceExhausted(status)) {
    // What is in the WAL is durable there. The next commit tries again first.
    connection->wal_pages_ = kCheckpointPages;
  } else if (!status.ok()) {
    return status;
  }
  return connection;
}

absl::StatusOr<SqliteConnection::Statements> SqliteConnection::Prepare(
    const SqliteDatabase& database) {
  auto get_revision = SqliteStatement::Prepare(database, "SELECT revision FROM kv WHERE key = ?1");
  if (!get_revision.ok()) return get_revision.status();
  auto put = SqliteStatement::Prepare(
      database,
      "INSERT INTO kv VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET value = ?2,"
      " revision = ?3");
  if (!put.ok()) return put.status();
  auto remove = SqliteStatement::Prepare(database, "DELETE FROM kv WHERE key = ?1");
  if (!remove.ok()) return remove.status();
  auto set_revision = SqliteStatement::Prepare(database, "UPDATE head SET revision = ?1");
  if (!set_revision.ok()) return set_revision.status();
  auto scan = SqliteStatement::Prepare(
      database, "SELECT key, value, revision FROM kv WHERE key >= ?1 ORDER BY key");
  if (!scan.ok()) return scan.status();
  return Statements{*std::move(get_revision), *std::move(put), *std::move(remove),
                    *std::move(set_revision), *std::move(scan)};
}

absl::StatusOr<CommitResult> SqliteConnection::Commit(const Transaction& transaction) {
  absl::Status status;
  if (wal_pages_ >= kCheckpointPages) status = Checkpoint(SQLITE_CHECKPOINT_RESTART);
  const int64_t revision = revision_ + (transaction.mutations.empty() ? 0 : 1);
  if (status.ok()) status = database_.Execute("BEGIN IMMEDIATE");
  if (status.ok()) status = Apply(transaction, revision);
  if (status.ok()) status = database_.Execute("COMMIT");
  if (status.ok()) {
    revision_ = revision;
    return CommitResult{.revision = revision};
  }
  // SQLite has rolled back by itself after some errors. If it cannot, all bets are off.
  const bool in_transaction = sqlite3_get_autocommit(database_.raw()) == 0;
  if (in_transaction && !database_.Execute("ROLLBACK").ok()) return UnknownOutcome(status);
  return OutcomeOf(status) == Outcome::kUnknown ? UnknownOutcome(status) : status;
}

absl::Status SqliteConnection::Apply(const Transaction& transaction, int64_t revision) {
  for (const Compare& compare : transaction.compares) {
    if (absl::Status status = Check(compare); !status.ok()) return status;
  }
  for (const Mutation& mutation : transaction.mutations) {
    if (absl::Status status = Mutate(mutation, revision); !status.ok()) return status;
  }
  if (revision == revision_) return absl::OkStatus();
  statements_.set_revision.BindInt(1, revision);
  return Run(statements_.set_revision);
}

absl::Status SqliteConnection::Check(const Compare& compare) {
  SqliteStatement& get = statements_.get_revision;
  const auto reset = absl::MakeCleanup([&get] { get.Reset(); });
  get.BindBlob(1, compare.key);
  const absl::StatusOr<bool> found = get.Step(database_);
  if (!found.ok()) return found.status();
  const int64_t actual = *found ? get.ColumnInt(0) : 0;
  return actual == compare.revision ? absl::OkStatus() : CompareFailed(compare, actual);
}

absl::Status SqliteConnection::Mutate(const Mutation& mutation, int64_t revision) {
  if (!mutation.value) {
    statements_.remove.BindBlob(1, mutation.key);
    return Run(statements_.remove);
  }
  statements_.put.BindBlob(1, mutation.key);
  statements_.put.BindBlob(2, *mutation.value);
  statements_.put.BindInt(3, revision);
  return Run(statements_.put);
}

absl::Status SqliteConnection::Run(SqliteStatement& statement) {
  const absl::Status status = statement.Step(database_).status();
  statement.Reset();
  return status;
}

absl::StatusOr<int64_t> SqliteConnection::Scan(std::string_view prefix, Store::Visitor visit) {
  SqliteStatement& scan = statements_.scan;
  const auto reset = absl::MakeCleanup([&scan] { scan.Reset(); });
  scan.BindBlob(1, prefix);
  KeyValue record;
  for (;;) {
    const absl::StatusOr<bool> row = scan.Step(database_);
    if (!row.ok()) return row.status();
    if (!*row || !scan.ColumnBlob(0).starts_with(prefix)) return revision_;
    record.key = scan.ColumnBlob(0);
    record.value = scan.ColumnBlob(1);
    record.revision = scan.ColumnInt(2);
    if (absl::Status status = visit(record); !status.ok()) return status;
  }
}

absl::Status SqliteConnection::EmptyWal() { return Checkpoint(SQLITE_CHECKPOINT_TRUNCATE); }

absl::Status SqliteConnection::Checkpoint(int mode) {
  const int code = sqlite3_wal_checkpoint_v2(database_.raw(), "main", mode, nullptr, nullptr);
  if (code != SQLITE_OK) return database_.Error(code, "checkpoint");
  wal_pages_ = 0;
  return absl::OkStatus();
}

}  // namespace weft
