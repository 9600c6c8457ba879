// Handles that are descriptors of whole devices: `devdax` and `emulated`.

#ifndef WEFT_SERVER_NODE_RAW_BACKEND_H_
#define WEFT_SERVER_NODE_RAW_BACKEND_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "server/node/backend.h"
#include "server/node/device_catalog.h"
#include "server/platform/mapping_scanner.h"
#include "server/platform/record_dir.h"

namespace weft {

// Nothing can be taken back: a segment is in use while a descriptor that was given out for it,
// or a mapping of that, is left anywhere, and while /proc shows a mapping of its bytes. The
// grants are kept in `records`, which are of this boot of the host.
class RawBackend final : public Backend {
 public:
  // `kind`: DEVDAX or EMULATED. `host` tells the descriptors of daemons that share a machine
  // apart.
  RawBackend(v1::Backend kind, const std::string& host, const DeviceCatalog& catalog,
             MappingScanner& scanner, RecordDir& records);

  v1::Backend kind() const override { return kind_; }
  bool can_revoke() const override { return false; }
  DeadMan* dead_man() override { return nullptr; }
  absl::StatusOr<std::vector<v1::GrantAssignment>> Recall() override;
  absl::Status Prepare(const v1::GrantAssignment& grant) override;
  absl::StatusOr<HandleFiles> Open(const v1::GrantAssignment& grant, v1::AccessMode mode) override;
  absl::StatusOr<HandleFiles> Refresh(const v1::GrantAssignment& grant, v1::AccessMode mode,
                                      const std::set<std::string>& devices) override;
  absl::StatusOr<std::set<SegmentId>> FindInUse(
      const std::vector<v1::GrantAssignment>& grants) override;
  // As FindInUse.
  absl::StatusOr<bool> TakeBack(const v1::GrantAssignment& grant) override;
  absl::Status Forget(const v1::GrantAssignment& grant) override;

 private:
  uint64_t MarkOf(SegmentId segment) const;

  const v1::Backend kind_;
  const uint64_t host_mark_;
  const DeviceCatalog& catalog_;
  MappingScanner& scanner_;
  RecordDir& records_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_RAW_BACKEND_H_
