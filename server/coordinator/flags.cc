#include "server/coordinator/flags.h"

#include <CLI/CLI.hpp>
#include <string_view>

#include "server/core/version.h"

namespace weft {
namespace {

constexpr std::string_view kSqlitePrefix = "sqlite:";
constexpr absl::Duration kMinTtl = absl::Seconds(1);
constexpr absl::Duration kMaxTtl = absl::Minutes(10);
constexpr char kNoMetrics[] = "none";
constexpr int kUsageError = 2;

const CLI::Validator kStore(
    [](const std::string& text) {
      return text.starts_with(kSqlitePrefix) && text.size() > kSqlitePrefix.size()
                 ? ""
                 : "\"" + text + "\" is no store: give sqlite:<path>";
    },
    "sqlite:PATH");

const CLI::Validator kTtl(
    [](const std::string& text) {
      absl::Duration ttl;
      return absl::ParseDuration(text, &ttl) && ttl >= kMinTtl && ttl <= kMaxTtl
                 ? ""
                 : "\"" + text + "\" is no duration from 1s to 10m";
    },
    "DURATION");

}  // namespace

std::optional<int> ParseFlags(int argc, const char* const* argv, CoordinatorFlags* flags) {
  CLI::App app("weft-coordinator: decides who may use which bytes of fabric-attached memory.");
  app.set_version_flag("--version", std::string("weft-coordinator ") + kVersion);
  app.set_config("--config", "", "A TOML or INI file with the same settings");

  std::string store = std::string(kSqlitePrefix) + flags->sqlite_path;
  std::string ttl = absl::FormatDuration(flags->session_ttl);
  std::string level = "info";
  app.add_option("--store", store, "Where the state is kept")->check(kStore)->capture_default_str();
  app.add_option("--listen", flags->listen,
                 "host:port or unix:PATH for the API; may be repeated; port 0: any")
      ->capture_default_str();
  app.add_option("--metrics-address", flags->metrics_address, "host:port for Prometheus, or none")
      ->capture_default_str();
  CLI::Option* cert = app.add_option("--tls-cert", flags->tls_cert, "PEM certificate chain");
  CLI::Option* key = app.add_option("--tls-key", flags->tls_key, "PEM private key");
  CLI::Option* ca =
      app.add_option("--tls-ca", flags->tls_ca, "PEM certificates that sign the clients'");
  cert->needs(key, ca);
  key->needs(cert, ca);
  ca->needs(cert, key);
  app.add_flag("--insecure", flags->insecure,
               "Allow addresses that other machines can reach without TLS");
  app.add_option("--session-ttl", ttl, "The lease of a host; it renews at a third of it")
      ->check(kTtl)
      ->capture_default_str();
  CLI::Option* restore =
      app.add_option("--restore", flags->restore, "Make an empty --store of this backup, and exit");
  app.add_option("--migrate-from", flags->migrate_from,
                 "Copy this store, which no coordinator may use, into an empty --store, and exit")
      ->check(kStore)
      ->excludes(restore);
  CLI::Option* fence_config =
      app.add_option("--fence-config", flags->fence_config,
                     "JSON file that names the fence agent of each host that has one");
  app.add_flag("--check-fence-agents", flags->check_fence_agents,
               "Run the action \"monitor\" of each, say what came of it, and exit")
      ->needs(fence_config);
  app.add_option("--log-level", level)
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--ready-file", flags->ready_file,
                 "Written once the coordinator serves: listen=<address> and metrics=<address>");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageError;
  }
  if (flags->metrics_address == kNoMetrics) flags->metrics_address.clear();
  if (!flags->migrate_from.empty()) {
    flags->migrate_from = flags->migrate_from.substr(kSqlitePrefix.size());
  }
  flags->sqlite_path = store.substr(kSqlitePrefix.size());
  absl::ParseDuration(ttl, &flags->session_ttl);
  flags->log_level = spdlog::level::from_str(level);
  return std::nullopt;
}

}  // namespace weft
