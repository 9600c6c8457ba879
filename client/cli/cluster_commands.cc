// weft grant, host and status.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/arguments.h"
#include "client/cli/choices.h"
#include "client/cli/command.h"
#include "client/cli/table.h"
#include "client/cli/wait.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "proto/weft/v1/grant.grpc.pb.h"
#include "proto/weft/v1/host.grpc.pb.h"

namespace weft::cli {
namespace {

std::string Millis(uint64_t ms) { return absl::FormatDuration(absl::Milliseconds(ms)); }

std::string GrantTable(const std::vector<v1::Grant>& grants) {
  Table table({"SEGMENT", "HOST", "MODE", "STATE", "TOKEN"});
  for (const v1::Grant& grant : grants) {
    table.AddRow({ShortName(grant.segment()), ShortName(grant.host()), Choice(grant.mode()),
                  Choice(grant.state(), "GRANT_"),
                  absl::StrCat(grant.token().epoch(), ".", grant.token().counter())});
  }
  return table.ToString();
}

absl::Status ListGrants(Context& context, const std::string& segment) {
  v1::ListGrantsRequest request;
  request.set_parent("pools/-/segments/-");
  if (!segment.empty()) {
    const absl::StatusOr<std::string> parent = SegmentResource(segment);
    if (!parent.ok()) return parent.status();
    request.set_parent(*parent);
  }
  const auto grants = context.List(&v1::GrantService::Stub::ListGrants, request,
                                   [](auto& page) { return page.mutable_grants(); });
  if (!grants.ok()) return grants.status();
  context.Print(*grants, GrantTable);
  return absl::OkStatus();
}

std::string HostText(const v1::Host& host) {
  Properties text;
  text.Add("host", ShortName(host.name()));
  text.Add("state", Choice(host.state(), "HOST_"));
  text.Add("backend", Choice(host.backend()));
  text.Add("can revoke", host.can_revoke() ? "yes" : "no");
  text.Add("lease", Millis(host.ttl_ms()));
  text.Add("revoke bound", Millis(host.revoke_bound_ms()));
  text.Add("last renewal", absl::StrCat(Millis(host.renewal_age_ms()), " ago"));
  text.Add("grants", absl::StrCat(host.grants()));
  text.Add("session", host.session_id());
  text.Add("boot id", host.boot_id());
  text.Add("weftd", host.weftd_version());
  text.Add("metrics", host.metrics_address());
  text.Add("draining", host.draining() ? "yes" : "no");
  if (host.has_fence() && host.fence().failures() > 0) {
    text.Add("fence failures", absl::StrCat(host.fence().failures()));
    text.Add("last of them", host.fence().last_error());
  }
  return text.ToString();
}

std::string StateText(const v1::Host& host) {
  return absl::StrCat(Choice(host.state(), "HOST_"), host.draining() ? ", draining" : "");
}

std::string HostTable(const std::vector<v1::Host>& hosts) {
  Table table({"HOST", "STATE", "BACKEND", ">LEASE", ">RENEWED", ">GRANTS", "WEFTD", "METRICS"});
  for (const v1::Host& host : hosts) {
    table.AddRow({ShortName(host.name()), StateText(host), Choice(host.backend()),
                  Millis(host.ttl_ms()), absl::StrCat(Millis(host.renewal_age_ms()), " ago"),
                  absl::StrCat(host.grants()), host.weftd_version(), host.metrics_address()});
  }
  return table.ToString();
}

absl::Status ListHosts(Context& context) {
  const auto hosts = context.List(&v1::HostService::Stub::ListHosts, v1::ListHostsRequest(),
                                  [](auto& page) { return page.mutable_hosts(); });
  if (!hosts.ok()) return hosts.status();
  context.Print(*hosts, HostTable);
  return absl::OkStatus();
}

absl::StatusOr<v1::Host> GetHost(Context& context, const std::string& name) {
  v1::GetHostRequest request;
  request.set_name(name);
  return context.Call(&v1::HostService::Stub::GetHost, request);
}

absl::Status ShowHost(Context& context, const std::string& text) {
  const absl::StatusOr<std::string> name = HostResource(text);
  if (!name.ok()) return name.status();
  const absl::StatusOr<v1::Host> host = GetHost(context, *name);
  if (!host.ok()) return host.status();
  context.Print(*host, HostText);
  return absl::OkStatus();
}

struct FenceOptions {
  bool confirmed = false;
  bool force = false;
  bool wait = false;
};

absl::Status FenceHost(Context& context, const std::string& text, const FenceOptions& options) {
  const absl::StatusOr<std::string> name = HostResource(text);
  if (!name.ok()) return name.status();
  v1::FenceHostRequest request;
  request.set_name(*name);
  request.set_confirm_powered_off(options.confirmed);
  request.set_force(options.force);
  absl::StatusOr<v1::Host> host = context.Call(&v1::HostService::Stub::FenceHost, request);
  if (!host.ok()) return host.status();
  if (options.wait) {
    const absl::Status waited =
        WaitUntil(context, absl::StrCat("the fence agent of ", text, " has succeeded"),
                  [&]() -> absl::StatusOr<bool> {
                    host = GetHost(context, *name);
                    if (!host.ok()) return host.status();
                    return host->state() != v1::HOST_FENCING;
                  });
    if (!waited.ok()) return waited;
  }
  context.Print(*host, HostText);
  return absl::OkStatus();
}

std::string HostsText(const v1::ClusterStatus& status) {
  std::string text = absl::StrCat(status.hosts_alive(), " alive of ", status.hosts_total());
  if (status.hosts_fencing() > 0) absl::StrAppend(&text, ", ", status.hosts_fencing(), " fencing");
  if (status.hosts_uncertain() > 0) {
    absl::StrAppend(&text, ", ", status.hosts_uncertain(), " uncertain");
  }
  return text;
}

std::string StatusText(const v1::ClusterStatus& status) {
  const v1::Usage& usage = status.usage();
  Properties text;
  text.Add("cluster", status.cluster_uuid());
  text.Add("coordinator",
           absl::StrCat(status.coordinator_version(), ", up ", Millis(status.uptime_ms())));
  text.Add("revision", absl::StrCat(status.revision()));
  text.Add("epoch", absl::StrCat(status.epoch()));
  text.Add("hosts", HostsText(status));
  text.Add("pools", absl::StrCat(status.pools()));
  text.Add("segments", absl::StrCat(status.segments()));
  text.Add("grants", absl::StrCat(status.grants()));
  text.Add("scrubs pending", absl::StrCat(status.scrubs_pending()));
  if (status.strays() > 0) text.Add("strays", absl::StrCat(status.strays(), "; see weft fsck"));
  text.Add("capacity", Size(usage.capacity_bytes()));
  text.Add("free", Size(usage.free_bytes()));
  text.Add("used", Size(usage.used_bytes()));
  text.Add("scrubbing", Size(usage.scrubbing_bytes()));
  text.Add("quarantined", Size(usage.quarantined_bytes()));
  if (status.devices_recovering() > 0) {
    const std::vector<std::string> hosts(status.awaited_hosts().begin(),
                                         status.awaited_hosts().end());
    text.Add("in recovery",
             absl::StrCat(status.devices_recovering(),
                          " devices; to register or be fenced: ", absl::StrJoin(hosts, ", ")));
  }
  return text.ToString();
}

absl::Status ShowStatus(Context& context) {
  const absl::StatusOr<v1::ClusterStatus> status =
      context.Call(&v1::ClusterService::Stub::GetStatus, v1::GetStatusRequest());
  if (!status.ok()) return status.status();
  context.Print(*status, StatusText);
  return absl::OkStatus();
}

}  // namespace

void AddGrantCommands(CommandLine& line) {
  CLI::App* const noun = AddNoun(line, "grant", "Hosts' rights to map segments");
  const auto segment = std::make_shared<std::string>();
  CLI::App* const list = AddVerb(line, noun, "list", "Lists grants",
                                 [=](Context& context) { return ListGrants(context, *segment); });
  list->add_option("SEGMENT", *segment, "Only this segment's");
}

void AddHostCommands(CommandLine& line) {
  CLI::App* const noun = AddNoun(line, "host", "Machines that run weftd");
  AddVerb(line, noun, "list", "Lists hosts", ListHosts);
  AddVerbFor(line, noun, "show", "Shows a host and its session", "HOST", ShowHost);
  const auto options = std::make_shared<FenceOptions>();
  CLI::App* const fence = AddVerbFor(line, noun, "fence", "Stops a host, then frees what it held",
                                     "HOST", [=](Context& context, const std::string& text) {
                                       return FenceHost(context, text, *options);
                                     });
  CLI::Option* const confirmed = fence->add_flag(
      "--confirm-powered-off", options->confirmed,
      "Run no fence agent: you have seen that the host is powered off; it would corrupt memory "
      "otherwise");
  fence->add_flag("--force", options->force, "Even if its session is alive")->excludes(confirmed);
  fence->add_flag("--wait", options->wait, "Wait until the fence agent has succeeded");
  AddHostDrainCommands(line, noun);
}

void AddStatusCommand(CommandLine& line) {
  AddVerb(line, &line.app, "status", "Shows a summary of the cluster", ShowStatus);
}

}  // namespace weft::cli
