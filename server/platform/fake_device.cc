#include "server/platform/fake_device.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/ranges.h"

namespace weft {

std::shared_ptr<FakeMedia> FakeMedia::Clone() const {
  auto clone = std::make_shared<FakeMedia>(size());
  absl::ReaderMutexLock lock(&mu_);
  clone->bytes_ = bytes_;
  return clone;
}

std::vector<uint8_t> FakeMedia::Peek(ByteOffset offset, ByteCount length) const {
  absl::ReaderMutexLock lock(&mu_);
  const auto begin = bytes_.begin() + offset.value();
  return std::vector<uint8_t>(begin, begin + length.value());
}

void FakeMedia::Poke(ByteOffset offset, absl::Span<const uint8_t> bytes) {
  absl::MutexLock lock(&mu_);
  std::copy(bytes.begin(), bytes.end(), bytes_.begin() + offset.value());
}

void FakeMedia::Poison(ByteOffset offset) {
  absl::MutexLock lock(&mu_);
  poisoned_.insert(offset);
}

void FakeMedia::CrashAfterWriting(ByteCount bytes) {
  absl::MutexLock lock(&mu_);
  writable_ = bytes.value();
}

void FakeMedia::Recover() {
  absl::MutexLock lock(&mu_);
  writable_.reset();
}

absl::Status FakeMedia::Check(ByteOffset offset, size_t length) const {
  if (length > bytes_.size() || offset.value() > bytes_.size() - length) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_SIZE, "outside the device");
  }
  const auto bad = poisoned_.lower_bound(offset);
  if (bad != poisoned_.end() && bad->value() < offset.value() + length) {
    return MakeError(absl::StatusCode::kDataLoss, v1::POISONED,
                     absl::StrCat("bad memory at offset ", bad->value()));
  }
  return absl::OkStatus();
}

void FakeMedia::AddClient(uint64_t mark) {
  absl::MutexLock lock(&mu_);
  clients_.insert(mark);
}

bool FakeMedia::HasClient(uint64_t mark) const {
  absl::MutexLock lock(&mu_);
  return clients_.contains(mark);
}

void FakeMedia::CloseClients() {
  absl::MutexLock lock(&mu_);
  clients_.clear();
}

Token FakeMedia::scrub_token() const {
  absl::MutexLock lock(&mu_);
  return scrub_token_;
}

void FakeMedia::SetScrubToken(Token token) {
  absl::MutexLock lock(&mu_);
  scrub_token_ = token;
}

std::vector<ByteRange> FakeMedia::BadRanges() const {
  constexpr uint64_t kPage = 4096;
  absl::MutexLock lock(&mu_);
  ByteRanges ranges;
  for (const ByteOffset at : poisoned_) {
    ranges.push_back({ByteOffset(at.value() / kPage * kPage), ByteCount(kPage)});
  }
  return Joined(std::move(ranges));
}

absl::Status FakeMedia::Read(ByteOffset offset, absl::Span<uint8_t> out) const {
  absl::ReaderMutexLock lock(&mu_);
  if (absl::Status s = Check(offset, out.size()); !s.ok()) return s;
  std::copy_n(bytes_.begin() + offset.value(), out.size(), out.begin());
  return absl::OkStatus();
}

absl::Status FakeMedia::Write(ByteOffset offset, absl::Span<const uint8_t> bytes) {
  absl::MutexLock lock(&mu_);
  if (absl::Status s = Check(offset, bytes.size()); !s.ok()) return s;
  const size_t arriving = std::min(bytes.size(), writable_.value_or(bytes.size()));
  std::copy_n(bytes.begin(), arriving, bytes_.begin() + offset.value());
  if (writable_) *writable_ -= arriving;
  if (arriving == bytes.size()) return absl::OkStatus();
  return absl::AbortedError("the host crashed");
}

absl::Status FakeDevice::Read(ByteOffset offset, absl::Span<uint8_t> out) {
  return media_->Read(offset, out);
}

absl::Status FakeDevice::Write(ByteOffset offset, absl::Span<const uint8_t> bytes) {
  return media_->Write(offset, bytes);
}

absl::Status FakeDevice::Zero(ByteOffset offset, ByteCount length) {
  WEFT_CHECK(length <= kMaxPiece, length.value());
  return media_->Write(offset, std::vector<uint8_t>(length.value()));
}

absl::Status FakeDevice::Scrub(ByteOffset offset, ByteCount length, Token token) {
  media_->SetScrubToken(token);
  return Zero(offset, length);
}

absl::StatusOr<UniqueFd> FakeDevice::OpenForClient(Access) { return UniqueFd(dup(STDERR_FILENO)); }

absl::Status FakeDevice::MarkForClient(int, uint64_t mark) {
  media_->AddClient(mark);
  return absl::OkStatus();
}

}  // namespace weft
