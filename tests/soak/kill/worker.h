// One thread's load: an application that runs on two hosts and remembers what it was
// promised.

#ifndef WEFT_TESTS_SOAK_KILL_WORKER_H_
#define WEFT_TESTS_SOAK_KILL_WORKER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/weft.h"
#include "tests/soak/kill/checker.h"
#include "tests/soak/kill/progress.h"

namespace weft::soak {

// Owns a few segment names, which it uses again and again. It writes on its home host only;
// on the other one it reads. Every byte of a segment up to what was written carries the
// owner's stamp, every byte behind that is zero: anything else is a violation, and so is any
// answer that none of its requests can have. Not thread-safe.
class Worker {
 public:
  // `name` begins the names of its segments. `progress` outlives it.
  Worker(std::string name, uint64_t seed, std::unique_ptr<sdk::Client> home,
         std::unique_ptr<sdk::Client> away, Progress& progress);

  // Carries out `count` operations chosen by chance. Blocks while servers are down;
  // ends early once anything is wrong.
  void Run(int count);
  // Looks at every segment in every way: through the mapping it still holds, then on the
  // other host after writing anew.
  void VerifyAll();

  // Gives every handle back.
  void CloseAll();

  // What it was told of the segments that exist.
  Promises promises() const;
  // The mutations acknowledged since the last call, by resource name.
  std::map<std::string, Acknowledged> TakeAcknowledged();

 private:
  struct Slot {
    std::string name;  // `<pool>/<segment>`
    // Absent: there is no such segment.
    std::optional<Promise> promise;
    uint64_t generation = 0;
    // The size is a multiple of this.
    uint64_t unit_bytes = 0;
    // Bytes [0, written_bytes) carry this version.
    uint64_t version = 0;
    uint64_t written_bytes = 0;
    // The greatest token seen, by home and away.
    sdk::Token tokens[2];
    // Unmapped first.
    std::optional<sdk::Handle> handle;
    std::optional<sdk::Mapping> mapping;
  };

  void Step(Slot& slot);
  void StepMapped(Slot& slot);
  void StepUnmapped(Slot& slot);

  void Create(Slot& slot);
  void Open(Slot& slot);
  void Write(Slot& slot);
  void Grow(Slot& slot);
  void Close(Slot& slot);
  void Delete(Slot& slot);
  void ReadAway(Slot& slot);
  // Requests that must be refused, and change nothing.
  void DeleteHeld(Slot& slot);
  void WriteAway(Slot& slot);

  void Verify(const Slot& slot, std::span<const std::byte> bytes, std::string_view where);
  void NoteOpened(Slot& slot, const sdk::Handle& handle, bool away);
  // OK: counts `operation`; one of `refusals`, or tolerated now: counts that; else a violation.
  bool Judge(const Slot& slot, const std::string& operation, const absl::Status& status,
             std::initializer_list<std::string_view> refusals = {});
  // As Judge, for what no server takes part in.
  bool Must(const Slot& slot, const std::string& operation, const absl::Status& status);
  // For what must be refused: anything but `refusal`, or what is tolerated now, is a violation.
  void MustRefuse(const Slot& slot, const std::string& operation, const absl::Status& status,
                  const std::string& refusal);
  void Violate(const Slot& slot, const std::string& what);
  uint64_t Random(uint64_t below) { return random_() % below; }

  const std::unique_ptr<sdk::Client> home_;
  const std::unique_ptr<sdk::Client> away_;
  Progress& progress_;
  std::mt19937_64 random_;
  std::vector<Slot> slots_;
  std::map<std::string, Acknowledged> acknowledged_;
};

}  // namespace weft::soak

#endif  // WEFT_TESTS_SOAK_KILL_WORKER_H_
