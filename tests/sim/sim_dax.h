// The dax devices of one simulated machine, as its kernel shows them.

#ifndef WEFT_TESTS_SIM_SIM_DAX_H_
#define WEFT_TESTS_SIM_SIM_DAX_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "server/platform/dax.h"
#include "server/platform/dax_drivers.h"
#include "tests/sim/memory.h"
#include "tests/sim/sim_raw.h"

namespace weft::sim {

// Some memory at a name. Drivers are bound by Weft's own code (KmodDax), through DaxDrivers.
class SimDax final : public Dax, public DaxDrivers {
 public:
  struct Slot {
    std::shared_ptr<Memory> memory;
    bool software_coherent = false;
    uint64_t number = 0;
    std::string driver;
  };

  explicit SimDax(std::string host) : host_(std::move(host)) {}

  // Where descriptors for clients are made; null: nowhere.
  void SetRaw(SimRaw* raw) { raw_ = raw; }

  void Plug(const std::string& name, std::shared_ptr<Memory> memory, bool software_coherent);
  void Unplug(const std::string& name) { slots_.erase(name); }
  const std::map<std::string, Slot>& slots() const { return slots_; }
  // Whether the device of this number is there, bound to device_dax.
  bool HasRaw(const std::string& name, uint64_t number) const;
  // By path; null: nothing there.
  const Slot* FindByPath(const std::string& path) const;

  // Dax, of the drivers of the moment.
  absl::StatusOr<DaxListing> List() override;
  absl::StatusOr<std::unique_ptr<Device>> Open(const DaxInfo& info) override;
  // DaxDrivers.
  absl::Status Bind(const std::string& name, const std::string& driver) override;
  absl::Status Restore(const std::string& name) override;

 private:
  const std::string host_;
  std::map<std::string, Slot> slots_;
  uint64_t last_number_ = 0;
  SimRaw* raw_ = nullptr;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_SIM_DAX_H_
