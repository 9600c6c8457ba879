// All records of a store in one file: docs/formats.md, "Backup file".

#ifndef WEFT_SERVER_CORE_BACKUP_FILE_H_
#define WEFT_SERVER_CORE_BACKUP_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weft {

// Makes the bytes of a file, in the order of the calls.
class BackupWriter {
 public:
  // `create_time_unix_ms` is for people to read.
  explicit BackupWriter(uint64_t create_time_unix_ms);

  // REQUIRES: `key` is greater than the one before, and not empty; neither is 2^31 bytes long.
  void Add(std::string_view key, std::string_view value);

  // The whole file. To be called last.
  std::string Finish() &&;

 private:
  void Append(std::string_view key, std::string_view value);

  std::string bytes_;
  std::string last_key_;
  uint64_t records_ = 0;
};

struct BackupInfo {
  uint64_t create_time_unix_ms = 0;
  uint64_t records = 0;
};

// Reads a whole file, visiting its records in the order of their keys; what `visit` returns
// that is not OK ends that. Nothing that was visited counts unless the end is OK.
//   DATA_LOSS STORE_DAMAGED: it is no backup, was cut off or was changed; says where.
//   FAILED_PRECONDITION VERSION_TOO_NEW: written in a format that this build does not know.
absl::StatusOr<BackupInfo> ReadBackup(
    std::string_view bytes,
    absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> visit);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_BACKUP_FILE_H_
