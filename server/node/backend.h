// How this host gives out handles.

#ifndef WEFT_SERVER_NODE_BACKEND_H_
#define WEFT_SERVER_NODE_BACKEND_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/weft/v1/node.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "proto/weft/v1/types.pb.h"
#include "server/core/types.h"
#include "server/node/lease.h"
#include "server/platform/unique_fd.h"

namespace weft {

// What a client gets.
struct HandleFiles {
  std::vector<UniqueFd> fds;
  // `devices/<uuid>` for each descriptor; empty if the one descriptor is the segment.
  std::vector<std::string> devices;
  // Of all devices of the segment.
  std::vector<v1::DeviceIncarnation> incarnation;
  // What the mapping is made of.
  ByteCount page_size;
};

// All calls but the first three come from one thread at a time, which they may block; they
// are level-triggered: what is already so is no error. A grant is given whole each time,
// as the coordinator said it last.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual v1::Backend kind() const = 0;
  // Whether TakeBack takes mappings away without the clients' help.
  virtual bool can_revoke() const = 0;
  // Null: nothing takes mappings back when this process dies.
  virtual DeadMan* dead_man() = 0;

  // The grants that an earlier run of the daemon made ready and did not forget, on this
  // boot of the host.
  virtual absl::StatusOr<std::vector<v1::GrantAssignment>> Recall() = 0;

  // Makes the segment ready to be opened under this grant, of all its runs: creates it,
  // lengthens it, or resumes it under the same or a later token. Before any Open, and
  // whenever the segment grew. Survives this process.
  virtual absl::Status Prepare(const v1::GrantAssignment& grant) = 0;
  // The coordinator says that the host has this grant, but not that its devices are proved:
  // resumes what there is of the segment, and makes nothing.
  virtual absl::Status Keep(const v1::GrantAssignment& grant) { return Prepare(grant); }

  // The descriptors of a new handle. Errors: DEVICE_MISSING, BACKING_FILE_DAMAGED.
  virtual absl::StatusOr<HandleFiles> Open(const v1::GrantAssignment& grant,
                                           v1::AccessMode mode) = 0;
  // Those that a handle still needs which has the ones of `devices`.
  virtual absl::StatusOr<HandleFiles> Refresh(const v1::GrantAssignment& grant, v1::AccessMode mode,
                                              const std::set<std::string>& devices) = 0;

  // The grants whose memory a process can still reach. An error: not known.
  virtual absl::StatusOr<std::set<SegmentId>> FindInUse(
      const std::vector<v1::GrantAssignment>& grants) = 0;
  // With can_revoke: takes the segment from all who have it, and returns whether something
  // of the old access is left (pages pinned): then it is to be called again.
  virtual absl::StatusOr<bool> TakeBack(const v1::GrantAssignment& grant) = 0;

  // At least what taking everything back can last, with all that is prepared; zero: the
  // backend has no idea. Rises when there is more to take back, or it lasts longer.
  virtual absl::StatusOr<absl::Duration> RevokeBound() { return absl::ZeroDuration(); }
  // What the coordinator has durable of this host: the session, and B. Handles whose grant
  // needs a greater B wait for that.
  virtual void SetTerms(const std::string&, absl::Duration) {}

  // What the kernel has of segments: by id, the first `most` after `after`. None, if segments
  // are not the kernel's.
  virtual absl::StatusOr<std::vector<v1::KernelSegment>> KernelSegments(SegmentId /*after*/,
                                                                        size_t /*most*/) {
    return std::vector<v1::KernelSegment>();
  }

  // The grant is over, and nothing maps the segment.
  virtual absl::Status Forget(const v1::GrantAssignment& grant) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_BACKEND_H_
