// Text for people: columns that line up.

#ifndef WEFT_CLIENT_CLI_TABLE_H_
#define WEFT_CLIENT_CLI_TABLE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::cli {

// To compare: 512.00 MiB, cut off.
std::string Size(uint64_t bytes);

// To the byte, as options take it: 1026M.
std::string ExactSize(uint64_t bytes);

// "1 extent", "2 extents"
std::string Count(uint64_t count, std::string_view noun);

// Rows under headings, each column as wide as its widest cell, two spaces between. Empty
// cells are shown as "-". The last column is not padded.
class Table {
 public:
  // A heading that starts with '>' (which is not shown) makes its column align right.
  explicit Table(std::vector<std::string> headings);

  // REQUIRES: as many cells as headings.
  void AddRow(std::vector<std::string> cells);
  std::string ToString() const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;  // The headings first.
};

// One resource: a label and a value on each line.
class Properties {
 public:
  void Add(std::string_view label, std::string_view value);
  // The labels padded to one width.
  std::string ToString() const;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_TABLE_H_
