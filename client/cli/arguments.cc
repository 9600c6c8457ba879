#include "client/cli/arguments.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/core/errors.h"
#include "server/core/size_text.h"

namespace weft::cli {
namespace {

// `text` as it is if it is a full name already, else with the collection before it.
std::string Qualified(std::string_view collection, std::string_view text) {
  return text.starts_with(collection) ? std::string(text)
                                      : std::string(collection) + std::string(text);
}

}  // namespace

absl::StatusOr<std::string> PoolId(std::string_view text) {
  if (text.starts_with("pools/")) return ParsePoolName(text);
  if (absl::Status status = CheckId("pool", text); !status.ok()) return status;
  return std::string(text);
}

absl::StatusOr<std::string> PoolResource(std::string_view text) {
  const absl::StatusOr<std::string> id = PoolId(text);
  if (!id.ok()) return id.status();
  return FormatPoolName(*id);
}

absl::StatusOr<std::string> HostResource(std::string_view text) {
  const absl::StatusOr<std::string> host = ParseHostName(Qualified("hosts/", text));
  if (!host.ok()) return host.status();
  return FormatHostName(*host);
}

absl::StatusOr<std::string> DeviceResource(std::string_view text) {
  const absl::StatusOr<DeviceId> device = ParseDeviceName(Qualified("devices/", text));
  if (!device.ok()) return device.status();
  return FormatDeviceName(*device);
}

absl::StatusOr<SegmentName> SegmentArgument(std::string_view text) {
  return text.starts_with("pools/") ? ParseSegmentName(text) : ParseShortSegmentName(text);
}

absl::StatusOr<std::string> SegmentResource(std::string_view text) {
  const absl::StatusOr<SegmentName> name = SegmentArgument(text);
  if (!name.ok()) return name.status();
  return FormatSegmentName(*name);
}

absl::StatusOr<v1::Extent> ExtentArgument(std::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(text), ':');
  if (parts.size() != 3) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat("extent \"", std::string(text),
                                  "\" is not of the form <device UUID>:<offset>:<length>"));
  }
  const absl::StatusOr<std::string> device = DeviceResource(parts[0]);
  if (!device.ok()) return device.status();
  const absl::StatusOr<ByteCount> offset = ParseSize(parts[1]);
  if (!offset.ok()) return offset.status();
  const absl::StatusOr<ByteCount> length = ParseSize(parts[2]);
  if (!length.ok()) return length.status();
  v1::Extent extent;
  extent.set_device(*device);
  extent.set_offset_bytes(offset->value());
  extent.set_length_bytes(length->value());
  return extent;
}

std::string ShortName(std::string_view resource) {
  // Collections and ids take turns.
  const std::vector<std::string> parts = absl::StrSplit(std::string(resource), '/');
  std::vector<std::string> ids;
  for (size_t i = 1; i < parts.size(); i += 2) ids.push_back(parts[i]);
  return absl::StrJoin(ids, "/");
}

}  // namespace weft::cli
