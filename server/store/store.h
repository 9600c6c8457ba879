// The one way in which the coordinator's state reaches stable storage.

#ifndef WEFT_SERVER_STORE_STORE_H_
#define WEFT_SERVER_STORE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weft {

struct KeyValue {
  std::string key;
  std::string value;
  // The revision of the transaction that last put the key.
  int64_t revision = 0;

  friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

// Holds when `key` was last put at `revision`; 0: when there is no such key.
struct Compare {
  std::string key;
  int64_t revision = 0;
};

// Puts `value` under `key`, or without a value deletes the key, if it is there.
struct Mutation {
  std::string key;
  std::optional<std::string> value;
};

// Keys are not empty, and none has two mutations. Either list may be empty.
struct Transaction {
  std::vector<Compare> compares;
  std::vector<Mutation> mutations;
};

struct CommitResult {
  // What the keys put by the transaction now have as their revision. Greater than
  // the revision of every earlier transaction that changed something, across restarts;
  // without mutations, the store's present one.
  int64_t revision = 0;
};

// What one transaction may hold. Compares and mutations are counted apart.
struct StoreLimits {
  size_t max_compares = 0;
  size_t max_mutations = 0;
  // Of SizeBytes().
  size_t max_bytes = 0;
};

// What the status of a Commit says about its transaction.
enum class Outcome {
  // All of it is on stable storage.
  kCommitted,
  // None of it is there, nor will be.
  kNotCommitted,
  // All of it or none of it is there. Nobody knows before Store::Recover().
  kUnknown,
};

// OK is kCommitted; ABORTED, INVALID_ARGUMENT, RESOURCE_EXHAUSTED,
// FAILED_PRECONDITION and DATA_LOSS are kNotCommitted; everything else, UNAVAILABLE
// above all, is kUnknown.
Outcome OutcomeOf(const absl::Status& commit_status);

// A key-value store with transactions. Keys and values are any bytes; keys are
// ordered bytewise. Whoever has an open store owns it: no other process changes it
// until the store is destroyed or its ownership is lost (see ConfirmLeadership).
//
// Every function blocks. Calls come one at a time; only ConfirmLeadership and limits
// may be called at any time from any thread.
class Store {
 public:
  // Called with each key in turn. What it returns that is not OK ends the scan. It
  // must not call the store; the reference is good until it returns.
  using Visitor = absl::FunctionRef<absl::Status(const KeyValue&)>;

  virtual ~Store() = default;

  // Applies all mutations if all compares hold, and returns once that is durable.
  // Not idempotent. OutcomeOf() tells the three kinds of answer apart:
  //   OK: committed.
  //   ABORTED: a compare did not hold. Not committed.
  //   INVALID_ARGUMENT: the transaction is malformed or over limits(). Not committed.
  //   RESOURCE_EXHAUSTED STORE_FULL: no space left. Not committed; may be tried again.
  //   FAILED_PRECONDITION: the store has another owner by now. Not committed.
  //   DATA_LOSS STORE_DAMAGED: what is stored is damaged. Not committed.
  //   UNAVAILABLE OUTCOME_UNKNOWN: the outcome is unknown. The caller drops the state
  //   that it keeps in memory, calls Recover and loads again. It never repeats the
  //   transaction blindly. Until Recover has succeeded, Commit and Scan return this.
  virtual absl::StatusOr<CommitResult> Commit(const Transaction& transaction) = 0;

  // Visits every key that starts with `prefix`, in order, all as they are at one
  // revision, which it returns: that of the newest transaction it saw. Holds in
  // memory a bounded number of records, however many there are.
  // DATA_LOSS: something stored is damaged; UNAVAILABLE: it could not be read now.
  // Either may come after some keys have been visited.
  virtual absl::StatusOr<int64_t> Scan(std::string_view prefix, Visitor visit) = 0;

  // OK when, at some moment after the call began, this process still owned the store.
  // Renewals and linearizable reads wait for it. FAILED_PRECONDITION STORE_IN_USE: it
  // is owned by another, or by nobody, and this object will not own it again.
  // UNAVAILABLE: could not be found out.
  virtual absl::Status ConfirmLeadership() = 0;

  // Ends the state after an unknown outcome: once OK, what Scan sees is durable and
  // the unknown transaction is wholly in it, or is not and never will be. Idempotent;
  // harmless when nothing had failed. After an error the store is unusable until a
  // later call succeeds.
  virtual absl::Status Recover() = 0;

  virtual StoreLimits limits() const = 0;
};

// The bytes of all keys and values, and 64 per compare and mutation for what an
// implementation adds to each. At least what any implementation sends or writes.
size_t SizeBytes(const Transaction& transaction);
size_t SizeBytes(const Compare& compare);
size_t SizeBytes(const Mutation& mutation);

// INVALID_ARGUMENT if `transaction` is malformed or over `limits`, saying how.
absl::Status CheckTransaction(const Transaction& transaction, const StoreLimits& limits);

// For implementations: the error of a transaction whose compare of `compare.key`
// found `actual_revision`.
absl::Status CompareFailed(const Compare& compare, int64_t actual_revision);

// For implementations: UNAVAILABLE OUTCOME_UNKNOWN for what `cause` says.
absl::Status UnknownOutcome(const absl::Status& cause);

// For implementations: what everything returns between an unknown outcome and Recover.
absl::Status RecoveryNeeded();

}  // namespace weft

#endif  // WEFT_SERVER_STORE_STORE_H_
