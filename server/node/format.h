// Making a device Weft's.

#ifndef WEFT_SERVER_NODE_FORMAT_H_
#define WEFT_SERVER_NODE_FORMAT_H_

#include "absl/status/statusor.h"
#include "server/core/types.h"
#include "server/node/label.h"
#include "server/platform/clock.h"
#include "server/platform/device.h"
#include "server/platform/random.h"
#include "server/platform/signatures.h"

namespace weft {

struct FormatOptions {
  // Nil: into no pool yet.
  Uuid pool = Uuid();
  uint64_t power_epoch = 1;
  // Destroys what is there.
  bool force = false;
};

// What formatting takes from outside.
struct FormatTools {
  Clock& clock;
  Random& random;
  SignatureProbe& probe;
};

// Zeroes both label units and writes a label with a new device UUID, which is returned
// once both copies were read back. The bytes between the units are left as they are: the
// coordinator has them scrubbed before it allocates them.
//
//   INVALID_ARGUMENT BAD_SIZE         the device is below kMinDeviceSize
//   FAILED_PRECONDITION FOREIGN_DATA  without force: it holds a Weft label, a famfs
//                                     superblock, or a signature that libblkid knows; the
//                                     message says which
//   BAD_LABEL                         without force: it holds a Weft label that is damaged
//                                     (DATA_LOSS) or newer (FAILED_PRECONDITION)
//   DATA_LOSS BAD_LABEL               what was written cannot be read back
// and as of Device. Unless forced, an error of the first three changes nothing. A crash in
// between leaves no label or the old one or the new one; format again.
//
// REQUIRES: nobody uses the device; this cannot see it from here.
absl::StatusOr<Label> FormatDevice(Device& device, const FormatOptions& options,
                                   const FormatTools& tools);

}  // namespace weft

#endif  // WEFT_SERVER_NODE_FORMAT_H_
