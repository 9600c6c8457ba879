// Devices that were formatted lately, and what was said to whom.

#ifndef WEFT_SERVER_NODE_FORMAT_REPLIES_H_
#define WEFT_SERVER_NODE_FORMAT_REPLIES_H_

#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "proto/weft/v1/node.pb.h"

namespace weft {

// A client that did not get its reply asks again, and must not have the device formatted twice.
// Keeps the last 64 replies of requests that succeeded. Thread-safe.
class FormatReplies {
 public:
  // What to say at once: the reply to the same request; REQUEST_ID_REUSED, if its id came with
  // another one; BAD_ARGUMENT: its id is none. Nothing: it is to be carried out.
  std::optional<absl::StatusOr<v1::LocalDeviceInfo>> Find(
      const v1::FormatDeviceRequest& request) const ABSL_LOCKS_EXCLUDED(mu_);

  void Keep(const v1::FormatDeviceRequest& request, const v1::LocalDeviceInfo& reply)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable absl::Mutex mu_;
  std::deque<std::pair<v1::FormatDeviceRequest, v1::LocalDeviceInfo>> kept_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_FORMAT_REPLIES_H_
