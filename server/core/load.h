// From the store's records to a State.

#ifndef WEFT_SERVER_CORE_LOAD_H_
#define WEFT_SERVER_CORE_LOAD_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/state.h"

namespace weft {

// Builds a State from all records under keys::kRoot, in the order of their keys.
class Loader {
 public:
  explicit Loader(CoreOptions options);

  // Takes one record. A key that is not core's is passed over.
  // DATA_LOSS: the value cannot be parsed, or contradicts an earlier record.
  absl::Status Add(std::string_view key, std::string_view value);

  // Rebuilds what is not stored: free space, indexes, and the sessions of the hosts that
  // were alive, as if they had all renewed at `now`: a new leader expires nobody before
  // T + B have passed. A store without a cluster record becomes a new cluster.
  // DATA_LOSS: two owners of one byte, or a record that refers to what is not there.
  absl::StatusOr<std::unique_ptr<State>> Finish(Now now, Changes* changes) &&;

 private:
  // Attachments come before devices in the order of keys.
  struct PendingAttachment {
    DeviceId device;
    std::string host;
    store::v1::AttachmentRecord record;
  };

  // Whether `value` is the record that belongs under `key`, or the key is not core's.
  bool AddRecord(std::string_view key, const std::string& value);
  // `rest`: the key's part after keys::kAttachments.
  bool AddAttachment(std::string_view rest, const std::string& value);

  std::unique_ptr<State> state_;
  std::vector<PendingAttachment> pending_attachments_;
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_LOAD_H_
