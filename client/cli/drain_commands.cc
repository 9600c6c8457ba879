// weft host drain, undrain; weft device drain, undrain, remove.

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/arguments.h"
#include "client/cli/choices.h"
#include "client/cli/command.h"
#include "client/cli/table.h"
#include "client/cli/wait.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/grant.grpc.pb.h"
#include "proto/weft/v1/host.grpc.pb.h"
#include "proto/weft/v1/segment.grpc.pb.h"

namespace weft::cli {
namespace {

using DeviceStub = v1::DeviceService::Stub;
using HostStub = v1::HostService::Stub;

absl::StatusOr<std::vector<v1::Grant>> AllGrants(Context& context) {
  v1::ListGrantsRequest request;
  request.set_parent("pools/-/segments/-");
  return context.List(&v1::GrantService::Stub::ListGrants, request,
                      [](auto& page) { return page.mutable_grants(); });
}

// Calls `call` with a Request for the resource; prints nothing.
template <typename Request, typename Call>
auto CallFor(Context& context, const std::string& name, Call call) {
  Request request;
  request.set_name(name);
  return context.Call(call, request);
}

// What keeps a host from being empty.
std::string HostLeft(const v1::Host& host, const std::vector<v1::Grant>& grants) {
  Properties text;
  text.Add("host", ShortName(host.name()));
  text.Add("draining", host.draining() ? "yes" : "no");
  text.Add("grants", absl::StrCat(host.grants()));
  text.Add("scrubs", absl::StrCat(host.scrubs()));
  Table table({"SEGMENT", "MODE", "STATE"});
  for (const v1::Grant& grant : grants) {
    if (grant.host() != host.name()) continue;
    table.AddRow(
        {ShortName(grant.segment()), Choice(grant.mode()), Choice(grant.state(), "GRANT_")});
  }
  return absl::StrCat(text.ToString(), host.grants() > 0 ? "\n" + table.ToString() : "");
}

absl::Status PrintHostLeft(Context& context, const v1::Host& host) {
  const auto grants = AllGrants(context);
  if (!grants.ok()) return grants.status();
  context.Print(host, [&](const v1::Host& shown) { return HostLeft(shown, *grants); });
  return absl::OkStatus();
}

absl::Status DrainHost(Context& context, const std::string& text, bool wait) {
  const absl::StatusOr<std::string> name = HostResource(text);
  if (!name.ok()) return name.status();
  auto host = CallFor<v1::DrainHostRequest>(context, *name, &HostStub::DrainHost);
  if (!host.ok()) return host.status();
  if (wait) {
    const absl::Status waited = WaitUntil(
        context, absl::StrCat(text, " has let go of everything"), [&]() -> absl::StatusOr<bool> {
          host = CallFor<v1::GetHostRequest>(context, *name, &HostStub::GetHost);
          if (!host.ok()) return host.status();
          return host->grants() == 0 && host->scrubs() == 0;
        });
    if (!waited.ok()) return waited;
  }
  return PrintHostLeft(context, *host);
}

absl::Status UndrainHost(Context& context, const std::string& text) {
  const absl::StatusOr<std::string> name = HostResource(text);
  if (!name.ok()) return name.status();
  const auto host = CallFor<v1::UndrainHostRequest>(context, *name, &HostStub::UndrainHost);
  if (!host.ok()) return host.status();
  return PrintHostLeft(context, *host);
}

bool IsOn(const v1::Segment& segment, const std::string& device) {
  return std::any_of(segment.runs().begin(), segment.runs().end(), [&](const v1::Run& run) {
    return std::any_of(run.extents().begin(), run.extents().end(),
                       [&](const v1::Extent& extent) { return extent.device() == device; });
  });
}

// What keeps a device from being empty, with the hosts that hold it.
std::string DeviceLeft(const v1::Device& device, const std::vector<v1::Segment>& segments,
                       const std::vector<v1::Grant>& grants) {
  Properties text;
  text.Add("device", ShortName(device.name()));
  text.Add("state", Choice(device.state(), "DEVICE_"));
  text.Add("used", Size(device.used_bytes()));
  text.Add("scrubbing", Size(device.scrubbing_bytes()));
  std::map<std::string, std::vector<std::string>> holders;
  for (const v1::Grant& grant : grants) {
    holders[grant.segment()].push_back(ShortName(grant.host()));
  }
  Table table({"SEGMENT", "HELD BY"});
  for (const v1::Segment& segment : segments) {
    if (!IsOn(segment, device.name())) continue;
    table.AddRow({ShortName(segment.name()), absl::StrJoin(holders[segment.name()], ", ")});
  }
  return absl::StrCat(text.ToString(), device.used_bytes() > 0 ? "\n" + table.ToString() : "");
}

absl::Status PrintDeviceLeft(Context& context, const v1::Device& device) {
  const auto grants = AllGrants(context);
  if (!grants.ok()) return grants.status();
  v1::ListSegmentsRequest request;
  request.set_parent("pools/-");
  const auto segments = context.List(&v1::SegmentService::Stub::ListSegments, request,
                                     [](auto& page) { return page.mutable_segments(); });
  if (!segments.ok()) return segments.status();
  context.Print(device,
                [&](const v1::Device& shown) { return DeviceLeft(shown, *segments, *grants); });
  return absl::OkStatus();
}

absl::Status DrainDevice(Context& context, const std::string& text, bool wait) {
  const absl::StatusOr<std::string> name = DeviceResource(text);
  if (!name.ok()) return name.status();
  auto device = CallFor<v1::DrainDeviceRequest>(context, *name, &DeviceStub::DrainDevice);
  if (!device.ok()) return device.status();
  if (wait) {
    const absl::Status waited = WaitUntil(
        context, absl::StrCat("device ", text, " is empty"), [&]() -> absl::StatusOr<bool> {
          device = CallFor<v1::GetDeviceRequest>(context, *name, &DeviceStub::GetDevice);
          if (!device.ok()) return device.status();
          return device->used_bytes() == 0 && device->scrubbing_bytes() == 0;
        });
    if (!waited.ok()) return waited;
  }
  return PrintDeviceLeft(context, *device);
}

template <typename Request, typename Call>
absl::Status ChangeDevice(Context& context, const std::string& text, Call call) {
  const absl::StatusOr<std::string> name = DeviceResource(text);
  if (!name.ok()) return name.status();
  const auto device = CallFor<Request>(context, *name, call);
  if (!device.ok()) return device.status();
  return PrintDeviceLeft(context, *device);
}

}  // namespace

void AddHostDrainCommands(CommandLine& line, CLI::App* noun) {
  const auto wait = std::make_shared<bool>(false);
  AddVerbFor(
      line, noun, "drain", "Takes a host's grants back politely, and gives it no more", "HOST",
      [=](Context& context, const std::string& text) { return DrainHost(context, text, *wait); })
      ->add_flag("--wait", *wait, "Wait until the host has let go of everything");
  AddVerbFor(line, noun, "undrain", "Ends that", "HOST", UndrainHost);
}

void AddDeviceDrainCommands(CommandLine& line, CLI::App* noun) {
  const auto wait = std::make_shared<bool>(false);
  AddVerbFor(
      line, noun, "drain", "Puts nothing new on a device, and says what is there", "DEVICE",
      [=](Context& context, const std::string& text) { return DrainDevice(context, text, *wait); })
      ->add_flag("--wait", *wait, "Wait until nothing is on the device");
  AddVerbFor(
      line, noun, "undrain", "Ends that", "DEVICE", [](Context& context, const std::string& text) {
        return ChangeDevice<v1::UndrainDeviceRequest>(context, text, &DeviceStub::UndrainDevice);
      });
  AddVerbFor(line, noun, "remove", "Takes a drained, empty device out of its pool", "DEVICE",
             [](Context& context, const std::string& text) {
               return ChangeDevice<v1::RemoveDeviceRequest>(context, text,
                                                            &DeviceStub::RemoveDevice);
             });
}

}  // namespace weft::cli
