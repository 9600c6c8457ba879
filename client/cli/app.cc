#include "client/cli/app.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "client/cli/context.h"
#include "client/cli/exit_codes.h"
#include "server/core/errors.h"
#include "server/core/version.h"
#include "server/rpc/status.h"

namespace weft::cli {

const CLI::Validator kDurationToAnHour(
    [](const std::string& text) {
      absl::Duration duration;
      return absl::ParseDuration(text, &duration) && duration >= absl::ZeroDuration() &&
                     duration <= absl::Hours(1)
                 ? ""
                 : "\"" + text + "\" is no duration from 0 to 1h, like 500ms or 10s";
    },
    "DURATION");

namespace {

void AddGlobalOptions(CLI::App& app, GlobalOptions& options, std::string& timeout) {
  app.set_version_flag("--version", std::string("weft ") + kVersion);
  // An alias's option gives way to one that follows.
  app.option_defaults()->take_last();
  app.add_option("--coordinator", options.coordinator,
                 "The coordinator, host:port or unix:PATH; of several, with commas between them")
      ->envname("WEFT_COORDINATOR")
      ->capture_default_str();
  app.add_option("--socket", options.socket, "The local weftd's socket")
      ->envname("WEFT_SOCKET")
      ->capture_default_str();
  app.add_option("--timeout", timeout, "The longest that one call takes, retries included")
      ->check(kDurationToAnHour)
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print whole resources as JSON");
  CLI::Option* const cert =
      app.add_option("--tls-cert", options.tls.cert, "PEM certificate chain, for the coordinator")
          ->envname("WEFT_TLS_CERT");
  CLI::Option* const key =
      app.add_option("--tls-key", options.tls.key, "PEM private key")->envname("WEFT_TLS_KEY");
  CLI::Option* const ca =
      app.add_option("--tls-ca", options.tls.ca, "PEM certificates that sign the coordinator's")
          ->envname("WEFT_TLS_CA");
  cert->needs(key, ca);
  key->needs(cert, ca);
  ca->needs(cert, key);
}

std::string OneLine(std::string text) { return absl::StrReplaceAll(text, {{"\n", " "}}); }

// `weft: segment create: POOL_FULL: ...`
std::string ErrorLine(const std::string& command, const absl::Status& status) {
  return OneLine(absl::StrCat("weft: ", command, ": ", ResultName(status), ": ",
                              std::string(status.message())));
}

int ReportParseError(const CLI::App& app, const CLI::ParseError& error, std::ostream& out,
                     std::ostream& err) {
  if (error.get_exit_code() == 0) return app.exit(error, out, err);
  // What CLI11 says of an unknown command is that there is none.
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  const std::string problem =
      unknown.empty() ? error.what() : absl::StrCat("\"", unknown[0], "\" is not expected here");
  err << "weft: " << OneLine(problem) << " (see weft --help)" << std::endl;
  return kExitUsage;
}

}  // namespace

int Run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  Context context(out, err);
  std::string timeout = absl::FormatDuration(context.options().timeout);
  CLI::App app("weft: shows and changes fabric-attached memory and who may use it.", "weft");
  app.require_subcommand(1);
  // Global options may follow the verb, too.
  app.fallthrough();
  app.footer(absl::StrCat("The options of weft --help go with every command.\n", kExitCodesHelp));
  AddGlobalOptions(app, context.options(), timeout);

  Selected selected;
  CommandLine line{app, context, selected};
  AddPoolCommands(line);
  AddDeviceCommands(line);
  AddSegmentCommands(line);
  AddGrantCommands(line);
  AddHostCommands(line);
  AddStatusCommand(line);
  AddCoordinatorCommands(line);
  AddEventsCommand(line);
  AddDoctorCommand(line);
  AddFsckCommand(line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ReportParseError(app, error, out, err);
  }
  absl::ParseDuration(timeout, &context.options().timeout);

  const absl::Status status = selected.run();
  if (!status.ok()) err << ErrorLine(selected.name, status) << std::endl;
  return context.exit_code().value_or(ExitCodeOf(status));
}

}  // namespace weft::cli
