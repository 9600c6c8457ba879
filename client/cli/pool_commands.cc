// weft pool ...

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/arguments.h"
#include "client/cli/choices.h"
#include "client/cli/command.h"
#include "client/cli/table.h"
#include "client/cli/wait.h"
#include "proto/weft/v1/pool.grpc.pb.h"

namespace weft::cli {
namespace {

using Stub = v1::PoolService::Stub;

std::string PoolText(const v1::Pool& pool) {
  const v1::Usage& usage = pool.usage();
  Properties text;
  text.Add("pool", ShortName(pool.name()));
  text.Add("uuid", pool.uuid());
  text.Add("placement", Choice(pool.default_placement()));
  text.Add("fencing", Choice(pool.fencing()));
  text.Add("revoke grace", absl::FormatDuration(absl::Milliseconds(pool.revoke_grace_ms())));
  text.Add("devices", absl::StrCat(usage.devices()));
  text.Add("segments", absl::StrCat(usage.segments()));
  text.Add("capacity", Size(usage.capacity_bytes()));
  text.Add("free",
           absl::StrCat(Size(usage.free_bytes()), " in ", Count(usage.free_extents(), "extent"),
                        ", the largest ", Size(usage.largest_free_bytes())));
  text.Add("used", Size(usage.used_bytes()));
  text.Add("scrubbing", Size(usage.scrubbing_bytes()));
  text.Add("quarantined", Size(usage.quarantined_bytes()));
  return text.ToString();
}

struct CreateArguments {
  std::string pool;
  std::vector<std::string> devices;
  v1::Placement placement = v1::PLACEMENT_UNSPECIFIED;
  v1::FencingPolicy fencing = v1::FENCING_POLICY_UNSPECIFIED;
  std::string revoke_grace = "0";
  bool wait = false;
};

// Prints the pool as it is, after waiting for it if asked to.
absl::Status PrintPool(Context& context, const std::string& name, bool wait) {
  if (wait) {
    if (absl::Status status = WaitForPool(context, name); !status.ok()) return status;
  }
  v1::GetPoolRequest request;
  request.set_name(name);
  const absl::StatusOr<v1::Pool> pool = context.Call(&Stub::GetPool, request);
  if (!pool.ok()) return pool.status();
  context.Print(*pool, PoolText);
  return absl::OkStatus();
}

absl::Status Create(Context& context, const CreateArguments& arguments) {
  const absl::StatusOr<std::string> id = PoolId(arguments.pool);
  if (!id.ok()) return id.status();
  v1::CreatePoolRequest request;
  request.set_pool_id(*id);
  for (const std::string& text : arguments.devices) {
    const absl::StatusOr<std::string> device = DeviceResource(text);
    if (!device.ok()) return device.status();
    request.add_devices(*device);
  }
  absl::Duration grace;
  absl::ParseDuration(arguments.revoke_grace, &grace);
  request.mutable_pool()->set_default_placement(arguments.placement);
  request.mutable_pool()->set_fencing(arguments.fencing);
  request.mutable_pool()->set_revoke_grace_ms(
      static_cast<uint32_t>(absl::ToInt64Milliseconds(grace)));
  const absl::StatusOr<v1::Pool> pool = context.Call(&Stub::CreatePool, request);
  if (!pool.ok()) return pool.status();
  return PrintPool(context, pool->name(), arguments.wait);
}

std::string PoolTable(const std::vector<v1::Pool>& pools) {
  Table table({"POOL", ">DEVICES", ">SEGMENTS", ">CAPACITY", ">FREE", ">USED", ">SCRUBBING"});
  for (const v1::Pool& pool : pools) {
    const v1::Usage& usage = pool.usage();
    table.AddRow({ShortName(pool.name()), absl::StrCat(usage.devices()),
                  absl::StrCat(usage.segments()), Size(usage.capacity_bytes()),
                  Size(usage.free_bytes()), Size(usage.used_bytes()),
                  Size(usage.scrubbing_bytes())});
  }
  return table.ToString();
}

absl::Status List(Context& context) {
  const auto pools = context.List(&Stub::ListPools, v1::ListPoolsRequest(),
                                  [](auto& page) { return page.mutable_pools(); });
  if (!pools.ok()) return pools.status();
  context.Print(*pools, PoolTable);
  return absl::OkStatus();
}

absl::Status Show(Context& context, const std::string& text) {
  const absl::StatusOr<std::string> name = PoolResource(text);
  if (!name.ok()) return name.status();
  return PrintPool(context, *name, /*wait=*/false);
}

absl::Status Delete(Context& context, const std::string& text) {
  const absl::StatusOr<std::string> name = PoolResource(text);
  if (!name.ok()) return name.status();
  v1::DeletePoolRequest request;
  request.set_name(*name);
  const auto deleted = context.Call(&Stub::DeletePool, request);
  if (!deleted.ok()) return deleted.status();
  context.Print(*deleted,
                [&](const auto&) { return absl::StrCat("deleted pool ", ShortName(*name), "\n"); });
  return absl::OkStatus();
}

absl::Status AddDevice(Context& context, const std::string& pool_text,
                       const std::string& device_text, bool wait) {
  const absl::StatusOr<std::string> name = PoolResource(pool_text);
  if (!name.ok()) return name.status();
  const absl::StatusOr<std::string> device = DeviceResource(device_text);
  if (!device.ok()) return device.status();
  v1::AddDeviceRequest request;
  request.set_pool(*name);
  request.set_device(*device);
  const absl::StatusOr<v1::Pool> pool = context.Call(&Stub::AddDevice, request);
  if (!pool.ok()) return pool.status();
  return PrintPool(context, *name, wait);
}

constexpr char kWaitHelp[] = "Wait until all bytes of the pool are zeroed and can be allocated";

void AddCreate(CommandLine& line, CLI::App* noun) {
  const auto arguments = std::make_shared<CreateArguments>();
  CLI::App* const verb = AddVerb(line, noun, "create", "Makes a pool of formatted devices",
                                 [=](Context& context) { return Create(context, *arguments); });
  verb->add_option("POOL", arguments->pool, "Its name")->required();
  verb->add_option("DEVICE", arguments->devices, "UUIDs of devices that no pool has");
  AddChoice(verb, "--placement", arguments->placement,
            "Where segments go that do not say (default pack)");
  AddChoice(verb, "--fencing", arguments->fencing,
            "What must be over before a silent host's bytes change hands (default lease)");
  verb->add_option("--revoke-grace", arguments->revoke_grace,
                   "How long holders have to let go before they are forced to")
      ->check(kDurationToAnHour)
      ->capture_default_str();
  verb->add_flag("--wait", arguments->wait, kWaitHelp);
}

void AddAddDevice(CommandLine& line, CLI::App* noun) {
  struct Arguments {
    std::string pool, device;
    bool wait = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb =
      AddVerb(line, noun, "add-device", "Adds a formatted device to a pool", [=](Context& context) {
        return AddDevice(context, arguments->pool, arguments->device, arguments->wait);
      });
  verb->add_option("POOL", arguments->pool)->required();
  verb->add_option("DEVICE", arguments->device, "The UUID of a device that no pool has")
      ->required();
  verb->add_flag("--wait", arguments->wait, kWaitHelp);
}

}  // namespace

void AddPoolCommands(CommandLine& line) {
  CLI::App* const noun = AddNoun(line, "pool", "Named sets of devices with one policy");
  AddCreate(line, noun);
  AddVerb(line, noun, "list", "Lists all pools", [](Context& context) { return List(context); });
  AddVerbFor(line, noun, "show", "Shows a pool and its bytes by state", "POOL", Show);
  AddVerbFor(line, noun, "delete", "Deletes a pool without segments", "POOL", Delete);
  AddAddDevice(line, noun);
}

}  // namespace weft::cli
