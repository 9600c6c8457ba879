// The keys of the store. docs/formats.md lists them with the records they hold.

#ifndef WEFT_SERVER_CORE_KEYS_H_
#define WEFT_SERVER_CORE_KEYS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/core/types.h"

namespace weft::keys {

inline constexpr char kRoot[] = "/weft/v1/";
inline constexpr char kCluster[] = "/weft/v1/cluster";
inline constexpr char kPools[] = "/weft/v1/pools/";
inline constexpr char kDevices[] = "/weft/v1/devices/";
inline constexpr char kAttachments[] = "/weft/v1/attachments/";
inline constexpr char kSegments[] = "/weft/v1/segments/";
inline constexpr char kHosts[] = "/weft/v1/hosts/";
inline constexpr char kGrants[] = "/weft/v1/grants/";
inline constexpr char kScrubs[] = "/weft/v1/scrubs/";
inline constexpr char kStrays[] = "/weft/v1/strays/";
inline constexpr char kPoison[] = "/weft/v1/poison/";
inline constexpr char kRequests[] = "/weft/v1/requests/";
inline constexpr char kEvents[] = "/weft/v1/events/";

std::string Pool(std::string_view pool);
std::string Device(const DeviceId& device);
std::string Attachment(const DeviceId& device, std::string_view host);
std::string Segment(std::string_view pool, std::string_view segment);
std::string Host(std::string_view host);
std::string Grant(SegmentId segment, std::string_view host);
std::string Scrub(uint64_t scrub_id);
std::string Stray(SegmentId segment, std::string_view host);
std::string Poison(const DeviceId& device);
std::string Request(std::string_view principal, std::string_view request_id);
// Sorts by revision.
std::string Event(uint64_t revision);

}  // namespace weft::keys

#endif  // WEFT_SERVER_CORE_KEYS_H_
