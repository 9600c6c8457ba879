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
  RawDevice(std::string host, const SimDax& dax, SimRaw* raw, std::string name,
            const SimDax::Slot& slot)
      : host_(std::move(host)),
        dax_(dax),
        raw_(raw),
        name_(std::move(name)),
        memory_(slot.memory),
        number_(slot.number) {}

  const std::string& name() const override { return name_; }
  DeviceKind kind() const override { return DeviceKind::kDevdax; }
  ByteCount size() const override { return memory_->size(); }
  ByteCount alignment() const override { return kExtentUnit; }
  absl::Status Read(ByteOffset offset, absl::Span<uint8_t> out) override {
    if (absl::Status s = Reach(); !s.ok()) return s;
    return memory_->ReadBytes(offset, out);
  }
  absl::Status Write(ByteOffset offset, absl::Span<const uint8_t> bytes) override {
    if (absl::Status s = Reach(); !s.ok()) return s;
    return memory_->WriteBytes(By(Writer::Kind::kDaemon), offset, bytes);
  }
  absl::Status Zero(ByteOffset offset, ByteCount length) override {
    return ZeroAs(By(Writer::Kind::kDaemon), offset, length);
  }
  absl::Status Scrub(ByteOffset offset, ByteCount length, Token token) override {
    return ZeroAs(By(Writer::Kind::kScrub, token), offset, length);
  }
  absl::Status CopyIn(ByteOffset offset, absl::Span<const uint8_t> bytes, Token token) override {
    if (absl::Status s = Reach(); !s.ok()) return s;
    return memory_->WriteBytes(By(Writer::Kind::kScrub, token), offset, bytes);
  }
  absl::StatusOr<UniqueFd> OpenForClient(Access access) override {
    if (absl::Status s = Reach(); !s.ok()) return s;
    if (raw_ == nullptr) return Missing(name_);
    return raw_->Open(absl::StrCat("/dev/", name_), number_, memory_, access);
  }
  absl::Status MarkForClient(int fd, uint64_t mark) override {
    raw_->Mark(fd, mark);
    return absl::OkStatus();
  }
  absl::StatusOr<bool> HasClient(uint64_t mark) override {
    return raw_ != nullptr && raw_->HasClient(number_, mark);
  }

 private:
  Writer By(Writer::Kind kind, Token token = Token()) const {
    return {kind, host_, SegmentId(), token};
  }
  absl::Status Reach() const {
    return dax_.HasRaw(name_, number_) ? absl::OkStatus() : Missing(name_);
  }
  absl::Status ZeroAs(const Writer& writer, ByteOffset offset, ByteCount length) {
    if (absl::Status s = Reach(); !s.ok()) return s;
    memory_->Zero(writer, offset.value() / kLineBytes,
                  (offset.value() + length.value()) / kLineBytes);
    return absl::OkStatus();
  }

  const std::string host_;
  const SimDax& dax_;
  SimRaw* const raw_;
  const std::string name_;
  const std::shared_ptr<Memory> memory_;
  const uint64_t number_;
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
  if (!HasRaw(info.name, info.device_number)) return Missing(info.name);
  return std::make_unique<RawDevice>(host_, *this, raw_, info.name, slots_.at(info.name));
}

bool SimDax::HasRaw(const std::string& name, uint64_t number) const {
  const auto slot = slots_.find(name);
  return slot != slots_.end() && slot->second.number == number &&
         slot->second.driver == kDevdaxDriver;
}

absl::Status SimDax::Bind(const std::string& name, const std::string& driver) {
  const auto slot = slots_.find(name);
  if (slot == slots_.end()) return Missing(name);
  slot->second.driver = driver;
  return absl::OkStatus();
}

absl::Status SimDax::Restore(const std::string& name) { return Bind(name, kDevdaxDriver); }

}  // namespace weft::sim
