#include "server/store/etcd/etcd_term.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {
namespace {

namespace pb = etcdserverpb;

absl::Status InUse(const std::string& message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::STORE_IN_USE, message);
}

void PutLeaderKey(const std::string& key, const std::string& value, int64_t lease,
                  pb::TxnRequest& request) {
  pb::PutRequest& put = *request.add_success()->mutable_request_put();
  put.set_key(key);
  put.set_value(value);
  put.set_lease(lease);
}

}  // namespace

absl::StatusOr<std::shared_ptr<EtcdTerm>> EtcdTerm::TryBegin(std::shared_ptr<EtcdClient> client,
                                                             const EtcdTermOptions& options,
                                                             EtcdLeader* other) {
  const auto lease = client->GrantLease(options.ttl);
  if (!lease.ok()) return lease.status();
  // If it comes to nothing, the lease goes with the term: then even a transaction that is
  // still on its way cannot make this process the leader.
  std::shared_ptr<EtcdTerm> term(new EtcdTerm(std::move(client), options, lease->id()));
  pb::TxnRequest request;
  pb::Compare& absent = *request.add_compare();
  absent.set_key(term->leader_key_);
  absent.set_target(pb::Compare::CREATE);
  absent.set_create_revision(0);
  PutLeaderKey(term->leader_key_, options.address, term->lease_, request);
  request.add_failure()->mutable_request_range()->set_key(term->leader_key_);
  const auto reply = term->client_->Txn(request);
  if (!reply.ok()) return reply.status();
  if (reply->succeeded()) {
    term->create_revision_ = reply->header().revision();
    term->guard_revision_ = term->create_revision_;
    return term;
  }
  const pb::RangeResponse& found = reply->responses(0).response_range();
  *other = {found.kvs(0).value(), reply->header().revision()};
  return InUse(absl::StrCat("the coordinator at ", other->address, " leads"));
}

EtcdTerm::EtcdTerm(std::shared_ptr<EtcdClient> client, EtcdTermOptions options, int64_t lease)
    : client_(std::move(client)),
      options_(std::move(options)),
      leader_key_(LeaderKey(options_)),
      lease_(lease) {}

// If this fails the lease runs out by itself.
EtcdTerm::~EtcdTerm() { client_->RevokeLease(lease_).IgnoreError(); }

absl::Status EtcdTerm::OverError() const {
  return InUse("another coordinator leads, or nobody does: this one's term in etcd is over");
}

bool EtcdTerm::Owns(const mvccpb::KeyValue& kv) {
  if (kv.create_revision() != create_revision_) MarkOver();
  return !over();
}

absl::StatusOr<mvccpb::KeyValue> EtcdTerm::ReadLeaderKey() {
  if (over()) return OverError();
  pb::RangeRequest request;
  request.set_key(leader_key_);
  auto reply = client_->Range(request);
  if (!reply.ok()) return reply.status();
  mvccpb::KeyValue found;
  if (reply->kvs_size() > 0) found = std::move(*reply->mutable_kvs(0));
  if (!Owns(found)) return OverError();
  return found;
}

absl::Status EtcdTerm::Confirm() { return ReadLeaderKey().status(); }

absl::Status EtcdTerm::Renumber() {
  const absl::StatusOr<mvccpb::KeyValue> found = ReadLeaderKey();
  if (!found.ok()) return found.status();
  pb::TxnRequest request;
  pb::Compare& unchanged = *request.add_compare();
  unchanged.set_key(leader_key_);
  unchanged.set_target(pb::Compare::MOD);
  unchanged.set_mod_revision(found->mod_revision());
  PutLeaderKey(leader_key_, options_.address, lease_, request);
  const auto reply = client_->Txn(request);
  if (!reply.ok()) return reply.status();
  if (!reply->succeeded()) return absl::UnavailableError("etcd: the leader key is changing");
  guard_revision_ = reply->header().revision();
  return absl::OkStatus();
}

}  // namespace weft
