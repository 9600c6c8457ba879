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

// Records on their way into a store, in as few transactions as it takes.
class Batch {
 public:
  explicit Batch(Store& store) : store_(store), limits_(store.limits()) {}

  absl::Status Put(const std::string& key, const std::string& value) {
    Mutation mutation{key, value};
    const size_t bytes = SizeBytes(mutation);
    if (transaction_.mutations.size() == limits_.max_mutations ||
        bytes_ + bytes > limits_.max_bytes) {
      if (absl::Status s = Flush(); !s.ok()) return s;
    }
    transaction_.mutations.push_back(std::move(mutation));
    bytes_ += bytes;
    return absl::OkStatus();
  }
  absl::Status Flush() {
    bytes_ = 0;
    const Transaction full = std::exchange(transaction_, {});
    return full.mutations.empty() ? absl::OkStatus() : store_.Commit(full).status();
  }

 private:
  Store& store_;
  const StoreLimits limits_;
  Transaction transaction_;
  size_t bytes_ = 0;
};

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
  Batch batch(store);
  for (const auto& [key, value] : records) {
    if (key == kSchemaKey) continue;
    if (absl::Status s = batch.Put(key, value); !s.ok()) return s;
  }
  if (absl::Status s = batch.Flush(); !s.ok()) return s;
  if (absl::Status s = batch.Put(kSchemaKey, records.at(kSchemaKey)); !s.ok()) return s;
  return batch.Flush();
}

}  // namespace weft
