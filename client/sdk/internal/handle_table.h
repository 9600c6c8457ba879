// The handles that this process holds, as weftd counts them.

#ifndef WEFT_CLIENT_SDK_INTERNAL_HANDLE_TABLE_H_
#define WEFT_CLIENT_SDK_INTERNAL_HANDLE_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/types.h"
#include "proto/weft/v1/node.pb.h"

namespace weft::sdk {

// Thread-safe.
class HandleTable {
 public:
  void Add(const v1::OpenReply& opened);
  // Whether weftd counts it, and so must be told.
  bool Remove(uint64_t handle_id);
  bool Contains(uint64_t handle_id) const;
  // The short name of its segment; nullopt: no such handle.
  std::optional<std::string> SegmentOf(uint64_t handle_id) const;

  // The short name of its segment; nullopt: no such handle, or it is no longer live.
  std::optional<std::string> MarkRevoking(uint64_t handle_id, const std::string& detail);
  // As MarkRevoking, but a handle being taken back can become stale.
  std::optional<std::string> MarkStale(uint64_t handle_id, const std::string& detail);
  // As MarkStale, for a handle that weftd no longer counts: the id may become another's.
  std::optional<std::string> MarkGone(uint64_t handle_id, const std::string& detail);

  HandleState StateOf(uint64_t handle_id) const;
  // Whether the handle may be mapped and refreshed. STALE_GENERATION (stale or not
  // there), STALE_TOKEN (being taken back).
  absl::Status CheckLive(uint64_t handle_id) const;

  // What Hello says: those that weftd counts.
  v1::Hello MakeHello() const;

 private:
  struct Entry {
    v1::HandleState claim;
    HandleState state = HandleState::kLive;
    bool counted = true;
    std::string detail;
  };

  std::optional<std::string> Mark(uint64_t handle_id, HandleState state, const std::string& detail)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::map<uint64_t, Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_HANDLE_TABLE_H_
