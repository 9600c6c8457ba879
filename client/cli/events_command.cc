// weft events.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/cli/arguments.h"
#include "client/cli/command.h"
#include "proto/weft/v1/event.grpc.pb.h"

namespace weft::cli {
namespace {

// One line with columns that do not depend on other events.
std::string EventLine(const v1::Event& event) {
  const std::string time = absl::FormatTime(
      "%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(static_cast<int64_t>(event.time_unix_ms())),
      absl::UTCTimeZone());
  std::string line = absl::StrFormat("%8d  %s  %-22s  %s", event.revision(), time,
                                     v1::EventType_Name(event.type()), ShortName(event.resource()));
  if (!event.subject().empty()) absl::StrAppend(&line, "  ", ShortName(event.subject()));
  if (!event.detail().empty()) absl::StrAppend(&line, "  ", event.detail());
  if (!event.principal().empty()) absl::StrAppend(&line, "  by ", event.principal());
  return line + "\n";
}

std::string EventLines(const std::vector<v1::Event>& events) {
  std::string lines;
  for (const v1::Event& event : events) lines += EventLine(event);
  return lines;
}

absl::Status List(Context& context, uint64_t after) {
  std::vector<v1::Event> events;
  v1::ListEventsRequest request;
  request.set_after_revision(after);
  do {
    absl::StatusOr<v1::ListEventsResponse> page =
        context.Call(&v1::EventService::Stub::ListEvents, request);
    if (!page.ok()) return page.status();
    for (v1::Event& event : *page->mutable_events()) events.push_back(std::move(event));
    request.set_after_revision(page->next_revision());
  } while (request.after_revision() != 0);
  context.Print(events, EventLines);
  return absl::OkStatus();
}

absl::Status Follow(Context& context, uint64_t after) {
  const absl::StatusOr<sdk::RpcClient*> coordinator = context.Coordinator();
  if (!coordinator.ok()) return coordinator.status();
  return (*coordinator)->WatchEvents(after, [&](const v1::Event& event) {
    context.out() << (context.options().json ? ToJsonLine(event) + "\n" : EventLine(event))
                  << std::flush;
    return context.out().good();
  });
}

}  // namespace

void AddEventsCommand(CommandLine& line) {
  struct Arguments {
    uint64_t after = 0;
    bool follow = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb = AddVerb(line, &line.app, "events", "Shows what happened, oldest first",
                                 [=](Context& context) {
                                   return arguments->follow ? Follow(context, arguments->after)
                                                            : List(context, arguments->after);
                                 });
  verb->add_option("--after", arguments->after, "Only events after this revision");
  verb->add_flag("--follow", arguments->follow,
                 "Go on with new events as they come; with --json one object on each line");
}

}  // namespace weft::cli
