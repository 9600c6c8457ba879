#include "server/rpc/tls_files.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace weft {

absl::Status CheckReadable(const TlsFiles& files) {
  for (const std::string& path : {files.cert, files.key, files.ca}) {
    if (access(path.c_str(), R_OK) == 0) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("cannot read ", path, ": ", absl::ErrnoToStatus(errno, "").message()));
  }
  return absl::OkStatus();
}

}  // namespace weft
