// Certificates between the coordinator and etcd.

#include "server/coordinator/shared_store.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "server/coordinator/flags.h"
#include "server/platform/linux/temp_dir.h"
#include "server/rpc/test_certificates.h"
#include "server/store/etcd/etcd_server.h"
#include "server/store/store.h"

namespace weft {
namespace {

class EtcdTlsTest : public testing::Test {
 protected:
  EtcdTlsTest() {
    certificates_.MakeAuthority("ca");
    certificates_.Sign("ca", "etcd", "etcd", "IP:127.0.0.1");
    certificates_.Sign("ca", "coordinator", "coordinator", "DNS:coordinator");
    certificates_.MakeAuthority("other");
    certificates_.Sign("other", "stranger", "coordinator", "DNS:coordinator");
    servers_.emplace(folder_.path(), 1, std::vector<std::string>(),
                     certificates_.Files("etcd", "ca"));
  }

  absl::Status Open(const TlsFiles& files) {
    StoreFlags flags;
    flags.sqlite_path.clear();
    flags.etcd_endpoints = servers_->endpoints();
    flags.etcd_cert = files.cert;
    flags.etcd_key = files.key;
    flags.etcd_ca = files.ca;
    const auto store = OpenStoreAlone(flags);
    if (!store.ok()) return store.status();
    return (*store)->ConfirmLeadership();
  }

  const TempDir folder_;
  const TestCertificates certificates_{folder_.path()};
  std::optional<EtcdServers> servers_;
};

TEST_F(EtcdTlsTest, BothSidesMustBelieveTheOther) {
  const absl::Status opened = Open(certificates_.Files("coordinator", "ca"));
  EXPECT_TRUE(opened.ok()) << opened;
  EXPECT_TRUE(absl::IsUnavailable(Open(certificates_.Files("stranger", "ca"))));
  EXPECT_TRUE(absl::IsUnavailable(Open(certificates_.Files("coordinator", "other"))));
  TlsFiles nothing_to_show = certificates_.Files("", "ca");
  nothing_to_show.cert.clear();
  nothing_to_show.key.clear();
  EXPECT_TRUE(absl::IsUnavailable(Open(nothing_to_show)));
  EXPECT_TRUE(absl::IsUnavailable(Open(TlsFiles())));
}

}  // namespace
}  // namespace weft
