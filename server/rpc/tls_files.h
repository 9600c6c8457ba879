// Where a program's certificates are.

#ifndef WEFT_SERVER_RPC_TLS_FILES_H_
#define WEFT_SERVER_RPC_TLS_FILES_H_

#include <string>

#include "absl/status/status.h"

namespace weft {

// PEM files. Replace all of them at once (by switching a symlink to their folder): they
// are read again within seconds, and new connections use what they hold then.
struct TlsFiles {
  // The program's own certificate chain.
  std::string cert;
  std::string key;
  // Signs the certificates that the other side must have.
  std::string ca;
};

// FAILED_PRECONDITION: one of them cannot be read; names it.
absl::Status CheckReadable(const TlsFiles& files);

}  // namespace weft

#endif  // WEFT_SERVER_RPC_TLS_FILES_H_
