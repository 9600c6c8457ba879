// How a difference between records and what is found is put into words.

#ifndef WEFT_SERVER_CORE_DIFFERENCES_H_
#define WEFT_SERVER_CORE_DIFFERENCES_H_

#include <string>

#include "proto/weft/v1/fsck.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/names.h"
#include "server/core/state.h"
#include "server/core/types.h"

namespace weft {

struct Finding {
  v1::DifferenceKind kind = v1::DIFFERENCE_KIND_UNSPECIFIED;
  std::string resource;
  std::string host = "";  // its id
  SegmentId segment = SegmentId();
  std::string recorded;
  std::string found;
  // What can be done by hand; empty: what `repair` does.
  std::string remedy = "";
  v1::RepairAction repair = v1::RESYNC_HOST;
};

inline void Add(const Finding& finding, v1::CheckResponse& response) {
  v1::Difference& difference = *response.add_differences();
  difference.set_kind(finding.kind);
  difference.set_resource(finding.resource);
  if (!finding.host.empty()) difference.set_host(FormatHostName(finding.host));
  difference.set_segment_id(finding.segment.value());
  difference.set_recorded(finding.recorded);
  difference.set_found(finding.found);
  difference.set_repair(finding.repair);
  difference.set_remedy(finding.remedy);
  if (!finding.remedy.empty()) return;
  difference.set_remedy(finding.repair == v1::REVOKE_STRAY
                            ? "take it from its programs, then zero and free its bytes"
                            : "have the host register again: it is told what it should have, and "
                              "lets go of the rest");
}

// Where the bytes are; the first few extents.
std::string ExtentsText(const google::protobuf::RepeatedPtrField<v1::Run>& runs);

// The host's segments and scrubs of fsck.h's CompareHost.
void CompareSegments(const State& state, const std::string& host, const v1::InventoryRequest& asked,
                     const v1::HostInventory& found, v1::CheckResponse& response);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_DIFFERENCES_H_
