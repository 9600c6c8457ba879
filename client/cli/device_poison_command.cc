// weft device clear-poison.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/arguments.h"
#include "client/cli/command.h"
#include "client/cli/table.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/size_text.h"

namespace weft::cli {
namespace {

absl::StatusOr<v1::ByteRange> ParseRange(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  const absl::StatusOr<ByteCount> offset = ParseSize(parts[0]);
  const absl::StatusOr<ByteCount> length = ParseSize(parts.back());
  if (parts.size() != 2 || !offset.ok() || !length.ok()) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat("\"", text, "\" is no OFFSET:LENGTH"));
  }
  v1::ByteRange range;
  range.set_offset_bytes(offset->value());
  range.set_length_bytes(length->value());
  return range;
}

absl::Status Clear(Context& context, const std::string& text,
                   const std::vector<std::string>& ranges) {
  const absl::StatusOr<std::string> name = DeviceResource(text);
  if (!name.ok()) return name.status();
  v1::ClearPoisonRequest request;
  request.set_name(*name);
  for (const std::string& range_text : ranges) {
    const absl::StatusOr<v1::ByteRange> range = ParseRange(range_text);
    if (!range.ok()) return range.status();
    *request.add_ranges() = *range;
  }
  const absl::StatusOr<v1::Device> device =
      context.Call(&v1::DeviceService::Stub::ClearPoison, request);
  if (!device.ok()) return device.status();
  context.Print(*device, [](const v1::Device& device) {
    return absl::StrCat(ShortName(device.name()), ": ", Size(device.scrubbing_bytes()),
                        " being zeroed, ", Size(device.quarantined_bytes()), " quarantined\n");
  });
  return absl::OkStatus();
}

}  // namespace

void AddDeviceClearPoisonCommand(CommandLine& line, CLI::App* device) {
  struct Arguments {
    std::string device;
    std::vector<std::string> ranges;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb = AddVerb(
      line, device, "clear-poison", "Has memory that failed zeroed and used again",
      [=](Context& context) { return Clear(context, arguments->device, arguments->ranges); });
  verb->add_option("DEVICE", arguments->device, "Its UUID")->required();
  verb->add_option("--range", arguments->ranges,
                   "OFFSET:LENGTH on the device, instead of all; may be repeated");
}

}  // namespace weft::cli
