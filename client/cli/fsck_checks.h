// What `weft fsck` asks the coordinator, and what it makes of the answers.

#ifndef WEFT_CLIENT_CLI_FSCK_CHECKS_H_
#define WEFT_CLIENT_CLI_FSCK_CHECKS_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/context.h"
#include "proto/weft/v1/fsck.pb.h"

namespace weft::cli {

struct Findings {
  std::vector<v1::Difference> differences;
  // Hosts by name; of those not checked, why.
  std::set<std::string> checked;
  std::map<std::string, std::string> not_checked;
};

// Whether one of `differences` is of the kind of `one` and about the same thing, whatever tokens
// and numbers both name.
bool HasOneLike(const std::vector<v1::Difference>& differences, const v1::Difference& one);

// One pass: of the records, then of each host that is not down, in the order in which they are
// listed. Several hosts are asked at a time: those that do not answer are waited for together.
// Errors: the hosts cannot be listed, or the records not be checked.
absl::StatusOr<Findings> CheckAll(Context& context);

// Only the differences that two passes in a row say; a host is checked if both could ask it.
// Without differences one pass is enough.
absl::StatusOr<Findings> CheckTwice(Context& context, absl::Duration between_passes);

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_FSCK_CHECKS_H_
