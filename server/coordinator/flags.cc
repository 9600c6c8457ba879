#include "server/coordinator/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <string_view>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/core/version.h"
#include "server/platform/option_values.h"

namespace weft {
namespace {

constexpr std::string_view kSqlitePrefix = "sqlite:";
constexpr std::string_view kEtcdPrefix = "etcd://";
constexpr absl::Duration kMinTtl = absl::Seconds(1);
constexpr absl::Duration kMaxTtl = absl::Minutes(10);
constexpr char kNoMetrics[] = "none";
constexpr int kUsageError = 2;
// Much longer ones would make transactions too large for etcd.
constexpr size_t kMaxPrefixBytes = 128;
// etcd's own least lease, with its default times, is 2 s.
constexpr absl::Duration kMinLeaderTtl = absl::Seconds(2);
constexpr absl::Duration kMaxLeaderTtl = absl::Minutes(1);

// Reads sqlite:PATH or etcd://HOST:PORT,...[/PREFIX]; false: it is neither.
bool ParseStore(const std::string& text, StoreFlags* flags) {
  flags->sqlite_path.clear();
  flags->etcd_endpoints.clear();
  if (text.starts_with(kSqlitePrefix)) {
    flags->sqlite_path = text.substr(kSqlitePrefix.size());
    return !flags->sqlite_path.empty();
  }
  if (!text.starts_with(kEtcdPrefix)) return false;
  const std::string rest = text.substr(kEtcdPrefix.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  flags->etcd_prefix = rest.substr(slash);
  flags->etcd_endpoints = absl::StrSplit(rest.substr(0, slash), ',');
  return flags->etcd_prefix.size() <= kMaxPrefixBytes && !flags->etcd_prefix.ends_with('/') &&
         std::all_of(flags->etcd_endpoints.begin(), flags->etcd_endpoints.end(),
                     [](const std::string& endpoint) {
                       const size_t colon = endpoint.rfind(':');
                       return colon != 0 && colon < endpoint.size() - 1;
                     });
}

const CLI::Validator kStore(
    [](const std::string& text) {
      StoreFlags ignored;
      return ParseStore(text, &ignored)
                 ? ""
                 : "\"" + text +
                       "\" is no store: give sqlite:PATH or etcd://HOST:PORT,HOST:PORT[/PREFIX]";
    },
    "sqlite:PATH|etcd://HOST:PORT,...[/PREFIX]");

const CLI::Validator kTtl(
    [](const std::string& text) {
      absl::Duration ttl;
      return absl::ParseDuration(text, &ttl) && ttl >= kMinTtl && ttl <= kMaxTtl
                 ? ""
                 : "\"" + text + "\" is no duration from 1s to 10m";
    },
    "DURATION");

const CLI::Validator kLeaderTtl(
    [](const std::string& text) {
      absl::Duration ttl;
      return absl::ParseDuration(text, &ttl) && ttl >= kMinLeaderTtl && ttl <= kMaxLeaderTtl &&
                     ttl == absl::Trunc(ttl, absl::Seconds(1))
                 ? ""
                 : "\"" + text + "\" is no number of whole seconds from 2s to 1m";
    },
    "DURATION");

// An address on which nobody can call: every address of this machine.
bool IsWildcard(const std::string& address) {
  return address.starts_with("0.0.0.0:") || address.starts_with("[::]:") ||
         address.starts_with(":");
}

// What contradicts what; empty: nothing.
std::string Contradiction(const CoordinatorFlags& flags) {
  const bool sqlite = !flags.store.sqlite_path.empty();
  if (sqlite && !flags.store.etcd_ca.empty()) {
    return "--etcd-ca and its like are for --store=etcd://";
  }
  if (!sqlite && flags.advertise.empty() && IsWildcard(flags.listen.front())) {
    return "--listen=" + flags.listen.front() +
           " is no address that others can call: give one with --advertise";
  }
  if (!sqlite && flags.leader_ttl > flags.session_ttl / 2) {
    return "--leader-ttl must be at most half of --session-ttl, or hosts lose their leases when "
           "a leader dies";
  }
  return "";
}

// Of options that CLI11 knows as text.
struct Texts {
  std::string store;
  std::string migrate_from = "";
  std::string leader_ttl;
  std::string session_ttl;
  std::string log_level = "info";
};

void AddStoreOptions(CLI::App& app, CoordinatorFlags& flags, Texts& texts) {
  app.add_option("--store", texts.store, "Where the state is kept")
      ->check(kStore)
      ->capture_default_str();
  CLI::Option* cert =
      app.add_option("--etcd-cert", flags.store.etcd_cert, "PEM certificate chain, for etcd");
  CLI::Option* key = app.add_option("--etcd-key", flags.store.etcd_key, "PEM private key");
  CLI::Option* ca =
      app.add_option("--etcd-ca", flags.store.etcd_ca, "PEM certificates that sign etcd's");
  cert->needs(key, ca);
  key->needs(cert, ca);
  app.add_option("--leader-ttl", texts.leader_ttl,
                 "With etcd: how long after the death of the leader another one takes over")
      ->check(kLeaderTtl)
      ->capture_default_str();
}

void AddServerOptions(CLI::App& app, CoordinatorFlags& flags) {
  app.add_option("--advertise", flags.advertise,
                 "With etcd: host:port under which others reach this coordinator; by default "
                 "the first --listen");
  app.add_option("--listen", flags.listen,
                 "host:port or unix:PATH for the API; may be repeated; port 0: any")
      ->capture_default_str();
  app.add_option("--metrics-address", flags.metrics_address,
                 "host:port for Prometheus, or none; port 0: any")
      ->capture_default_str();
  CLI::Option* cert = app.add_option("--tls-cert", flags.tls_cert, "PEM certificate chain");
  CLI::Option* key = app.add_option("--tls-key", flags.tls_key, "PEM private key");
  CLI::Option* ca =
      app.add_option("--tls-ca", flags.tls_ca, "PEM certificates that sign the clients'");
  cert->needs(key, ca);
  key->needs(cert, ca);
  ca->needs(cert, key);
  app.add_flag("--insecure", flags.insecure,
               "Allow addresses that other machines can reach without TLS");
}

void AddPolicyOptions(CLI::App& app, CoordinatorFlags& flags, Texts& texts) {
  app.add_option("--session-ttl", texts.session_ttl,
                 "The lease of a host; it renews at a third of it")
      ->check(kTtl)
      ->capture_default_str();
  app.add_option("--remembered-requests", flags.remembered_requests,
                 "How many requests of each caller are remembered by their ids; one that sends "
                 "more in two minutes is refused (QUOTA)")
      ->check(CLI::Range(1000, 100'000))
      ->capture_default_str();
}

void AddTaskOptions(CLI::App& app, CoordinatorFlags& flags, Texts& texts) {
  CLI::Option* restore =
      app.add_option("--restore", flags.restore, "Make an empty --store of this backup, and exit");
  app.add_option("--migrate-from", texts.migrate_from,
                 "Copy this store, which no coordinator may use, into an empty --store, and exit")
      ->check(kStore)
      ->excludes(restore);
  CLI::Option* fence_config =
      app.add_option("--fence-config", flags.fence_config,
                     "JSON file that names the fence agent of each host that has one");
  app.add_flag("--check-fence-agents", flags.check_fence_agents,
               "Run the action \"monitor\" of each, say what came of it, and exit")
      ->needs(fence_config);
}

void AddProcessOptions(CLI::App& app, CoordinatorFlags& flags, Texts& texts) {
  app.add_option("--log-level", texts.log_level)
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--ready-file", flags.ready_file,
                 "Written once the coordinator serves: listen=<address> and metrics=<address>");
}

// REQUIRES: the texts have been checked.
void Take(const Texts& texts, CoordinatorFlags& flags) {
  if (flags.metrics_address == kNoMetrics) flags.metrics_address.clear();
  ParseStore(texts.store, &flags.store);
  if (!texts.migrate_from.empty()) {
    flags.migrate_from = flags.store;  // with its certificates
    ParseStore(texts.migrate_from, &*flags.migrate_from);
  }
  absl::ParseDuration(texts.session_ttl, &flags.session_ttl);
  absl::ParseDuration(texts.leader_ttl, &flags.leader_ttl);
  flags.log_level = spdlog::level::from_str(texts.log_level);
}

}  // namespace

std::string StoreFlags::text() const {
  if (!sqlite_path.empty()) return std::string(kSqlitePrefix) + sqlite_path;
  return std::string(kEtcdPrefix) + absl::StrJoin(etcd_endpoints, ",") + etcd_prefix;
}

std::optional<int> ParseFlags(int argc, const char* const* argv, CoordinatorFlags* flags) {
  CLI::App app("weft-coordinator: decides who may use which bytes of fabric-attached memory.");
  app.set_version_flag("--version", std::string("weft-coordinator ") + kVersion);
  app.set_config("--config", "", "A TOML or INI file with the same settings");
  Texts texts{.store = flags->store.text(),
              .leader_ttl = absl::FormatDuration(flags->leader_ttl),
              .session_ttl = absl::FormatDuration(flags->session_ttl)};
  AddStoreOptions(app, *flags, texts);
  AddServerOptions(app, *flags);
  AddPolicyOptions(app, *flags, texts);
  AddTaskOptions(app, *flags, texts);
  AddProcessOptions(app, *flags, texts);
  RefuseOptionsAsValues(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageError;
  }
  Take(texts, *flags);
  if (const std::string wrong = Contradiction(*flags); !wrong.empty()) {
    std::cerr << wrong << "\n";
    return kUsageError;
  }
  return std::nullopt;
}

}  // namespace weft
