#include "server/core/keys.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace weft::keys {
namespace {

template <typename... Parts>
std::string Join(const Parts&... parts) {
  std::string key;
  (key.append(parts), ...);
  return key;
}

// Fixed width, so that keys sort as the numbers do.
std::string Padded(uint64_t number) { return absl::StrFormat("%020u", number); }

}  // namespace

std::string Pool(std::string_view pool) { return Join(kPools, pool); }
std::string Device(const DeviceId& device) { return Join(kDevices, device.ToString()); }
std::string Attachment(const DeviceId& device, std::string_view host) {
  return Join(kAttachments, device.ToString(), "/", host);
}
std::string Segment(std::string_view pool, std::string_view segment) {
  return Join(kSegments, pool, "/", segment);
}
std::string Host(std::string_view host) { return Join(kHosts, host); }
std::string Grant(SegmentId segment, std::string_view host) {
  return Join(kGrants, Padded(segment.value()), "/", host);
}
std::string Scrub(uint64_t scrub_id) { return Join(kScrubs, Padded(scrub_id)); }
std::string Stray(SegmentId segment, std::string_view host) {
  return Join(kStrays, Padded(segment.value()), "/", host);
}
std::string Poison(const DeviceId& device) { return absl::StrCat(kPoison, device.ToString()); }
std::string Request(std::string_view principal, std::string_view request_id) {
  return Join(kRequests, principal, "/", request_id);
}
std::string Event(uint64_t revision) { return Join(kEvents, Padded(revision)); }

}  // namespace weft::keys
