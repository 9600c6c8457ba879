// Records in memory, for tests.

#ifndef WEFT_SERVER_PLATFORM_FAKE_RECORD_DIR_H_
#define WEFT_SERVER_PLATFORM_FAKE_RECORD_DIR_H_

#include <map>
#include <string>

#include "server/platform/record_dir.h"

namespace weft {

class FakeRecordDir final : public RecordDir {
 public:
  absl::StatusOr<std::map<std::string, std::string>> ReadAll() override {
    if (!read_error.ok()) return read_error;
    return records;
  }
  absl::Status Write(const std::string& name, const std::string& bytes) override {
    if (!write_error.ok()) return write_error;
    records[name] = bytes;
    return absl::OkStatus();
  }
  absl::Status Remove(const std::string& name) override {
    records.erase(name);
    return absl::OkStatus();
  }

  std::map<std::string, std::string> records;
  absl::Status read_error;
  absl::Status write_error;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_FAKE_RECORD_DIR_H_
