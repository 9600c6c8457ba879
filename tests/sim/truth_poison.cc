// Memory that failed, as the coordinator has it on record.

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/truth.h"

namespace weft::sim {
namespace {

constexpr uint64_t kUnit = kExtentUnit.value();

std::set<uint64_t> UnitsWith(const store::v1::PoisonRecord& record) {
  std::set<uint64_t> units;
  for (const v1::ByteRange& range : record.ranges()) {
    const uint64_t end = range.offset_bytes() + range.length_bytes();
    for (uint64_t unit = range.offset_bytes() / kUnit; unit * kUnit < end; ++unit) {
      units.insert(unit);
    }
  }
  return units;
}

}  // namespace

void Truth::ApplyPoison(const std::string& key, const std::string* value) {
  store::v1::PoisonRecord record;
  if (value != nullptr) record.ParseFromString(*value);
  const DeviceId device = *Uuid::Parse(key);
  std::set<uint64_t> units = UnitsWith(record);
  for (const uint64_t unit : units) {
    if (IsBad(device, unit)) continue;
    world_.Probe("poison reported");
    if (NextScrubbed(device, unit, false) == unit) world_.Probe("memory fails that is scrubbed");
    if (NextScrubbed(device, unit, true) == unit) world_.Probe("memory fails that is copied to");
  }
  for (const uint64_t unit : bad_[device]) {
    if (!units.contains(unit)) world_.Probe("poison cleared");
  }
  bad_[device] = std::move(units);
  bytes_changed_ = true;
}

bool Truth::Contains(const BadUnits& bad, const DeviceId& device, uint64_t unit) {
  const auto units = bad.find(device);
  return units != bad.end() && units->second.contains(unit);
}

std::optional<uint64_t> Truth::NextScrubbed(const DeviceId& device, uint64_t first,
                                            bool copy) const {
  const auto units = units_.find(device);
  if (units == units_.end()) return std::nullopt;
  for (uint64_t unit = first; unit < units->second.size(); ++unit) {
    const Owner& owner = units->second[unit];
    const auto scrub = scrubs_.find(owner.id);
    const bool is_one = owner.kind == Owner::Kind::kScrub && scrub != scrubs_.end();
    if (is_one && scrub->second.record.has_copy() == copy) return unit;
  }
  return std::nullopt;
}

void Truth::Quarantine(const DeviceId& device, Units& units) {
  for (const uint64_t unit : bad_[device]) {
    if (unit >= units.size() || units[unit].kind != Owner::Kind::kNobody) continue;
    units[unit].kind = Owner::Kind::kQuarantine;
    world_.Probe("bytes quarantined");
  }
}

void Truth::CheckGood(const DeviceId& device, uint64_t unit, const Owner& owner) {
  const bool known = IsBad(device, unit) && Contains(bad_before_, device, unit);
  if (owner.kind != Owner::Kind::kSegment || !known) return;
  world_.Fail(0, absl::StrCat("unit ", unit, " of ", device.ToString(),
                              ", with memory that failed, is given to segment ", owner.id));
}

}  // namespace weft::sim
