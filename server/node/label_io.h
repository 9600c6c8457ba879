// Reading, writing and repairing the label of a device.

#ifndef WEFT_SERVER_NODE_LABEL_IO_H_
#define WEFT_SERVER_NODE_LABEL_IO_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/node/label.h"
#include "server/platform/device.h"
#include "server/platform/signatures.h"

namespace weft {

struct LabelReading {
  LabelVerdict verdict;
  // With a good verdict: the copies that are not as the label is. Both are to be written,
  // in this order, to change the label: never the last good copy first.
  std::vector<LabelCopy> stale;
};

// Reads both copies. A copy whose memory is bad counts as damaged. Errors as of
// Device::Read otherwise; INVALID_ARGUMENT BAD_SIZE for a device below kMinDeviceSize.
absl::StatusOr<LabelReading> ReadLabel(Device& device);

// OK for a good verdict; otherwise the error for whoever needs a label, with the device's
// name and the way out:
//   FAILED_PRECONDITION BAD_LABEL        no label, or one of a newer version
//   DATA_LOSS BAD_LABEL                  damaged
//   FAILED_PRECONDITION FOREIGN_DATA     something else is there
//   FAILED_PRECONDITION DEVICE_MISMATCH  written for another capacity
absl::Status LabelStatus(const LabelVerdict& verdict, const std::string& device_name);

// Writes the label over the copies that are stale. Nothing is written, and the error is
// FAILED_PRECONDITION FOREIGN_DATA, if another program's signature is on the device: a
// damaged copy may be a copy that was overwritten. A no-op without stale copies. Errors as
// of Device otherwise: the other copy is still good then.
// REQUIRES: reading.verdict is good.
absl::Status RepairLabel(Device& device, const LabelReading& reading, SignatureProbe& probe);

// Writes `label`, with the sequence number after that of `reading`, over both copies, the
// stale one first: one good copy is there at every moment. Returns what was written.
// After an error, or a crash, the label is either the old one or the new one.
// REQUIRES: reading.verdict is good, and nobody wrote the label since.
absl::StatusOr<Label> UpdateLabel(Device& device, const LabelReading& reading, Label label);

// Writes one copy, through to memory.
absl::Status WriteLabelCopy(Device& device, const Label& label, LabelCopy copy);

}  // namespace weft

#endif  // WEFT_SERVER_NODE_LABEL_IO_H_
