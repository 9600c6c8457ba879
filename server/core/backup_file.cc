#include "server/core/backup_file.h"

#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "server/core/check.h"
#include "server/core/crc32c.h"
#include "server/core/errors.h"
#include "server/core/little_endian.h"

namespace weft {
namespace {

constexpr std::string_view kMagic = "WeftBkup";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 32;
constexpr size_t kVersionAt = 8;
constexpr size_t kTimeAt = 16;
constexpr size_t kLengthsBytes = 8;
constexpr size_t kCrcBytes = 4;

const uint8_t* BytesOf(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

uint32_t CrcOf(std::string_view text) {
  return Crc32c(absl::MakeConstSpan(BytesOf(text), text.size()));
}

template <typename UInt>
std::string Encode(UInt value) {
  std::array<uint8_t, sizeof(UInt)> bytes;
  StoreLittleEndian(bytes.data(), value);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

template <typename UInt>
UInt Decode(std::string_view text, size_t at) {
  return LoadLittleEndian<UInt>(BytesOf(text.substr(at)));
}

absl::Status Damaged(size_t offset, std::string_view what) {
  return MakeError(absl::StatusCode::kDataLoss, v1::STORE_DAMAGED,
                   absl::StrCat("the backup is damaged at byte ", offset, ": ", std::string(what),
                                "; use another one"));
}

// Whether `part` ends with the checksum of what is before that.
bool IsWhole(std::string_view part) {
  const size_t size = part.size() - kCrcBytes;
  return CrcOf(part.substr(0, size)) == Decode<uint32_t>(part, size);
}

absl::Status CheckHeader(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, kMagic.size()) != kMagic) {
    return Damaged(0, "it is no backup of Weft");
  }
  if (!IsWhole(bytes.substr(0, kHeaderBytes))) return Damaged(0, "the checksum is wrong");
  const auto version = Decode<uint32_t>(bytes, kVersionAt);
  if (version == kVersion) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::VERSION_TOO_NEW,
                   absl::StrCat("the backup has format version ", version,
                                "; this build knows version ", kVersion));
}

struct Record {
  std::string_view key;
  std::string_view value;
  size_t size = 0;  // in the file
};

// The record at `offset`.
absl::StatusOr<Record> Parse(std::string_view bytes, size_t offset) {
  const std::string_view rest = bytes.substr(offset);
  if (rest.size() < kLengthsBytes) return Damaged(offset, "it was cut off");
  const size_t key = Decode<uint32_t>(rest, 0);
  const size_t value = Decode<uint32_t>(rest, 4);
  const size_t size = kLengthsBytes + key + value + kCrcBytes;
  if (rest.size() < size) return Damaged(offset, "it was cut off");
  if (!IsWhole(rest.substr(0, size))) return Damaged(offset, "the checksum is wrong");
  return Record{rest.substr(kLengthsBytes, key), rest.substr(kLengthsBytes + key, value), size};
}

}  // namespace

BackupWriter::BackupWriter(uint64_t create_time_unix_ms) : bytes_(kMagic) {
  bytes_ += Encode(kVersion) + Encode(uint32_t{0}) + Encode(create_time_unix_ms);
  bytes_.resize(kHeaderBytes - kCrcBytes, '\0');
  bytes_ += Encode(CrcOf(bytes_));
}

void BackupWriter::Append(std::string_view key, std::string_view value) {
  const size_t start = bytes_.size();
  bytes_ += Encode(static_cast<uint32_t>(key.size()));
  bytes_ += Encode(static_cast<uint32_t>(value.size()));
  bytes_.append(key).append(value);
  bytes_ += Encode(CrcOf(std::string_view(bytes_).substr(start)));
}

void BackupWriter::Add(std::string_view key, std::string_view value) {
  WEFT_CHECK(key > last_key_, std::string(key));
  Append(key, value);
  last_key_ = key;
  ++records_;
}

std::string BackupWriter::Finish() && {
  Append("", Encode(records_));
  return std::move(bytes_);
}

absl::StatusOr<BackupInfo> ReadBackup(
    std::string_view bytes,
    absl::FunctionRef<absl::Status(std::string_view, std::string_view)> visit) {
  if (absl::Status s = CheckHeader(bytes); !s.ok()) return s;
  BackupInfo info{Decode<uint64_t>(bytes, kTimeAt), 0};
  std::string_view last_key;
  for (size_t offset = kHeaderBytes;;) {
    const absl::StatusOr<Record> record = Parse(bytes, offset);
    if (!record.ok()) return record.status();
    if (record->key.empty()) {
      const bool counted = record->value.size() == sizeof(uint64_t) &&
                           Decode<uint64_t>(record->value, 0) == info.records;
      if (!counted) return Damaged(offset, "records are missing");
      if (offset + record->size != bytes.size()) return Damaged(offset, "it goes on after its end");
      return info;
    }
    if (record->key <= last_key) return Damaged(offset, "the records are not in order");
    if (absl::Status s = visit(record->key, record->value); !s.ok()) return s;
    last_key = record->key;
    ++info.records;
    offset += record->size;
  }
}

}  // namespace weft
