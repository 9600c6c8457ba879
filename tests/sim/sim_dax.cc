#include "tests/sim/sim_dax.h"

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft::sim {
namespace {

constexpr char kDevdaxDriver[] = "device_dax";

absl::Status Missing(const std::string& name) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                   absl::StrCat(name, " is gone, or another one now"));
}

// /dev/daxX.Y, opened.
class RawDevice final : public Device {
 public:
  RawDevice(std::string host, std::string name, std::shared_ptr<Memory> memory)
      : writer_{Writer::Kind::kDaemon, std::move(host), SegmentId(), Token()},
        name_(std::move(name)),
        memory_(std::move(memory)) {}

  const std::string& name() const override { return name_; }
  DeviceKind kind() const override { return DeviceKind::kDevdax; }
  ByteCount size() const override { return memory_->size(); }
  ByteCount alignment() const override { return kExtentUnit; }
  absl::Status Read(ByteOffset offset, absl::Span<uint8_t> out) override {
    return memory_->ReadBytes(offset, out);
  }
  absl::Status Write(ByteOffset offset, absl::Span<const uint8_t> bytes) override {
    return memory_->WriteBytes(writer_, offset, bytes);
  }
  absl::Status Zero(ByteOffset offset, ByteCount length) override {
    memory_->Zero(writer_, offset.value() / kLineBytes,
                  (offset.value() + length.value()) / kLineBytes);
    return absl::OkStatus();
  }
  absl::StatusOr<UniqueFd> OpenForClient(Access) override { return Missing(name_); }

 private:
  const Writer writer_;
  const std::string name_;
  const std::shared_ptr<Memory> memory_;
};

}  // namespace

void SimDax::Plug(const std::string& name, std::shared_ptr<Memory> memory, bool software_coherent) {
  slots_[name] = {std::move(memory), software_coherent, ++last_number_, kDevdaxDriver};
}

const SimDax::Slot* SimDax::FindByPath(const std::string& path) const {
  for (const auto& [name, slot] : slots_) {
    if (absl::StrCat("/dev/", name) == path) return &slot;
  }
  return nullptr;
}

absl::StatusOr<DaxListing> SimDax::List() {
  DaxListing listing;
  for (const auto& [name, slot] : slots_) {
    DaxInfo info;
    info.name = name;
    info.path = absl::StrCat("/dev/", name);
    info.device_number = slot.number;
    info.size = slot.memory->size();
    info.alignment = kExtentUnit;
    info.software_coherent = slot.software_coherent;
    info.mode = slot.driver == kDevdaxDriver ? DaxMode::kDevdax : DaxMode::kOther;
    info.driver = slot.driver;
    listing.usable.push_back(std::move(info));
  }
  return listing;
}

absl::StatusOr<std::unique_ptr<Device>> SimDax::Open(const DaxInfo& info) {
  const auto slot = slots_.find(info.name);
  if (slot == slots_.end() || slot->second.number != info.device_number ||
      slot->second.driver != kDevdaxDriver) {
    return Missing(info.name);
  }
  return std::make_unique<RawDevice>(host_, info.name, slot->second.memory);
}

absl::Status SimDax::Bind(const std::string& name, const std::string& driver) {
  const auto slot = slots_.find(name);
  if (slot == slots_.end()) return Missing(name);
  slot->second.driver = driver;
  return absl::OkStatus();
}

absl::Status SimDax::Restore(const std::string& name) { return Bind(name, kDevdaxDriver); }

}  // namespace weft::sim
