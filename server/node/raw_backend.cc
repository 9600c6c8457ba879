#include "server/node/raw_backend.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/node/grant_devices.h"
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

// Marks are below 2^62: 22 bits of the host, 40 of the segment. Where two are the same, a
// segment counts as in use for longer than it is.
constexpr int kSegmentBits = 40;
constexpr int kHostBits = 22;

// FNV-1a: the same in every run.
uint64_t HashOf(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

RawBackend::RawBackend(v1::Backend kind, const std::string& host, const DeviceCatalog& catalog,
                       MappingScanner& scanner, RecordDir& records)
    : kind_(kind),
      host_mark_((HashOf(host) & ((uint64_t{1} << kHostBits) - 1)) << kSegmentBits),
      catalog_(catalog),
      scanner_(scanner),
      records_(records) {}

uint64_t RawBackend::MarkOf(SegmentId segment) const {
  return host_mark_ | (segment.value() & ((uint64_t{1} << kSegmentBits) - 1));
}

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
  const auto all = FindGrantDevices(catalog_, grant);
  if (!all.ok()) return all.status();
  const uint64_t mark = MarkOf(SegmentId(grant.grant().segment_id()));
  HandleFiles files;
  files.page_size = kind_ == v1::DEVDAX ? kExtentUnit : kEmulatedPage;
  for (const auto& [name, known] : *all) {
    files.incarnation.push_back(IncarnationOf(name, known));
    if (devices.contains(name)) continue;
    if (files.fds.size() == kMaxPacketFds) return TooManyDevices(grant);
    absl::StatusOr<UniqueFd> fd = known.device->OpenForClient(
        mode == v1::READ_WRITE ? Access::kReadWrite : Access::kReadOnly);
    if (!fd.ok()) return fd.status();
    if (absl::Status s = known.device->MarkForClient(fd->get(), mark); !s.ok()) return s;
    files.fds.push_back(*std::move(fd));
    files.devices.push_back(name);
  }
  return files;
}

absl::StatusOr<std::set<SegmentId>> RawBackend::FindInUse(
    const std::vector<v1::GrantAssignment>& grants) {
  // By path, the parts of devices and the segments that they belong to.
  std::map<std::string, std::vector<std::pair<v1::Extent, SegmentId>>> parts;
  std::set<SegmentId> in_use;
  for (const v1::GrantAssignment& grant : grants) {
    const SegmentId segment(grant.grant().segment_id());
    const auto devices = FindGrantDevices(catalog_, grant);
    if (!devices.ok()) return devices.status();
    for (const auto& [name, known] : *devices) {
      const absl::StatusOr<bool> has_client = known.device->HasClient(MarkOf(segment));
      if (!has_client.ok()) return has_client.status();
      if (*has_client) in_use.insert(segment);
    }
    for (const v1::Run& run : grant.runs()) {
      for (const v1::Extent& extent : run.extents()) {
        parts[devices->at(extent.device()).info.path].emplace_back(extent, segment);
      }
    }
  }
  std::vector<std::string> paths;
  for (const auto& [path, extents] : parts) paths.push_back(path);
  const absl::StatusOr<std::vector<FileMapping>> mappings = scanner_.Scan(paths);
  if (!mappings.ok()) return mappings.status();
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
