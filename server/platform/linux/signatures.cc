#include "server/platform/linux/signatures.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/file_io.h"
#include "server/platform/unique_fd.h"

namespace weft {
namespace {

constexpr uint64_t kProbed = 4 * kMiB.value();

// famfs begins with this number, in the byte order of the host that wrote it: x86-64 or
// aarch64, so little-endian.
constexpr uint64_t kFamfsMagic = 0x87b282ff;

struct FreeProbe {
  void operator()(blkid_probe probe) const { blkid_free_probe(probe); }
};
using Probe = std::unique_ptr<std::remove_pointer_t<blkid_probe>, FreeProbe>;

absl::Status CopyRange(Device& device, uint64_t offset, uint64_t length, int fd,
                       std::vector<uint8_t>& bytes) {
  bytes.resize(length);
  if (absl::Status s = device.Read(ByteOffset(offset), absl::MakeSpan(bytes)); !s.ok()) return s;
  const int error = WriteFully(fd, bytes.data(), bytes.size(), offset);
  return error == 0 ? absl::OkStatus() : ErrnoError(error, "pwrite", "memfd");
}

// A sparse file as large as the device, with the device's bytes at both ends: libblkid
// uses read(2), which /dev/daxX.Y does not have. `head` gets the bytes at the start.
absl::StatusOr<UniqueFd> CopyEnds(Device& device, std::vector<uint8_t>& head) {
  UniqueFd fd(memfd_create("weft-probe", MFD_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, "memfd_create", "weft-probe");
  const uint64_t size = device.size().value();
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return ErrnoError(errno, "ftruncate", "memfd");
  }
  const uint64_t length = std::min(kProbed, size);
  std::vector<uint8_t> tail;
  if (absl::Status s = CopyRange(device, size - length, length, fd.get(), tail); !s.ok()) return s;
  if (absl::Status s = CopyRange(device, 0, length, fd.get(), head); !s.ok()) return s;
  return fd;
}

bool IsFamfs(const std::vector<uint8_t>& head) {
  if (head.size() < sizeof(uint64_t)) return false;
  uint64_t magic = 0;
  for (size_t i = 0; i < sizeof(magic); ++i) magic |= uint64_t{head[i]} << (8 * i);
  return magic == kFamfsMagic;
}

std::string Value(blkid_probe probe, const char* name) {
  const char* value = nullptr;
  return blkid_probe_lookup_value(probe, name, &value, nullptr) == 0 ? value : "";
}

absl::StatusOr<std::optional<std::string>> AskBlkid(int fd, const std::string& name) {
  const Probe probe(blkid_new_probe());
  if (probe == nullptr || blkid_probe_set_device(probe.get(), fd, 0, 0) != 0) {
    return ErrnoError(errno != 0 ? errno : ENOMEM, "blkid_probe_set_device", name);
  }
  blkid_probe_enable_superblocks(probe.get(), 1);
  // A damaged superblock is somebody's data, too.
  blkid_probe_set_superblocks_flags(probe.get(),
                                    BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(probe.get(), 1);
  switch (blkid_do_probe(probe.get())) {
    case 0:
      break;
    case 1:
      return std::nullopt;
    default:
      return ErrnoError(errno != 0 ? errno : EINVAL, "blkid_do_probe", name);
  }
  if (const std::string table = Value(probe.get(), "PTTYPE"); !table.empty()) {
    return absl::StrCat(table, " partition table");
  }
  return absl::StrCat(Value(probe.get(), "TYPE"), " ", Value(probe.get(), "USAGE"));
}

}  // namespace

absl::StatusOr<std::optional<std::string>> LinuxSignatureProbe::Find(Device& device) {
  std::vector<uint8_t> head;
  absl::StatusOr<UniqueFd> fd = CopyEnds(device, head);
  if (!fd.ok()) return fd.status();
  if (IsFamfs(head)) return "famfs filesystem";
  return AskBlkid(fd->get(), device.name());
}

}  // namespace weft
