// Election by a lease in etcd.

#ifndef WEFT_SERVER_STORE_ETCD_ETCD_LEADERSHIP_H_
#define WEFT_SERVER_STORE_ETCD_ETCD_LEADERSHIP_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/clock.h"
#include "server/store/etcd/etcd_client.h"
#include "server/store/etcd/etcd_store.h"
#include "server/store/etcd/etcd_term.h"
#include "server/store/leadership.h"

namespace weft {

// See Leadership. A candidate that finds the leader key taken watches it, and tries again
// when it is gone.
class EtcdLeadership final : public Leadership {
 public:
  EtcdLeadership(std::shared_ptr<EtcdClient> client, const EtcdTermOptions& options, Clock& clock)
      : client_(std::move(client)), options_(options), clock_(clock) {}

  // Stands for election, and while it leads keeps the lease; until Stop. `address` stands in
  // for the options'. To be called once, on a thread of the caller's. Returns at once when
  // the client is shut down too, having given the lease back, so that others need not wait
  // for its end. REQUIRES: then nobody uses the store any more.
  void Run(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_);

  absl::StatusOr<Store*> AwaitTerm(LeadershipObserver& observer) override ABSL_LOCKS_EXCLUDED(mu_);
  void Stop() override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Once: either a term begins, or it waits for the chance of another attempt.
  std::shared_ptr<EtcdTerm> Stand();
  // Keeps the term until it is over, or Stop.
  void Keep(EtcdTerm& term);
  // Waits until the leader key is deleted after `revision`, or it is time to look again.
  absl::Status Watch(const std::string& leader_key, int64_t revision, absl::Duration limit);
  void GiveUpStore() ABSL_LOCKS_EXCLUDED(mu_);
  void Offer(std::shared_ptr<EtcdTerm> term) ABSL_LOCKS_EXCLUDED(mu_);
  void TellFollowing(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_);
  void TellTermOver() ABSL_LOCKS_EXCLUDED(mu_);
  // Lets some time pass, but for Stop.
  void Pause() ABSL_LOCKS_EXCLUDED(mu_);
  bool stopping() const ABSL_LOCKS_EXCLUDED(mu_);

  const std::shared_ptr<EtcdClient> client_;
  EtcdTermOptions options_;  // not changed once Run has begun
  Clock& clock_;

  mutable absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  LeadershipObserver* observer_ ABSL_GUARDED_BY(mu_) = nullptr;
  // A term that AwaitTerm has not taken yet.
  std::shared_ptr<EtcdTerm> offered_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<EtcdStore> store_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_ETCD_ETCD_LEADERSHIP_H_
