// weft segment fill, verify, map: what an application does, through the local weftd.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/arguments.h"
#include "client/cli/command.h"
#include "client/cli/hold.h"
#include "client/cli/pattern.h"
#include "client/cli/sigbus.h"
#include "client/cli/table.h"
#include "client/sdk/weft.h"
#include "server/core/errors.h"
#include "server/core/size_text.h"

namespace weft::cli {
namespace {

// Small enough that what was written is still in the cache when it is flushed.
constexpr uint64_t kPieceBytes = 1 << 20;

// A segment opened and mapped whole.
struct Opened {
  std::string name;
  sdk::Handle handle;
  sdk::Mapping mapping;
};

absl::StatusOr<Opened> OpenAndMap(
    Context& context, const std::string& text, sdk::AccessMode mode,
    std::function<void(const sdk::RevokeNotice&)> on_revoke = nullptr) {
  const absl::StatusOr<SegmentName> name = SegmentArgument(text);
  if (!name.ok()) return name.status();
  const std::string short_name = absl::StrCat(name->pool, "/", name->segment);
  const absl::StatusOr<sdk::Client*> client = context.LocalClient(std::move(on_revoke));
  if (!client.ok()) return client.status();
  absl::StatusOr<sdk::Handle> handle = (*client)->Open(short_name, mode);
  if (!handle.ok()) return handle.status();
  absl::StatusOr<sdk::Mapping> mapping = handle->Map();
  if (!mapping.ok()) return mapping.status();
  return Opened{short_name, *std::move(handle), *std::move(mapping)};
}

// Unmaps, and waits until weftd has taken note: the next command finds the handle gone.
absl::Status Close(Opened opened) {
  {
    const sdk::Mapping unmapped = std::move(opened.mapping);
  }
  return opened.handle.Close();
}

struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct PatternArguments {
  std::string segment;
  std::string offset = "0";
  std::string length;  // Empty: to the end.
  uint64_t seed = 1;
};

absl::StatusOr<Range> RangeOf(const PatternArguments& arguments, uint64_t size_bytes) {
  const absl::StatusOr<ByteCount> offset = ParseSize(arguments.offset);
  if (!offset.ok()) return offset.status();
  const uint64_t begin = offset->value();
  uint64_t length = size_bytes - std::min(begin, size_bytes);
  if (!arguments.length.empty()) {
    const absl::StatusOr<ByteCount> given = ParseSize(arguments.length);
    if (!given.ok()) return given.status();
    length = given->value();
  }
  if (begin % kPatternWordBytes != 0 || length % kPatternWordBytes != 0 || length == 0 ||
      begin > size_bytes || length > size_bytes - begin) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat(length, " bytes at ", begin, " of a segment of ", size_bytes,
                                  " bytes: give multiples of 8 within the segment, not 0"));
  }
  return Range{begin, begin + length};
}

// Calls `visit(offset, length)` for each piece in order, until it fails.
template <typename Visit>
absl::Status ForEachPiece(const Range& range, Visit visit) {
  for (uint64_t at = range.begin; at < range.end; at += kPieceBytes) {
    const absl::Status status = visit(at, std::min(kPieceBytes, range.end - at));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void PrintRange(Context& context, const std::string& verb, const std::string& name,
                const Range& range, uint64_t seed) {
  const uint64_t length = range.end - range.begin;
  if (context.options().json) {
    const nlohmann::ordered_json json = {{"segment", name},
                                         {"offsetBytes", absl::StrCat(range.begin)},
                                         {"lengthBytes", absl::StrCat(length)},
                                         {"seed", absl::StrCat(seed)}};
    context.out() << json.dump(1) << std::endl;
  } else {
    context.out() << verb << " " << name << ": " << length << " bytes from offset " << range.begin
                  << ", seed " << seed << ": done" << std::endl;
  }
}

// Opens and maps the segment that the arguments name, does `work(mapping, range)`, and
// gives the handle back whatever came of it.
template <typename Work>
absl::Status WithSegment(Context& context, const std::string& verb,
                         const PatternArguments& arguments, sdk::AccessMode mode, Work work) {
  absl::StatusOr<Opened> opened = OpenAndMap(context, arguments.segment, mode);
  if (!opened.ok()) return opened.status();
  const std::string name = opened->name;
  const absl::StatusOr<Range> range = RangeOf(arguments, opened->mapping.size());
  absl::Status status = range.status();
  if (range.ok()) {
    const SigbusGuard guard(absl::StrCat("segment ", verb, ": ", name));
    status = Annotate(work(opened->mapping, *range), name);
  }
  status.Update(Close(*std::move(opened)));
  if (!status.ok()) return status;
  PrintRange(context, verb, name, *range, arguments.seed);
  return absl::OkStatus();
}

absl::Status Fill(Context& context, const PatternArguments& arguments) {
  return WithSegment(context, "fill", arguments, sdk::AccessMode::kReadWrite,
                     [&](const sdk::Mapping& mapping, const Range& range) {
                       return ForEachPiece(range, [&](uint64_t at, uint64_t length) {
                         WritePattern(mapping.bytes().subspan(at, length), at, arguments.seed);
                         return mapping.Flush(at, length);
                       });
                     });
}

absl::Status CheckPiece(const sdk::Mapping& mapping, uint64_t at, uint64_t length, uint64_t seed) {
  if (absl::Status dropped = mapping.Invalidate(at, length); !dropped.ok()) return dropped;
  const std::optional<Mismatch> mismatch =
      FindMismatch(mapping.bytes().subspan(at, length), at, seed);
  if (!mismatch.has_value()) return absl::OkStatus();
  return absl::DataLossError(absl::StrFormat(
      "not as fill with seed %d left it: at offset %d expected 0x%016x, found 0x%016x", seed,
      mismatch->offset_bytes, mismatch->expected, mismatch->found));
}

absl::Status Verify(Context& context, const PatternArguments& arguments) {
  return WithSegment(context, "verify", arguments, sdk::AccessMode::kReadOnly,
                     [&](const sdk::Mapping& mapping, const Range& range) {
                       return ForEachPiece(range, [&](uint64_t at, uint64_t length) {
                         return CheckPiece(mapping, at, length, arguments.seed);
                       });
                     });
}

std::string AddressText(const sdk::Mapping& mapping) {
  return absl::StrFormat("0x%x", reinterpret_cast<uintptr_t>(mapping.data()));
}

std::string TokenText(const sdk::Token& token) {
  return absl::StrCat(token.epoch, ".", token.counter);
}

void PrintMappedJson(Context& context, const Opened& opened) {
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  const sdk::Segment segment = opened.handle.segment();
  for (const sdk::Run& run : segment.runs) {
    nlohmann::ordered_json extents = nlohmann::ordered_json::array();
    for (const sdk::Extent& extent : run.extents) {
      extents.push_back({{"device", extent.device},
                         {"offsetBytes", absl::StrCat(extent.offset_bytes)},
                         {"lengthBytes", absl::StrCat(extent.length_bytes)}});
    }
    runs.push_back({{"extents", extents}, {"chunkBytes", absl::StrCat(run.chunk_bytes)}});
  }
  const sdk::Token token = opened.handle.token();
  const nlohmann::ordered_json json = {
      {"segment", opened.name},
      {"mode", opened.handle.mode() == sdk::AccessMode::kReadWrite ? "READ_WRITE" : "READ_ONLY"},
      {"address", AddressText(opened.mapping)},
      {"sizeBytes", absl::StrCat(opened.mapping.size())},
      {"coherent", opened.mapping.coherent()},
      {"token", {{"epoch", absl::StrCat(token.epoch)}, {"counter", absl::StrCat(token.counter)}}},
      {"runs", runs}};
  context.out() << json.dump() << std::endl;
}

void PrintMapped(Context& context, const Opened& opened) {
  if (context.options().json) return PrintMappedJson(context, opened);
  Properties text;
  text.Add("segment", opened.name);
  text.Add("mode",
           opened.handle.mode() == sdk::AccessMode::kReadWrite ? "read-write" : "read-only");
  text.Add("address", AddressText(opened.mapping));
  text.Add("size", Size(opened.mapping.size()));
  text.Add("coherent", opened.mapping.coherent() ? "yes" : "no");
  text.Add("token", TokenText(opened.handle.token()));
  const sdk::Segment segment = opened.handle.segment();
  for (const sdk::Run& run : segment.runs) {
    for (const sdk::Extent& extent : run.extents) {
      text.Add("extent",
               absl::StrCat(ExactSize(extent.length_bytes), " at ", ExactSize(extent.offset_bytes),
                            " of ", ShortName(extent.device)));
    }
  }
  context.out() << text.ToString() << "mapped" << std::endl;
}

absl::Status Map(Context& context, const std::string& text, bool write) {
  Hold hold;
  absl::StatusOr<Opened> opened =
      OpenAndMap(context, text, write ? sdk::AccessMode::kReadWrite : sdk::AccessMode::kReadOnly,
                 [&hold](const sdk::RevokeNotice& notice) { hold.Notify(notice); });
  absl::Status status = opened.status();
  if (opened.ok()) {
    PrintMapped(context, *opened);
    const std::optional<sdk::RevokeNotice> notice = hold.Wait();
    if (notice.has_value() && notice->gone) {
      status = MakeError(absl::StatusCode::kFailedPrecondition, v1::STALE_TOKEN,
                         absl::StrCat(opened->name, " was taken back: ", notice->detail));
    } else if (notice.has_value()) {
      context.Note(absl::StrCat(opened->name, " is being taken back, within ",
                                absl::FormatDuration(notice->grace), ": ", notice->detail,
                                "; letting go"));
    }
    status.Update(Close(*std::move(opened)));
  }
  // Its callback uses `hold`.
  context.DisconnectLocal();
  return status;
}

void AddPatternVerb(CommandLine& line, CLI::App* noun, const std::string& name,
                    const std::string& description,
                    absl::Status (*run)(Context&, const PatternArguments&)) {
  const auto arguments = std::make_shared<PatternArguments>();
  CLI::App* const verb = AddVerb(line, noun, name, description,
                                 [=](Context& context) { return run(context, *arguments); });
  verb->add_option("SEGMENT", arguments->segment)->required();
  verb->add_option("--seed", arguments->seed, "Which pattern")->capture_default_str();
  verb->add_option("--offset", arguments->offset, "Where to begin, a multiple of 8")
      ->capture_default_str();
  verb->add_option("--length", arguments->length, "How much, a multiple of 8 (default: the rest)");
}

}  // namespace

void AddSegmentDataCommands(CommandLine& line, CLI::App* segment) {
  AddPatternVerb(line, segment, "fill", "Maps a segment on this host and writes a pattern", Fill);
  AddPatternVerb(line, segment, "verify",
                 "Maps a segment on this host, read-only, and checks every byte of the pattern",
                 Verify);
  const auto write = std::make_shared<bool>(false);
  CLI::App* const map = AddVerbFor(
      line, segment, "map",
      "Maps a segment on this host and holds it until Enter, SIGTERM or a revoke", "SEGMENT",
      [=](Context& context, const std::string& text) { return Map(context, text, *write); });
  map->add_flag("--write", *write, "Map it read-write");
}

}  // namespace weft::cli
