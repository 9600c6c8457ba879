#include "tests/soak/kill/observer.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "proto/weft/store/v1/records.pb.h"
#include "proto/weft/v1/event.grpc.pb.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "server/core/keys.h"
#include "server/store/sqlite_store.h"

namespace weft::soak {
namespace {

constexpr int kPageSize = 1000;

template <typename Record>
absl::Status ScanRecords(Store& store, const char* prefix, std::vector<Record>& records) {
  return store
      .Scan(prefix,
            [&](const KeyValue& item) {
              return records.emplace_back().ParseFromString(item.value)
                         ? absl::OkStatus()
                         : absl::DataLossError(absl::StrCat("cannot read the record ", item.key));
            })
      .status();
}

// What remains of a scrub: its first bytes are free already.
std::vector<Claim> ClaimsOf(const store::v1::ScrubRecord& scrub) {
  std::vector<Claim> claims;
  uint64_t done = scrub.done_bytes();
  for (const v1::Extent& extent : scrub.extents()) {
    const uint64_t skipped = std::min(done, extent.length_bytes());
    done -= skipped;
    if (skipped == extent.length_bytes()) continue;
    Claim& claim = claims.emplace_back(Claim{absl::StrCat("scrub ", scrub.id()), extent});
    claim.extent.set_offset_bytes(extent.offset_bytes() + skipped);
    claim.extent.set_length_bytes(extent.length_bytes() - skipped);
  }
  return claims;
}

}  // namespace

absl::StatusOr<std::vector<v1::Segment>> ListSegments(sdk::RpcClient& admin) {
  v1::ListSegmentsRequest request;
  request.set_parent("pools/-");
  request.set_page_size(kPageSize);
  return admin.List(&v1::SegmentService::Stub::ListSegments, request,
                    [](auto& page) { return page.mutable_segments(); });
}

absl::StatusOr<std::vector<v1::Event>> ListEvents(sdk::RpcClient& admin, uint64_t after_revision) {
  v1::ListEventsRequest request;
  request.set_after_revision(after_revision);
  request.set_page_size(kPageSize);
  std::vector<v1::Event> events;
  do {
    const auto page = admin.Call(&v1::EventService::Stub::ListEvents, request);
    if (!page.ok()) return page.status();
    events.insert(events.end(), page->events().begin(), page->events().end());
    request.set_after_revision(page->next_revision());
  } while (request.after_revision() != 0);
  return events;
}

absl::StatusOr<std::vector<Claim>> ReadStoredClaims(const std::string& store_path) {
  const std::string copy = store_path + ".copy";
  for (const char* suffix : {"", "-wal"}) {
    std::error_code error;
    std::filesystem::copy_file(store_path + suffix, copy + suffix,
                               std::filesystem::copy_options::overwrite_existing, error);
    if (error) return absl::InternalError(absl::StrCat(store_path, suffix, ": ", error.message()));
  }
  const auto store = SqliteStore::Open({.path = copy, .vfs = ""});
  if (!store.ok()) return store.status();
  std::vector<store::v1::SegmentRecord> segments;
  std::vector<store::v1::ScrubRecord> scrubs;
  absl::Status status = ScanRecords(**store, keys::kSegments, segments);
  if (status.ok()) status = ScanRecords(**store, keys::kScrubs, scrubs);
  if (!status.ok()) return status;

  std::vector<v1::Segment> resources;
  for (const store::v1::SegmentRecord& record : segments) resources.push_back(record.segment());
  std::vector<Claim> claims = ClaimsOf(resources);
  for (const store::v1::ScrubRecord& scrub : scrubs) {
    for (Claim& claim : ClaimsOf(scrub)) claims.push_back(std::move(claim));
  }
  return claims;
}

absl::StatusOr<std::vector<std::byte>> ReadDevice(const std::string& path) {
  std::error_code error;
  std::vector<std::byte> bytes(std::filesystem::file_size(path, error));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (error || !file) return absl::InternalError(absl::StrCat("cannot read ", path));
  return bytes;
}

}  // namespace weft::soak
