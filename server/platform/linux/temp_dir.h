// A folder of a test's own.

#ifndef WEFT_SERVER_PLATFORM_LINUX_TEMP_DIR_H_
#define WEFT_SERVER_PLATFORM_LINUX_TEMP_DIR_H_

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "server/core/check.h"

namespace weft {

// Made under /tmp; removed with all that is in it.
class TempDir {
 public:
  TempDir() { WEFT_CHECK(mkdtemp(path_.data()) != nullptr, path_); }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;

  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_ = "/tmp/weft.XXXXXX";
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_TEMP_DIR_H_
