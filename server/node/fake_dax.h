// The devices of a host as a test wants them.

#ifndef WEFT_SERVER_NODE_FAKE_DAX_H_
#define WEFT_SERVER_NODE_FAKE_DAX_H_

#include <map>
#include <memory>
#include <string>

#include "server/platform/dax.h"
#include "server/platform/fake_device.h"

namespace weft {

class FakeDax final : public Dax {
 public:
  absl::StatusOr<DaxListing> List() override {
    DaxListing listing;
    for (const auto& [name, memory] : media) {
      if (const auto it = broken.find(name); it != broken.end()) {
        listing.skipped.push_back({name, it->second});
        continue;
      }
      DaxInfo info;
      info.name = name;
      info.kind = DeviceKind::kEmulated;
      info.path = "/fake/" + name;
      info.size = memory->size();
      info.alignment = kExtentUnit;
      listing.usable.push_back(std::move(info));
    }
    return listing;
  }
  absl::StatusOr<std::unique_ptr<Device>> Open(const DaxInfo& info) override {
    return std::make_unique<FakeDevice>(info.name, media.at(info.name));
  }

  // By name; hosts that share memory share the pointer.
  std::map<std::string, std::shared_ptr<FakeMedia>> media;
  // Those that cannot be used, and why.
  std::map<std::string, absl::Status> broken;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_FAKE_DAX_H_
