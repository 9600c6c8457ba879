#include "server/store/sqlite_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/durable_file.h"

namespace weft {
namespace {

constexpr StoreLimits kLimits = {
    .max_compares = 10'000, .max_mutations = 10'000, .max_bytes = size_t{16} << 20};

absl::Status InUse(const std::string& path, const absl::Status& lock_error) {
  if (!absl::IsFailedPrecondition(lock_error)) return lock_error;
  return MakeError(
      absl::StatusCode::kFailedPrecondition, v1::STORE_IN_USE,
      absl::StrCat("store ", path, " belongs to another process: ", lock_error.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const SqliteStoreOptions& options) {
  absl::StatusOr<std::unique_ptr<FileLock>> lock = FileLock::Acquire(options.path + ".lock");
  if (!lock.ok()) return InUse(options.path, lock.status());
  absl::Status status = EnsureFileExists(options.path);
  if (!status.ok()) return status;
  std::unique_ptr<SqliteStore> store(new SqliteStore(options, *std::move(lock)));
  status = store->Recover();
  if (!status.ok()) return status;
  return store;
}

SqliteStore::~SqliteStore() {
  // For whoever copies the file next. If it fails, the WAL stays and says the same.
  if (connection_ != nullptr) connection_->EmptyWal().IgnoreError();
}

absl::StatusOr<CommitResult> SqliteStore::Commit(const Transaction& transaction) {
  if (absl::Status status = CheckTransaction(transaction, kLimits); !status.ok()) return status;
  if (connection_ == nullptr) return RecoveryNeeded();
  absl::StatusOr<CommitResult> result = connection_->Commit(transaction);
  if (OutcomeOf(result.status()) == Outcome::kUnknown) connection_.reset();
  return result;
}

absl::StatusOr<int64_t> SqliteStore::Scan(std::string_view prefix, Visitor visit) {
  if (connection_ == nullptr) return RecoveryNeeded();
  return connection_->Scan(prefix, visit);
}

absl::Status SqliteStore::ConfirmLeadership() { return InUse(options_.path, lock_->CheckHeld()); }

absl::Status SqliteStore::Recover() {
  if (connection_ != nullptr) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<SqliteConnection>> connection =
      SqliteConnection::Open(options_.path, options_.vfs);
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  return absl::OkStatus();
}

StoreLimits SqliteStore::limits() const { return kLimits; }

}  // namespace weft
