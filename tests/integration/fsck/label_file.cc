#include "tests/integration/fsck/label_file.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>

#include "server/core/check.h"
#include "server/core/types.h"

namespace weft {
namespace {

std::streamoff OffsetIn(const std::string& path, LabelCopy copy) {
  const ByteCount capacity(std::filesystem::file_size(path));
  return static_cast<std::streamoff>(LabelOffset(copy, capacity).value());
}

LabelVerdict ReadCopy(const std::string& path, LabelCopy copy) {
  std::array<uint8_t, kLabelBytes> bytes;
  std::ifstream file(path, std::ios::binary);
  file.seekg(OffsetIn(path, copy));
  file.read(reinterpret_cast<char*>(bytes.data()), bytes.size());
  return ParseLabel(bytes, copy, ByteCount(std::filesystem::file_size(path)));
}

}  // namespace

Label ReadLabelFile(const std::string& path) {
  const LabelVerdict verdict =
      JudgeLabels(ReadCopy(path, LabelCopy::kFirst), ReadCopy(path, LabelCopy::kLast));
  WEFT_CHECK(verdict.state == LabelState::kGood, path, ": ", verdict.detail);
  return verdict.label;
}

void WriteLabelFile(const std::string& path, const Label& label) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (const LabelCopy copy : {LabelCopy::kFirst, LabelCopy::kLast}) {
    const std::array<uint8_t, kLabelBytes> bytes = EncodeLabel(label, copy);
    file.seekp(OffsetIn(path, copy));
    file.write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  WEFT_CHECK(file.flush().good(), path);
}

}  // namespace weft
