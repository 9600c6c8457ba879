// weft coordinator backup, restore, migrate.

#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "server/core/backup_file.h"
#include "server/platform/linux/durable_file.h"

namespace weft::cli {
namespace {

constexpr char kCoordinator[] = "weft-coordinator";

absl::Status Backup(Context& context, const std::string& path) {
  const absl::StatusOr<sdk::RpcClient*> coordinator = context.Coordinator();
  if (!coordinator.ok()) return coordinator.status();
  const absl::StatusOr<std::string> bytes = (*coordinator)->ReadBackup();
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<BackupInfo> info =
      ReadBackup(*bytes, [](std::string_view, std::string_view) { return absl::OkStatus(); });
  if (!info.ok()) return info.status();
  if (absl::Status s = ReplaceFile(path, *bytes); !s.ok()) return s;
  context.Note(absl::StrCat(info->records, " records, ", bytes->size(), " bytes, in ", path));
  return absl::OkStatus();
}

// Stores are the coordinator's: its program does the work, in place of this one.
absl::Status Become(const std::vector<std::string>& arguments) {
  std::vector<char*> argv = {const_cast<char*>(kCoordinator)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execvp(kCoordinator, argv.data());
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot run ", kCoordinator));
}

}  // namespace

void AddCoordinatorCommands(CommandLine& line) {
  CLI::App* const noun = AddNoun(line, "coordinator", "The coordinator's own state");
  AddVerbFor(line, noun, "backup", "Copies the running coordinator's state into a file", "FILE",
             Backup);
  const auto store = std::make_shared<std::string>();
  AddVerbFor(line, noun, "restore", "Makes a store of a backup; no coordinator may run", "FILE",
             [=](Context&, const std::string& file) {
               return Become({absl::StrCat("--restore=", file), absl::StrCat("--store=", *store)});
             })
      ->add_option("--store", *store,
                   "The store to make: sqlite:PATH or etcd://HOST:PORT,...[/PREFIX]")
      ->required();
  const auto to = std::make_shared<std::string>();
  AddVerbFor(
      line, noun, "migrate", "Copies a store that no coordinator uses into an empty one", "FROM",
      [=](Context&, const std::string& from) {
        return Become({absl::StrCat("--migrate-from=", from), absl::StrCat("--store=", *to)});
      })
      ->add_option("TO", *to, "The store to make, as FROM: sqlite:PATH or etcd://HOST:PORT,...")
      ->required();
}

}  // namespace weft::cli
