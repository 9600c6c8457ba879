// What a command leaves behind besides its reply.

#ifndef WEFT_SERVER_CORE_CHANGES_H_
#define WEFT_SERVER_CORE_CHANGES_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "google/protobuf/message_lite.h"
#include "proto/weft/v1/event.pb.h"
#include "proto/weft/v1/session.pb.h"

namespace weft {

// A host that a fence agent has to stop. The same host's next fence has another id.
struct FenceOrder {
  std::string host;
  uint64_t fence_id = 0;

  friend auto operator<=>(const FenceOrder&, const FenceOrder&) = default;
};

// The effects of one or more commands, in order. The mutations must be durable, in one
// transaction, before a reply or any other effect of the same Changes leaves
// the coordinator (invariant 4).
struct Changes {
  // By key; a later mutation of a key replaces the earlier one. Absent: delete.
  absl::btree_map<std::string, std::optional<std::string>> mutations;
  // By increasing revision.
  std::vector<v1::Event> events;
  // By host, then assignment key. Absent: no longer assigned.
  absl::btree_map<std::string, absl::btree_map<std::string, std::optional<v1::Assignment>>>
      assignments;

  // Whether the agent has to run from now on.
  absl::btree_map<FenceOrder, bool> fences;

  void Put(const std::string& key, const google::protobuf::MessageLite& record);
  void Delete(const std::string& key);
  void Assign(const std::string& host, v1::Assignment assignment);
  void Unassign(const std::string& host, const std::string& key);

  bool empty() const {
    return mutations.empty() && events.empty() && assignments.empty() && fences.empty();
  }
  // Adds `later`, which happened after everything in here.
  void Append(Changes later);
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_CHANGES_H_
