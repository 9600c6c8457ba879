// One open of a segment by this process.

#ifndef WEFT_CLIENT_SDK_HANDLE_H_
#define WEFT_CLIENT_SDK_HANDLE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/mapping.h"
#include "client/sdk/options.h"
#include "client/sdk/types.h"

namespace weft::sdk {

class HandleCore;

// Move-only. Const methods and Refresh may be called by several threads at once.
// REQUIRES, for every call: not moved from, not closed.
class Handle {
 public:
  explicit Handle(std::shared_ptr<HandleCore> core);
  Handle(Handle&&) noexcept = default;
  Handle& operator=(Handle&&) noexcept = default;
  // As Close, but never waits: weftd is told in the background.
  ~Handle();

  uint64_t id() const;
  AccessMode mode() const;
  Backend backend() const;
  Token token() const;
  const Incarnation& incarnation() const;
  uint64_t page_size_bytes() const;
  // The segment as it was when the handle was opened or last refreshed: name, size,
  // coherence, runs.
  Segment segment() const;
  uint64_t size_bytes() const;
  HandleState state() const;

  // kKmod: the descriptor of the segment, for mmap(2) by the application itself, at the
  // segment's own offsets. Closed with the handle's last Mapping: dup(2) it to keep it.
  // Other backends, where no descriptor is the segment: -1.
  int fd() const;

  // Maps bytes of the segment into one span of addresses, aligned to 2 MiB, whatever
  // extents they lie in; read-only if the handle is. Errors: BAD_ARGUMENT
  // (INVALID_ARGUMENT: offset or length does not fit the segment); STALE_GENERATION,
  // STALE_TOKEN (FAILED_PRECONDITION: the handle is stale, or being taken back);
  // BACKING_FILE_DAMAGED (DATA_LOSS); QUOTA (RESOURCE_EXHAUSTED: of address space or of
  // mappings). The Mapping may outlive the Handle.
  absl::StatusOr<Mapping> Map(const MapOptions& options = {}) const;

  // Learns the segment's size after it grew. Mappings stay valid. Errors:
  // STALE_GENERATION, STALE_TOKEN as Map; those common to all calls of Client.
  absl::Status Refresh();

  // Gives the handle back. weftd counts it as closed when its last Mapping is gone too:
  // if there is one, returns OK at once; if there is none, waits for weftd's word.
  // The handle is given up whatever this returns.
  absl::Status Close();

 private:
  std::shared_ptr<HandleCore> core_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_HANDLE_H_
