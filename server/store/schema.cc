#include "server/store/schema.h"

#include <optional>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {
namespace {

struct Found {
  std::optional<std::string> version;
  bool other_keys = false;
};

// Stops early: a full store need not be read to learn this.
absl::StatusOr<Found> Look(Store& store) {
  Found found;
  auto scanned = store.Scan(kSchemaKey, [&](const KeyValue& record) {
    if (record.key == kSchemaKey) found.version = record.value;
    return absl::CancelledError();
  });
  if (!scanned.ok() && !absl::IsCancelled(scanned.status())) return scanned.status();
  if (found.version) return found;
  scanned = store.Scan(kKeyPrefix, [&](const KeyValue&) {
    found.other_keys = true;
    return absl::CancelledError();
  });
  if (!scanned.ok() && !absl::IsCancelled(scanned.status())) return scanned.status();
  return found;
}

absl::Status Damaged(const std::string& what) {
  return MakeError(
      absl::StatusCode::kDataLoss, v1::STORE_DAMAGED,
      absl::StrCat("store key ", kSchemaKey, " ", what, ": restore the store from a backup"));
}

absl::Status CheckVersion(const std::string& text) {
  int64_t version = 0;
  if (!absl::SimpleAtoi(text, &version) || version < 1) {
    return Damaged(absl::StrCat("holds \"", absl::CHexEscape(text), "\", not a version"));
  }
  if (version > kSchemaVersion) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, v1::VERSION_TOO_NEW,
        absl::StrCat("the store has schema version ", version, "; this build knows versions up to ",
                     kSchemaVersion, ": run a newer weft-coordinator"));
  }
  return absl::OkStatus();
}

absl::Status Create(Store& store) {
  const Transaction creation = {.compares = {{kSchemaKey, 0}},
                                .mutations = {{kSchemaKey, absl::StrCat(kSchemaVersion)}}};
  return store.Commit(creation).status();
}

}  // namespace

absl::Status EnsureSchema(Store& store) {
  const absl::StatusOr<Found> found = Look(store);
  if (!found.ok()) return found.status();
  if (found->version) return CheckVersion(*found->version);
  if (found->other_keys) return Damaged("is missing beside other keys");
  return Create(store);
}

}  // namespace weft
