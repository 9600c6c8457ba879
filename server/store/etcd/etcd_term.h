// One term of office: the leader key of a store in etcd, held with a lease.

#ifndef WEFT_SERVER_STORE_ETCD_ETCD_TERM_H_
#define WEFT_SERVER_STORE_ETCD_ETCD_TERM_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/store/etcd/etcd_client.h"

namespace weft {

struct EtcdTermOptions {
  // Before every key, the leader's too: several clusters can share one etcd.
  std::string prefix;
  // Where clients reach this coordinator: what the leader key holds.
  std::string address;
  // Of the lease, in whole seconds. Whoever dies without a word leads for so long.
  absl::Duration ttl = absl::Seconds(3);
};

// The one who leads instead.
struct EtcdLeader {
  std::string address;
  // When this was so.
  int64_t revision = 0;
};

// Who created the leader key owns the store, until the key is gone: it goes with the lease,
// or by anyone's hand. Thread-safe, but for Renumber.
class EtcdTerm {
 public:
  // Not below /weft/v1/: it is no part of what a store holds, or of a copy of it.
  static std::string LeaderKey(const EtcdTermOptions& options) {
    return options.prefix + "/weft/leader";
  }

  // FAILED_PRECONDITION STORE_IN_USE: `*other` leads. UNAVAILABLE: could not be found out.
  static absl::StatusOr<std::shared_ptr<EtcdTerm>> TryBegin(std::shared_ptr<EtcdClient> client,
                                                            const EtcdTermOptions& options,
                                                            EtcdLeader* other);
  EtcdTerm(const EtcdTerm&) = delete;
  EtcdTerm& operator=(const EtcdTerm&) = delete;
  // Gives the lease back, and the leader key with it.
  ~EtcdTerm();

  // Extends the lease. NOT_FOUND: it has run out. UNAVAILABLE.
  absl::Status KeepAlive() { return client_->KeepLeaseAlive(lease_); }

  // OK when the term was not over at some moment after the call began: a linearizable read
  // of the leader key. FAILED_PRECONDITION STORE_IN_USE: it is over. UNAVAILABLE.
  absl::Status Confirm();

  // Gives the leader key another revision: transactions that compare it with an earlier one
  // and are still on their way will fail. Errors as Confirm's.
  absl::Status Renumber();

  // The revision of the leader key in this term: what every transaction compares.
  int64_t guard_revision() const { return guard_revision_; }
  const std::string& leader_key() const { return leader_key_; }
  const std::string& prefix() const { return options_.prefix; }

  // The term is over, whoever found out. Never taken back.
  void MarkOver() { over_ = true; }
  bool over() const { return over_; }
  // FAILED_PRECONDITION STORE_IN_USE.
  absl::Status OverError() const;

  // Whether `kv`, the leader key as it is now, is this term's. If not, marks it as over.
  bool Owns(const mvccpb::KeyValue& kv);

 private:
  EtcdTerm(std::shared_ptr<EtcdClient> client, EtcdTermOptions options, int64_t lease);

  // The leader key now. Errors as Confirm's.
  absl::StatusOr<mvccpb::KeyValue> ReadLeaderKey();

  const std::shared_ptr<EtcdClient> client_;
  const EtcdTermOptions options_;
  const std::string leader_key_;
  const int64_t lease_;
  int64_t create_revision_ = 0;
  std::atomic<int64_t> guard_revision_ = 0;
  std::atomic<bool> over_ = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_ETCD_ETCD_TERM_H_
