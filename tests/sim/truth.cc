#include "tests/sim/truth.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/core/keys.h"
#include "server/core/names.h"
#include "server/core/token_proto.h"
#include "tests/sim/token_text.h"

namespace weft::sim {
namespace {

constexpr uint64_t kUnit = kExtentUnit.value();
constexpr uint64_t kLinesPerUnit = kUnit / kLineBytes;

// Strips `prefix` from `key`, if it is there.
bool Consume(std::string& key, std::string_view prefix) {
  if (!std::string_view(key).starts_with(prefix)) return false;
  key.erase(0, prefix.size());
  return true;
}

bool Exclude(const v1::Segment& segment, const v1::Grant& a, const v1::Grant& b) {
  switch (segment.sharing()) {
    case v1::SHARED:
      return false;
    case v1::SINGLE_WRITER:
      return a.mode() == v1::READ_WRITE && b.mode() == v1::READ_WRITE;
    default:
      return true;
  }
}

using Unit = std::pair<DeviceId, uint64_t>;

// In the order of its extents.
std::vector<Unit> UnitsOf(const v1::Segment& segment) {
  std::vector<Unit> units;
  for (const v1::Run& run : segment.runs()) {
    for (const v1::Extent& extent : run.extents()) {
      const uint64_t first = extent.offset_bytes() / kUnit;
      for (uint64_t i = 0; i < extent.length_bytes() / kUnit; ++i) {
        units.emplace_back(*ParseDeviceName(extent.device()), first + i);
      }
    }
  }
  return units;
}

}  // namespace

void Truth::SetMemory(const DeviceId& device, const std::shared_ptr<Memory>& memory) {
  memory_[device] = memory;
  device_of_[memory->number()] = device;
}

const store::v1::DeviceRecord* Truth::FindDevice(const DeviceId& device) const {
  const auto it = devices_.find(device);
  return it == devices_.end() ? nullptr : &it->second;
}

void Truth::Apply(const Transaction& transaction) {
  newest_before_.clear();
  bad_before_ = bad_;
  moves_.clear();
  moved_to_.clear();
  for (const Mutation& mutation : transaction.mutations) {
    ApplyOne(mutation.key, mutation.value ? &*mutation.value : nullptr);
  }
  for (const Move& move : moves_) CheckMove(move);
  if (std::exchange(bytes_changed_, false)) CheckBytes();
  if (!std::exchange(grants_changed_, false)) return;
  UpdateHoldings();
  CheckExclusion();
}

void Truth::ApplyOne(const std::string& key, const std::string* value) {
  std::string rest = key;
  if (Consume(rest, keys::kGrants)) {
    ApplyGrant(rest, value);
  } else if (Consume(rest, keys::kScrubs)) {
    ApplyScrub(rest, value);
  } else if (Consume(rest, keys::kSegments)) {
    ApplySegment(rest, value);
  } else if (Consume(rest, keys::kAttachments)) {
    ApplyAttachment(rest, value);
  } else if (Consume(rest, keys::kHosts)) {
    if (value != nullptr) ApplyHost(rest, *value);
  } else if (Consume(rest, keys::kPoison)) {
    ApplyPoison(rest, value);
  } else if (Consume(rest, keys::kDevices)) {
    if (value != nullptr) devices_[*Uuid::Parse(rest)].ParseFromString(*value);
    bytes_changed_ = true;
  } else if (key == keys::kCluster && value != nullptr) {
    cluster_.ParseFromString(*value);
  }
}

void Truth::ApplyGrant(const std::string& key, const std::string* value) {
  const size_t slash = key.find('/');
  const SegmentId segment(std::stoull(key.substr(0, slash)));
  const std::string host = key.substr(slash + 1);
  grants_changed_ = true;
  if (value == nullptr) {
    grants_.erase({segment, host});
    return;
  }
  store::v1::GrantRecord& record = grants_[{segment, host}];
  const Token before = FromProto(record.grant().token());
  record.ParseFromString(*value);
  const Token token = FromProto(record.grant().token());
  const bool is_new = tokens_.insert(token).second;
  if (token == before) return;
  Token& newest = newest_grant_[OriginOf(segment)];
  const Token newest_before = newest_before_.emplace(OriginOf(segment), newest).first->second;
  if (token <= newest_before || !is_new) {
    world_.Fail(3, absl::StrCat("the grant of segment ", segment.value(), " to ", host,
                                " has token ", Text(token), "; there was ", Text(newest)));
  }
  newest = std::max(newest, token);
}

void Truth::ApplyScrub(const std::string& key, const std::string* value) {
  const uint64_t id = std::stoull(key);
  bytes_changed_ = true;
  if (value == nullptr) {
    scrubs_.erase(id);
    return;
  }
  Scrub& scrub = scrubs_[id];
  const store::v1::ScrubRecord before = std::exchange(scrub.record, {});
  scrub.record.ParseFromString(*value);
  const bool gives_up_copy = before.has_copy() && !scrub.record.has_copy();
  if (!before.has_copy() && scrub.record.has_copy()) world_.Probe("copy begun");
  if (gives_up_copy) world_.Probe("copy given up");
  const Token token = FromProto(scrub.record.token());
  tokens_.insert(token);
  if (scrub.record.host().empty() || token == FromProto(before.token())) return;
  // Until it is told, a host that is to zero where it copied goes on with the copy.
  if (!gives_up_copy || scrub.record.host() != before.host()) scrub.since = token;
  Token& newest = newest_scrub_[id];
  if (token <= newest) {
    world_.Fail(
        3, absl::StrCat("scrub ", id, " has token ", Text(token), "; there was ", Text(newest)));
  }
  newest = std::max(newest, token);
}

void Truth::ApplySegment(const std::string& key, const std::string* value) {
  bytes_changed_ = true;
  grants_changed_ = true;
  const auto known = segment_by_key_.find(key);
  if (value == nullptr) {
    if (known == segment_by_key_.end()) return;
    segments_.erase(known->second);
    segment_by_key_.erase(known);
    return;
  }
  store::v1::SegmentRecord record;
  record.ParseFromString(*value);
  const SegmentId id(record.segment().id());
  if (known != segment_by_key_.end() && known->second != id) {
    // Else another was made under the name of one that was deleted, in one transaction.
    const v1::Segment& before = segments_.at(known->second).segment();
    if (before.create_time_unix_ms() == record.segment().create_time_unix_ms()) {
      world_.Probe("segment moved");
      origins_[id] = OriginOf(known->second);
      moves_.push_back({before, record.segment()});
    }
    segments_.erase(known->second);
  }
  if (!segments_.contains(id) && !segment_ids_.insert(id).second) {
    world_.Fail(4, absl::StrCat("the id of segment ", id.value(), " is used again"));
  }
  segment_by_key_[key] = id;
  segments_[id] = std::move(record);
}

void Truth::ApplyHost(const std::string& id, const std::string& value) {
  const v1::Host before = hosts_[id].host();
  hosts_[id].ParseFromString(value);
  const v1::Host& now = hosts_[id].host();
  grants_changed_ = true;
  if (before.state() == now.state()) return;
  if (before.state() == v1::HOST_FENCING && now.state() == v1::HOST_DOWN) {
    world_.Probe("host is fenced");
  }
  if (now.state() == v1::HOST_UNCERTAIN && !now.can_revoke()) {
    world_.Probe("host that cannot revoke expires");
  }
  if (before.state() != v1::HOST_UNCERTAIN) return;
  if (now.state() == v1::HOST_ALIVE) {
    world_.Probe(before.boot_id() == now.boot_id() ? "uncertain host comes back"
                                                   : "uncertain host comes back after a reboot");
  } else if (now.state() == v1::HOST_DOWN) {
    world_.Probe("uncertain host is fenced");
  }
}

void Truth::ApplyAttachment(const std::string& key, const std::string* value) {
  const size_t slash = key.find('/');
  const std::pair id(*Uuid::Parse(key.substr(0, slash)), key.substr(slash + 1));
  if (value == nullptr) {
    attachments_.erase(id);
  } else {
    attachments_[id].ParseFromString(*value);
  }
}

bool Truth::IsHeld(SegmentId segment, const std::string& host, const Token& token) const {
  const auto grant = grants_.find({segment, host});
  return grant != grants_.end() && FromProto(grant->second.grant().token()) == token &&
         grant->second.grant().state() == v1::GRANT_ACTIVE && holdings_.contains({segment, host});
}

bool Truth::IsReleasing(SegmentId segment, const std::string& host) const {
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return false;
  const auto& releasing = found->second.releasing_segments();
  return std::find(releasing.begin(), releasing.end(), segment.value()) != releasing.end();
}

void Truth::UpdateHoldings() {
  // Two tokens that a host got in one transaction, to read and then to write, leave one record.
  const auto first_of = [this](SegmentId segment) {
    const auto newest = newest_before_.find(OriginOf(segment));
    if (newest == newest_before_.end()) return Token();
    return Token{newest->second.epoch, newest->second.counter + 1};
  };
  std::map<GrantId, Token> now;
  for (const auto& [id, record] : grants_) {
    if (IsReleasing(id.first, id.second)) continue;
    const auto before = holdings_.find(id);
    now[id] = before == holdings_.end() ? first_of(id.first) : before->second;
  }
  holdings_ = std::move(now);
}

void Truth::CheckExclusion() {
  for (auto it = grants_.begin(); it != grants_.end(); ++it) {
    const auto segment = segments_.find(it->first.first);
    if (segment == segments_.end()) {
      world_.Fail(2, absl::StrCat(it->second.grant().name(), " is of no segment"));
      continue;
    }
    if (!holdings_.contains(it->first)) continue;
    for (auto other = std::next(it);
         other != grants_.end() && other->first.first == it->first.first; ++other) {
      if (holdings_.contains(other->first) &&
          Exclude(segment->second.segment(), it->second.grant(), other->second.grant())) {
        world_.Fail(2, absl::StrCat(it->second.grant().name(), " and ",
                                    other->second.grant().name(), " exclude each other"));
      }
    }
  }
}

void Truth::Take(std::map<DeviceId, Units>& units, const v1::Extent& extent, const Owner& owner) {
  const DeviceId device = *ParseDeviceName(extent.device());
  Units& all = units[device];
  const uint64_t first = extent.offset_bytes() / kUnit;
  const uint64_t last = first + extent.length_bytes() / kUnit;
  if (all.size() < last) all.resize(last);
  for (uint64_t unit = first; unit < last; ++unit) {
    if (all[unit].kind != Owner::Kind::kNobody) {
      world_.Fail(1, absl::StrCat("unit ", unit, " of ", extent.device(), " is of ", all[unit].id,
                                  " and of ", owner.id));
    }
    all[unit] = owner;
  }
}

void Truth::CheckBytes() {
  std::map<DeviceId, Units> now;
  for (const auto& [id, record] : segments_) {
    for (const v1::Run& run : record.segment().runs()) {
      for (const v1::Extent& extent : run.extents()) {
        Take(now, extent, {Owner::Kind::kSegment, id.value()});
      }
    }
  }
  for (const auto& [id, scrub] : scrubs_) {
    uint64_t done = scrub.record.done_bytes();
    for (v1::Extent extent : scrub.record.extents()) {
      const uint64_t skip = std::min(done, extent.length_bytes());
      done -= skip;
      extent.set_offset_bytes(extent.offset_bytes() + skip);
      extent.set_length_bytes(extent.length_bytes() - skip);
      Take(now, extent, {Owner::Kind::kScrub, id});
    }
  }
  for (const auto& [device, record] : devices_) {
    Units& units = now[device];
    Units& before = units_[device];
    units.resize(record.device().capacity_bytes() / kUnit);
    before.resize(units.size());
    if (record.device().state() == v1::DEVICE_LOST || record.device().pool().empty()) continue;
    Quarantine(device, units);
    for (uint64_t unit = 0; unit < units.size(); ++unit) {
      if (units[unit] == before[unit] || IsSegmentsStill(before[unit], units[unit])) continue;
      CheckGood(device, unit, units[unit]);
      if (moved_to_.contains({device, unit})) continue;
      if (units[unit].kind == Owner::Kind::kSegment) {
        CheckZero(device, unit, absl::StrCat("is given to segment ", units[unit].id));
      } else if ((before[unit].kind == Owner::Kind::kScrub ||
                  before[unit].kind == Owner::Kind::kQuarantine) &&
                 units[unit].kind == Owner::Kind::kNobody) {
        CheckZero(device, unit, "is free");
      } else if (before[unit].kind == Owner::Kind::kSegment &&
                 units[unit].kind == Owner::Kind::kNobody) {
        world_.Fail(5, absl::StrCat("unit ", unit, " of ", device.ToString(), " went from segment ",
                                    before[unit].id, " to nobody"));
      }
    }
  }
  units_ = std::move(now);
}

SegmentId Truth::OriginOf(SegmentId segment) const {
  const auto found = origins_.find(segment);
  return found == origins_.end() ? segment : found->second;
}

bool Truth::IsSegmentsStill(const Owner& before, const Owner& now) const {
  return before.kind == Owner::Kind::kSegment && now.kind == Owner::Kind::kSegment &&
         OriginOf(SegmentId(before.id)) == OriginOf(SegmentId(now.id));
}

void Truth::CheckMove(const Move& move) {
  const std::vector<Unit> from = UnitsOf(move.before);
  const std::vector<Unit> to = UnitsOf(move.after);
  const std::string name = move.after.name();
  // The transaction can have grown it besides.
  if (from.size() > to.size()) return world_.Fail(4, name + " is shorter since it moved");
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == to[i]) continue;
    moved_to_.insert(to[i]);
    const Memory& source = *memory_.at(from[i].first);
    const Memory& target = *memory_.at(to[i].first);
    if (source.forgot() || target.forgot()) continue;
    for (uint64_t line = 0; line < kLinesPerUnit; ++line) {
      const uint64_t old_line = from[i].second * kLinesPerUnit + line;
      const uint64_t new_line = to[i].second * kLinesPerUnit + line;
      if (source.At(old_line) == target.At(new_line)) continue;
      return world_.Fail(4, absl::StrCat(name, " moved, and line ", line, " of its unit ", i,
                                         " is not what it was"));
    }
    const std::string host =
        dirty_host_(source, from[i].second * kLinesPerUnit, (from[i].second + 1) * kLinesPerUnit);
    if (!host.empty()) {
      world_.Fail(4, absl::StrCat(name, " moved, and ", host, " has yet to write lines back"));
    }
  }
}

void Truth::CheckZero(const DeviceId& device, uint64_t unit, const std::string& why) {
  const auto memory = memory_.find(device);
  if (memory == memory_.end()) return;
  const uint64_t first = unit * kLinesPerUnit;
  const uint64_t last = first + kLinesPerUnit;
  const uint64_t dirty = memory->second->FirstNonZero(first, last);
  if (dirty != last) {
    world_.Fail(5, absl::StrCat("unit ", unit, " of ", device.ToString(), " ", why, ", and line ",
                                dirty, " of it is not zero"));
  }
  const std::string host = dirty_host_(*memory->second, first, last);
  if (!host.empty()) {
    world_.Fail(5, absl::StrCat("unit ", unit, " of ", device.ToString(), " ", why, ", and ", host,
                                " has yet to write lines of it back"));
  }
}

void Truth::OnTokenLeaves(const Token& token) {
  // What was given and taken back in one transaction has no record, and is never given again.
  const Token last{cluster_.epoch(), cluster_.last_token_counter()};
  if (token == Token() || tokens_.contains(token) || token <= last) return;
  world_.Fail(3, absl::StrCat("token ", Text(token), " left before it was durable"));
}

std::string Truth::DescribeLeftovers() const {
  std::string text;
  for (const auto& [key, record] : grants_) {
    absl::StrAppend(&text, " grant ", record.grant().name(), " ",
                    v1::GrantState_Name(record.grant().state()));
  }
  for (const auto& [id, scrub] : scrubs_) {
    absl::StrAppend(&text, " scrub ", id, " of ", scrub.record.extents(0).device(), " on \"",
                    scrub.record.host(), "\"");
  }
  for (const auto& [device, units] : bad_) {
    absl::StrAppend(&text, " bad ", device.ToString(), " ", units.size());
  }
  for (const auto& [name, record] : hosts_) {
    absl::StrAppend(&text, " host ", name, " ", v1::HostState_Name(record.host().state()));
  }
  for (const auto& [key, record] : attachments_) {
    absl::StrAppend(&text, " attachment ", key.first.ToString(), "/", key.second, " ",
                    v1::AttachmentState_Name(record.attachment().state()), " ",
                    record.attachment().detail());
  }
  return text;
}

}  // namespace weft::sim
