#include "server/core/changes.h"

#include <iterator>
#include <utility>

namespace weft {

void Changes::Put(const std::string& key, const google::protobuf::MessageLite& record) {
  mutations[key] = record.SerializeAsString();
}

void Changes::Delete(const std::string& key) { mutations[key] = std::nullopt; }

void Changes::Assign(const std::string& host, v1::Assignment assignment) {
  const std::string key = assignment.key();
  assignments[host][key] = std::move(assignment);
}

void Changes::Unassign(const std::string& host, const std::string& key) {
  assignments[host][key] = std::nullopt;
}

void Changes::Append(Changes later) {
  for (auto& [key, value] : later.mutations) mutations[key] = std::move(value);
  std::move(later.events.begin(), later.events.end(), std::back_inserter(events));
  for (auto& [host, by_key] : later.assignments) {
    for (auto& [key, assignment] : by_key) assignments[host][key] = std::move(assignment);
  }
  for (const auto& [order, wanted] : later.fences) fences[order] = wanted;
}

}  // namespace weft
