#include "server/rpc/identity.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/security/auth_context.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/core/sessions.h"

namespace weft {
namespace {

constexpr char kAdmin[] = "admin";
constexpr char kHostsPrefix[] = "hosts/";

absl::Status NoIdentity(std::string_view message) {
  return MakeError(absl::StatusCode::kUnauthenticated, v1::NO_IDENTITY, message);
}

absl::Status NotAllowed(std::string_view message) {
  return MakeError(absl::StatusCode::kPermissionDenied, v1::NOT_ALLOWED, message);
}

std::string ToString(grpc::string_ref text) { return {text.data(), text.size()}; }

std::string Metadata(const grpc::ServerContextBase& context, const char* key) {
  const auto& metadata = context.client_metadata();
  const auto it = metadata.find(key);
  return it == metadata.end() ? "" : ToString(it->second);
}

bool IsAdminName(const std::string& common_name) {
  return common_name == kAdmin || absl::StartsWith(common_name, "admin-");
}

// The id in `hosts/<id>` at the end of `text`, at its start or after a slash.
std::optional<std::string> HostAtEnd(const std::string& text) {
  const size_t start = text.rfind(kHostsPrefix);
  if (start == std::string::npos || (start > 0 && text[start - 1] != '/')) return std::nullopt;
  absl::StatusOr<std::string> host = ParseHostName(text.substr(start));
  if (!host.ok()) return std::nullopt;
  return *std::move(host);
}

absl::StatusOr<Caller> IdentifyDaemon(const std::string& host, const Claims& claims) {
  if (absl::Status status = CheckId("host", host); !status.ok()) return status;
  if (claims.session.empty()) {
    return NoIdentity(absl::StrCat("a call of host \"", host, "\" needs the metadata ",
                                   kSessionMetadata, ": the id of its session"));
  }
  if (claims.principal.empty()) {
    return Caller{FormatHostName(host), host, claims.session};
  }
  if (!absl::EndsWith(claims.principal, absl::StrCat("@", host)) ||
      !absl::StartsWith(claims.principal, "uid:")) {
    return NotAllowed(absl::StrCat("host \"", host, "\" may speak for uid:<n>@", host,
                                   ", not for \"", claims.principal, "\""));
  }
  return Caller{claims.principal, host, claims.session};
}

}  // namespace

Peer PeerOf(const grpc::ServerContextBase& context) {
  Peer peer;
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return peer;
  peer.authenticated = true;
  for (const grpc::string_ref& name : auth->FindPropertyValues("x509_common_name")) {
    peer.common_name = ToString(name);
  }
  for (const grpc::string_ref& uri : auth->FindPropertyValues("peer_uri")) {
    peer.uris.push_back(ToString(uri));
  }
  return peer;
}

Claims ClaimsOf(const grpc::ServerContextBase& context) {
  return {Metadata(context, kHostMetadata), Metadata(context, kSessionMetadata),
          Metadata(context, kPrincipalMetadata)};
}

std::string CertifiedHost(const Peer& peer) {
  for (const std::string& uri : peer.uris) {
    if (std::optional<std::string> host = HostAtEnd(uri)) return *host;
  }
  if (absl::StartsWith(peer.common_name, kHostsPrefix)) {
    return HostAtEnd(peer.common_name).value_or("");
  }
  return "";
}

absl::StatusOr<Caller> IdentifyCaller(const Peer& peer, const Claims& claims) {
  std::string host = claims.host;
  if (peer.authenticated) {
    host = CertifiedHost(peer);
    if (host.empty() && !IsAdminName(peer.common_name)) {
      return NoIdentity(absl::StrCat("certificate of \"", peer.common_name,
                                     "\" is neither an administrator's (CN admin, admin-*) nor "
                                     "a host's (URI or CN hosts/<id>)"));
    }
    if (!claims.host.empty() && claims.host != host) {
      return NotAllowed(absl::StrCat("certificate of \"", peer.common_name,
                                     "\" does not allow calls of host \"", claims.host, "\""));
    }
  }
  if (!host.empty()) return IdentifyDaemon(host, claims);
  if (!claims.principal.empty() || !claims.session.empty()) {
    return NoIdentity(absl::StrCat("the metadata ", kPrincipalMetadata, " and ", kSessionMetadata,
                                   " are for daemons, with ", kHostMetadata));
  }
  return Caller{peer.authenticated ? peer.common_name : kAdmin, "", ""};
}

absl::Status Authorize(const State& state, const Caller& caller, Access access) {
  const bool is_daemon = !caller.host.empty();
  if (access == Access::kAdmin && is_daemon) {
    return NotAllowed(absl::StrCat("\"", caller.principal,
                                   "\" may not do this: it is for "
                                   "administrators, at the coordinator"));
  }
  if (access == Access::kDaemon && !is_daemon) {
    return NotAllowed("only a host's daemon may do this");
  }
  return is_daemon ? CheckSession(state, caller.host, caller.session_id) : absl::OkStatus();
}

absl::Status AuthorizeRegister(const Peer& peer, std::string_view host) {
  if (!peer.authenticated || CertifiedHost(peer) == host) return absl::OkStatus();
  return NotAllowed(absl::StrCat("certificate of \"", peer.common_name,
                                 "\" does not allow to register as host \"", std::string(host),
                                 "\""));
}

}  // namespace weft
