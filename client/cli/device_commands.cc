// weft device ...

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/arguments.h"
#include "client/cli/bad_ranges.h"
#include "client/cli/choices.h"
#include "client/cli/command.h"
#include "client/cli/device_moves.h"
#include "client/cli/table.h"
#include "client/cli/wait.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/node.grpc.pb.h"

namespace weft::cli {
namespace {

using Stub = v1::DeviceService::Stub;
using NodeStub = v1::NodeService::Stub;

std::string NumaNode(int32_t node) { return node < 0 ? "" : absl::StrCat(node); }

// The hosts that have proved that they see it; others with their state.
std::string HostsOf(const v1::Device& device) {
  std::vector<std::string> hosts;
  for (const v1::Attachment& attachment : device.attachments()) {
    std::string host = ShortName(attachment.host());
    if (attachment.state() != v1::ATTACHMENT_ATTACHED) {
      absl::StrAppend(&host, " (", Choice(attachment.state(), "ATTACHMENT_"), ")");
    }
    hosts.push_back(std::move(host));
  }
  return absl::StrJoin(hosts, ", ");
}

std::string DeviceText(const v1::Device& device) {
  Properties text;
  text.Add("device", ShortName(device.name()));
  text.Add("pool", ShortName(device.pool()));
  if (!device.foreign_pool_uuid().empty()) text.Add("foreign pool", device.foreign_pool_uuid());
  text.Add("state", DeviceStateText(device));
  if (device.recovering()) text.Add("in recovery", "yes: see weft status");
  text.Add("capacity", Size(device.capacity_bytes()));
  text.Add("data area", absl::StrCat(Size(device.data_bytes()), " from offset ",
                                     Size(device.data_offset_bytes())));
  text.Add("alignment", Size(device.alignment_bytes()));
  text.Add("coherence", Choice(device.coherence()));
  text.Add("power epoch", absl::StrCat(device.power_epoch()));
  text.Add("free", Size(device.free_bytes()));
  text.Add("used", Size(device.used_bytes()));
  text.Add("scrubbing", Size(device.scrubbing_bytes()));
  text.Add("quarantined", Size(device.quarantined_bytes()));

  Table table({"HOST", "STATE", "DEVICE", "PATH", ">NUMA", "DETAIL"});
  for (const v1::Attachment& attachment : device.attachments()) {
    table.AddRow({ShortName(attachment.host()), Choice(attachment.state(), "ATTACHMENT_"),
                  attachment.dax_name(), attachment.path(), NumaNode(attachment.numa_node()),
                  attachment.detail()});
  }
  return absl::StrCat(text.ToString(), "\n", table.ToString(), BadRangesText(device.bad_ranges()));
}

std::string DeviceTable(const std::vector<v1::Device>& devices) {
  Table table({"DEVICE", "POOL", "STATE", ">CAPACITY", ">FREE", ">USED", ">SCRUBBING", "HOSTS"});
  for (const v1::Device& device : devices) {
    table.AddRow({ShortName(device.name()), ShortName(device.pool()), DeviceStateText(device),
                  Size(device.capacity_bytes()), Size(device.free_bytes()),
                  Size(device.used_bytes()), Size(device.scrubbing_bytes()), HostsOf(device)});
  }
  return table.ToString();
}

std::string LocalDeviceTable(const std::vector<v1::LocalDeviceInfo>& devices) {
  Table table({"DEVICE", "PATH", ">CAPACITY", ">ALIGNMENT", ">NUMA", "UUID", "SKIPPED"});
  for (const v1::LocalDeviceInfo& device : devices) {
    table.AddRow({device.dax_name(), device.path(), Size(device.capacity_bytes()),
                  Size(device.alignment_bytes()), NumaNode(device.numa_node()), device.uuid(),
                  device.skipped()});
  }
  return table.ToString();
}

absl::Status List(Context& context) {
  const auto devices = context.List(&Stub::ListDevices, v1::ListDevicesRequest(),
                                    [](auto& page) { return page.mutable_devices(); });
  if (!devices.ok()) return devices.status();
  context.Print(*devices, DeviceTable);
  return absl::OkStatus();
}

absl::Status ListLocal(Context& context) {
  const absl::StatusOr<sdk::RpcClient*> daemon = context.LocalDaemon();
  if (!daemon.ok()) return daemon.status();
  const auto reply = (*daemon)->Call(&NodeStub::ListLocalDevices, v1::ListLocalDevicesRequest());
  if (!reply.ok()) return reply.status();
  const std::vector<v1::LocalDeviceInfo> devices(reply->devices().begin(), reply->devices().end());
  context.Print(devices, LocalDeviceTable);
  return absl::OkStatus();
}

absl::Status Show(Context& context, const std::string& text) {
  const absl::StatusOr<std::string> name = DeviceResource(text);
  if (!name.ok()) return name.status();
  v1::GetDeviceRequest request;
  request.set_name(*name);
  const absl::StatusOr<v1::Device> device = context.Call(&Stub::GetDevice, request);
  if (!device.ok()) return device.status();
  return PrintWithMoves(context, *device, DeviceText);
}

absl::Status Format(Context& context, const std::string& device, bool force, bool wait) {
  const absl::StatusOr<sdk::RpcClient*> daemon = context.LocalDaemon();
  if (!daemon.ok()) return daemon.status();
  v1::FormatDeviceRequest request;
  request.set_device(device);
  request.set_force(force);
  const absl::StatusOr<v1::LocalDeviceInfo> info =
      (*daemon)->Call(&NodeStub::FormatDevice, request);
  if (!info.ok()) return info.status();
  if (wait) {
    const absl::Status status = WaitForDevice(context, absl::StrCat("devices/", info->uuid()));
    if (!status.ok()) return status;
  }
  context.Print(*info, [](const v1::LocalDeviceInfo& info) {
    return absl::StrCat("formatted ", info.dax_name(), ", ", Size(info.capacity_bytes()),
                        ": device ", info.uuid(), "\n");
  });
  return absl::OkStatus();
}

void AddList(CommandLine& line, CLI::App* noun) {
  const auto local = std::make_shared<bool>(false);
  CLI::App* const verb =
      AddVerb(line, noun, "list", "Lists the devices that the coordinator knows",
              [=](Context& context) { return *local ? ListLocal(context) : List(context); });
  verb->add_flag("--local", *local,
                 "List this host's devices instead, with why Weft does not use one");
}

void AddFormat(CommandLine& line, CLI::App* noun) {
  struct Arguments {
    std::string device;
    bool force = false, wait = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb =
      AddVerb(line, noun, "format", "Labels a device of this host; what it held is lost",
              [=](Context& context) {
                return Format(context, arguments->device, arguments->force, arguments->wait);
              });
  verb->add_option("DEVICE", arguments->device, "Its name on this host, dax0.0, or its path")
      ->required();
  verb->add_flag("--force", arguments->force,
                 "Format a device that holds a label, a famfs or a file system");
  verb->add_flag("--wait", arguments->wait, "Wait until pools can have it");
}

absl::Status Release(Context& context, const std::string& device, bool undo) {
  const absl::StatusOr<sdk::RpcClient*> daemon = context.LocalDaemon();
  if (!daemon.ok()) return daemon.status();
  v1::ReleaseDeviceRequest request;
  request.set_device(device);
  request.set_undo(undo);
  const absl::StatusOr<v1::LocalDeviceInfo> info =
      (*daemon)->Call(&NodeStub::ReleaseDevice, request);
  if (!info.ok()) return info.status();
  context.Print(*info, [undo](const v1::LocalDeviceInfo& info) {
    return absl::StrCat(undo ? "took " : "gave back ", info.dax_name(), "\n");
  });
  return absl::OkStatus();
}

void AddRelease(CommandLine& line, CLI::App* noun) {
  struct Arguments {
    std::string device;
    bool undo = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb = AddVerb(
      line, noun, "release", "Gives a device of this host back to the driver it had before Weft",
      [=](Context& context) { return Release(context, arguments->device, arguments->undo); });
  verb->add_option("DEVICE", arguments->device, "Its name on this host, dax0.0, or its path")
      ->required();
  verb->add_flag("--undo", arguments->undo, "Have weftd take it again");
}

}  // namespace

void AddDeviceCommands(CommandLine& line) {
  CLI::App* const noun = AddNoun(line, "device", "Pieces of fabric memory");
  AddList(line, noun);
  AddVerbFor(line, noun, "show", "Shows a device and the hosts that see it", "DEVICE", Show);
  AddFormat(line, noun);
  AddRelease(line, noun);
  AddDeviceClaimCommand(line, noun);
  AddDeviceClearPoisonCommand(line, noun);
  AddDeviceDrainCommands(line, noun);
}

}  // namespace weft::cli
