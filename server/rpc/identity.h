// Who is calling, and what they may ask for.
//
// What is trusted:
//   * With TLS, the client certificate, which the configured CA has signed. A URI in its
//     subjectAltName that ends in `hosts/<id>`, or a common name `hosts/<id>`, makes the
//     caller that host; a common name `admin` or `admin-<anything>` an administrator.
//     Others are refused.
//   * Without TLS (unix sockets and loopback, or --insecure), the network: whoever can
//     connect is an administrator, or the host that the metadata says.
//   * A host's word about its local clients: its weftd has their identity from the kernel
//     (SO_PEERCRED). Nothing else a client says about itself is believed.
//
// Metadata that a daemon sends with the calls it makes:
//   weft-host       its host id
//   weft-session    the id of its session, which must be the host's live one
//   weft-principal  of the local client for whom it calls, `uid:<n>@<host id>`; without
//                   it the daemon calls for itself, as `hosts/<host id>`

#ifndef WEFT_SERVER_RPC_IDENTITY_H_
#define WEFT_SERVER_RPC_IDENTITY_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"
#include "server/core/state.h"

namespace weft {

inline constexpr char kHostMetadata[] = "weft-host";
inline constexpr char kSessionMetadata[] = "weft-session";
inline constexpr char kPrincipalMetadata[] = "weft-principal";

// What the transport proves.
struct Peer {
  // By a certificate; the rest is empty otherwise.
  bool authenticated = false;
  std::string common_name;
  std::vector<std::string> uris;
};

// What the metadata says. Empty: absent.
struct Claims {
  std::string host;
  std::string session;
  std::string principal;
};

struct Caller {
  // `admin`, `admin-<anything>`, `hosts/<id>`, or `uid:<n>@<host id>`.
  std::string principal;
  // The host whose daemon calls, and its session; empty: an administrator.
  std::string host;
  std::string session_id;
};

enum class Access {
  kEveryone,
  // Administrators.
  kAdmin,
  // Daemons, for themselves or a client.
  kDaemon,
};

Peer PeerOf(const grpc::ServerContextBase& context);
Claims ClaimsOf(const grpc::ServerContextBase& context);

// The host that a certificate is for; empty: for none. REQUIRES: authenticated.
std::string CertifiedHost(const Peer& peer);

// UNAUTHENTICATED NO_IDENTITY: a certificate of nobody known, or a host without its
// session. PERMISSION_DENIED NOT_ALLOWED: a claim that contradicts the certificate, or a
// principal of another host.
absl::StatusOr<Caller> IdentifyCaller(const Peer& peer, const Claims& claims);

// Whether `caller` may make a call open to `access`. PERMISSION_DENIED NOT_ALLOWED; and
// for a daemon FAILED_PRECONDITION SESSION_EXPIRED or FENCED.
absl::Status Authorize(const State& state, const Caller& caller, Access access);

// Whether `peer` may register as `host`. PERMISSION_DENIED NOT_ALLOWED.
absl::Status AuthorizeRegister(const Peer& peer, std::string_view host);

}  // namespace weft

#endif  // WEFT_SERVER_RPC_IDENTITY_H_
