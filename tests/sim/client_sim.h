// A process that uses segments, as one linked with libweft does.

#ifndef WEFT_TESTS_SIM_CLIENT_SIM_H_
#define WEFT_TESTS_SIM_CLIENT_SIM_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/sdk/internal/handle_table.h"
#include "client/sdk/internal/retry.h"
#include "proto/weft/v1/node.pb.h"
#include "tests/sim/history.h"
#include "tests/sim/host_sim.h"
#include "tests/sim/world.h"

namespace weft::sim {

struct ClientOptions {
  // Names that the clients of a run use, all in one pool.
  std::vector<std::string> segments;
  uint64_t max_units = 3;
  // The longest pause between two things that it asks for. It touches what it has mapped more
  // often.
  absl::Duration pause_max = absl::Milliseconds(400);
  absl::Duration call_timeout = absl::Seconds(10);
};

// Creates, opens, writes, reads, grows and deletes by chance, until it is told to finish or
// dies. Its calls are retried by the SDK's policy; everything it is told goes to the
// history.
class ClientSim final : public SocketPeer {
 public:
  ClientSim(World& world, HostSim& host, History& history, ClientOptions options, uint64_t number);
  ~ClientSim() override;

  void Start();
  // kill -9: what it has mapped goes, unless `child` lives on with it for a while.
  void Die(bool child);
  // Asks for nothing more, but goes on with what it has.
  void Rest() { resting_ = true; }
  // Lets go of everything, does no more.
  void Finish();
  // Finish is done, or it is dead.
  bool over() const { return over_; }
  HostSim& host() { return host_; }

 private:
  struct Mapped {
    HandleId handle = 0;  // the kernel's
    std::string segment;
    uint64_t segment_id = 0;
    bool writable = false;
    bool told_to_let_go = false;
  };
  using FdDone = std::function<void(absl::StatusOr<v1::ServerMessage>, std::vector<HandleId>)>;
  using Done = std::function<void(const absl::StatusOr<std::string>&)>;

  // One call, with its retries.
  struct Call;

  void OnPacket(const std::string& packet, const std::vector<HandleId>& handles) override;
  void OnSocketClosed() override;
  void OnPowerOff() override;
  void End();

  void After(absl::Duration pause, std::function<void()> task);
  void Connect();
  void SendRequest(v1::ClientMessage message, FdDone done);
  void NextStep();
  void StepSoon();
  void TouchNowAndThen();
  void TouchMemory();

  void Create(const std::string& name);
  void Grow(const std::string& name);
  void Get(const std::string& name);
  void Delete(const std::string& name);
  void Open(const std::string& name);
  void CloseOne(uint64_t handle_id);
  void TryOpen(const std::shared_ptr<Call>& call, const v1::OpenRequest& request);
  // A call of SegmentService.
  void Ask(Op op, Method method, std::string request);
  void Try(const std::shared_ptr<Call>& call);
  void Retry(const std::shared_ptr<Call>& call, const absl::Status& error,
             std::function<void()> again);
  void Conclude(const std::shared_ptr<Call>& call, const absl::StatusOr<std::string>& result);
  std::string NewRequestId();

  World& world_;
  HostSim& host_;
  History& history_;
  const ClientOptions options_;
  const uint64_t number_;
  Rng rng_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
  bool over_ = false;
  bool resting_ = false;
  bool finishing_ = false;
  uint64_t last_request_ = 0;

  ConnectionId connection_ = 0;
  std::string ticket_;  // empty: not greeted
  uint64_t last_sequence_ = 0;
  std::map<uint64_t, FdDone> waiting_;
  sdk::HandleTable handles_;
  std::map<uint64_t, Mapped> mapped_;  // by weftd's handle id
  bool busy_ = false;
  uint64_t stamps_ = 0;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_CLIENT_SIM_H_
