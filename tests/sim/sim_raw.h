// What the processes of one simulated machine have of whole devices: the handles of the `devdax`
// backend.

#ifndef WEFT_TESTS_SIM_SIM_RAW_H_
#define WEFT_TESTS_SIM_SIM_RAW_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proto/weft/v1/node.pb.h"
#include "server/platform/device.h"
#include "server/platform/mapping_scanner.h"
#include "tests/sim/in_flight.h"
#include "tests/sim/memory.h"
#include "tests/sim/truth.h"

namespace weft::sim {

// Open descriptions, and mappings through them, which nobody but their process can end. The
// processes are cooperating ones: they map what they were told to. Lives as long as its machine
// runs.
class SimRaw final : public MappingScanner {
 public:
  SimRaw(Truth& truth, std::string host) : truth_(truth), host_(std::move(host)) {}

  // ---- The machine's side

  // The device of this number is about to go: accesses get SIGBUS from now on.
  void OnUnplug(uint64_t device_number);

  // ---- The daemon's side

  UniqueFd Open(const std::string& path, uint64_t device_number, std::shared_ptr<Memory> memory,
                Access access);
  void Mark(int fd, uint64_t mark) { files_.at(in_flight_.Find(fd)).mark = mark; }
  bool HasClient(uint64_t device_number, uint64_t mark) const;
  absl::StatusOr<std::vector<FileMapping>> Scan(const std::vector<std::string>& paths) override;

  // ---- The processes' side. A handle is a file, or a mapping.

  // The file behind a descriptor that Open gave.
  HandleId Claim(int fd) { return in_flight_.Claim(fd); }
  void SweepDescriptors();
  // Maps what `open` is about through its `files`, which the mapping has from now on.
  HandleId Map(const v1::OpenReply& open, const std::vector<HandleId>& files);
  void Release(HandleId handle);
  // False: SIGBUS. `line`: from the segment's start.
  bool Store(HandleId mapping, uint64_t line, const Line& value);
  std::optional<Line> Load(HandleId mapping, uint64_t line);
  // Zero: no access.
  uint64_t LinesOf(HandleId mapping) const;

  // How many files processes have open.
  size_t files() const { return files_.size(); }

 private:
  struct File {
    std::string path;
    uint64_t device_number = 0;
    std::shared_ptr<Memory> memory;
    Access access = Access::kReadOnly;
    std::optional<uint64_t> mark;
    bool dead = false;
  };
  struct Piece {
    HandleId file = 0;
    uint64_t first_line = 0;
    uint64_t lines = 0;
  };
  struct Run {
    std::vector<Piece> pieces;
    uint64_t chunk_lines = 0;
  };
  struct Mapping {
    Writer client;
    Access access = Access::kReadOnly;
    std::vector<HandleId> files;
    std::vector<Run> runs;
    uint64_t lines = 0;
  };
  struct Place {
    Memory* memory = nullptr;
    uint64_t line = 0;
  };

  std::optional<Place> Locate(const Mapping& mapping, uint64_t line) const;

  Truth& truth_;
  const std::string host_;
  std::map<HandleId, File> files_;
  std::map<HandleId, Mapping> mappings_;
  HandleId last_handle_ = 0;
  InFlight in_flight_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_SIM_RAW_H_
