// What this host has, for a coordinator that compares it with its records.

#ifndef WEFT_SERVER_NODE_INVENTORY_H_
#define WEFT_SERVER_NODE_INVENTORY_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/weft/v1/session.pb.h"
#include "server/node/backend.h"
#include "server/node/device_catalog.h"
#include "server/node/executor.h"
#include "server/node/grant_keeper.h"
#include "server/node/worker.h"

namespace weft {

// Of one answer: far below what a session's message may have.
inline constexpr size_t kMaxInventorySegments = 256;
inline constexpr int kMaxInventoryExtents = 4096;

// One answer's segments: those that weftd has grants of and those that the kernel has, both by
// id, merged; `through_segment_id` is set if not all of them have room.
// REQUIRES: each is the first of its kind, up to more than kMaxInventorySegments.
v1::HostInventory MergeSegments(std::vector<v1::HostSegment> granted,
                                const std::vector<v1::KernelSegment>& in_kernel);

// The devices as the coordinator was last told of them.
class ToldInventory {
 public:
  // They are being told. Returns whether that is news.
  bool Tell(const v1::DeviceInventory& devices);
  // Whether memory of them was told to be bad: the coordinator counts what this host zeroes as
  // good.
  bool has_bad() const { return has_bad_; }
  // Whatever is told next is news: what was zeroed may be bad again.
  void Forget() { told_.reset(); }

 private:
  std::optional<std::string> told_;  // serialised
  bool has_bad_ = false;
};

// All outlive the reporter; none of the executors runs anything when it is destroyed.
struct InventoryDeps {
  // Where the reporter lives.
  Executor& executor;
  // Where devices and the backend are asked.
  Executor& blocking;
  DeviceCatalog& catalog;
  Backend& backend;
  GrantKeeper& keeper;
  const Worker& worker;
};

class InventoryReporter {
 public:
  // `rescan` looks at the devices anew, on the blocking executor; `send` reports.
  InventoryReporter(const InventoryDeps& deps, std::function<void()> rescan,
                    std::function<void(v1::NodeMessage)> send)
      : deps_(deps), rescan_(std::move(rescan)), send_(std::move(send)) {}

  void Answer(const v1::InventoryRequest& request);

  // Looks at the devices anew and lets go of what the kernel has without a grant; then `done`,
  // on the executor.
  void Resync(std::function<void()> done);

 private:
  void Send(const v1::InventoryRequest& request,
            absl::StatusOr<std::vector<v1::KernelSegment>> in_kernel);
  void AddDevices(v1::HostInventory& inventory) const;
  void ForgetUnknown(const std::vector<v1::KernelSegment>& in_kernel);

  const InventoryDeps deps_;
  const std::function<void()> rescan_;
  const std::function<void(v1::NodeMessage)> send_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_INVENTORY_H_
