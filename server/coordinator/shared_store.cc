#include "server/coordinator/shared_store.h"

#include <optional>
#include <utility>

#include "server/rpc/client_credentials.h"
#include "server/store/etcd/etcd_client.h"
#include "server/store/etcd/etcd_leadership.h"
#include "server/store/etcd/etcd_store.h"
#include "server/store/etcd/etcd_term.h"
#include "server/store/sqlite_store.h"

namespace weft {
namespace {

class SqliteShared final : public SharedStore {
 public:
  explicit SqliteShared(std::unique_ptr<SqliteStore> store)
      : store_(std::move(store)), leadership_(*store_) {}

  Leadership& leadership() override { return leadership_; }
  void Run(const std::string& /*address*/) override {}
  void Shutdown() override {}

 private:
  const std::unique_ptr<SqliteStore> store_;
  SoleLeadership leadership_;
};

class EtcdShared final : public SharedStore {
 public:
  EtcdShared(std::shared_ptr<EtcdClient> client, const EtcdTermOptions& options, Clock& clock)
      : client_(std::move(client)), leadership_(client_, options, clock) {}

  Leadership& leadership() override { return leadership_; }
  void Run(const std::string& address) override { leadership_.Run(address); }
  void Shutdown() override { client_->Shutdown(); }

 private:
  const std::shared_ptr<EtcdClient> client_;
  EtcdLeadership leadership_;
};

constexpr absl::Duration kAlone = absl::Minutes(1);

std::shared_ptr<EtcdClient> ConnectEtcd(const StoreFlags& flags) {
  std::optional<TlsFiles> tls;
  if (!flags.etcd_ca.empty()) tls = TlsFiles{flags.etcd_cert, flags.etcd_key, flags.etcd_ca};
  return std::make_shared<EtcdClient>(flags.etcd_endpoints, ClientCredentials(tls));
}

EtcdTermOptions TermOptions(const StoreFlags& flags, absl::Duration ttl) {
  EtcdTermOptions options;
  options.prefix = flags.etcd_prefix;
  options.ttl = ttl;
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SharedStore>> OpenSharedStore(const CoordinatorFlags& flags,
                                                             Clock& clock) {
  if (flags.store.sqlite_path.empty()) {
    return std::make_unique<EtcdShared>(ConnectEtcd(flags.store),
                                        TermOptions(flags.store, flags.leader_ttl), clock);
  }
  auto store = SqliteStore::Open({.path = flags.store.sqlite_path, .vfs = ""});
  if (!store.ok()) return store.status();
  return std::make_unique<SqliteShared>(*std::move(store));
}

absl::StatusOr<std::unique_ptr<Store>> OpenStoreAlone(const StoreFlags& flags) {
  if (!flags.sqlite_path.empty()) return SqliteStore::Open({.path = flags.sqlite_path, .vfs = ""});
  const std::shared_ptr<EtcdClient> client = ConnectEtcd(flags);
  // Without an address: coordinators that stand for election say that nobody leads.
  EtcdLeader leader;
  auto term = EtcdTerm::TryBegin(client, TermOptions(flags, kAlone), &leader);
  if (!term.ok()) return term.status();
  return std::make_unique<EtcdStore>(client, *std::move(term));
}

}  // namespace weft
