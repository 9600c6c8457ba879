// Who may touch what, of Truth: invariant 2, and what clients read of others.

#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/core/token_proto.h"
#include "tests/sim/token_text.h"
#include "tests/sim/truth.h"

namespace weft::sim {
namespace {

constexpr uint64_t kLinesPerUnit = kExtentUnit.value() / kLineBytes;

}  // namespace

const Truth::Owner* Truth::OwnerOf(const Memory& memory, uint64_t line) const {
  const auto device = device_of_.find(memory.number());
  if (device == device_of_.end()) return nullptr;
  const auto units = units_.find(device->second);
  static constexpr Owner kNone;
  const uint64_t unit = line / kLinesPerUnit;
  if (units == units_.end() || unit >= units->second.size()) return &kNone;
  return &units->second[unit];
}

std::string Truth::Describe(const Memory& memory, uint64_t line) const {
  const Owner* const owner = OwnerOf(memory, line);
  const std::string place =
      absl::StrCat("line ", line, " (unit ", line / kLinesPerUnit, ") of memory ", memory.number());
  if (owner == nullptr) return absl::StrCat(place, ", which is no device's");
  switch (owner->kind) {
    case Owner::Kind::kNobody:
      return absl::StrCat(place, ", which is nobody's");
    case Owner::Kind::kSegment:
      return absl::StrCat(place, " of segment ", owner->id);
    case Owner::Kind::kQuarantine:
      return absl::StrCat(place, ", which is in quarantine");
    case Owner::Kind::kScrub:
      break;
  }
  return absl::StrCat(place, " of scrub ", owner->id, " on \"", scrubs_.at(owner->id).record.host(),
                      "\"");
}

std::string Truth::WhyNot(const Writer& writer, bool write) const {
  const GrantId id{writer.segment, writer.host};
  const auto since = holdings_.find(id);
  if (since == holdings_.end()) return "which it does not hold";
  const v1::Grant& held = grants_.at(id).grant();
  if (writer.token < since->second) {
    return absl::StrCat("which it lost, and holds again since token ", Text(since->second));
  }
  if (FromProto(held.token()) < writer.token) {
    return absl::StrCat("which it holds under the older token ", Text(FromProto(held.token())));
  }
  return write && held.mode() != v1::READ_WRITE ? "which it holds to read only" : "";
}

void Truth::JudgeClient(const Memory& memory, const Writer& writer, uint64_t line, bool write) {
  const Owner* const owner = OwnerOf(memory, line);
  const bool own = owner != nullptr && owner->kind == Owner::Kind::kSegment &&
                   owner->id == writer.segment.value();
  const std::string why = own ? WhyNot(writer, write) : "which is not the segment's";
  if (why.empty()) return;
  const char* const verb = writer.kind == Writer::Kind::kWriteBack ? " writes back to "
                           : write                                 ? " writes to "
                                                                   : " reads ";
  world_.Fail(2, absl::StrCat(writer.host, " for segment ", writer.segment.value(), " under token ",
                              Text(writer.token), verb, Describe(memory, line), ", ", why));
}

void Truth::JudgeScrub(const Memory& memory, const Writer& writer, uint64_t first, uint64_t last) {
  for (uint64_t line = first; line < last; line += kLinesPerUnit) {
    const Owner* const owner = OwnerOf(memory, line);
    if (owner == nullptr) continue;  // a copy: of no one's concern
    std::string why = "which is no scrub of it";
    if (owner->kind == Owner::Kind::kScrub) {
      const Scrub& scrub = scrubs_.at(owner->id);
      const Token now = FromProto(scrub.record.token());
      const bool its = scrub.record.host() == writer.host;
      if (its && scrub.since <= writer.token && writer.token <= now) continue;
      if (its) why = absl::StrCat("which it has since token ", Text(scrub.since));
    }
    world_.Fail(2, absl::StrCat(writer.host, " zeroes under token ", Text(writer.token), " ",
                                Describe(memory, line), ", ", why));
  }
}

void Truth::OnWrite(const Memory& memory, const Writer& writer, uint64_t first, uint64_t last) {
  switch (writer.kind) {
    case Writer::Kind::kClient:
    case Writer::Kind::kWriteBack:
      for (uint64_t line = first; line < last; ++line) JudgeClient(memory, writer, line, true);
      break;
    case Writer::Kind::kScrub:
      JudgeScrub(memory, writer, first, last);
      break;
    case Writer::Kind::kDaemon: {
      const uint64_t end = memory.size().value() / kLineBytes;
      if (last > kLinesPerUnit && first < end - kLinesPerUnit) {
        world_.Fail(2, absl::StrCat(writer.host, "'s daemon writes to ", Describe(memory, first)));
      }
      break;
    }
  }
}

void Truth::OnRead(const Memory& memory, const Writer& reader, uint64_t line, const Line& value) {
  JudgeClient(memory, reader, line, false);
  uint64_t stamp = 0;
  std::memcpy(&stamp, value.data(), sizeof(stamp));
  if (stamp != 0 && OriginOf(SegmentId(stamp)) != OriginOf(reader.segment)) {
    world_.Fail(5,
                absl::StrCat(reader.host, " reads in segment ", reader.segment.value(),
                             " what was written to segment ", stamp, ": ", Describe(memory, line)));
  }
}

}  // namespace weft::sim
