// A folder of a test's own.

#ifndef WEFT_SERVER_PLATFORM_LINUX_TEMP_DIR_H_
#define WEFT_SERVER_PLATFORM_LINUX_TEMP_DIR_H_

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "server/core/check.h"

namespace weft {

// Made under `parent`; removed with all that is in it, unless Keep was called. The path of a
// socket has to be short: Bazel's own folder for a test is too deep for one.
class TempDir {
 public:
  explicit TempDir(const std::string& parent = "/tmp") : path_(parent + "/weft.XXXXXX") {
    WEFT_CHECK(mkdtemp(path_.data()) != nullptr, path_);
  }
  ~TempDir() {
    std::error_code ignored;
    if (!keep_) std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  void Keep() { keep_ = true; }

 private:
  std::string path_;
  bool keep_ = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_TEMP_DIR_H_
