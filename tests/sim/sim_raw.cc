#include "tests/sim/sim_raw.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "server/core/check.h"
#include "server/core/token_proto.h"
#include "tests/sim/line_place.h"

namespace weft::sim {

void SimRaw::OnUnplug(uint64_t device_number) {
  for (auto& [handle, file] : files_) {
    if (file.device_number == device_number) file.dead = true;
  }
}

UniqueFd SimRaw::Open(const std::string& path, uint64_t device_number,
                      std::shared_ptr<Memory> memory, Access access) {
  UniqueFd fd(dup(STDERR_FILENO));
  files_[++last_handle_] = {path, device_number, std::move(memory), access, std::nullopt, false};
  if (const HandleId dropped = in_flight_.Add(fd.get(), last_handle_)) Release(dropped);
  return fd;
}

bool SimRaw::HasClient(uint64_t device_number, uint64_t mark) const {
  return std::any_of(files_.begin(), files_.end(), [&](const auto& entry) {
    return entry.second.device_number == device_number && entry.second.mark == mark;
  });
}

absl::StatusOr<std::vector<FileMapping>> SimRaw::Scan(const std::vector<std::string>& paths) {
  std::vector<FileMapping> found;
  for (const auto& [handle, mapping] : mappings_) {
    for (const Run& run : mapping.runs) {
      for (const Piece& piece : run.pieces) {
        const File& file = files_.at(piece.file);
        if (file.dead || std::find(paths.begin(), paths.end(), file.path) == paths.end()) continue;
        found.push_back({file.path, ByteOffset(piece.first_line * kLineBytes),
                         ByteCount(piece.lines * kLineBytes), static_cast<int>(handle)});
      }
    }
  }
  return found;
}

void SimRaw::SweepDescriptors() {
  in_flight_.Sweep([this](HandleId dropped) { Release(dropped); });
}

HandleId SimRaw::Map(const v1::OpenReply& open, const std::vector<HandleId>& files) {
  WEFT_CHECK(static_cast<size_t>(open.devices_size()) == files.size(), files.size());
  Mapping mapping;
  mapping.client = {Writer::Kind::kClient, host_, SegmentId(open.segment().id()),
                    FromProto(open.token())};
  mapping.access = open.mode() == v1::READ_WRITE ? Access::kReadWrite : Access::kReadOnly;
  mapping.files = files;
  for (const v1::Run& run : open.segment().runs()) {
    Run lines{{}, run.chunk_bytes() / kLineBytes};
    for (const v1::Extent& extent : run.extents()) {
      const auto device = std::find(open.devices().begin(), open.devices().end(), extent.device());
      WEFT_CHECK(device != open.devices().end(), extent.device());
      lines.pieces.push_back({files[device - open.devices().begin()],
                              extent.offset_bytes() / kLineBytes,
                              extent.length_bytes() / kLineBytes});
      mapping.lines += extent.length_bytes() / kLineBytes;
    }
    mapping.runs.push_back(std::move(lines));
  }
  mappings_[++last_handle_] = std::move(mapping);
  return last_handle_;
}

void SimRaw::Release(HandleId handle) {
  const auto mapping = mappings_.find(handle);
  if (mapping != mappings_.end()) {
    for (const HandleId file : mapping->second.files) files_.erase(file);
    mappings_.erase(mapping);
  }
  files_.erase(handle);
}

std::optional<SimRaw::Place> SimRaw::Locate(const Mapping& mapping, uint64_t line) const {
  for (const Run& run : mapping.runs) {
    uint64_t lines = 0;
    for (const Piece& piece : run.pieces) lines += piece.lines;
    if (line >= lines) {
      line -= lines;
      continue;
    }
    const LinePlace place = PlaceInRun(run.pieces.size(), run.chunk_lines, line);
    const Piece& piece = run.pieces[place.extent];
    const File& file = files_.at(piece.file);
    const uint64_t at = piece.first_line + place.line;
    if (file.dead || file.memory->IsPoisoned(at, at + 1)) return std::nullopt;
    return Place{file.memory.get(), at};
  }
  return std::nullopt;
}

bool SimRaw::Store(HandleId handle, uint64_t line, const Line& value) {
  const auto it = mappings_.find(handle);
  if (it == mappings_.end() || it->second.access != Access::kReadWrite) return false;
  const std::optional<Place> place = Locate(it->second, line);
  if (!place) return false;
  place->memory->Write(it->second.client, place->line, value);
  return true;
}

std::optional<Line> SimRaw::Load(HandleId handle, uint64_t line) {
  const auto it = mappings_.find(handle);
  if (it == mappings_.end()) return std::nullopt;
  const std::optional<Place> place = Locate(it->second, line);
  if (!place) return std::nullopt;
  const Line value = place->memory->At(place->line);
  truth_.OnRead(*place->memory, it->second.client, place->line, value);
  return value;
}

uint64_t SimRaw::LinesOf(HandleId handle) const {
  const auto it = mappings_.find(handle);
  return it == mappings_.end() ? 0 : it->second.lines;
}

}  // namespace weft::sim
