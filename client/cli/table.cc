#include "client/cli/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/size_text.h"
#include "server/core/types.h"

namespace weft::cli {
namespace {

constexpr std::string_view kGap = "  ";

std::string Padded(const std::string& cell, size_t width, bool right) {
  const std::string padding(width - cell.size(), ' ');
  return right ? padding + cell : cell + padding;
}

}  // namespace

std::string Size(uint64_t bytes) { return FormatSize(ByteCount(bytes)); }

std::string ExactSize(uint64_t bytes) {
  constexpr std::string_view kUnits = "kMGTP";
  std::string unit;
  for (size_t i = 0; i < kUnits.size() && bytes > 0 && bytes % 1024 == 0; ++i, bytes /= 1024) {
    unit = kUnits[i];
  }
  return absl::StrCat(bytes, unit);
}

std::string Count(uint64_t count, std::string_view noun) {
  return absl::StrCat(count, " ", std::string(noun), count == 1 ? "" : "s");
}

Table::Table(std::vector<std::string> headings) {
  for (std::string& heading : headings) {
    const bool right = heading.starts_with('>');
    right_.push_back(right);
    if (right) heading.erase(0, 1);
  }
  rows_.push_back(std::move(headings));
}

void Table::AddRow(std::vector<std::string> cells) {
  WEFT_CHECK(cells.size() == right_.size());
  for (std::string& cell : cells) {
    if (cell.empty()) cell = "-";
  }
  rows_.push_back(std::move(cells));
}

std::string Table::ToString() const {
  std::vector<size_t> widths(right_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      text += last && !right_[i] ? row[i] : Padded(row[i], widths[i], right_[i]);
      text += last ? "\n" : kGap;
    }
  }
  return text;
}

void Properties::Add(std::string_view label, std::string_view value) {
  lines_.emplace_back(label, value.empty() ? "-" : value);
}

std::string Properties::ToString() const {
  size_t width = 0;
  for (const auto& [label, value] : lines_) width = std::max(width, label.size());
  std::string text;
  for (const auto& [label, value] : lines_) {
    text += Padded(label, width, /*right=*/false) + std::string(kGap) + value + "\n";
  }
  return text;
}

}  // namespace weft::cli
