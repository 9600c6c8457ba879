// What it takes to be sure that a file is still there after a power cut.

#ifndef WEFT_SERVER_PLATFORM_LINUX_DURABLE_FILE_H_
#define WEFT_SERVER_PLATFORM_LINUX_DURABLE_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace weft {

// Makes sure that there is a file at `path`: creates it, empty and with mode 0600, if
// absent. Its directory entry is durable when this returns OK. The errno otherwise.
absl::Status EnsureFileExists(const std::string& path);

// Makes `bytes` what the file at `path` holds, with mode 0600: after a crash it holds these or
// what it held before. The errno otherwise.
absl::Status ReplaceFile(const std::string& path, std::string_view bytes);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_DURABLE_FILE_H_
