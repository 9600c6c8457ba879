// Memory that failed: which bytes of a device are bad, and what is kept from everybody
// because of it.
//
// What a host reports is bad until an administrator has it cleared, whatever hosts say later.
// The units of 2 MiB around bad bytes belong to the segment or scrub that has them, and to
// the quarantine when nobody has: they are not free before they were cleared. That follows
// from the records of segments, scrubs and poison; only the last is kept here.

#ifndef WEFT_SERVER_CORE_QUARANTINE_H_
#define WEFT_SERVER_CORE_QUARANTINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/repeated_field.h"
#include "proto/weft/v1/device.pb.h"
#include "proto/weft/v1/segment.pb.h"
#include "server/core/ranges.h"
#include "server/core/state.h"

namespace weft {

ByteRanges FromProto(const google::protobuf::RepeatedPtrField<v1::ByteRange>& ranges);

store::v1::PoisonRecord ToPoisonRecord(const ByteRanges& bad);

// INVALID_ARGUMENT BAD_ARGUMENT: past `end`.
absl::Status CheckBadRanges(const google::protobuf::RepeatedPtrField<v1::ByteRange>& ranges,
                            uint64_t end);

// What `host` finds bad of the device now. REQUIRES: CheckBadRanges.
void SetReportedBad(DeviceState& device, const std::string& host,
                    const google::protobuf::RepeatedPtrField<v1::ByteRange>& ranges);

// Records what hosts report and is not recorded yet, if they have proved that they see this
// very memory.
void TakeBadMemory(State& state, const Context& context, DeviceState& device, Changes& changes);

// Nobody has `extents` of the device any more: takes the units with bad bytes into quarantine
// and returns the rest.
std::vector<Extent> KeepBad(DeviceState& device, const std::vector<Extent>& extents);

// The scrub's host zeroed `extent` for it: frees it, but for units that are still bad. A scrub
// that clears poison makes them good, unless another host finds them bad.
void FreeZeroed(State& state, const Context& context, const store::v1::ScrubRecord& scrub,
                const Extent& extent, Changes& changes);

// What a scrub that cleared poison left in quarantine, since another host finds it bad, is
// that host's to zero.
void GoOnClearing(State& state, const Context& context, const store::v1::ScrubRecord& scrub,
                  Changes& changes);

// Whether the scrub is best done by one of the hosts that find its bytes bad, and which those
// are.
bool IsReporter(const DeviceState& device, const std::string& host,
                const store::v1::ScrubRecord& scrub);

// See DeviceService.
absl::StatusOr<v1::Device> ClearPoison(State& state, const Context& context,
                                       const v1::ClearPoisonRequest& request, Changes& changes);

// After all else that takes bytes was loaded.
void IndexQuarantine(State& state);

// The device left its pool, or lost its contents: nothing of it is to be kept from anybody.
void EndQuarantine(State& state, DeviceState& device);

// Fills in Segment.bad_ranges.
void AddBadRanges(const State& state, v1::Segment& segment);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_QUARANTINE_H_
