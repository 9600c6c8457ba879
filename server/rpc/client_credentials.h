// What a client of ours shows, and believes, of certificates.

#ifndef WEFT_SERVER_RPC_CLIENT_CREDENTIALS_H_
#define WEFT_SERVER_RPC_CLIENT_CREDENTIALS_H_

#include <memory>
#include <optional>

#include "grpcpp/security/credentials.h"
#include "server/rpc/tls_files.h"

namespace weft {

// Without `tls`, no TLS. Without its certificate and key, only the server proves who it is.
// A server has to have a certificate for the name or address under which it is called.
std::shared_ptr<grpc::ChannelCredentials> ClientCredentials(const std::optional<TlsFiles>& tls);

}  // namespace weft

#endif  // WEFT_SERVER_RPC_CLIENT_CREDENTIALS_H_
