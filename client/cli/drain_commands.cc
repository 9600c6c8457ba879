// weft host drain, undrain; weft device drain, undrain, remove.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/arguments.h"
#include "client/cli/choices.h"
#include "client/cli/command.h"
#include "client/cli/device_moves.h"
#include "client/cli/table.h"
#include "client/cli/wait.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/grant.grpc.pb.h"
#include "proto/weft/v1/host.grpc.pb.h"
#include "server/core/errors.h"

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

// Of a drain that was waited for.
absl::Status Undrained(const std::string& name) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE,
                   absl::StrCat(name, " is not drained: somebody has ended its drain"));
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
          return !host->draining() || (host->grants() == 0 && host->scrubs() == 0);
        });
    if (!waited.ok()) return waited;
    if (!host->draining()) return Undrained(*name);
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

// How far a device is from being empty.
std::string DeviceLeft(const v1::Device& device) {
  Properties text;
  text.Add("device", ShortName(device.name()));
  text.Add("state", DeviceStateText(device));
  text.Add("used", Size(device.used_bytes()));
  text.Add("scrubbing", Size(device.scrubbing_bytes()));
  return text.ToString();
}

absl::Status DrainDevice(Context& context, const std::string& text, bool revoke, bool wait) {
  const absl::StatusOr<std::string> name = DeviceResource(text);
  if (!name.ok()) return name.status();
  v1::DrainDeviceRequest request;
  request.set_name(*name);
  request.set_revoke(revoke);
  absl::StatusOr<v1::Device> device = context.Call(&DeviceStub::DrainDevice, request);
  if (!device.ok()) return device.status();
  if (wait) {
    const absl::Status waited = WaitUntil(
        context, absl::StrCat("device ", text, " is empty"), [&]() -> absl::StatusOr<bool> {
          device = CallFor<v1::GetDeviceRequest>(context, *name, &DeviceStub::GetDevice);
          if (!device.ok()) return device.status();
          return device->drained() || device->state() != v1::DEVICE_DRAINING;
        });
    if (!waited.ok()) return waited;
    // One that is in no pool was drained before it was removed.
    if (!device->drained() && !device->pool().empty()) return Undrained(*name);
  }
  return PrintWithMoves(context, *device, DeviceLeft);
}

template <typename Request, typename Call>
absl::Status ChangeDevice(Context& context, const std::string& text, Call call) {
  const absl::StatusOr<std::string> name = DeviceResource(text);
  if (!name.ok()) return name.status();
  const auto device = CallFor<Request>(context, *name, call);
  if (!device.ok()) return device.status();
  return PrintWithMoves(context, *device, DeviceLeft);
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
  const auto revoke = std::make_shared<bool>(false);
  const auto wait = std::make_shared<bool>(false);
  CLI::App* const drain = AddVerbFor(
      line, noun, "drain", "Moves what is on a device to others, and puts nothing new there",
      "DEVICE", [=](Context& context, const std::string& text) {
        return DrainDevice(context, text, *revoke, *wait);
      });
  drain->add_flag("--revoke", *revoke, "Ask those who hold segments there to let go of them");
  drain->add_flag("--wait", *wait, "Wait until nothing is on the device");
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
