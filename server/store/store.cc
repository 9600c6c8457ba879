#include "server/store/store.h"

#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {
namespace {

// Generous: the greatest fixed cost of an operation in any implementation, tags,
// lengths and revisions of an etcd request included.
constexpr size_t kOverheadBytes = 64;

absl::Status BadTransaction(const std::string& message) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT, message);
}

absl::Status CheckCount(const char* what, size_t count, size_t max) {
  if (count <= max) return absl::OkStatus();
  return BadTransaction(
      absl::StrCat("transaction has ", count, " ", what, "; the store takes ", max));
}

absl::Status CheckKeys(const Transaction& transaction) {
  std::set<std::string_view> mutated;
  for (const Mutation& mutation : transaction.mutations) {
    if (mutation.key.empty()) return BadTransaction("transaction mutates the empty key");
    if (!mutated.insert(mutation.key).second) {
      return BadTransaction(
          absl::StrCat("transaction mutates key \"", absl::CHexEscape(mutation.key), "\" twice"));
    }
  }
  for (const Compare& compare : transaction.compares) {
    if (compare.key.empty()) return BadTransaction("transaction compares the empty key");
  }
  return absl::OkStatus();
}

}  // namespace

Outcome OutcomeOf(const absl::Status& commit_status) {
  switch (commit_status.code()) {
    case absl::StatusCode::kOk:
      return Outcome::kCommitted;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kDataLoss:
      return Outcome::kNotCommitted;
    default:
      return Outcome::kUnknown;
  }
}

size_t SizeBytes(const Compare& compare) { return kOverheadBytes + compare.key.size(); }

size_t SizeBytes(const Mutation& mutation) {
  return kOverheadBytes + mutation.key.size() + (mutation.value ? mutation.value->size() : 0);
}

size_t SizeBytes(const Transaction& transaction) {
  size_t bytes = 0;
  for (const Compare& compare : transaction.compares) bytes += SizeBytes(compare);
  for (const Mutation& mutation : transaction.mutations) bytes += SizeBytes(mutation);
  return bytes;
}

absl::Status CheckTransaction(const Transaction& transaction, const StoreLimits& limits) {
  absl::Status status = CheckCount("compares", transaction.compares.size(), limits.max_compares);
  status.Update(CheckCount("mutations", transaction.mutations.size(), limits.max_mutations));
  status.Update(CheckCount("bytes", SizeBytes(transaction), limits.max_bytes));
  status.Update(CheckKeys(transaction));
  return status;
}

absl::Status CompareFailed(const Compare& compare, int64_t actual_revision) {
  return absl::AbortedError(absl::StrCat("key \"", absl::CHexEscape(compare.key),
                                         "\" is at revision ", actual_revision, ", not ",
                                         compare.revision));
}

absl::Status UnknownOutcome(const absl::Status& cause) {
  return MakeError(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN,
                   absl::StrCat("outcome of the commit is unknown: ", cause.message()));
}

absl::Status RecoveryNeeded() {
  return MakeError(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN,
                   "the store must recover from a commit with an unknown outcome");
}

}  // namespace weft
