// How the commands are hung into the command line: one function for each noun.

#ifndef WEFT_CLIENT_CLI_COMMAND_H_
#define WEFT_CLIENT_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/cli/context.h"

namespace weft::cli {

// The command that the command line names.
struct Selected {
  std::string name;  // `segment create`
  std::function<absl::Status()> run;
};

// The command line while it is built. Everything in it outlives the parsing.
struct CommandLine {
  CLI::App& app;
  Context& context;
  Selected& selected;
};

inline CLI::App* AddNoun(CommandLine& line, const std::string& name,
                         const std::string& description) {
  CLI::App* const noun = line.app.add_subcommand(name, description);
  noun->require_subcommand(1);
  return noun;
}

// `run` is called with the Context once the command line has been found to name this verb.
template <typename Run>
CLI::App* AddVerb(CommandLine& line, CLI::App* parent, const std::string& name,
                  const std::string& description, Run run) {
  CLI::App* const verb = parent->add_subcommand(name, description);
  const std::string prefix = parent == &line.app ? "" : parent->get_name() + " ";
  verb->callback([&context = line.context, &selected = line.selected, run, name = prefix + name] {
    selected = {name, [&context, run] { return run(context); }};
  });
  return verb;
}

// A verb with one argument, the name of the object: `run(context, argument)`.
template <typename Run>
CLI::App* AddVerbFor(CommandLine& line, CLI::App* parent, const std::string& name,
                     const std::string& description, const std::string& argument_name, Run run) {
  const auto argument = std::make_shared<std::string>();
  CLI::App* const verb = AddVerb(line, parent, name, description,
                                 [=](Context& context) { return run(context, *argument); });
  verb->add_option(argument_name, *argument)->required();
  return verb;
}

// Accepts durations as absl::ParseDuration reads them, up to an hour.
extern const CLI::Validator kDurationToAnHour;

void AddPoolCommands(CommandLine& line);
void AddDeviceCommands(CommandLine& line);
void AddDeviceClearPoisonCommand(CommandLine& line, CLI::App* device);
void AddDeviceClaimCommand(CommandLine& line, CLI::App* device);
void AddSegmentCommands(CommandLine& line);
// fill, verify and map, under `segment`.
void AddSegmentDataCommands(CommandLine& line, CLI::App* segment);
void AddGrantCommands(CommandLine& line);
void AddHostCommands(CommandLine& line);
// drain and undrain, under `host`; those and remove, under `device`.
void AddHostDrainCommands(CommandLine& line, CLI::App* host);
void AddDeviceDrainCommands(CommandLine& line, CLI::App* device);
void AddStatusCommand(CommandLine& line);
void AddCoordinatorCommands(CommandLine& line);
void AddEventsCommand(CommandLine& line);
void AddDoctorCommand(CommandLine& line);
void AddFsckCommand(CommandLine& line);

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_COMMAND_H_
