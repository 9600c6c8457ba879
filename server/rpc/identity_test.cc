#include "server/rpc/identity.h"

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

Peer Certificate(const std::string& common_name, std::vector<std::string> uris = {}) {
  return {.authenticated = true, .common_name = common_name, .uris = std::move(uris)};
}

v1::Reason ReasonFor(const Peer& peer, const Claims& claims) {
  return ReasonOf(IdentifyCaller(peer, claims).status());
}

TEST(IdentityTest, PlaintextWithoutMetadataIsAdmin) {
  const auto caller = IdentifyCaller({}, {});
  ASSERT_TRUE(caller.ok());
  EXPECT_EQ(caller->principal, "admin");
  EXPECT_EQ(caller->host, "");
}

TEST(IdentityTest, DaemonForItself) {
  const auto caller = IdentifyCaller({}, {.host = "host-a", .session = "1.7", .principal = ""});
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->principal, "hosts/host-a");
  EXPECT_EQ(caller->host, "host-a");
  EXPECT_EQ(caller->session_id, "1.7");
}

TEST(IdentityTest, DaemonForItsClient) {
  const auto caller =
      IdentifyCaller({}, {.host = "host-a", .session = "1.7", .principal = "uid:1000@host-a"});
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->principal, "uid:1000@host-a");
}

TEST(IdentityTest, DaemonSpeaksOnlyForItsOwnClients) {
  for (const char* principal :
       {"uid:0@host-b", "admin", "uid:0@ahost-a", "hosts/host-a", "@host-a"}) {
    EXPECT_EQ(ReasonFor({}, {.host = "host-a", .session = "1.7", .principal = principal}),
              v1::NOT_ALLOWED)
        << principal;
  }
}

TEST(IdentityTest, IncompleteOrBadMetadata) {
  EXPECT_EQ(ReasonFor({}, {.host = "host-a", .session = "", .principal = ""}), v1::NO_IDENTITY);
  EXPECT_EQ(ReasonFor({}, {.host = "", .session = "1.7", .principal = ""}), v1::NO_IDENTITY);
  EXPECT_EQ(ReasonFor({}, {.host = "", .session = "", .principal = "uid:0@x"}), v1::NO_IDENTITY);
  EXPECT_EQ(ReasonFor({}, {.host = "Bad/Host", .session = "1", .principal = ""}), v1::BAD_NAME);
}

TEST(IdentityTest, CertificateOfAnAdministrator) {
  for (const char* name : {"admin", "admin-jane"}) {
    const auto caller = IdentifyCaller(Certificate(name), {});
    ASSERT_TRUE(caller.ok()) << caller.status();
    EXPECT_EQ(caller->principal, name);
    EXPECT_EQ(ReasonFor(Certificate(name), {.host = "host-a", .session = "1", .principal = ""}),
              v1::NOT_ALLOWED);
  }
}

TEST(IdentityTest, CertificateOfAHost) {
  const Claims claims = {.host = "", .session = "1.7", .principal = ""};
  for (const Peer& peer :
       {Certificate("hosts/host-a"), Certificate("anything", {"spiffe://example/hosts/host-a"}),
        Certificate("admin", {"x:y", "hosts/host-a"})}) {
    const auto caller = IdentifyCaller(peer, claims);
    ASSERT_TRUE(caller.ok()) << caller.status();
    EXPECT_EQ(caller->host, "host-a");
    EXPECT_EQ(caller->principal, "hosts/host-a");
    EXPECT_EQ(ReasonFor(peer, {.host = "host-b", .session = "1.7", .principal = ""}),
              v1::NOT_ALLOWED);
  }
}

TEST(IdentityTest, CertificateOfNobody) {
  for (const Peer& peer : {Certificate(""), Certificate("administrator"), Certificate("Admin"),
                           Certificate("xhosts/host-a"), Certificate("hosts/"),
                           Certificate("x", {"spiffe://example/ghosts/host-a"}),
                           Certificate("x", {"spiffe://example/hosts/host-a/more"})}) {
    EXPECT_EQ(ReasonFor(peer, {}), v1::NO_IDENTITY) << peer.common_name;
  }
}

TEST(IdentityTest, RegisterNeedsTheHostsOwnCertificate) {
  EXPECT_TRUE(AuthorizeRegister({}, "host-a").ok());
  EXPECT_TRUE(AuthorizeRegister(Certificate("hosts/host-a"), "host-a").ok());
  EXPECT_EQ(ReasonOf(AuthorizeRegister(Certificate("hosts/host-a"), "host-b")), v1::NOT_ALLOWED);
  EXPECT_EQ(ReasonOf(AuthorizeRegister(Certificate("admin"), "host-b")), v1::NOT_ALLOWED);
}

class AuthorizeTest : public testing::Test {
 protected:
  AuthorizeTest() {
    HostState& host = state_.hosts["host-a"];
    host.record.mutable_host()->set_session_id("1.7");
    host.record.mutable_host()->set_state(v1::HOST_ALIVE);
    host.session = LiveSession{};
  }

  State state_{CoreOptions{}};
  const Caller admin_ = {"admin", "", ""};
  const Caller daemon_ = {"hosts/host-a", "host-a", "1.7"};
  const Caller old_daemon_ = {"hosts/host-a", "host-a", "1.6"};
};

TEST_F(AuthorizeTest, Admin) {
  EXPECT_TRUE(Authorize(state_, admin_, Access::kEveryone).ok());
  EXPECT_TRUE(Authorize(state_, admin_, Access::kAdmin).ok());
  EXPECT_EQ(ReasonOf(Authorize(state_, admin_, Access::kDaemon)), v1::NOT_ALLOWED);
}

TEST_F(AuthorizeTest, DaemonWithItsLiveSession) {
  EXPECT_TRUE(Authorize(state_, daemon_, Access::kEveryone).ok());
  EXPECT_TRUE(Authorize(state_, daemon_, Access::kDaemon).ok());
  EXPECT_EQ(ReasonOf(Authorize(state_, daemon_, Access::kAdmin)), v1::NOT_ALLOWED);
}

TEST_F(AuthorizeTest, AnotherSessionIsNotEnough) {
  EXPECT_EQ(ReasonOf(Authorize(state_, old_daemon_, Access::kEveryone)), v1::SESSION_EXPIRED);
  state_.hosts["host-a"].session.reset();
  EXPECT_EQ(ReasonOf(Authorize(state_, daemon_, Access::kEveryone)), v1::SESSION_EXPIRED);
}

}  // namespace
}  // namespace weft
