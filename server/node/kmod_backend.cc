#include "server/node/kmod_backend.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/token_proto.h"
#include "server/node/grant_devices.h"
#include "server/node/kmod_runs.h"

namespace weft {
namespace {

// A revoke that flushed less says nothing of how long a large one takes.
constexpr ByteCount kEnoughToMeasure{64 * kMiB.value()};

std::string Text(const absl::Status& status) { return std::string(status.message()); }

SegmentId IdOf(const v1::GrantAssignment& grant) { return SegmentId(grant.grant().segment_id()); }

Token TokenOf(const v1::GrantAssignment& grant) { return FromProto(grant.grant().token()); }

Access AccessOf(v1::AccessMode mode) {
  return mode == v1::READ_WRITE ? Access::kReadWrite : Access::kReadOnly;
}

std::string RecordName(SegmentId segment) { return absl::StrCat(segment.value()); }

// What is known of a segment that no record names: enough to hold it and to give it back.
v1::GrantAssignment Unnamed(const KmodSegmentInfo& segment) {
  v1::GrantAssignment grant;
  grant.mutable_grant()->set_segment_id(segment.id.value());
  *grant.mutable_grant()->mutable_token() = ToProto(segment.token);
  grant.mutable_grant()->set_mode(segment.mode == Access::kReadWrite ? v1::READ_WRITE
                                                                     : v1::READ_ONLY);
  grant.set_size_bytes(segment.size.value());
  return grant;
}

absl::StatusOr<std::map<DeviceId, KmodDeviceId>> LiveDevices(Kmod& kmod) {
  const absl::StatusOr<std::vector<KmodDeviceInfo>> devices = kmod.ListDevices();
  if (!devices.ok()) return devices.status();
  std::map<DeviceId, KmodDeviceId> by_uuid;
  for (const KmodDeviceInfo& device : *devices) {
    if (!device.dead) by_uuid[device.uuid] = device.id;
  }
  return by_uuid;
}

}  // namespace

absl::Status ReleaseDeadMan(Kmod& kmod) {
  const absl::StatusOr<KmodDeadMan> dead_man = kmod.GetDeadMan();
  if (!dead_man.ok()) return dead_man.status();
  switch (dead_man->state) {
    case KmodDeadMan::State::kOff:
    case KmodDeadMan::State::kArmed:
      return absl::OkStatus();
    case KmodDeadMan::State::kDone:
      return kmod.DisarmDeadMan();
    case KmodDeadMan::State::kFired:
      break;
  }
  return absl::UnavailableError("the dead-man has fired and is still taking back: start again");
}

absl::StatusOr<absl::Duration> MeasuredBound(Kmod& kmod, absl::Duration configured) {
  const absl::StatusOr<KmodDeadMan> dead_man = kmod.GetDeadMan();
  if (!dead_man.ok()) return dead_man.status();
  return std::max(configured, 2 * std::max(dead_man->longest_firing, dead_man->longest_revoke));
}

absl::Status CheckHost(Kmod& kmod, const std::string& host_id) {
  const absl::StatusOr<KmodHost> kept = kmod.GetHost();
  if (!kept.ok()) return kept.status();
  if (kept->host_id.empty() || kept->host_id == host_id) return absl::OkStatus();
  const absl::StatusOr<std::vector<KmodSegmentInfo>> segments = kmod.ListSegments();
  if (!segments.ok()) return segments.status();
  if (segments->empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, v1::IN_USE,
      absl::StrCat("the module has segments of host ", kept->host_id, ", not of ", host_id,
                   ": start weftd with the host id that they were "
                   "granted to, or restart this host"));
}

void KmodBackend::Arm(BootTime deadline) {
  bool later;
  {
    absl::MutexLock lock(&mu_);
    later = sessions_beginning_ > 0;
  }
  if (!later) SetDeadline(deadline, later);
  blocking_.Post([this, later, deadline] {
    if (later) SetDeadline(deadline, later);
    Retry();
  });
}

void KmodBackend::SetDeadline(BootTime deadline, bool later) {
  {
    absl::MutexLock lock(&mu_);
    if (later && deadline <= deadline_) return;
    deadline_ = deadline;
  }
  const absl::Status status = SetDeadMan();
  if (!status.ok()) spdlog::error("dead_man_not_armed error=\"{}\"", Text(status));
}

absl::Status KmodBackend::SetDeadMan() {
  BootTime deadline;
  absl::Duration bound;
  {
    absl::MutexLock lock(&mu_);
    deadline = deadline_;
    bound = durable_bound_;
  }
  return kmod_.ArmDeadMan(deadline, bound, options_.fence_action);
}

absl::Duration KmodBackend::FlushTime() const {
  double bytes = 0;
  for (const auto& [segment, size] : to_flush_) bytes += static_cast<double>(size.value());
  return absl::Seconds(bytes / static_cast<double>(flush_rate_.value()));
}

absl::StatusOr<absl::Duration> KmodBackend::RevokeBound() {
  const absl::StatusOr<absl::Duration> measured = MeasuredBound(kmod_, options_.revoke_bound);
  if (!measured.ok()) return measured;
  return std::min(std::max(*measured, 2 * FlushTime()), kMaxRevokeBound);
}

void KmodBackend::SetTerms(const std::string& session_id, absl::Duration revoke_bound) {
  bool session_begins;
  {
    absl::MutexLock lock(&mu_);
    session_begins = !session_id_.empty() && session_id_ != session_id;
    if (session_begins) ++sessions_beginning_;
    session_id_ = session_id;
    durable_bound_ = revoke_bound;
  }
  blocking_.Post([this, session_begins] {
    if (session_begins) EndSession();
    const absl::Status status = KeepToken({});
    if (!status.ok()) spdlog::error("host_not_kept error=\"{}\"", Text(status));
  });
}

void KmodBackend::EndSession() {
  unready_.clear();
  absl::MutexLock lock(&mu_);
  --sessions_beginning_;
}

absl::Status KmodBackend::KeepToken(Token token) {
  const absl::StatusOr<KmodHost> kept = kmod_.GetHost();
  if (!kept.ok()) return kept.status();
  const Token last = kept->host_id == options_.host_id ? kept->last_token : Token();
  if (token != Token() && token.epoch < last.epoch) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, v1::STALE_TOKEN,
        absl::StrCat("the coordinator grants under epoch ", token.epoch, " and this host has seen ",
                     last.epoch, ": it runs on an old copy of its store"));
  }
  KmodHost host;
  host.host_id = options_.host_id;
  host.last_token = std::max({token, last, kept->last_token});
  {
    absl::MutexLock lock(&mu_);
    host.session_id = session_id_;
  }
  return host == *kept ? absl::OkStatus() : kmod_.SetHost(host);
}

void KmodBackend::Retry() {
  for (const auto& [id, grant] : std::exchange(unready_, {})) {
    const absl::Status status = Keep(grant);
    if (!status.ok()) {
      spdlog::error("prepare_failed segment={} error=\"{}\"", grant.grant().segment(),
                    Text(status));
    }
  }
  for (const auto& [id, grant] : std::exchange(undestroyed_, {})) {
    const absl::Status status = Forget(grant);
    if (!status.ok()) {
      spdlog::error("forget_failed segment_id={} error=\"{}\"", id.value(), Text(status));
    }
  }
}

absl::StatusOr<std::vector<v1::GrantAssignment>> KmodBackend::Recall() {
  const absl::StatusOr<std::vector<KmodSegmentInfo>> segments = kmod_.ListSegments();
  if (!segments.ok()) return segments.status();
  absl::StatusOr<std::map<std::string, std::string>> records = records_.ReadAll();
  if (!records.ok()) return records.status();
  std::vector<v1::GrantAssignment> grants;
  for (const KmodSegmentInfo& segment : *segments) {
    if (segment.id.value() >= kFirstScrubSegment) {
      if (absl::Status s = kmod_.DestroySegment(segment.id, segment.token); !s.ok()) return s;
      continue;
    }
    v1::GrantAssignment grant;
    const auto record = records->find(RecordName(segment.id));
    const bool is_known = record != records->end() && grant.ParseFromString(record->second) &&
                          TokenOf(grant) == segment.token;
    grants.push_back(is_known ? std::move(grant) : Unnamed(segment));
    if (record != records->end()) records->erase(record);
  }
  // A grant whose segment the module does not have reaches nothing.
  for (const auto& [name, bytes] : *records) {
    if (absl::Status s = records_.Remove(name); !s.ok()) return s;
  }
  return grants;
}

absl::Status KmodBackend::Prepare(const v1::GrantAssignment& grant) {
  if (grant.grant().state() == v1::GRANT_REVOKING) return absl::OkStatus();
  if (absl::Status s = Keep(grant); !s.ok()) return s;
  return Make(grant);
}

absl::Status KmodBackend::Keep(const v1::GrantAssignment& grant) {
  if (grant.grant().state() == v1::GRANT_REVOKING) return absl::OkStatus();
  absl::Status status = Resume(grant);
  if (ReasonOf(status) == v1::SESSION_EXPIRED && SetDeadMan().ok()) status = Resume(grant);
  // A token that is too old stays so; all else may pass.
  if (!status.ok() && ReasonOf(status) != v1::STALE_TOKEN) {
    unready_.insert_or_assign(IdOf(grant), grant);
  }
  return status;
}

absl::Status KmodBackend::Resume(const v1::GrantAssignment& grant) {
  const SegmentId id = IdOf(grant);
  const absl::StatusOr<KmodSegmentInfo> segment = kmod_.FindSegment(id);
  if (!segment.ok() && !absl::IsNotFound(segment.status())) return segment.status();
  // What was granted before an epoch began goes on in it.
  const bool goes_on = segment.ok() && segment->token == TokenOf(grant);
  if (absl::Status s = KeepToken(goes_on ? Token() : TokenOf(grant)); !s.ok()) return s;
  if (grant.coherence() == v1::SOFTWARE) to_flush_[id] = ByteCount(grant.size_bytes());
  if (absl::Status s = records_.Write(RecordName(id), grant.SerializeAsString()); !s.ok()) {
    return s;
  }
  if (!segment.ok()) return absl::OkStatus();
  // Its device was gone.
  if (segment->state == KmodState::kDead) return kmod_.DestroySegment(id, TokenOf(grant));
  return MakeLive(grant, *segment);
}

absl::Status KmodBackend::Make(const v1::GrantAssignment& grant) {
  const SegmentId id = IdOf(grant);
  const absl::StatusOr<KmodSegmentInfo> segment = kmod_.FindSegment(id);
  if (!segment.ok() && !absl::IsNotFound(segment.status())) return segment.status();
  const absl::StatusOr<std::vector<KmodRun>> runs =
      RunsFrom(grant, segment.ok() ? segment->size : ByteCount(0));
  if (!runs.ok()) return runs.status();
  if (!segment.ok()) {
    absl::Status status =
        kmod_.CreateSegment(id, TokenOf(grant), AccessOf(grant.grant().mode()), *runs);
    if (ReasonOf(status) != v1::SESSION_EXPIRED || !SetDeadMan().ok()) return status;
    return kmod_.CreateSegment(id, TokenOf(grant), AccessOf(grant.grant().mode()), *runs);
  }
  for (const KmodRun& run : *runs) {
    if (absl::Status s = kmod_.ExtendSegment(id, TokenOf(grant), run); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status KmodBackend::MakeLive(const v1::GrantAssignment& grant,
                                   const KmodSegmentInfo& segment) {
  const Token token = TokenOf(grant);
  if (token == segment.token && segment.state == KmodState::kLive) return absl::OkStatus();
  if (token > segment.token) {
    const absl::StatusOr<KmodRevoke> revoked =
        kmod_.RevokeSegment(segment.id, segment.token, options_.pin_wait);
    if (!revoked.ok() && ReasonOf(revoked.status()) != v1::STALE_TOKEN) return revoked.status();
  }
  // An older token is refused by the module.
  if (absl::Status s = kmod_.ResumeSegment(segment.id, token, AccessOf(grant.grant().mode()));
      !s.ok()) {
    return s;
  }
  spdlog::info("segment_resumed segment={} token={}.{}", grant.grant().segment(), token.epoch,
               token.counter);
  return absl::OkStatus();
}

absl::StatusOr<std::map<DeviceId, KmodDeviceId>> KmodBackend::Devices(
    const v1::GrantAssignment& grant) {
  absl::StatusOr<std::map<DeviceId, KmodDeviceId>> devices = LiveDevices(kmod_);
  if (!devices.ok() || CheckHasDevices(grant, *devices).ok()) return devices;
  // It may have been formatted a moment ago: looking takes it.
  if (absl::Status s = catalog_.Rescan().status(); !s.ok()) return s;
  devices = LiveDevices(kmod_);
  if (!devices.ok()) return devices;
  if (absl::Status s = CheckHasDevices(grant, *devices); !s.ok()) return s;
  return devices;
}

absl::StatusOr<std::vector<KmodRun>> KmodBackend::RunsFrom(const v1::GrantAssignment& grant,
                                                           ByteCount from) {
  const absl::StatusOr<std::map<DeviceId, KmodDeviceId>> devices = Devices(grant);
  if (!devices.ok()) return devices.status();
  // Not one that came back and may be another: its segments were not on it.
  if (absl::Status s = FindGrantDevices(catalog_, grant).status(); !s.ok()) return s;
  return ToKmodRuns(grant, *devices, from);
}

absl::StatusOr<HandleFiles> KmodBackend::Describe(const v1::GrantAssignment& grant) const {
  const auto devices = FindGrantDevices(catalog_, grant);
  if (!devices.ok()) return devices.status();
  HandleFiles files;
  files.page_size = kExtentUnit;
  for (const auto& [name, device] : *devices) {
    files.incarnation.push_back(IncarnationOf(name, device));
  }
  return files;
}

absl::StatusOr<HandleFiles> KmodBackend::Open(const v1::GrantAssignment& grant,
                                              v1::AccessMode mode) {
  const absl::StatusOr<absl::Duration> bound = RevokeBound();
  if (!bound.ok()) return bound.status();
  {
    absl::MutexLock lock(&mu_);
    if (*bound > durable_bound_) {
      return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                       "the coordinator is being told how long this host takes to give back");
    }
  }
  absl::StatusOr<HandleFiles> files = Describe(grant);
  if (!files.ok()) return files;
  absl::StatusOr<UniqueFd> fd = kmod_.OpenSegment(IdOf(grant), TokenOf(grant), AccessOf(mode));
  if (!fd.ok()) return fd.status();
  files->fds.push_back(*std::move(fd));
  return files;
}

absl::StatusOr<HandleFiles> KmodBackend::Refresh(const v1::GrantAssignment& grant, v1::AccessMode,
                                                 const std::set<std::string>&) {
  return Describe(grant);  // the descriptor reaches what the segment grew by
}

absl::StatusOr<std::set<SegmentId>> KmodBackend::FindInUse(
    const std::vector<v1::GrantAssignment>& grants) {
  std::set<SegmentId> in_use;
  for (const v1::GrantAssignment& grant : grants) {
    const absl::StatusOr<std::vector<KmodHandleInfo>> handles = kmod_.ListHandles(IdOf(grant));
    if (absl::IsNotFound(handles.status())) continue;
    if (!handles.ok()) return handles.status();
    // Handles of an earlier token are revoked for good. What the others wrote may still be
    // in this host's caches, and must not be written back over what the next owner writes.
    const bool used = std::any_of(handles->begin(), handles->end(), [&](const auto& handle) {
      return handle.token == TokenOf(grant) && handle.state != KmodState::kDead;
    });
    const absl::StatusOr<bool> left = used ? true : TakeBack(grant);
    if (!left.ok()) return left.status();
    if (*left) in_use.insert(IdOf(grant));
  }
  return in_use;
}

absl::StatusOr<bool> KmodBackend::TakeBack(const v1::GrantAssignment& grant) {
  unready_.erase(IdOf(grant));
  const absl::StatusOr<KmodRevoke> revoke =
      kmod_.RevokeSegment(IdOf(grant), TokenOf(grant), options_.pin_wait);
  if (absl::IsNotFound(revoke.status())) return false;
  if (!revoke.ok()) return revoke.status();
  if (revoke->flushed >= kEnoughToMeasure && revoke->elapsed > absl::ZeroDuration()) {
    const double rate =
        static_cast<double>(revoke->flushed.value()) / absl::ToDoubleSeconds(revoke->elapsed);
    flush_rate_ = std::clamp(ByteCount(static_cast<uint64_t>(rate)), kMiB, flush_rate_);
  }
  if (revoke->state == KmodState::kRevoked || revoke->state == KmodState::kDead) return false;
  spdlog::warn("revoke_waits segment={} reason={} pages_pinned={}", grant.grant().segment(),
               v1::Reason_Name(v1::BUSY_PINNED), revoke->pages_pinned);
  return true;
}

absl::Status KmodBackend::Forget(const v1::GrantAssignment& grant) {
  const SegmentId id = IdOf(grant);
  unready_.erase(id);
  to_flush_.erase(id);
  const absl::StatusOr<KmodSegmentInfo> segment = kmod_.FindSegment(id);
  if (segment.ok() && segment->token > TokenOf(grant)) return absl::OkStatus();  // granted anew
  // It can have been taken back under a later token, for a grant that was never made.
  const Token token = segment.ok() ? std::max(TokenOf(grant), segment->last_token) : TokenOf(grant);
  absl::Status status = kmod_.DestroySegment(id, token);
  if (ReasonOf(status) == v1::BUSY_PINNED) undestroyed_.insert_or_assign(id, grant);
  if (!status.ok() && !absl::IsNotFound(status)) return status;
  return records_.Remove(RecordName(id));
}

}  // namespace weft
