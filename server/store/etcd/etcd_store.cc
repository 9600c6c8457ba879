#include "server/store/etcd/etcd_store.h"

#include <utility>

#include "absl/status/status.h"

namespace weft {
namespace {

namespace pb = etcdserverpb;

// etcd takes 128 operations and 1.5 MiB. One compare is the leader key's; the bytes left out
// are those of prefixes, and of the keys that are read again when a compare fails.
constexpr StoreLimits kLimits = {
    .max_compares = 127, .max_mutations = 128, .max_bytes = size_t{1280} << 10};
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
  for (const Mutation& mutation : transaction.mutations) {
    pb::RequestOp& operation = *request.add_success();
    if (mutation.value) {
      operation.mutable_request_put()->set_key(KeyOf(mutation.key));
      operation.mutable_request_put()->set_value(*mutation.value);
    } else {
      operation.mutable_request_delete_range()->set_key(KeyOf(mutation.key));
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
