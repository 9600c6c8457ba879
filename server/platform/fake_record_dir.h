// Records in memory, for tests.

#ifndef WEFT_SERVER_PLATFORM_FAKE_RECORD_DIR_H_
#define WEFT_SERVER_PLATFORM_FAKE_RECORD_DIR_H_

#include <map>
#include <string>

#include "server/platform/record_dir.h"

namespace weft {

class FakeRecordDir final : public RecordDir {
 public:
  absl::StatusOr<std::map<std::string, std::string>> ReadAll() override { return records; }
  absl::Status Write(const std::string& name, const std::string& bytes) override {
    records[name] = bytes;
    return absl::OkStatus();
  }
  absl::Status Remove(const std::string& name) override {
    records.erase(name);
    return absl::OkStatus();
  }

  std::map<std::string, std::string> records;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_FAKE_RECORD_DIR_H_
