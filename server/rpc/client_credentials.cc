#include "server/rpc/client_credentials.h"

#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace weft {
namespace {

constexpr unsigned kRefreshSeconds = 1;

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> ClientCredentials(const std::optional<TlsFiles>& tls) {
  using Provider = grpc::experimental::FileWatcherCertificateProvider;
  if (!tls) return grpc::InsecureChannelCredentials();
  grpc::experimental::TlsChannelCredentialsOptions options;
  if (tls->cert.empty()) {
    options.set_certificate_provider(std::make_shared<Provider>(tls->ca, kRefreshSeconds));
  } else {
    options.set_certificate_provider(
        std::make_shared<Provider>(tls->key, tls->cert, tls->ca, kRefreshSeconds));
    options.watch_identity_key_cert_pairs();
  }
  options.watch_root_certs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace weft
