#include "server/platform/linux/numa.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace weft {
namespace {

// "0-2,5" of the file, as 0 1 2 5; empty if it cannot be read.
std::vector<int> ReadNodeList(const std::string& path) {
  std::string text;
  std::getline(std::ifstream(path), text);
  std::vector<int> nodes;
  for (const absl::string_view range : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::vector<absl::string_view> ends = absl::StrSplit(range, '-');
    int first = 0;
    int last = 0;
    if (!absl::SimpleAtoi(ends.front(), &first) || !absl::SimpleAtoi(ends.back(), &last)) return {};
    for (int node = first; node <= last; ++node) nodes.push_back(node);
  }
  return nodes;
}

}  // namespace

uint32_t NumaDistance(const std::string& nodes, int node) {
  const std::vector<int> with_cpu = ReadNodeList(nodes + "/has_cpu");
  const std::vector<int> online = ReadNodeList(nodes + "/online");
  const auto column = std::find(online.begin(), online.end(), node);
  if (with_cpu.empty() || column == online.end()) return 0;
  // The kernel lists online nodes only.
  std::ifstream row(absl::StrCat(nodes, "/node", with_cpu.front(), "/distance"));
  uint32_t distance = 0;
  for (auto at = online.begin(); at <= column; ++at) {
    if (!(row >> distance)) return 0;
  }
  return distance;
}

}  // namespace weft
