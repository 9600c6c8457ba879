// Real etcd servers, for tests: members of one cluster on this machine's loopback.

#ifndef WEFT_SERVER_STORE_ETCD_ETCD_SERVER_H_
#define WEFT_SERVER_STORE_ETCD_ETCD_SERVER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grpcpp/security/credentials.h"
#include "server/rpc/tls_files.h"
#include "server/store/child_process.h"
#include "server/store/etcd/etcd_client.h"
#include "server/store/etcd/etcd_term.h"

namespace weft {

// Not thread-safe. Members keep their data in `folder`, on tmpfs if that is one.
class EtcdServers {
 public:
  // Starts `members` members and waits until they have a leader. Fails the test if they do
  // not: is etcd-server installed? With `tls` they and their clients, which have the same
  // certificate here, show it to each other.
  EtcdServers(const std::string& folder, int members,
              const std::vector<std::string>& more_flags = {},
              const std::optional<TlsFiles>& tls = std::nullopt);

  // `host:port` of each.
  const std::vector<std::string>& endpoints() const { return endpoints_; }
  // A client of its own.
  std::shared_ptr<EtcdClient> Connect() const;

  ChildProcess& member(int index) { return *members_[index]; }
  // After Kill: with its data.
  void Restart(int index);
  // Waits until each member knows a leader.
  void AwaitAll() const;

 private:
  std::vector<std::string> CommandLine(int index) const;

  const std::string folder_;
  std::vector<std::string> more_flags_;
  const std::string scheme_;  // of clients
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::vector<int> ports_;
  std::vector<std::string> endpoints_;
  std::vector<std::unique_ptr<ChildProcess>> members_;
};

// Puts or deletes a key behind the store's back.
absl::Status PutKey(EtcdClient& client, const std::string& key, const std::string& value);
absl::Status DeleteKey(EtcdClient& client, const std::string& key);

}  // namespace weft

#endif  // WEFT_SERVER_STORE_ETCD_ETCD_SERVER_H_
