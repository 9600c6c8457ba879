#include "server/store/etcd/etcd_store.h"

#include <utility>

#include "absl/status/status.h"

namespace weft {
namespace {

namespace pb = etcdserverpb;

// etcd takes 128 operations in a transaction (--max-txn-ops), and in each of them that is itself
// a transaction 128 less the operations around it, or the compares if they are more: so there is
// room for 60 groups of 64. One compare is the leader key's.
constexpr int kGroups = 60;
constexpr int kGroupMutations = 64;
// Puts in groups are nothing to etcd's quota, and what costs nothing is always let through: the
// first few are not in a group.
constexpr int kUngrouped = 4;
// etcd takes 1.5 MiB; the bytes left out are those of prefixes and of the encoding.
constexpr StoreLimits kLimits = {.max_compares = 63,
                                 .max_mutations = kUngrouped + kGroups * kGroupMutations,
                                 .max_bytes = size_t{896} << 10};
constexpr int64_t kPageRecords = 1000;

// The first key after all those that start with `prefix`; a zero byte: there is none.
std::string EndOf(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  ++prefix.back();
  return prefix;
}

void AddCompare(const std::string& key, int64_t revision, pb::TxnRequest& request) {
  pb::Compare& compare = *request.add_compare();
  compare.set_key(key);
  compare.set_target(pb::Compare::MOD);
  compare.set_mod_revision(revision);
  pb::RangeRequest& read = *request.add_failure()->mutable_request_range();
  read.set_key(key);
  read.set_keys_only(true);
}

// One more operation for when the compares hold.
pb::RequestOp& AddOperation(pb::TxnRequest& request) {
  const int last = request.success_size() - 1;
  if (last + 1 < kUngrouped) return *request.add_success();
  const bool full =
      last < kUngrouped || request.success(last).request_txn().success_size() == kGroupMutations;
  pb::RequestOp& group = full ? *request.add_success() : *request.mutable_success(last);
  return *group.mutable_request_txn()->add_success();
}

void AddMutation(const Mutation& mutation, const std::string& key, pb::TxnRequest& request) {
  pb::RequestOp& operation = AddOperation(request);
  if (mutation.value) {
    operation.mutable_request_put()->set_key(key);
    operation.mutable_request_put()->set_value(*mutation.value);
  } else {
    operation.mutable_request_delete_range()->set_key(key);
  }
}

// What the `index`th operation of the response read: nothing if the key is not there.
mvccpb::KeyValue Read(const pb::TxnResponse& response, int index) {
  const pb::RangeResponse& range = response.responses(index).response_range();
  return range.kvs_size() > 0 ? range.kvs(0) : mvccpb::KeyValue();
}

}  // namespace

StoreLimits EtcdStore::limits() const { return kLimits; }

pb::TxnRequest EtcdStore::ToRequest(const Transaction& transaction) const {
  pb::TxnRequest request;
  AddCompare(term_->leader_key(), term_->guard_revision(), request);
  for (const Compare& compare : transaction.compares) {
    AddCompare(KeyOf(compare.key), compare.revision, request);
  }
  for (const bool puts : {true, false}) {
    for (const Mutation& mutation : transaction.mutations) {
      if (mutation.value.has_value() == puts) AddMutation(mutation, KeyOf(mutation.key), request);
    }
  }
  return request;
}

absl::StatusOr<CommitResult> EtcdStore::Commit(const Transaction& transaction) {
  if (absl::Status status = CheckTransaction(transaction, kLimits); !status.ok()) return status;
  if (must_recover_) return RecoveryNeeded();
  if (term_->over()) return term_->OverError();
  const absl::StatusOr<pb::TxnResponse> response = client_->Txn(ToRequest(transaction));
  if (!response.ok()) {
    if (OutcomeOf(response.status()) == Outcome::kNotCommitted) return response.status();
    must_recover_ = true;
    return UnknownOutcome(response.status());
  }
  if (!response->succeeded()) return Refusal(transaction, *response);
  return CommitResult{.revision = response->header().revision()};
}

absl::Status EtcdStore::Refusal(const Transaction& transaction, const pb::TxnResponse& response) {
  if (!term_->Owns(Read(response, 0))) return term_->OverError();
  for (size_t i = 0; i < transaction.compares.size(); ++i) {
    const int64_t actual = Read(response, static_cast<int>(i) + 1).mod_revision();
    if (actual != transaction.compares[i].revision) {
      return CompareFailed(transaction.compares[i], actual);
    }
  }
  must_recover_ = true;
  return UnknownOutcome(absl::UnavailableError("etcd: somebody else put the leader key"));
}

absl::StatusOr<int64_t> EtcdStore::Scan(std::string_view prefix, Visitor visit) {
  if (must_recover_) return RecoveryNeeded();
  pb::RangeRequest request;
  request.set_key(KeyOf(prefix));
  request.set_range_end(EndOf(request.key()));
  request.set_limit(kPageRecords);
  if (request.key().empty()) request.set_key(std::string(1, '\0'));
  for (;;) {
    const absl::StatusOr<pb::RangeResponse> page = client_->Range(request);
    if (!page.ok()) return page.status();
    // That of the first page.
    if (request.revision() == 0) request.set_revision(page->header().revision());
    for (const mvccpb::KeyValue& kv : page->kvs()) {
      if (kv.key() == term_->leader_key()) continue;
      absl::Status status =
          visit({kv.key().substr(term_->prefix().size()), kv.value(), kv.mod_revision()});
      if (!status.ok()) return status;
    }
    if (!page->more()) return request.revision();
    request.set_key(page->kvs(page->kvs_size() - 1).key() + '\0');
  }
}

absl::Status EtcdStore::Recover() {
  if (!must_recover_) return ConfirmLeadership();
  if (absl::Status status = term_->Renumber(); !status.ok()) return status;
  must_recover_ = false;
  return absl::OkStatus();
}

}  // namespace weft
