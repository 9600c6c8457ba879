#include "server/core/names.h"

#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {
namespace {

constexpr std::string_view kPools = "pools/";
constexpr std::string_view kSegments = "/segments/";
constexpr std::string_view kHosts = "hosts/";
constexpr std::string_view kDevices = "devices/";
// Names come from anyone; a message repeats no more of one than this.
constexpr size_t kMaxQuoted = 80;

absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

std::string Quote(std::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(ToAbsl(text.substr(0, kMaxQuoted))),
                      text.size() > kMaxQuoted ? "...\"" : "\"");
}

absl::Status BadName(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_NAME, message);
}

absl::Status BadForm(std::string_view name, std::string_view form, std::string_view example) {
  return BadName(
      absl::StrCat(Quote(name), " is not of the form ", ToAbsl(form), ", as in ", ToAbsl(example)));
}

bool IsAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsIdCharacter(char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; }

// What is wrong with `id`, or empty.
std::string ProblemOf(std::string_view id) {
  if (id.empty()) return "is empty";
  if (id.size() > kMaxIdLength) {
    return absl::StrCat("has ", id.size(), " characters, more than ", kMaxIdLength);
  }
  for (const char c : id) {
    if (!IsIdCharacter(c)) {
      return absl::StrCat("has the character ", Quote({&c, 1}), ", not one of a-z 0-9 . _ -");
    }
  }
  if (!IsAlphanumeric(id.front())) return "does not start with one of a-z 0-9";
  if (!IsAlphanumeric(id.back())) return "does not end with one of a-z 0-9";
  return "";
}

// What follows `prefix` in `name`.
std::optional<std::string_view> After(std::string_view prefix, std::string_view name) {
  if (name.substr(0, prefix.size()) != prefix) return std::nullopt;
  return name.substr(prefix.size());
}

absl::StatusOr<std::string> CheckedId(std::string_view kind, std::string_view id) {
  if (absl::Status status = CheckId(kind, id); !status.ok()) return status;
  return std::string(id);
}

// The ids around the first `separator` in `text`.
absl::StatusOr<SegmentName> Split(std::string_view text, std::string_view separator,
                                  const absl::Status& without_separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return without_separator;
  SegmentName name{std::string(text.substr(0, at)),
                   std::string(text.substr(at + separator.size()))};
  if (absl::Status status = CheckId("pool", name.pool); !status.ok()) return status;
  if (absl::Status status = CheckId("segment", name.segment); !status.ok()) return status;
  return name;
}

}  // namespace

absl::Status CheckId(std::string_view kind, std::string_view id) {
  const std::string problem = ProblemOf(id);
  if (problem.empty()) return absl::OkStatus();
  return BadName(absl::StrCat("the ", ToAbsl(kind), " id ", Quote(id), " ", problem,
                              ": choose one such as \"", ToAbsl(kind), "-1\""));
}

absl::StatusOr<std::string> ParsePoolName(std::string_view name) {
  const auto id = After(kPools, name);
  if (!id) return BadForm(name, "pools/<pool>", "pools/fast");
  return CheckedId("pool", *id);
}

absl::StatusOr<SegmentName> ParseSegmentName(std::string_view name) {
  const absl::Status bad_form =
      BadForm(name, "pools/<pool>/segments/<segment>", "pools/fast/segments/cache");
  const auto ids = After(kPools, name);
  if (!ids) return bad_form;
  return Split(*ids, kSegments, bad_form);
}

absl::StatusOr<std::string> ParseHostName(std::string_view name) {
  const auto id = After(kHosts, name);
  if (!id) return BadForm(name, "hosts/<host>", "hosts/host-a");
  return CheckedId("host", *id);
}

absl::StatusOr<DeviceId> ParseDeviceName(std::string_view name) {
  if (const auto id = After(kDevices, name)) {
    if (const auto uuid = Uuid::Parse(*id); uuid.ok()) return *uuid;
  }
  return BadForm(name, "devices/<uuid>", "devices/6f1c0f6e-4d0e-4c57-9d4b-0d8c5a1f2e3b");
}

absl::StatusOr<SegmentName> ParseShortSegmentName(std::string_view name) {
  return Split(name, "/", BadForm(name, "<pool>/<segment>", "fast/cache"));
}

std::string FormatPoolName(std::string_view pool) {
  return absl::StrCat(ToAbsl(kPools), ToAbsl(pool));
}

std::string FormatSegmentName(const SegmentName& name) {
  return absl::StrCat(ToAbsl(kPools), name.pool, ToAbsl(kSegments), name.segment);
}

std::string FormatHostName(std::string_view host) {
  return absl::StrCat(ToAbsl(kHosts), ToAbsl(host));
}

std::string FormatDeviceName(const DeviceId& device) {
  return absl::StrCat(ToAbsl(kDevices), device.ToString());
}

}  // namespace weft
