#include "server/platform/linux/kmod_device.h"

#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/cache_ops.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/platform/kmod_scratch.h"
#include "server/platform/linux/bus_guard.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/file_io.h"
#include "server/platform/linux/mapped_window.h"

namespace weft {
namespace {

// Labels belong to the daemon on every host: no token orders them.
constexpr Token kLabelToken{0, 0};
absl::Status LabelFault(const std::string& name, bool hardware) {
  if (hardware) {
    return MakeError(absl::StatusCode::kDataLoss, v1::POISONED,
                     absl::StrCat(name, ": the memory of the label is bad (SIGBUS)"));
  }
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   absl::StrCat(name, ": the label was taken away while it was touched"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Device>> KmodDevice::Open(Kmod& kmod, const KmodDeviceInfo& device,
                                                         const DaxInfo& info) {
  const SegmentId labels = kmod.LabelSegment(device.id);
  absl::StatusOr<UniqueFd> fd = kmod.OpenSegment(labels, kLabelToken, Access::kReadWrite);
  if (ReasonOf(fd.status()) == v1::STALE_TOKEN) {  // the dead-man took it from a predecessor
    if (absl::Status s = kmod.ResumeSegment(labels, kLabelToken, Access::kReadWrite); !s.ok()) {
      return s;
    }
    fd = kmod.OpenSegment(labels, kLabelToken, Access::kReadWrite);
  }
  if (!fd.ok()) return fd.status();
  return std::unique_ptr<Device>(new KmodDevice(kmod, device, info, *std::move(fd)));
}

absl::StatusOr<ByteOffset> KmodDevice::InLabels(ByteOffset offset, ByteCount length) const {
  const uint64_t begin = offset.value();
  const uint64_t end = begin + length.value();
  const uint64_t unit = kExtentUnit.value();
  const uint64_t last = device_.capacity.value() - unit;
  if (end <= unit) return offset;
  if (begin >= last && end <= device_.capacity.value()) return ByteOffset(begin - last + unit);
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_SUPPORTED,
                   absl::StrCat(info_.name, " is with the kernel module: of its bytes only those ",
                                "of the label can be reached, not ", begin, " to ", end));
}

absl::Status KmodDevice::Resume() {
  const absl::Status status =
      kmod_.ResumeSegment(kmod_.LabelSegment(device_.id), kLabelToken, Access::kReadWrite);
  if (ReasonOf(status) != v1::SESSION_EXPIRED) return status;
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   absl::StrCat("the label of ", info_.name, ": the lease has run out"));
}

absl::Status KmodDevice::Touch(ByteOffset offset, ByteCount length, Access access,
                               absl::FunctionRef<void(uint8_t*)> body) {
  const absl::StatusOr<ByteOffset> at = InLabels(offset, length);
  if (!at.ok()) return at.status();
  if (length == ByteCount(0)) return absl::OkStatus();
  for (bool resumed = false;; resumed = true) {
    absl::StatusOr<MappedWindow> window =
        MappedWindow::Map(labels_.get(), info_.name, *at, length, kExtentUnit, access);
    absl::Status status = window.status();
    if (window.ok()) {
      const std::optional<BusFault> fault =
          RunGuarded(window->begin(), window->size(), [&] { body(window->data()); });
      if (!fault) return absl::OkStatus();
      status = LabelFault(info_.name, fault->hardware);
    }
    if (resumed || ReasonOf(status) == v1::POISONED) return status;
    if (absl::Status s = Resume(); !s.ok()) return s;
  }
}

absl::Status KmodDevice::Read(ByteOffset offset, absl::Span<uint8_t> out) {
  return Touch(offset, ByteCount(out.size()), Access::kReadOnly, [&](uint8_t* bytes) {
    InvalidateCache(bytes, out.size());
    std::memcpy(out.data(), bytes, out.size());
  });
}

absl::Status KmodDevice::Write(ByteOffset offset, absl::Span<const uint8_t> in) {
  return Touch(offset, ByteCount(in.size()), Access::kReadWrite, [&](uint8_t* bytes) {
    std::memcpy(bytes, in.data(), in.size());
    WriteBackCache(bytes, in.size());
  });
}

absl::Status KmodDevice::Zero(ByteOffset offset, ByteCount length) {
  WEFT_CHECK(length <= kMaxPiece, length.value());
  const absl::StatusOr<ByteOffset> at = InLabels(offset, length);
  if (!at.ok()) return at.status();
  return kmod_.ZeroSegment(kmod_.LabelSegment(device_.id), kLabelToken, *at, length);
}

absl::Status KmodDevice::Scrub(ByteOffset offset, ByteCount length, Token token) {
  return WithScratch(kmod_, {device_.id, offset, length}, token, Access::kReadWrite,
                     [&](SegmentId scratch, ByteOffset at) {
                       return kmod_.ZeroSegment(scratch, token, at, length);
                     });
}

// read(2) and write(2) of a segment's file go to the memory itself.

absl::Status KmodDevice::CopyOut(ByteOffset offset, absl::Span<uint8_t> out, Token token) {
  return WithScratch(
      kmod_, {device_.id, offset, ByteCount(out.size())}, token, Access::kReadOnly,
      [&](SegmentId scratch, ByteOffset at) -> absl::Status {
        const absl::StatusOr<UniqueFd> fd = kmod_.OpenSegment(scratch, token, Access::kReadOnly);
        if (!fd.ok()) return fd.status();
        const int error = ReadFully(fd->get(), out.data(), out.size(), at.value());
        return error == 0 ? absl::OkStatus() : ErrnoError(error, "pread", info_.name);
      });
}

absl::Status KmodDevice::CopyIn(ByteOffset offset, absl::Span<const uint8_t> bytes, Token token) {
  return WithScratch(
      kmod_, {device_.id, offset, ByteCount(bytes.size())}, token, Access::kReadWrite,
      [&](SegmentId scratch, ByteOffset at) -> absl::Status {
        const absl::StatusOr<UniqueFd> fd = kmod_.OpenSegment(scratch, token, Access::kReadWrite);
        if (!fd.ok()) return fd.status();
        const int error = WriteFully(fd->get(), bytes.data(), bytes.size(), at.value());
        return error == 0 ? absl::OkStatus() : ErrnoError(error, "pwrite", info_.name);
      });
}

absl::StatusOr<UniqueFd> KmodDevice::OpenForClient(Access) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, v1::NOT_SUPPORTED,
      absl::StrCat(info_.name, " is with the kernel module: no client gets all of it"));
}

}  // namespace weft
