// The store of several coordinators: one leads, by a term in etcd.

#ifndef WEFT_SERVER_STORE_ETCD_ETCD_STORE_H_
#define WEFT_SERVER_STORE_ETCD_ETCD_STORE_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/store/etcd/etcd_client.h"
#include "server/store/etcd/etcd_term.h"
#include "server/store/store.h"

namespace weft {

// See Store. Owned for one term: every transaction compares the leader key's revision in it.
// After an unknown outcome, Recover moves that revision on, so that the transaction is
// committed already or never will be.
class EtcdStore final : public Store {
 public:
  EtcdStore(std::shared_ptr<EtcdClient> client, std::shared_ptr<EtcdTerm> term)
      : client_(std::move(client)), term_(std::move(term)) {}

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction) override;
  absl::StatusOr<int64_t> Scan(std::string_view prefix, Visitor visit) override;
  absl::Status ConfirmLeadership() override { return term_->Confirm(); }
  absl::Status Recover() override;
  StoreLimits limits() const override;

 private:
  etcdserverpb::TxnRequest ToRequest(const Transaction& transaction) const;
  // Why etcd did not commit `transaction`.
  absl::Status Refusal(const Transaction& transaction, const etcdserverpb::TxnResponse& response);
  std::string KeyOf(std::string_view key) const { return term_->prefix() + std::string(key); }

  const std::shared_ptr<EtcdClient> client_;
  const std::shared_ptr<EtcdTerm> term_;
  bool must_recover_ = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_ETCD_ETCD_STORE_H_
