#include "tests/sim/memory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft::sim {
namespace {

constexpr Line kZeroLine{};

absl::Status Bad(uint64_t offset) {
  return MakeError(absl::StatusCode::kDataLoss, v1::POISONED,
                   absl::StrCat("bad memory near offset ", offset));
}

}  // namespace

std::shared_ptr<Memory> Memory::Clone(int number) const {
  auto clone = std::make_shared<Memory>(number, size_, watch_);
  clone->lines_ = lines_;
  return clone;
}

const Line& Memory::At(uint64_t line) const {
  const auto it = lines_.find(line);
  return it == lines_.end() ? kZeroLine : it->second;
}

void Memory::Write(const Writer& writer, uint64_t line, const Line& value) {
  watch_(*this, writer, line, line + 1);
  lines_[line] = value;
}

void Memory::Zero(const Writer& writer, uint64_t first, uint64_t last) {
  watch_(*this, writer, first, last);
  lines_.erase(lines_.lower_bound(first), lines_.lower_bound(last));
  poisoned_.erase(poisoned_.lower_bound(first), poisoned_.lower_bound(last));
}

uint64_t Memory::FirstNonZero(uint64_t first, uint64_t last) const {
  for (auto it = lines_.lower_bound(first); it != lines_.end() && it->first < last; ++it) {
    if (it->second != kZeroLine) return it->first;
  }
  return last;
}

std::optional<uint64_t> Memory::FirstPoisoned(uint64_t first, uint64_t last) const {
  const auto it = poisoned_.lower_bound(first);
  if (it == poisoned_.end() || *it >= last) return std::nullopt;
  return *it;
}

absl::Status Memory::ReadBytes(ByteOffset offset, absl::Span<uint8_t> out) const {
  const uint64_t begin = offset.value();
  const uint64_t end = begin + out.size();
  if (IsPoisoned(begin / kLineBytes, (end + kLineBytes - 1) / kLineBytes)) return Bad(begin);
  std::fill(out.begin(), out.end(), 0);
  for (auto it = lines_.lower_bound(begin / kLineBytes);
       it != lines_.end() && it->first * kLineBytes < end; ++it) {
    const uint64_t at = it->first * kLineBytes;
    const uint64_t from = std::max(begin, at);
    const uint64_t to = std::min(end, at + kLineBytes);
    std::memcpy(out.data() + (from - begin), it->second.data() + (from - at), to - from);
  }
  return absl::OkStatus();
}

absl::Status Memory::WriteBytes(const Writer& writer, ByteOffset offset,
                                absl::Span<const uint8_t> in) {
  const uint64_t begin = offset.value();
  const uint64_t end = begin + in.size();
  for (uint64_t line = begin / kLineBytes; line * kLineBytes < end; ++line) {
    const uint64_t at = line * kLineBytes;
    const uint64_t from = std::max(begin, at);
    const uint64_t to = std::min(end, at + kLineBytes);
    Line value = At(line);
    std::memcpy(value.data() + (from - at), in.data() + (from - begin), to - from);
    if (value != At(line)) Write(writer, line, value);
    if (to - from == kLineBytes) poisoned_.erase(line);
  }
  return absl::OkStatus();
}

const Line& Cache::Load(uint64_t line) {
  const auto it = lines_.find(line);
  if (it != lines_.end()) return it->second.value;
  return lines_.emplace(line, Cached{memory_->At(line), false, {}}).first->second.value;
}

void Cache::Store(const Writer& writer, uint64_t line, const Line& value) {
  Writer back = writer;
  back.kind = Writer::Kind::kWriteBack;
  lines_[line] = {value, true, std::move(back)};
}

void Cache::WriteBackOne(uint64_t line, const Cached& cached) {
  memory_->Write(cached.writer, line, cached.value);
}

size_t Cache::WriteBack(uint64_t first, uint64_t last) {
  size_t written = 0;
  auto it = lines_.lower_bound(first);
  while (it != lines_.end() && it->first < last) {
    if (it->second.dirty) {
      ++written;
      WriteBackOne(it->first, it->second);
    }
    it = lines_.erase(it);
  }
  return written;
}

void Cache::EvictOne(uint64_t choice) {
  std::vector<uint64_t> dirty;
  for (const auto& [line, cached] : lines_) {
    if (cached.dirty) dirty.push_back(line);
  }
  if (dirty.empty()) return;
  const auto it = lines_.find(dirty[choice % dirty.size()]);
  WriteBackOne(it->first, it->second);
  lines_.erase(it);
}

bool Cache::has_dirty(uint64_t first, uint64_t last) const {
  for (auto it = lines_.lower_bound(first); it != lines_.end() && it->first < last; ++it) {
    if (it->second.dirty) return true;
  }
  return false;
}

}  // namespace weft::sim
