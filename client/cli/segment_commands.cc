// weft segment create, list, show, grow, delete.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/arguments.h"
#include "client/cli/bad_ranges.h"
#include "client/cli/choices.h"
#include "client/cli/command.h"
#include "client/cli/table.h"
#include "client/cli/wait.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "server/core/size_text.h"

namespace weft::cli {
namespace {

using Stub = v1::SegmentService::Stub;

// Through the local weftd in the caller's own name, or to the coordinator.
absl::StatusOr<sdk::RpcClient*> Server(Context& context, bool local) {
  return local ? context.LocalDaemon() : context.Coordinator();
}

size_t ExtentsOf(const v1::Segment& segment) {
  size_t extents = 0;
  for (const v1::Run& run : segment.runs()) extents += run.extents_size();
  return extents;
}

std::string ExtentTable(const v1::Segment& segment) {
  Table table({">AT", ">BYTES", ">CHUNK", "DEVICE", ">OFFSET", ">LENGTH"});
  uint64_t at = 0;
  for (const v1::Run& run : segment.runs()) {
    uint64_t run_bytes = 0;
    for (const v1::Extent& extent : run.extents()) run_bytes += extent.length_bytes();
    for (const v1::Extent& extent : run.extents()) {
      table.AddRow({ExactSize(at), ExactSize(run_bytes),
                    run.chunk_bytes() ? ExactSize(run.chunk_bytes()) : "",
                    ShortName(extent.device()), ExactSize(extent.offset_bytes()),
                    ExactSize(extent.length_bytes())});
    }
    at += run_bytes;
  }
  return table.ToString();
}

std::string SegmentText(const v1::Segment& segment) {
  Properties text;
  text.Add("segment", ShortName(segment.name()));
  text.Add("id", absl::StrCat(segment.id()));
  text.Add("size", Size(segment.size_bytes()));
  text.Add("sharing", Choice(segment.sharing()));
  text.Add("placement", Choice(segment.placement()));
  text.Add("state", Choice(segment.state(), "SEGMENT_"));
  text.Add("generation", absl::StrCat(segment.generation()));
  text.Add("coherence", Choice(segment.coherence()));
  text.Add("owner", segment.owner());
  text.Add("extents", absl::StrCat(ExtentsOf(segment)));
  return absl::StrCat(text.ToString(), "\n", ExtentTable(segment),
                      BadRangesText(segment.bad_ranges()));
}

std::string SegmentTable(const std::vector<v1::Segment>& segments) {
  Table table({"SEGMENT", ">SIZE", "SHARING", ">EXTENTS", "STATE", "OWNER"});
  for (const v1::Segment& segment : segments) {
    table.AddRow({ShortName(segment.name()), Size(segment.size_bytes()), Choice(segment.sharing()),
                  absl::StrCat(ExtentsOf(segment)), Choice(segment.state(), "SEGMENT_"),
                  segment.owner()});
  }
  return table.ToString();
}

// `created fam/hello: 64.00 MiB in 1 extent`
auto Summary(const std::string& verb) {
  return [verb](const v1::Segment& segment) {
    return absl::StrCat(verb, " ", ShortName(segment.name()), ": ", Size(segment.size_bytes()),
                        " in ", Count(ExtentsOf(segment), "extent"), "\n");
  };
}

struct CreateArguments {
  std::string segment;
  std::string size;
  v1::SharingMode sharing = v1::SHARING_MODE_UNSPECIFIED;
  v1::Placement placement = v1::PLACEMENT_UNSPECIFIED;
  uint32_t stripe_devices = 0;
  std::string chunk = "0";
  std::vector<std::string> extents;
  bool local = false;
};

absl::StatusOr<v1::CreateSegmentRequest> ToRequest(const CreateArguments& arguments) {
  const absl::StatusOr<SegmentName> name = SegmentArgument(arguments.segment);
  if (!name.ok()) return name.status();
  const absl::StatusOr<ByteCount> size = ParseSize(arguments.size);
  if (!size.ok()) return size.status();
  const absl::StatusOr<ByteCount> chunk = ParseSize(arguments.chunk);
  if (!chunk.ok()) return chunk.status();
  v1::CreateSegmentRequest request;
  request.set_parent(FormatPoolName(name->pool));
  request.set_segment_id(name->segment);
  v1::Segment& segment = *request.mutable_segment();
  segment.set_size_bytes(size->value());
  segment.set_sharing(arguments.sharing);
  segment.set_placement(arguments.placement);
  segment.set_stripe_devices(arguments.stripe_devices);
  segment.set_chunk_bytes(chunk->value());
  for (const std::string& text : arguments.extents) {
    const absl::StatusOr<v1::Extent> extent = ExtentArgument(text);
    if (!extent.ok()) return extent.status();
    *request.add_extents() = *extent;
  }
  return request;
}

absl::Status Create(Context& context, const CreateArguments& arguments) {
  absl::StatusOr<v1::CreateSegmentRequest> request = ToRequest(arguments);
  if (!request.ok()) return request.status();
  const absl::StatusOr<sdk::RpcClient*> server = Server(context, arguments.local);
  if (!server.ok()) return server.status();
  const absl::StatusOr<v1::Segment> segment = (*server)->Call(&Stub::CreateSegment, *request);
  if (!segment.ok()) return segment.status();
  context.Print(*segment, Summary("created"));
  return absl::OkStatus();
}

absl::Status List(Context& context, const std::string& pool, bool local) {
  v1::ListSegmentsRequest request;
  request.set_parent("pools/-");
  if (!pool.empty()) {
    const absl::StatusOr<std::string> parent = PoolResource(pool);
    if (!parent.ok()) return parent.status();
    request.set_parent(*parent);
  }
  const absl::StatusOr<sdk::RpcClient*> server = Server(context, local);
  if (!server.ok()) return server.status();
  const auto segments = (*server)->List(&Stub::ListSegments, request,
                                        [](auto& page) { return page.mutable_segments(); });
  if (!segments.ok()) return segments.status();
  context.Print(*segments, SegmentTable);
  return absl::OkStatus();
}

absl::Status Show(Context& context, const std::string& text, bool local) {
  const absl::StatusOr<std::string> name = SegmentResource(text);
  if (!name.ok()) return name.status();
  const absl::StatusOr<sdk::RpcClient*> server = Server(context, local);
  if (!server.ok()) return server.status();
  v1::GetSegmentRequest request;
  request.set_name(*name);
  const absl::StatusOr<v1::Segment> segment = (*server)->Call(&Stub::GetSegment, request);
  if (!segment.ok()) return segment.status();
  context.Print(*segment, SegmentText);
  return absl::OkStatus();
}

absl::Status Grow(Context& context, const std::string& text, const std::string& size_text,
                  bool local) {
  const absl::StatusOr<std::string> name = SegmentResource(text);
  if (!name.ok()) return name.status();
  const absl::StatusOr<ByteCount> size = ParseSize(size_text);
  if (!size.ok()) return size.status();
  const absl::StatusOr<sdk::RpcClient*> server = Server(context, local);
  if (!server.ok()) return server.status();
  v1::GrowSegmentRequest request;
  request.set_name(*name);
  request.set_size_bytes(size->value());
  const absl::StatusOr<v1::Segment> segment = (*server)->Call(&Stub::GrowSegment, request);
  if (!segment.ok()) return segment.status();
  context.Print(*segment, Summary("grew"));
  return absl::OkStatus();
}

struct DeleteArguments {
  std::string segment;
  bool force = false;
  bool wait = false;
  bool local = false;
};

absl::Status WaitForBytes(Context& context, const std::string& segment) {
  if (absl::Status status = WaitForDeletion(context, segment); !status.ok()) return status;
  const absl::StatusOr<SegmentName> name = ParseSegmentName(segment);
  return name.ok() ? WaitForPool(context, FormatPoolName(name->pool)) : name.status();
}

absl::Status Delete(Context& context, const DeleteArguments& arguments) {
  const absl::StatusOr<std::string> name = SegmentResource(arguments.segment);
  if (!name.ok()) return name.status();
  const absl::StatusOr<sdk::RpcClient*> server = Server(context, arguments.local);
  if (!server.ok()) return server.status();
  v1::DeleteSegmentRequest request;
  request.set_name(*name);
  request.set_force(arguments.force);
  const auto deleted = (*server)->Call(&Stub::DeleteSegment, request);
  if (!deleted.ok()) return deleted.status();
  if (arguments.wait) {
    if (absl::Status status = WaitForBytes(context, *name); !status.ok()) return status;
  }
  context.Print(*deleted, [&](const auto&) {
    return absl::StrCat("deleted ", ShortName(*name),
                        arguments.wait ? "; its bytes are zeroed" : "", "\n");
  });
  return absl::OkStatus();
}

constexpr char kLocalHelp[] = "Ask the local weftd, in your own name, not the coordinator";
constexpr char kSizeHelp[] = "Bytes, or with k, M, G, T or P; a multiple of 2M";

void AddCreate(CommandLine& line, CLI::App* noun) {
  const auto arguments = std::make_shared<CreateArguments>();
  CLI::App* const verb = AddVerb(line, noun, "create", "Allocates a segment of zeros",
                                 [=](Context& context) { return Create(context, *arguments); });
  verb->add_option("SEGMENT", arguments->segment, "<pool>/<name>")->required();
  verb->add_option("--size", arguments->size, kSizeHelp)->required();
  AddChoice(verb, "--sharing", arguments->sharing,
            "Who may map it at the same time (default single-writer)");
  AddChoice(verb, "--placement", arguments->placement,
            "Where its bytes are taken from (default: the pool's)");
  verb->add_option("--stripe-devices", arguments->stripe_devices,
                   "For striped: over how many devices, 2 to 64");
  verb->add_option("--chunk", arguments->chunk,
                   "For striped: bytes in a row on each, a multiple of 2M");
  verb->add_option("--extent", arguments->extents,
                   "For recovery: exactly these, <device>:<offset>:<length>; may be repeated");
  verb->add_flag("--local", arguments->local, kLocalHelp);
}

void AddList(CommandLine& line, CLI::App* noun) {
  struct Arguments {
    std::string pool;
    bool local = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb = AddVerb(line, noun, "list", "Lists segments", [=](Context& context) {
    return List(context, arguments->pool, arguments->local);
  });
  verb->add_option("POOL", arguments->pool, "Only this pool's");
  verb->add_flag("--local", arguments->local, kLocalHelp);
}

void AddShow(CommandLine& line, CLI::App* noun) {
  const auto local = std::make_shared<bool>(false);
  CLI::App* const verb = AddVerbFor(
      line, noun, "show", "Shows a segment and its extents", "SEGMENT",
      [=](Context& context, const std::string& text) { return Show(context, text, *local); });
  verb->add_flag("--local", *local, kLocalHelp);
}

void AddGrow(CommandLine& line, CLI::App* noun) {
  struct Arguments {
    std::string size;
    bool local = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb =
      AddVerbFor(line, noun, "grow", "Makes a segment larger; mappings stay valid", "SEGMENT",
                 [=](Context& context, const std::string& text) {
                   return Grow(context, text, arguments->size, arguments->local);
                 });
  verb->add_option("--size", arguments->size, absl::StrCat("The size wanted. ", kSizeHelp))
      ->required();
  verb->add_flag("--local", arguments->local, kLocalHelp);
}

void AddDelete(CommandLine& line, CLI::App* noun) {
  const auto arguments = std::make_shared<DeleteArguments>();
  CLI::App* const verb =
      AddVerb(line, noun, "delete", "Deletes a segment; its bytes are zeroed before reuse",
              [=](Context& context) { return Delete(context, *arguments); });
  verb->add_option("SEGMENT", arguments->segment)->required();
  verb->add_flag("--force", arguments->force, "Take it back from its holders first");
  CLI::Option* const wait =
      verb->add_flag("--wait", arguments->wait,
                     "Wait until its holders have let go and all bytes of the pool are zeroed");
  verb->add_flag("--local", arguments->local, kLocalHelp)->excludes(wait);
}

}  // namespace

void AddSegmentCommands(CommandLine& line) {
  CLI::App* const noun = AddNoun(line, "segment", "Named allocations, for applications to map");
  AddCreate(line, noun);
  AddList(line, noun);
  AddShow(line, noun);
  AddGrow(line, noun);
  AddDelete(line, noun);
  AddSegmentDataCommands(line, noun);
}

}  // namespace weft::cli
