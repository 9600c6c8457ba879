#include "server/node/raw_backend.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/platform/packet_server.h"

namespace weft {
namespace {

constexpr ByteCount kEmulatedPage{4096};

std::string RecordName(const v1::GrantAssignment& grant) {
  return absl::StrCat(grant.grant().segment_id());
}

bool Overlaps(const FileMapping& mapping, const v1::Extent& extent) {
  const uint64_t begin = mapping.offset.value();
  const uint64_t end = begin + mapping.length.value();
  return begin < extent.offset_bytes() + extent.length_bytes() && extent.offset_bytes() < end;
}

absl::Status TooManyDevices(const v1::GrantAssignment& grant) {
  return MakeError(absl::StatusCode::kUnimplemented, v1::NOT_SUPPORTED,
                   absl::StrCat(grant.grant().segment(), " lies on more than ", kMaxPacketFds,
                                " devices, more than can be handed out at once"));
}

}  // namespace

absl::StatusOr<std::vector<v1::GrantAssignment>> RawBackend::Recall() {
  const absl::StatusOr<std::map<std::string, std::string>> records = records_.ReadAll();
  if (!records.ok()) return records.status();
  std::vector<v1::GrantAssignment> grants;
  for (const auto& [name, bytes] : *records) {
    v1::GrantAssignment grant;
    if (!grant.ParseFromString(bytes) || RecordName(grant) != name) {
      return absl::DataLossError(absl::StrCat("the record of grant ", name,
                                              " cannot be read: see that nothing maps ",
                                              "this host's devices, then remove it"));
    }
    grants.push_back(std::move(grant));
  }
  return grants;
}

absl::Status RawBackend::Prepare(const v1::GrantAssignment& grant) {
  return records_.Write(RecordName(grant), grant.SerializeAsString());
}

absl::StatusOr<HandleFiles> RawBackend::Open(const v1::GrantAssignment& grant,
                                             v1::AccessMode mode) {
  return Refresh(grant, mode, {});
}

absl::StatusOr<HandleFiles> RawBackend::Refresh(const v1::GrantAssignment& grant,
                                                v1::AccessMode mode,
                                                const std::set<std::string>& devices) {
  std::set<std::string> seen;
  HandleFiles files;
  files.page_size = kind_ == v1::DEVDAX ? kExtentUnit : kEmulatedPage;
  for (const v1::Run& run : grant.runs()) {
    for (const v1::Extent& extent : run.extents()) {
      if (!seen.insert(extent.device()).second) continue;
      const absl::StatusOr<DeviceId> id = ParseDeviceName(extent.device());
      if (!id.ok()) return id.status();
      const absl::StatusOr<KnownDevice> device = catalog_.Find(*id);
      if (!device.ok()) return device.status();
      v1::DeviceIncarnation& incarnation = files.incarnation.emplace_back();
      incarnation.set_device(extent.device());
      incarnation.set_power_epoch(device->label.power_epoch);
      if (devices.contains(extent.device())) continue;
      if (files.fds.size() == kMaxPacketFds) return TooManyDevices(grant);
      absl::StatusOr<UniqueFd> fd = device->device->OpenForClient(
          mode == v1::READ_WRITE ? Access::kReadWrite : Access::kReadOnly);
      if (!fd.ok()) return fd.status();
      files.fds.push_back(*std::move(fd));
      files.devices.push_back(extent.device());
    }
  }
  return files;
}

absl::StatusOr<std::set<SegmentId>> RawBackend::FindInUse(
    const std::vector<v1::GrantAssignment>& grants) {
  // By path, the parts of devices and the segments that they belong to.
  std::map<std::string, std::vector<std::pair<v1::Extent, SegmentId>>> parts;
  for (const v1::GrantAssignment& grant : grants) {
    for (const v1::Run& run : grant.runs()) {
      for (const v1::Extent& extent : run.extents()) {
        const absl::StatusOr<DeviceId> id = ParseDeviceName(extent.device());
        if (!id.ok()) return id.status();
        const absl::StatusOr<KnownDevice> device = catalog_.Find(*id);
        if (!device.ok()) return device.status();
        parts[device->info.path].emplace_back(extent, SegmentId(grant.grant().segment_id()));
      }
    }
  }
  std::vector<std::string> paths;
  for (const auto& [path, extents] : parts) paths.push_back(path);
  const absl::StatusOr<std::vector<FileMapping>> mappings = scanner_.Scan(paths);
  if (!mappings.ok()) return mappings.status();
  std::set<SegmentId> in_use;
  for (const FileMapping& mapping : *mappings) {
    for (const auto& [extent, segment] : parts[mapping.path]) {
      if (Overlaps(mapping, extent)) in_use.insert(segment);
    }
  }
  return in_use;
}

absl::StatusOr<bool> RawBackend::TakeBack(const v1::GrantAssignment& grant) {
  const absl::StatusOr<std::set<SegmentId>> in_use = FindInUse({grant});
  if (!in_use.ok()) return in_use.status();
  return !in_use->empty();
}

absl::Status RawBackend::Forget(const v1::GrantAssignment& grant) {
  return records_.Remove(RecordName(grant));
}

}  // namespace weft
