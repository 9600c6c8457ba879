// Fabric memory by cache lines, and the caches of hosts over it.

#ifndef WEFT_TESTS_SIM_MEMORY_H_
#define WEFT_TESTS_SIM_MEMORY_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/core/types.h"

namespace weft::sim {

inline constexpr uint64_t kLineBytes = 64;
using Line = std::array<uint8_t, kLineBytes>;

// Who writes, for those who judge it.
struct Writer {
  enum class Kind { kClient, kWriteBack, kScrub, kDaemon };
  Kind kind = Kind::kDaemon;
  std::string host;
  // Of a client's store, and of the line that is written back.
  SegmentId segment;
  // Of these and of a scrub.
  Token token;
};

// One piece of memory. Lines that were never written are zero and take no space.
class Memory {
 public:
  using Watch =
      std::function<void(const Memory&, const Writer&, uint64_t first_line, uint64_t last_line)>;

  Memory(int number, ByteCount size, Watch watch)
      : number_(number), size_(size), watch_(std::move(watch)) {}

  // Other memory with the same contents.
  std::shared_ptr<Memory> Clone(int number) const;

  int number() const { return number_; }
  ByteCount size() const { return size_; }
  const Line& At(uint64_t line) const;
  // Every change but Fill and Forget goes through `watch` first.
  void Write(const Writer& writer, uint64_t line, const Line& value);
  void Zero(const Writer& writer, uint64_t first_line, uint64_t last_line);
  // What was there before anybody.
  void Fill(uint64_t line, const Line& value) { lines_[line] = value; }
  // What is in `other`, all at once and judged by nobody.
  void Become(const Memory& other) { lines_ = other.lines_; }
  // As a power cut.
  void Forget() {
    lines_.clear();
    forgot_ = true;
  }
  bool forgot() const { return forgot_; }

  // The first line in [first, last) that is not zero; `last` if there is none.
  uint64_t FirstNonZero(uint64_t first, uint64_t last) const;

  // Reads of the line fail until all of it is zeroed, or written past the caches.
  void Poison(uint64_t line) { poisoned_.insert(line); }
  std::optional<uint64_t> FirstPoisoned(uint64_t first, uint64_t last) const;
  bool IsPoisoned(uint64_t first, uint64_t last) const {
    return FirstPoisoned(first, last).has_value();
  }

  // For labels: whole bytes, of which those that matter are in few lines.
  absl::Status ReadBytes(ByteOffset offset, absl::Span<uint8_t> out) const;
  absl::Status WriteBytes(const Writer& writer, ByteOffset offset, absl::Span<const uint8_t> in);

 private:
  const int number_;
  const ByteCount size_;
  const Watch watch_;
  std::map<uint64_t, Line> lines_;
  std::set<uint64_t> poisoned_;
  bool forgot_ = false;
};

// The lines of one memory in one host's caches, where the fabric does not keep them
// coherent: what is read stays as it was, what is written arrives when it is written back.
class Cache {
 public:
  explicit Cache(std::shared_ptr<Memory> memory) : memory_(std::move(memory)) {}

  Memory& memory() { return *memory_; }
  const std::shared_ptr<Memory>& shared_memory() const { return memory_; }

  const Line& Load(uint64_t line);
  void Store(const Writer& writer, uint64_t line, const Line& value);
  // Writes back what is dirty in [first, last); then nothing of it is cached: what
  // processors have for both flushing and invalidating.
  // Returns how many lines were written.
  size_t WriteBack(uint64_t first, uint64_t last);
  // The processor evicts a dirty line that it chooses, if there is any.
  void EvictOne(uint64_t choice);
  void Drop() { lines_.clear(); }
  bool has_dirty(uint64_t first, uint64_t last) const;

 private:
  struct Cached {
    Line value;
    bool dirty = false;
    Writer writer;
  };
  void WriteBackOne(uint64_t line, const Cached& cached);

  const std::shared_ptr<Memory> memory_;
  std::map<uint64_t, Cached> lines_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_MEMORY_H_
