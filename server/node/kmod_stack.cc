#include "server/node/kmod_stack.h"

#include <spdlog/spdlog.h>

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/platform/linux/dax.h"
#include "server/platform/linux/dax_driver.h"
#include "server/platform/linux/kmod.h"
#include "server/platform/linux/kmod_device.h"
#include "server/platform/linux/record_files.h"

namespace weft {
namespace {

constexpr char kDaxBus[] = "/sys/bus/dax";

void Log(const KmodEvent& event) {
  using Type = KmodEvent::Type;
  switch (event.type) {
    case Type::kOverflow:
      spdlog::warn("module_events_lost count={}", event.length);
      break;
    case Type::kMemoryFailure:
      spdlog::error("memory_failure device={} offset={} bytes={} segment_id={}",
                    event.device.value(), event.offset.value(), event.length,
                    event.segment.value());
      break;
    case Type::kDeadManFired:
      spdlog::error("dead_man_fired bound_ns={}", event.length);
      break;
    case Type::kDeadManDone:
      spdlog::warn("dead_man_done after_deadline_ns={}", event.length);
      break;
    case Type::kFenceFailed:
      spdlog::critical("fence_failed segment_id={}", event.segment.value());
      break;
    case Type::kHandleReleased:
      spdlog::debug("handle_released segment_id={}", event.segment.value());
      break;
    case Type::kDeviceGone:
      spdlog::error("device_gone device={}", event.device.value());
      break;
    case Type::kSegmentRevoked:
      if (event.segment.value() >= kFirstScrubSegment) break;  // a piece is zeroed
      spdlog::info("segment_revoked segment_id={} flushed_bytes={}", event.segment.value(),
                   event.length);
      break;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<KmodStack>> KmodStack::Open(const NodeFlags& flags,
                                                           const std::string& boot_id) {
  std::unique_ptr<KmodStack> stack(new KmodStack());
  absl::StatusOr<std::unique_ptr<Kmod>> kmod = LinuxKmod::Open(flags.module_device);
  if (!kmod.ok()) return kmod.status();
  stack->kmod_ = *std::move(kmod);
  if (absl::Status s = CheckHost(*stack->kmod_, flags.host_id); !s.ok()) return s;
  if (absl::Status s = ReleaseDeadMan(*stack->kmod_); !s.ok()) return s;
  const absl::StatusOr<absl::Duration> bound = MeasuredBound(*stack->kmod_, flags.revoke_bound);
  if (!bound.ok()) return bound.status();
  stack->options_.host_id = flags.host_id;
  stack->options_.revoke_bound = *bound;
  stack->options_.fence_action = flags.fence_action;

  auto records = RecordFiles::Open(absl::StrCat(flags.state_dir, "/drivers.", boot_id));
  if (!records.ok()) return records.status();
  stack->driver_records_ = *std::move(records);
  stack->drivers_ = std::make_unique<SysfsDaxDrivers>(kDaxBus, *stack->driver_records_);
  LinuxDaxOptions options;
  options.allow_raw_devdax = true;  // to read labels; clients get none of them
  options.module_driver = stack->kmod_->driver_name();
  options.devices = flags.devices;
  absl::StatusOr<std::unique_ptr<Dax>> raw = LinuxDax::Create(std::move(options));
  if (!raw.ok()) return raw.status();
  stack->raw_dax_ = *std::move(raw);
  auto released = RecordFiles::Open(absl::StrCat(flags.state_dir, "/released"));
  if (!released.ok()) return released.status();
  stack->released_ = *std::move(released);
  std::set<std::string> unused;
  for (const DeviceSpec& device : flags.devices) {
    if (!device.use) unused.insert(device.name);
  }
  stack->dax_ = std::make_unique<KmodDax>(
      *stack->raw_dax_, *stack->kmod_, *stack->drivers_, *stack->released_, std::move(unused),
      [&kmod = *stack->kmod_](const KmodDeviceInfo& device, const DaxInfo& info) {
        return KmodDevice::Open(kmod, device, info);
      });
  return stack;
}

void KmodStack::MakeBackend(DeviceCatalog& catalog, RecordDir& records, Executor& blocking) {
  backend_.emplace(*kmod_, catalog, records, blocking, options_);
}

void KmodStack::RunEvents(NodeMetrics& metrics,
                          const std::function<void(const KmodEvent&)>& handle) {
  for (;;) {
    const absl::StatusOr<std::vector<KmodEvent>> events = kmod_->WaitEvents();
    if (!events.ok()) {
      spdlog::error("module_events_failed error=\"{}\"", std::string(events.status().message()));
      return;
    }
    if (events->empty()) return;
    for (const KmodEvent& event : *events) {
      Log(event);
      if (event.type == KmodEvent::Type::kMemoryFailure) metrics.CountMemoryFailure();
      handle(event);
    }
  }
}

}  // namespace weft
