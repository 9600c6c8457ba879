#include "tests/sim/sim_kmod.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/kmod_scratch.h"
#include "tests/sim/line_place.h"

namespace weft::sim {
namespace {

constexpr ByteCount kPage{4096};
// For what is zeroed before any token.
constexpr Token kFormatToken{0, 1};

absl::Status Missing(const std::string& what) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                   absl::StrCat(what, " is gone"));
}

// The pages with these lines.
ByteRange PagesOf(uint64_t line, uint64_t lines) {
  const uint64_t first = line * kLineBytes / kPage.value();
  const uint64_t last = (line + lines - 1) * kLineBytes / kPage.value();
  return {ByteOffset(first * kPage.value()), ByteCount((last - first + 1) * kPage.value())};
}

uint64_t FirstLine(const KmodExtent& extent) { return extent.offset.value() / kLineBytes; }
uint64_t EndLine(const KmodExtent& extent) {
  return (extent.offset.value() + extent.length.value()) / kLineBytes;
}

}  // namespace

// The label areas, by way of the module, and the zeroing of pieces.
class SimDevice final : public Device {
 public:
  SimDevice(SimKmod& kmod, KmodDeviceId device, const DaxInfo& info)
      : kmod_(kmod), device_(device), info_(info) {}

  const std::string& name() const override { return info_.name; }
  DeviceKind kind() const override { return DeviceKind::kDevdax; }
  ByteCount size() const override { return info_.size; }
  ByteCount alignment() const override { return info_.alignment; }
  absl::Status Read(ByteOffset offset, absl::Span<uint8_t> out) override {
    const absl::StatusOr<Memory*> memory = Reach();
    return memory.ok() ? (*memory)->ReadBytes(offset, out) : memory.status();
  }
  absl::Status Write(ByteOffset offset, absl::Span<const uint8_t> bytes) override {
    const absl::StatusOr<Memory*> memory = Reach();
    if (!memory.ok()) return memory.status();
    const Writer writer{Writer::Kind::kDaemon, kmod_.host_, SegmentId(), Token()};
    return (*memory)->WriteBytes(writer, offset, bytes);
  }
  absl::Status Zero(ByteOffset offset, ByteCount length) override {
    return Scrub(offset, length, kFormatToken);
  }
  absl::Status Scrub(ByteOffset offset, ByteCount length, Token token) override {
    return WithScratch(kmod_, {device_, offset, length}, token, Access::kReadWrite,
                       [&](SegmentId scratch, ByteOffset at) {
                         return kmod_.ZeroSegment(scratch, token, at, length);
                       });
  }
  absl::Status CopyOut(ByteOffset offset, absl::Span<uint8_t> out, Token token) override {
    return WithScratch(
        kmod_, {device_, offset, ByteCount(out.size())}, token, Access::kReadOnly,
        [&](SegmentId scratch, ByteOffset at) { return kmod_.ReadSegment(scratch, at, out); });
  }
  absl::Status CopyIn(ByteOffset offset, absl::Span<const uint8_t> bytes, Token token) override {
    return WithScratch(kmod_, {device_, offset, ByteCount(bytes.size())}, token, Access::kReadWrite,
                       [&](SegmentId scratch, ByteOffset at) {
                         return kmod_.WriteSegment(scratch, token, at, bytes);
                       });
  }
  absl::StatusOr<std::vector<ByteRange>> BadRanges() override {
    return kmod_.ListBadRanges(device_);
  }
  absl::StatusOr<UniqueFd> OpenForClient(Access) override { return Missing(info_.name); }

 private:
  absl::StatusOr<Memory*> Reach() {
    const auto it = kmod_.devices_.find(device_);
    if (it == kmod_.devices_.end() || it->second.info.dead) return Missing(info_.name);
    if (kmod_.LabelsReachable()) return it->second.memory.get();
    return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                     absl::StrCat("the label of ", info_.name, ": the lease has run out"));
  }

  SimKmod& kmod_;
  const KmodDeviceId device_;
  const DaxInfo info_;
};

SimKmod::SimKmod(World& world, Process& kernel, const SimClock& clock, SimDax& dax, Truth& truth,
                 std::string host)
    : world_(world),
      kernel_(kernel),
      clock_(clock),
      dax_(dax),
      truth_(truth),
      host_(std::move(host)),
      rng_(world.rng.Fork()) {}

absl::StatusOr<std::unique_ptr<Device>> SimKmod::OpenDevice(const KmodDeviceInfo& device,
                                                            const DaxInfo& info) {
  return std::make_unique<SimDevice>(*this, device.id, info);
}

bool SimKmod::LabelsReachable() {
  const KmodDeadMan::State state = rules_.GetDeadMan()->state;
  return state == KmodDeadMan::State::kOff || state == KmodDeadMan::State::kArmed;
}

Cache& SimKmod::CacheOf(const DeviceEntry& device) {
  std::unique_ptr<Cache>& cache = caches_[device.memory->number()];
  if (cache == nullptr) cache = std::make_unique<Cache>(device.memory);
  return *cache;
}

void SimKmod::WriteBackRun(const KmodRun& run) {
  for (const KmodExtent& extent : run.extents) {
    const auto device = devices_.find(extent.device);
    if (device == devices_.end() || !device->second.software_coherent) continue;
    const size_t lines = CacheOf(device->second).WriteBack(FirstLine(extent), EndLine(extent));
    if (lines > 0) world_.Probe("dirty lines written back");
  }
}

void SimKmod::WriteBackSegment(SegmentId segment) {
  if (world_.bugs.no_write_back) return;
  const auto found = segments_.find(segment);
  if (found == segments_.end()) return;
  for (const KmodRun& run : found->second.runs) WriteBackRun(run);
}

void SimKmod::WriteBackAll() {
  for (auto& [number, cache] : caches_) cache->WriteBack(0, ~uint64_t{0});
}

void SimKmod::EvictOne() {
  if (caches_.empty()) return;
  auto it = std::next(caches_.begin(), static_cast<ptrdiff_t>(rng_.Below(caches_.size())));
  it->second->EvictOne(rng_.Next());
}

bool SimKmod::HasDirty(const Memory& memory, uint64_t first, uint64_t last) const {
  const auto it = caches_.find(memory.number());
  return it != caches_.end() && it->second->has_dirty(first, last);
}

void SimKmod::OnUnplug(const std::string& name) {
  for (auto& [id, device] : devices_) {
    if (device.name != name || device.info.dead) continue;
    CacheOf(device).WriteBack(0, ~uint64_t{0});
    device.info.dead = true;
    rules_.LoseDevice(id);
    world_.Probe("device unplugged under the module");
  }
}

void SimKmod::OnMemoryFailure(const Memory& memory, uint64_t line) {
  for (auto& [id, device] : devices_) {
    if (device.memory.get() != &memory || device.info.dead) continue;
    const ByteRange page = PagesOf(line, 1);
    device.bad = Union(device.bad, {page});
    if (on_memory_failure == nullptr) continue;
    on_memory_failure({.type = KmodEvent::Type::kMemoryFailure,
                       .device = id,
                       .segment = SegmentId(),
                       .offset = page.offset,
                       .length = kPage.value()});
  }
}

ByteRanges SimKmod::BadRangesOf(const Memory& memory) const {
  for (const auto& [id, device] : devices_) {
    if (device.memory.get() == &memory && !device.info.dead) return device.bad;
  }
  return {};
}

absl::StatusOr<std::vector<ByteRange>> SimKmod::ListBadRanges(KmodDeviceId id) {
  const auto device = devices_.find(id);
  return device == devices_.end() ? ByteRanges() : device->second.bad;
}

absl::StatusOr<KmodDeviceInfo> SimKmod::AddDevice(const std::string& path, const DeviceId& uuid,
                                                  bool software_coherent) {
  const SimDax::Slot* const slot = dax_.FindByPath(path);
  if (slot == nullptr) return Missing(path);
  absl::StatusOr<KmodDeviceInfo> info = rules_.AddDevice(path, uuid, software_coherent);
  if (!info.ok()) return info;
  info->device_number = slot->number;
  info->capacity = slot->memory->size();
  devices_[info->id] = {
      *info, path.substr(path.rfind('/') + 1), software_coherent, slot->memory, {}};
  return info;
}

absl::Status SimKmod::RemoveDevice(KmodDeviceId device) {
  if (absl::Status s = rules_.RemoveDevice(device); !s.ok()) return s;
  devices_.erase(device);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<KmodDeviceInfo>> SimKmod::ListDevices() {
  std::vector<KmodDeviceInfo> devices;
  for (const auto& [id, device] : devices_) devices.push_back(device.info);
  return devices;
}

absl::Status SimKmod::CreateSegment(SegmentId segment, Token token, Access mode,
                                    const std::vector<KmodRun>& runs) {
  for (const KmodRun& run : runs) {
    for (const KmodExtent& extent : run.extents) {
      const auto device = devices_.find(extent.device);
      if (device == devices_.end() || device->second.info.dead) return Missing("the device");
    }
  }
  if (absl::Status s = rules_.CreateSegment(segment, token, mode, runs); !s.ok()) return s;
  segments_[segment] = {++last_serial_, runs};
  for (const KmodRun& run : runs) WriteBackRun(run);
  return absl::OkStatus();
}

absl::Status SimKmod::ExtendSegment(SegmentId segment, Token token, const KmodRun& run) {
  if (absl::Status s = rules_.ExtendSegment(segment, token, run); !s.ok()) return s;
  segments_.at(segment).runs.push_back(run);
  WriteBackRun(run);
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> SimKmod::OpenSegment(SegmentId segment, Token token, Access mode) {
  absl::StatusOr<UniqueFd> fd = rules_.OpenSegment(segment, token, mode);
  if (!fd.ok()) return fd;
  handles_[++last_handle_] = {segment, segments_.at(segment).serial, token, mode};
  if (const HandleId dropped = in_flight_.Add(fd->get(), last_handle_)) Release(dropped);
  return fd;
}

void SimKmod::SweepDescriptors() {
  in_flight_.Sweep([this](HandleId dropped) {
    world_.Probe("descriptor dropped before it reached a client");
    Release(dropped);
  });
}

void SimKmod::Release(HandleId id) {
  const auto it = handles_.find(id);
  if (it == handles_.end()) return;
  const Handle handle = it->second;
  handles_.erase(it);
  const auto segment = segments_.find(handle.segment);
  if (segment == segments_.end() || segment->second.serial != handle.serial) return;
  rules_.ReleaseHandle(handle.segment, handle.token);
  if (on_handle_released) on_handle_released(handle.segment);
}

absl::StatusOr<KmodRevoke> SimKmod::RevokeSegment(SegmentId segment, Token token,
                                                  absl::Duration wait) {
  if (world_.bugs.confirm_unrevoked) return KmodRevoke{KmodState::kRevoked, 0};
  absl::StatusOr<KmodRevoke> revoke = rules_.RevokeSegment(segment, token, wait);
  if (revoke.ok()) WriteBackSegment(segment);
  return revoke;
}

absl::Status SimKmod::ResumeSegment(SegmentId segment, Token token, Access mode) {
  if (absl::Status s = rules_.ResumeSegment(segment, token, mode); !s.ok()) return s;
  world_.Probe("segment resumed");
  for (const KmodRun& run : segments_.at(segment).runs) WriteBackRun(run);
  return absl::OkStatus();
}

absl::Status SimKmod::DestroySegment(SegmentId segment, Token token) {
  const bool is_client = segment.value() < kFirstScrubSegment;
  if (world_.bugs.confirm_unrevoked && is_client) return absl::OkStatus();
  if (absl::Status s = rules_.DestroySegment(segment, token); !s.ok()) return s;
  WriteBackSegment(segment);
  segments_.erase(segment);
  return absl::OkStatus();
}

absl::Status SimKmod::ZeroSegment(SegmentId segment, Token token, ByteOffset offset,
                                  ByteCount length) {
  if (absl::Status s = rules_.ZeroSegment(segment, token, offset, length); !s.ok()) return s;
  if (world_.bugs.skip_scrub) return absl::OkStatus();
  const std::optional<Place> place = Locate(segments_.at(segment), offset.value() / kLineBytes);
  if (!place) return Missing("the device");
  Memory& memory = *place->device->memory;
  const auto zero = [&](Token under) {
    const Writer writer{Writer::Kind::kScrub, host_, SegmentId(), under};
    memory.Zero(writer, place->line, place->line + length.value() / kLineBytes);
  };
  if (world_.bugs.zero_again) {
    const auto [last, is_first] = zeroed_.try_emplace({memory.number(), place->line}, token);
    if (!is_first) zero(std::exchange(last->second, token));
  }
  zero(token);
  Heal(*place, length);
  return absl::OkStatus();
}

// read(2) and write(2) of a segment's file go past the caches.

absl::Status SimKmod::ReadSegment(SegmentId segment, ByteOffset offset, absl::Span<uint8_t> out) {
  const std::optional<Place> place = Locate(segments_.at(segment), offset.value() / kLineBytes);
  if (!place) return Missing("the device");
  if (HitsBadMemory(*place, out.size() / kLineBytes)) {
    return MakeError(absl::StatusCode::kDataLoss, v1::POISONED,
                     absl::StrCat("memory of ", place->device->name, " is bad"));
  }
  return place->device->memory->ReadBytes(ByteOffset(place->line * kLineBytes), out);
}

absl::Status SimKmod::WriteSegment(SegmentId segment, Token token, ByteOffset offset,
                                   absl::Span<const uint8_t> bytes) {
  if (world_.bugs.skip_copy) return absl::OkStatus();
  const std::optional<Place> place = Locate(segments_.at(segment), offset.value() / kLineBytes);
  if (!place) return Missing("the device");
  const Writer writer{Writer::Kind::kScrub, host_, SegmentId(), token};
  Heal(*place, ByteCount(bytes.size()));
  return place->device->memory->WriteBytes(writer, ByteOffset(place->line * kLineBytes), bytes);
}

void SimKmod::Heal(const Place& place, ByteCount length) {
  const ByteRange rewritten{ByteOffset(place.line * kLineBytes), length};
  place.device->bad = Difference(place.device->bad, {rewritten});
}

absl::StatusOr<std::vector<KmodHandleInfo>> SimKmod::ListHandles(SegmentId segment) {
  return rules_.ListHandles(segment);
}

// ---- The dead-man

absl::Status SimKmod::ArmDeadMan(BootTime deadline, absl::Duration bound, FenceAction action) {
  if (deadline <= clock_.BootNow()) {
    return absl::InvalidArgumentError("the deadline is past");
  }
  const bool was_done = rules_.GetDeadMan()->state == KmodDeadMan::State::kDone;
  if (absl::Status s = rules_.ArmDeadMan(deadline, bound, action); !s.ok()) return s;
  if (was_done && world_.bugs.resume_unasked) {
    const auto segments = rules_.ListSegments();
    for (const KmodSegmentInfo& segment : *segments) {
      rules_.ResumeSegment(segment.id, segment.last_token, segment.mode).IgnoreError();
    }
  }
  deadline_ = world_.bugs.late_deadline ? deadline + absl::Seconds(4) : deadline;
  bound_ = bound;
  WatchDeadline();
  return absl::OkStatus();
}

void SimKmod::WatchDeadline() {
  if (world_.bugs.no_dead_man || deadline_ == BootTime::InfinitePast()) return;
  kernel_.At(clock_.ToLoop(deadline_), [this, watch = ++watch_] { CheckDeadline(watch); });
}

void SimKmod::CheckDeadline(uint64_t watch) {
  if (watch != watch_ || rules_.GetDeadMan()->state != KmodDeadMan::State::kArmed) return;
  if (clock_.BootNow() < deadline_) {
    WatchDeadline();
  } else {
    Fire();
  }
}

void SimKmod::Fire() {
  world_.Log(host_, ": the dead-man fires");
  world_.Probe("dead-man fired");
  rules_.FireDeadMan();
  rules_.SetTakingBack(true);
  kernel_.After(rng_.Between(absl::ZeroDuration(), bound_ * 0.9), [this] {
    for (const auto& [id, segment] : segments_) WriteBackSegment(id);
    rules_.SetTakingBack(false);
    if (on_dead_man_done != nullptr) on_dead_man_done();
  });
}

// ---- Loads and stores

const SimKmod::Handle* SimKmod::Live(HandleId id, Access access) const {
  const auto it = handles_.find(id);
  if (it == handles_.end()) return nullptr;
  const Handle& handle = it->second;
  const auto segment = segments_.find(handle.segment);
  if (segment == segments_.end()) return nullptr;
  const KmodSegmentInfo info = rules_.Get(handle.segment).info;
  const bool of_now = segment->second.serial == handle.serial && info.token == handle.token;
  if (!of_now && !world_.bugs.revive_handles) return nullptr;
  const bool allowed = access == Access::kReadOnly || handle.mode == Access::kReadWrite;
  return info.state == KmodState::kLive && allowed ? &handle : nullptr;
}

std::optional<SimKmod::Place> SimKmod::Locate(const Segment& segment, uint64_t line) {
  for (const KmodRun& run : segment.runs) {
    uint64_t lines = 0;
    for (const KmodExtent& extent : run.extents) lines += extent.length.value() / kLineBytes;
    if (line >= lines) {
      line -= lines;
      continue;
    }
    const LinePlace place =
        PlaceInRun(run.extents.size(), run.stripe_chunk.value() / kLineBytes, line);
    const KmodExtent& extent = run.extents[place.extent];
    const auto device = devices_.find(extent.device);
    if (device == devices_.end() || device->second.info.dead) return std::nullopt;
    return Place{&device->second, FirstLine(extent) + place.line};
  }
  return std::nullopt;
}

bool SimKmod::HitsBadMemory(const Place& place, uint64_t lines) {
  const auto is_listed = [&](uint64_t line, uint64_t count) {
    return !Intersection(place.device->bad, {PagesOf(line, count)}).empty();
  };
  const Memory& memory = *place.device->memory;
  const std::optional<uint64_t> hit = memory.FirstPoisoned(place.line, place.line + lines);
  if (hit && !is_listed(*hit, 1)) OnMemoryFailure(memory, *hit);
  return is_listed(place.line, lines);
}

std::optional<SimKmod::Place> SimKmod::Reach(const Handle* handle, uint64_t line) {
  if (handle == nullptr) return std::nullopt;
  const std::optional<Place> place = Locate(segments_.at(handle->segment), line);
  if (!place || HitsBadMemory(*place, 1)) return std::nullopt;
  return place;
}

bool SimKmod::Store(HandleId id, uint64_t line, const Line& value) {
  const Handle* const handle = Live(id, Access::kReadWrite);
  const std::optional<Place> place = Reach(handle, line);
  if (!place) return false;
  const Writer writer{Writer::Kind::kClient, host_, handle->segment, handle->token};
  if (place->device->software_coherent) {
    truth_.OnWrite(*place->device->memory, writer, place->line, place->line + 1);
    CacheOf(*place->device).Store(writer, place->line, value);
  } else {
    place->device->memory->Write(writer, place->line, value);
  }
  return true;
}

std::optional<Line> SimKmod::Load(HandleId id, uint64_t line) {
  const Handle* const handle = Live(id, Access::kReadOnly);
  const std::optional<Place> place = Reach(handle, line);
  if (!place) return std::nullopt;
  const Line value = place->device->software_coherent ? CacheOf(*place->device).Load(place->line)
                                                      : place->device->memory->At(place->line);
  const Writer reader{Writer::Kind::kClient, host_, handle->segment, handle->token};
  truth_.OnRead(*place->device->memory, reader, place->line, value);
  return value;
}

std::vector<std::pair<SegmentId, Token>> SimKmod::TakenBack() const {
  std::vector<std::pair<SegmentId, Token>> found;
  for (const auto& [id, handle] : handles_) {
    const auto segment = segments_.find(handle.segment);
    if (segment == segments_.end() || segment->second.serial != handle.serial) continue;
    const KmodSegmentInfo info = rules_.Get(handle.segment).info;
    if (info.state != KmodState::kRevoked || info.token != handle.token) continue;
    found.emplace_back(handle.segment, handle.token);
  }
  return found;
}

void SimKmod::Flush(HandleId id, uint64_t line) {
  const Handle* const handle = Live(id, Access::kReadOnly);
  if (handle == nullptr) return;
  const std::optional<Place> place = Locate(segments_.at(handle->segment), line);
  if (!place || !place->device->software_coherent) return;
  CacheOf(*place->device).WriteBack(place->line, place->line + 1);
}

uint64_t SimKmod::LinesOf(HandleId id) const {
  const Handle* const handle = Live(id, Access::kReadOnly);
  return handle == nullptr ? 0 : rules_.Get(handle->segment).info.size.value() / kLineBytes;
}

}  // namespace weft::sim
