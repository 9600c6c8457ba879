#include "server/coordinator/restore.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/backup_file.h"
#include "server/core/dump.h"
#include "server/core/errors.h"
#include "server/core/keys.h"
#include "server/core/load.h"
#include "server/core/recovery.h"
#include "server/core/schema_version.h"

namespace weft {
namespace {

absl::Status CheckSchema(const Records& records) {
  const auto schema = records.find(kSchemaKey);
  if (schema == records.end()) {
    return MakeError(absl::StatusCode::kDataLoss, v1::STORE_DAMAGED,
                     "the records do not say of which version they are: they are not whole");
  }
  if (schema->second == absl::StrCat(kSchemaVersion)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::VERSION_TOO_NEW,
                   absl::StrCat("the records have schema version ", schema->second,
                                ", and this build knows ", kSchemaVersion));
}

absl::Status CheckEmpty(Store& store) {
  const auto found = store.Scan(keys::kRoot, [](const KeyValue& record) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, v1::IN_USE,
        absl::StrCat("the store holds ", record.key, " already: give one that is empty"));
  });
  return found.status();
}

// Commits what `transaction` has, and begins anew.
absl::Status Flush(Store& store, Transaction& transaction) {
  if (transaction.mutations.empty()) return absl::OkStatus();
  const absl::Status status = store.Commit(transaction).status();
  transaction.mutations.clear();
  return status;
}

bool Fits(const Transaction& transaction, const Mutation& more, const StoreLimits& limits) {
  return transaction.mutations.size() < limits.max_mutations &&
         SizeBytes(transaction) + SizeBytes(more) <= limits.max_bytes;
}

}  // namespace

absl::StatusOr<Records> ReadStore(Store& store) {
  if (absl::Status s = store.Recover(); !s.ok()) return s;
  Records records;
  const auto scanned = store.Scan(keys::kRoot, [&](const KeyValue& record) {
    records[record.key] = record.value;
    return absl::OkStatus();
  });
  if (!scanned.ok()) return scanned.status();
  if (absl::Status s = CheckSchema(records); !s.ok()) return s;
  return records;
}

absl::StatusOr<Records> RecordsToRestore(std::string_view backup, const CoreOptions& options,
                                         const Now& now) {
  Records records;
  Loader loader(options);
  const auto read = ReadBackup(backup, [&](std::string_view key, std::string_view value) {
    records[std::string(key)] = std::string(value);
    return loader.Add(key, value);
  });
  if (!read.ok()) return read.status();
  if (absl::Status s = CheckSchema(records); !s.ok()) return s;
  Changes unheard;
  absl::StatusOr<std::unique_ptr<State>> state = std::move(loader).Finish(now, &unheard);
  if (!state.ok()) return state.status();
  PrepareRestored(**state, Context{now, /*principal=*/"admin", /*host=*/""});
  Records restored = RecordsOf(**state);
  restored[kSchemaKey] = records.at(kSchemaKey);
  return restored;
}

absl::Status FillStore(Store& store, const Records& records) {
  if (absl::Status s = store.Recover(); !s.ok()) return s;
  if (absl::Status s = CheckEmpty(store); !s.ok()) return s;
  Transaction transaction;
  for (const auto& [key, value] : records) {
    if (key == kSchemaKey) continue;
    Mutation mutation{key, value};
    if (!Fits(transaction, mutation, store.limits())) {
      if (absl::Status s = Flush(store, transaction); !s.ok()) return s;
    }
    transaction.mutations.push_back(std::move(mutation));
  }
  if (absl::Status s = Flush(store, transaction); !s.ok()) return s;
  transaction.mutations.push_back({kSchemaKey, records.at(kSchemaKey)});
  return Flush(store, transaction);
}

}  // namespace weft
