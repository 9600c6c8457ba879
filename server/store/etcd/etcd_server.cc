#include "server/store/etcd/etcd_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "grpc/support/time.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "server/core/check.h"
#include "server/rpc/client_credentials.h"
#include "third_party/etcd/rpc.grpc.pb.h"

namespace weft {
namespace {

constexpr char kEtcd[] = "/usr/bin/etcd";
constexpr int kPatienceSeconds = 30;

// Whether nobody has the port now.
bool IsFree(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return free;
}

// etcd must know the ports of all members beforehand. They are not those that the kernel gives
// to clients: one that tries to reach a member that is away could get the member's own.
std::vector<int> FreePorts(size_t count) {
  std::vector<int> ports;
  for (int port = 10'000 + getpid() % 20'000; ports.size() < count; ++port) {
    if (IsFree(port)) ports.push_back(port);
  }
  return ports;
}

std::string Url(const std::string& scheme, int port) {
  return absl::StrCat(scheme, "://127.0.0.1:", port);
}

// A linearizable read: it is answered once there is a leader.
void AwaitLeader(const std::string& endpoint,
                 const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  etcdserverpb::KV::Stub stub(grpc::CreateChannel(endpoint, credentials));
  const gpr_timespec deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                             gpr_time_from_seconds(kPatienceSeconds, GPR_TIMESPAN));
  grpc::Status status;
  do {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(deadline);
    etcdserverpb::RangeRequest request;
    request.set_key("any");
    etcdserverpb::RangeResponse reply;
    status = stub.Range(&context, request, &reply);
  } while (status.error_code() == grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(status.ok()) << "etcd at " << endpoint << ": " << status.error_message();
}

absl::Status Run(EtcdClient& client, const etcdserverpb::TxnRequest& request) {
  return client.Txn(request).status();
}

}  // namespace

EtcdServers::EtcdServers(const std::string& folder, int members,
                         const std::vector<std::string>& more_flags,
                         const std::optional<TlsFiles>& tls)
    : folder_(folder),
      more_flags_(more_flags),
      scheme_(tls ? "https" : "http"),
      credentials_(ClientCredentials(tls)),
      ports_(FreePorts(2 * static_cast<size_t>(members))) {
  if (tls) {
    more_flags_.insert(more_flags_.end(), {"--cert-file=" + tls->cert, "--key-file=" + tls->key,
                                           "--trusted-ca-file=" + tls->ca, "--client-cert-auth"});
  }
  WEFT_CHECK(access(kEtcd, X_OK) == 0, kEtcd, ": install Debian's etcd-server");
  for (int i = 0; i < members; ++i) {
    endpoints_.push_back(absl::StrCat("127.0.0.1:", ports_[2 * i]));
    members_.push_back(nullptr);
  }
  for (int i = 0; i < members; ++i) Restart(i);
  AwaitAll();
}

void EtcdServers::AwaitAll() const {
  for (const std::string& endpoint : endpoints_) AwaitLeader(endpoint, credentials_);
}

void EtcdServers::Restart(int index) {
  members_[index] = std::make_unique<ChildProcess>(CommandLine(index));
}

std::vector<std::string> EtcdServers::CommandLine(int index) const {
  std::vector<std::string> cluster;
  for (size_t i = 0; i < members_.size(); ++i) {
    cluster.push_back(absl::StrCat("m", i, "=", Url("http", ports_[2 * i + 1])));
  }
  const std::string client_url = Url(scheme_, ports_[2 * index]);
  const std::string peer_url = Url("http", ports_[2 * index + 1]);
  std::vector<std::string> line = {kEtcd,
                                   absl::StrCat("--name=m", index),
                                   absl::StrCat("--data-dir=", folder_, "/m", index),
                                   "--listen-client-urls=" + client_url,
                                   "--advertise-client-urls=" + client_url,
                                   "--listen-peer-urls=" + peer_url,
                                   "--initial-advertise-peer-urls=" + peer_url,
                                   "--initial-cluster=" + absl::StrJoin(cluster, ","),
                                   "--logger=zap",
                                   absl::StrCat("--log-outputs=", folder_, "/m", index, ".log")};
  line.insert(line.end(), more_flags_.begin(), more_flags_.end());
  return line;
}

std::shared_ptr<EtcdClient> EtcdServers::Connect() const {
  return std::make_shared<EtcdClient>(endpoints_, credentials_);
}

absl::Status PutKey(EtcdClient& client, const std::string& key, const std::string& value) {
  etcdserverpb::TxnRequest request;
  etcdserverpb::PutRequest& put = *request.add_success()->mutable_request_put();
  put.set_key(key);
  put.set_value(value);
  return Run(client, request);
}

absl::Status DeleteKey(EtcdClient& client, const std::string& key) {
  etcdserverpb::TxnRequest request;
  request.add_success()->mutable_request_delete_range()->set_key(key);
  return Run(client, request);
}

}  // namespace weft
