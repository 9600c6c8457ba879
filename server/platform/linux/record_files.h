// Records as files of a directory. What is there already is not written again, so that a full
// disk does no harm to it.

#ifndef WEFT_SERVER_PLATFORM_LINUX_RECORD_FILES_H_
#define WEFT_SERVER_PLATFORM_LINUX_RECORD_FILES_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/platform/record_dir.h"

namespace weft {

class RecordFiles final : public RecordDir {
 public:
  // Creates the directory (mode 0700) if there is none.
  static absl::StatusOr<std::unique_ptr<RecordDir>> Open(const std::string& directory);

  absl::StatusOr<std::map<std::string, std::string>> ReadAll() override;
  absl::Status Write(const std::string& name, const std::string& bytes) override;
  absl::Status Remove(const std::string& name) override;

 private:
  explicit RecordFiles(std::string directory) : directory_(std::move(directory)) {}

  const std::string directory_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_RECORD_FILES_H_
