// Devices: which there are, which hosts see them, and the proof that they see the same.

#ifndef WEFT_SERVER_CORE_DEVICES_H_
#define WEFT_SERVER_CORE_DEVICES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/device.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

absl::StatusOr<v1::Device> GetDevice(const State& state, const v1::GetDeviceRequest& request);
absl::StatusOr<v1::ListDevicesResponse> ListDevices(const State& state,
                                                    const v1::ListDevicesRequest& request);

// Takes `inventory` as all that `host` sees. Devices not known yet come into being;
// those that are new on the host start to be proved; those that are gone are detached.
// `prove_again`: what was proved does not count any more (a new run of the daemon).
// REQUIRES: the host has a live session and CheckInventory said OK.
void TakeInventory(State& state, const Context& context, const std::string& host,
                   const v1::DeviceInventory& inventory, bool prove_again, Changes& changes);

// A step of a proof is done. One that is not the current one is passed over.
void TakeExchangeResult(State& state, const Context& context, const std::string& host,
                        const v1::ExchangeResult& result, Changes& changes);

// The label on the medium says what it should. One that says another pool is passed over.
void TakeLabelWritten(State& state, const Context& context, const std::string& host,
                      const v1::LabelWritten& written, Changes& changes);

// The host cannot use the device any more.
void TakeDeviceRefused(State& state, const Context& context, const std::string& host,
                       const v1::DeviceRefused& refused, Changes& changes);

// The host's session is over: nothing it saw is proved any more, and proofs that needed
// it start again with another holder.
void DetachAll(State& state, const Context& context, const std::string& host, Changes& changes);

// Ends the steps of proofs that are overdue, so that no proof waits for ever. Returns the
// first deadline of those under way; `latest` if that is earlier.
absl::Duration EndOverdueProofs(State& state, const Context& context, absl::Duration latest,
                                Changes& changes);

// What the device's label should say, and what the host's says.
std::string WantedPoolUuid(const State& state, const DeviceState& device);
std::string PoolUuidOf(const v1::LocalDevice& local);

// Assigns the writing of the device's label as its record and its attachments want it now.
void UpdateLabelWork(const State& state, DeviceState& device, Changes& changes);

// Whether `host` may be granted bytes of `device` now. UNAVAILABLE DEVICE_MISSING: its
// proof is under way; FAILED_PRECONDITION DEVICE_MISSING or DEVICE_MISMATCH.
absl::Status CheckAttached(const State& state, const std::string& host, const DeviceId& device);

// Gives the device to a pool, with all its bytes to be scrubbed. REQUIRES: CheckAssignable.
void AssignToPool(State& state, const Context& context, const DeviceId& device,
                  const std::string& pool, Changes& changes);
absl::Status CheckAssignable(const State& state, const DeviceId& device);
// Takes the device out of its pool. REQUIRES: no byte of it is used or being scrubbed.
void UnassignFromPool(State& state, const DeviceId& device, Changes& changes);

// What `host` should do for its devices: steps of proofs, labels to write.
void AppendDeviceAssignments(const State& state, const std::string& host,
                             v1::Assignments& assignments);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_DEVICES_H_
