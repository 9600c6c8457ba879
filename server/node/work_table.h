// The work that the coordinator gives this host besides grants: scrubs, copies, steps of exchanges,
// labels. What should be done, what is under way, what was reported. No threads, no I/O.

#ifndef WEFT_SERVER_NODE_WORK_TABLE_H_
#define WEFT_SERVER_NODE_WORK_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proto/weft/v1/session.pb.h"

namespace weft {

// Not thread-safe.
class WorkTable {
 public:
  struct Changes {
    // No longer wanted; before `start` is begun.
    std::vector<v1::Assignment> stop;
    std::vector<v1::Assignment> start;
  };

  // Grants are none of its business. Work that goes on as it was is in neither list.
  Changes Apply(const v1::Assignments& assignments);

  // What was done of `work`, instead of what was reported of it before. False: it is not
  // wanted any more.
  bool Report(const v1::Assignment& work, const v1::NodeMessage& report);

  // For a coordinator that may have missed them: one for each piece of work that has any.
  std::vector<v1::NodeMessage> Reports() const;

  // The ids of the scrubs and copies that are wanted: to the coordinator, copies are scrubs.
  std::vector<uint64_t> Scrubs() const;

  // Whether this very work is still wanted.
  bool IsWanted(const v1::Assignment& work) const;

 private:
  struct Item {
    v1::Assignment work;
    std::optional<v1::NodeMessage> report;
  };

  std::map<std::string, Item> items_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_WORK_TABLE_H_
