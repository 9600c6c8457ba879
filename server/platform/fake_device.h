// Memory that a test can share between hosts, damage, poison and take away.

#ifndef WEFT_SERVER_PLATFORM_FAKE_DEVICE_H_
#define WEFT_SERVER_PLATFORM_FAKE_DEVICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/device.h"

namespace weft {

// The memory itself: what several hosts' devices may stand for. Thread-safe.
class FakeMedia {
 public:
  explicit FakeMedia(ByteCount size) : bytes_(size.value()) {}
  // Other memory with the same contents: what a cloned image is.
  std::shared_ptr<FakeMedia> Clone() const;

  ByteCount size() const { return ByteCount(bytes_.size()); }
  std::vector<uint8_t> Peek(ByteOffset offset, ByteCount length) const;
  void Poke(ByteOffset offset, absl::Span<const uint8_t> bytes);

  // Accesses to the byte fail with POISONED.
  void Poison(ByteOffset offset);
  // The next `bytes` bytes that are written arrive; then every write stops, in the
  // middle if need be, with an error, as if the host had crashed there.
  void CrashAfterWriting(ByteCount bytes);
  // Ends CrashAfterWriting.
  void Recover();

  // Of the last Scrub.
  Token scrub_token() const;
  void SetScrubToken(Token token);
  // Clients that have it open, by mark.
  void AddClient(uint64_t mark);
  bool HasClient(uint64_t mark) const;
  void CloseClients();
  // The pages that were poisoned.
  std::vector<ByteRange> BadRanges() const;

  // As of Device.
  absl::Status Read(ByteOffset offset, absl::Span<uint8_t> out) const;
  absl::Status Write(ByteOffset offset, absl::Span<const uint8_t> bytes);

 private:
  absl::Status Check(ByteOffset offset, size_t length) const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  // Its size does not change.
  std::vector<uint8_t> bytes_;
  std::set<uint64_t> clients_ ABSL_GUARDED_BY(mu_);
  Token scrub_token_ ABSL_GUARDED_BY(mu_);
  std::set<ByteOffset> poisoned_ ABSL_GUARDED_BY(mu_);
  std::optional<size_t> writable_ ABSL_GUARDED_BY(mu_);
};

// One host's device on such memory.
class FakeDevice final : public Device {
 public:
  FakeDevice(std::string name, std::shared_ptr<FakeMedia> media)
      : name_(std::move(name)), media_(std::move(media)) {}

  const std::string& name() const override { return name_; }
  DeviceKind kind() const override { return DeviceKind::kEmulated; }
  ByteCount size() const override { return media_->size(); }
  ByteCount alignment() const override { return kExtentUnit; }
  absl::Status Read(ByteOffset offset, absl::Span<uint8_t> out) override;
  absl::Status Write(ByteOffset offset, absl::Span<const uint8_t> bytes) override;
  absl::Status Zero(ByteOffset offset, ByteCount length) override;
  absl::Status Scrub(ByteOffset offset, ByteCount length, Token token) override;
  absl::StatusOr<std::vector<ByteRange>> BadRanges() override { return media_->BadRanges(); }
  // A descriptor that leads nowhere of use.
  absl::StatusOr<UniqueFd> OpenForClient(Access access) override;
  absl::Status MarkForClient(int fd, uint64_t mark) override;
  absl::StatusOr<bool> HasClient(uint64_t mark) override { return media_->HasClient(mark); }

 private:
  const std::string name_;
  const std::shared_ptr<FakeMedia> media_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_FAKE_DEVICE_H_
