// All that weftd is made of only with --backend=kmod, put together.

#ifndef WEFT_SERVER_NODE_KMOD_STACK_H_
#define WEFT_SERVER_NODE_KMOD_STACK_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/node/device_catalog.h"
#include "server/node/executor.h"
#include "server/node/flags.h"
#include "server/node/kmod_backend.h"
#include "server/node/kmod_dax.h"
#include "server/node/node_metrics.h"
#include "server/platform/dax.h"
#include "server/platform/dax_drivers.h"
#include "server/platform/kmod.h"
#include "server/platform/record_dir.h"

namespace weft {

class KmodStack {
 public:
  // Errors: of Kmod, when the module is not there or not this daemon's; of ReleaseDeadMan.
  static absl::StatusOr<std::unique_ptr<KmodStack>> Open(const NodeFlags& flags,
                                                         const std::string& boot_id);

  Dax& dax() { return *dax_; }
  absl::Duration revoke_bound() const { return options_.revoke_bound; }
  // To be called once, before backend(). All outlive the stack.
  void MakeBackend(DeviceCatalog& catalog, RecordDir& records, Executor& blocking);
  Backend& backend() { return *backend_; }

  // Tells the log, the metrics and `handle` what the module reports, until StopEvents. For a
  // thread of its own.
  void RunEvents(NodeMetrics& metrics, const std::function<void(const KmodEvent&)>& handle);
  void StopEvents() { kmod_->StopEvents(); }

  // Gives back all devices on which no segment lies. The last call.
  void ReleaseDevices() { dax_->GiveBackAll(); }

 private:
  KmodStack() = default;

  std::unique_ptr<Kmod> kmod_;
  std::unique_ptr<RecordDir> driver_records_;
  std::unique_ptr<DaxDrivers> drivers_;
  std::unique_ptr<Dax> raw_dax_;
  std::unique_ptr<RecordDir> released_;
  std::unique_ptr<KmodDax> dax_;
  KmodBackendOptions options_;
  std::optional<KmodBackend> backend_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_KMOD_STACK_H_
