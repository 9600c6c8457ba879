#include "server/platform/fake_kmod.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/ranges.h"

namespace weft {
namespace {

absl::Status Refused(v1::Reason reason) {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason, v1::Reason_Name(reason));
}

bool Overlap(const KmodExtent& a, const KmodExtent& b) {
  return a.device == b.device && a.offset < b.offset + b.length && b.offset < a.offset + a.length;
}

ByteCount SizeOf(const KmodRun& run) {
  ByteCount size;
  for (const KmodExtent& extent : run.extents) size += extent.length;
  return size;
}

}  // namespace

FakeKmod::Segment FakeKmod::Get(SegmentId segment) const {
  absl::MutexLock lock(&mu_);
  return segments_.at(segment);
}

bool FakeKmod::Has(SegmentId segment) const {
  absl::MutexLock lock(&mu_);
  return segments_.contains(segment);
}

void FakeKmod::SetPinned(uint64_t pages) {
  absl::MutexLock lock(&mu_);
  pinned_ = pages;
}

void FakeKmod::ReleaseHandles(SegmentId segment) {
  absl::MutexLock lock(&mu_);
  segments_.at(segment).handles.clear();
}

void FakeKmod::Poison(KmodDeviceId device, ByteRange range) {
  absl::MutexLock lock(&mu_);
  bad_[device] = Union(bad_[device], {range});
}

void FakeKmod::ReleaseHandle(SegmentId segment, Token token) {
  absl::MutexLock lock(&mu_);
  const auto it = segments_.find(segment);
  if (it == segments_.end()) return;
  std::vector<KmodHandleInfo>& handles = it->second.handles;
  const auto of_token = [&](const KmodHandleInfo& handle) { return handle.token == token; };
  const auto handle = std::find_if(handles.begin(), handles.end(), of_token);
  if (handle != handles.end()) handles.erase(handle);
}

void FakeKmod::LoseDevice(KmodDeviceId device) {
  absl::MutexLock lock(&mu_);
  devices_.at(device).dead = true;
  for (auto& [id, segment] : segments_) {
    for (const KmodRun& run : segment.runs) {
      for (const KmodExtent& extent : run.extents) {
        if (extent.device == device) segment.info.state = KmodState::kDead;
      }
    }
  }
}

void FakeKmod::FireDeadMan() {
  absl::MutexLock lock(&mu_);
  WEFT_CHECK(dead_man_.state == KmodDeadMan::State::kArmed);
  dead_man_.state = KmodDeadMan::State::kDone;
  for (auto& [id, segment] : segments_) {
    if (segment.info.state != KmodState::kDead) segment.info.state = KmodState::kRevoked;
  }
}

void FakeKmod::SetTakingBack(bool taking_back) {
  absl::MutexLock lock(&mu_);
  dead_man_.state = taking_back ? KmodDeadMan::State::kFired : KmodDeadMan::State::kDone;
}

void FakeKmod::SetLongestRevoke(absl::Duration longest) {
  absl::MutexLock lock(&mu_);
  dead_man_.longest_revoke = longest;
}

absl::Duration FakeKmod::bound() const {
  absl::MutexLock lock(&mu_);
  return bound_;
}

BootTime FakeKmod::deadline() const {
  absl::MutexLock lock(&mu_);
  return deadline_;
}

absl::StatusOr<KmodDeviceInfo> FakeKmod::AddDevice(const std::string& path, const DeviceId& uuid,
                                                   bool) {
  absl::MutexLock lock(&mu_);
  KmodDeviceInfo device;
  device.id = KmodDeviceId(++last_device_);
  device.uuid = uuid;
  device.device_number = numbers_.try_emplace(path, numbers_.size() + 1).first->second;
  return devices_[device.id] = device;
}

absl::Status FakeKmod::RemoveDevice(KmodDeviceId device) {
  absl::MutexLock lock(&mu_);
  for (const auto& [id, segment] : segments_) {
    for (const KmodRun& run : segment.runs) {
      for (const KmodExtent& extent : run.extents) {
        if (extent.device == device) return Refused(v1::BUSY_PINNED);
      }
    }
  }
  return devices_.erase(device) == 1 ? absl::OkStatus() : Refused(v1::DEVICE_MISSING);
}

absl::StatusOr<std::vector<KmodDeviceInfo>> FakeKmod::ListDevices() {
  absl::MutexLock lock(&mu_);
  std::vector<KmodDeviceInfo> devices;
  for (const auto& [id, device] : devices_) devices.push_back(device);
  return devices;
}

absl::StatusOr<std::vector<ByteRange>> FakeKmod::ListBadRanges(KmodDeviceId device) {
  absl::MutexLock lock(&mu_);
  return bad_[device];
}

SegmentId FakeKmod::LabelSegment(KmodDeviceId device) const {
  return SegmentId(uint64_t{1} << 63 | device.value());
}

absl::StatusOr<FakeKmod::Segment*> FakeKmod::Find(SegmentId segment, Token token) {
  const auto it = segments_.find(segment);
  if (it == segments_.end()) return absl::NotFoundError(absl::StrCat(segment.value()));
  if (token < it->second.info.last_token) return Refused(v1::STALE_TOKEN);
  return &it->second;
}

absl::Status FakeKmod::CheckFree(const KmodRun& run) const {
  for (const auto& [id, segment] : segments_) {
    for (const KmodRun& other : segment.runs) {
      for (const KmodExtent& a : run.extents) {
        for (const KmodExtent& b : other.extents) {
          if (Overlap(a, b)) return Refused(v1::BUSY_PINNED);
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::Status FakeKmod::CheckOrder(const KmodRun& run, Token token) const {
  for (const auto& [extent, seen] : history_) {
    for (const KmodExtent& other : run.extents) {
      if (Overlap(extent, other) && token < seen) return Refused(v1::STALE_TOKEN);
    }
  }
  return absl::OkStatus();
}

absl::Status FakeKmod::CheckLease() const {
  const bool over =
      dead_man_.state == KmodDeadMan::State::kFired || dead_man_.state == KmodDeadMan::State::kDone;
  return over ? Refused(v1::SESSION_EXPIRED) : absl::OkStatus();
}

absl::Status FakeKmod::CreateSegment(SegmentId segment, Token token, Access mode,
                                     const std::vector<KmodRun>& runs) {
  absl::MutexLock lock(&mu_);
  if (absl::Status s = CheckLease(); !s.ok()) return s;
  if (segments_.contains(segment)) return Refused(v1::ALREADY_EXISTS);
  Segment made;
  made.info = {segment, token, token, mode, KmodState::kLive, ByteCount(0), 0};
  for (const KmodRun& run : runs) {
    if (absl::Status s = CheckFree(run); !s.ok()) return s;
    if (absl::Status s = CheckOrder(run, token); !s.ok()) return s;
    made.info.size += SizeOf(run);
    made.runs.push_back(run);
  }
  segments_[segment] = std::move(made);
  return absl::OkStatus();
}

absl::Status FakeKmod::ExtendSegment(SegmentId segment, Token token, const KmodRun& run) {
  absl::MutexLock lock(&mu_);
  const absl::StatusOr<Segment*> found = Find(segment, token);
  if (!found.ok()) return found.status();
  if (absl::Status s = CheckFree(run); !s.ok()) return s;
  (*found)->info.size += SizeOf(run);
  (*found)->runs.push_back(run);
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> FakeKmod::OpenSegment(SegmentId segment, Token token, Access) {
  absl::MutexLock lock(&mu_);
  const absl::StatusOr<Segment*> found = Find(segment, token);
  if (!found.ok()) return found.status();
  if ((*found)->info.state != KmodState::kLive || (*found)->info.token != token) {
    return Refused(v1::STALE_TOKEN);
  }
  (*found)->handles.push_back({token, KmodState::kLive});
  return UniqueFd(dup(STDERR_FILENO));
}

absl::StatusOr<KmodRevoke> FakeKmod::RevokeSegment(SegmentId segment, Token token, absl::Duration) {
  absl::MutexLock lock(&mu_);
  const absl::StatusOr<Segment*> found = Find(segment, token);
  if (!found.ok()) return found.status();
  KmodSegmentInfo& info = (*found)->info;
  info.last_token = token;
  info.pages_pinned = pinned_;
  if (info.state == KmodState::kDead) return KmodRevoke{info.state, pinned_};
  info.state = pinned_ == 0 ? KmodState::kRevoked : KmodState::kRevoking;
  return KmodRevoke{info.state, pinned_};
}

absl::Status FakeKmod::ResumeSegment(SegmentId segment, Token token, Access mode) {
  absl::MutexLock lock(&mu_);
  if (absl::Status s = CheckLease(); !s.ok()) return s;
  const absl::StatusOr<Segment*> found = Find(segment, token);
  if (!found.ok()) return found.status();
  KmodSegmentInfo& info = (*found)->info;
  if (info.state == KmodState::kDead) return Refused(v1::DEVICE_MISSING);
  if (token > info.token) {
    if (info.state != KmodState::kRevoked) return Refused(v1::BUSY_PINNED);
    info.mode = mode;
  }
  info.token = info.last_token = token;
  info.state = KmodState::kLive;
  return absl::OkStatus();
}

absl::Status FakeKmod::DestroySegment(SegmentId segment, Token token) {
  absl::MutexLock lock(&mu_);
  const absl::StatusOr<Segment*> found = Find(segment, token);
  if (!found.ok()) return found.status();
  if (pinned_ != 0) {
    (*found)->info.state = KmodState::kRevoking;
    return Refused(v1::BUSY_PINNED);
  }
  for (const KmodRun& run : (*found)->runs) {
    for (const KmodExtent& extent : run.extents) {
      history_.emplace_back(extent, (*found)->info.last_token);
    }
  }
  segments_.erase(segment);
  return absl::OkStatus();
}

absl::Status FakeKmod::ZeroSegment(SegmentId segment, Token token, ByteOffset offset,
                                   ByteCount length) {
  absl::MutexLock lock(&mu_);
  const absl::StatusOr<Segment*> found = Find(segment, token);
  if (!found.ok()) return found.status();
  if ((*found)->info.token != token) return Refused(v1::STALE_TOKEN);
  const KmodExtent& first = (*found)->runs.front().extents.front();
  const ByteRange zeroed{first.offset + (offset - ByteOffset(0)), length};
  bad_[first.device] = Difference(bad_[first.device], {zeroed});
  return absl::OkStatus();
}

absl::StatusOr<KmodSegmentInfo> FakeKmod::FindSegment(SegmentId segment) {
  absl::MutexLock lock(&mu_);
  const auto it = segments_.find(segment);
  if (it == segments_.end()) return absl::NotFoundError(absl::StrCat(segment.value()));
  return it->second.info;
}

absl::StatusOr<std::vector<KmodSegmentInfo>> FakeKmod::ListSegments() {
  absl::MutexLock lock(&mu_);
  std::vector<KmodSegmentInfo> segments;
  for (const auto& [id, segment] : segments_) segments.push_back(segment.info);
  return segments;
}

absl::StatusOr<std::vector<KmodHandleInfo>> FakeKmod::ListHandles(SegmentId segment) {
  absl::MutexLock lock(&mu_);
  const auto it = segments_.find(segment);
  if (it == segments_.end()) return absl::NotFoundError(absl::StrCat(segment.value()));
  return it->second.handles;
}

absl::Status FakeKmod::ArmDeadMan(BootTime deadline, absl::Duration bound, FenceAction) {
  absl::MutexLock lock(&mu_);
  if (dead_man_.state == KmodDeadMan::State::kFired) return absl::AbortedError("taking back");
  dead_man_.state = KmodDeadMan::State::kArmed;
  deadline_ = deadline;
  bound_ = bound;
  return absl::OkStatus();
}

absl::Status FakeKmod::DisarmDeadMan() {
  absl::MutexLock lock(&mu_);
  for (const auto& [id, segment] : segments_) {
    if (segment.info.state == KmodState::kLive) return Refused(v1::BUSY_PINNED);
  }
  dead_man_.state = KmodDeadMan::State::kOff;
  return absl::OkStatus();
}

absl::StatusOr<KmodDeadMan> FakeKmod::GetDeadMan() {
  absl::MutexLock lock(&mu_);
  return dead_man_;
}

absl::StatusOr<KmodHost> FakeKmod::GetHost() {
  absl::MutexLock lock(&mu_);
  return host_;
}

absl::Status FakeKmod::SetHost(const KmodHost& host) {
  absl::MutexLock lock(&mu_);
  if (host.last_token < host_.last_token) return Refused(v1::STALE_TOKEN);
  host_ = host;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<KmodEvent>> FakeKmod::WaitEvents() { return std::vector<KmodEvent>(); }

}  // namespace weft
