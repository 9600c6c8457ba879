// A daemon's way to the coordinator over the simulated network.

#ifndef WEFT_TESTS_SIM_SIM_TRANSPORT_H_
#define WEFT_TESTS_SIM_SIM_TRANSPORT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/rpc/node/coordinator_transport.h"
#include "tests/sim/coordinator_sim.h"
#include "tests/sim/network.h"

namespace weft::sim {

// A unary call from the machine `from`. `done` is called once, unless `caller` is gone then.
void CallCoordinator(Network& network, const std::string& from, CoordinatorSim& coordinator,
                     const CallerClaims& claims, Method method, const std::string& request,
                     absl::Duration timeout, std::weak_ptr<void> caller,
                     std::function<void(absl::StatusOr<std::string>)> done);

class SimTransport final : public CoordinatorTransport {
 public:
  SimTransport(Network& network, std::string host, std::vector<CoordinatorSim*> coordinators)
      : network_(network),
        host_(std::move(host)),
        coordinators_(std::move(coordinators)),
        current_(coordinators_.size() - 1) {}

  std::unique_ptr<CoordinatorStream> Connect(
      absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message,
      absl::AnyInvocable<void(absl::Status)> on_end) override;
  void AcquireGrant(const CallIdentity& caller, const v1::AcquireGrantRequest& request,
                    Done<v1::AcquireGrantResponse> done) override;
  void ReleaseGrant(const CallIdentity& caller, const v1::ReleaseGrantRequest& request,
                    absl::AnyInvocable<void(absl::Status)> done) override;
  void GetDevice(const CallIdentity& caller, const v1::GetDeviceRequest& request,
                 Done<v1::Device> done) override;
  std::string address() const override { return coordinators_[current_]->name(); }

  // Where calls go now.
  CoordinatorSim& coordinator() const { return *coordinators_[current_]; }

 private:
  template <typename Request>
  void Call(const CallIdentity& caller, Method method, const Request& request,
            std::function<void(absl::StatusOr<std::string>)> done);

  Network& network_;
  const std::string host_;
  const std::vector<CoordinatorSim*> coordinators_;
  size_t current_;
  // What calls under way look at.
  const std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_SIM_TRANSPORT_H_
