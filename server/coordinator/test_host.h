// A host's daemon reduced to its side of the session, over real gRPC.

#ifndef WEFT_SERVER_COORDINATOR_TEST_HOST_H_
#define WEFT_SERVER_COORDINATOR_TEST_HOST_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/sync_stream.h"
#include "proto/weft/v1/session.grpc.pb.h"

namespace weft {

// A device's exchange area, shared by the hosts that see the same memory.
using TestMedium = std::map<uint32_t, std::string>;

// Does at once what it is assigned. Blocks the test's thread while it waits for messages;
// not thread-safe.
class TestHost {
 public:
  TestHost(std::shared_ptr<grpc::Channel> channel, std::string id, TestMedium& medium);
  ~TestHost();

  // Sends `message` as it is.
  void Write(const v1::NodeMessage& message) { stream_->Write(message); }
  // As Write; false: the stream has ended. May be called from another thread.
  bool TryWrite(const v1::NodeMessage& message) { return stream_->Write(message); }
  // Ends the stream, as a connection that breaks.
  void Cancel() { context_.TryCancel(); }
  // Registers with `devices` and waits for the answer; false: the stream has ended.
  bool Register(const v1::DeviceInventory& devices = {});
  // Sends a renewal and waits for its acknowledgement; false: the stream has ended.
  bool Renew();
  // Reads and obeys messages until `done`; false: the stream has ended.
  bool PumpUntil(const std::function<bool()>& done);
  // Reads until the coordinator ends the stream, and returns why.
  grpc::Status AwaitEnd();

  // Adds the metadata of the daemon's own calls, or of its client's.
  void Identify(grpc::ClientContext& context, const std::string& principal = "") const;

  const std::string& session_id() const { return registered_.session_id(); }
  const v1::Registered& registered() const { return registered_; }
  // All that is assigned now, by key.
  const std::map<std::string, v1::Assignment>& assigned() const { return assigned_; }
  // How often the coordinator sent everything.
  int wholes() const { return wholes_; }
  // How often it was asked to register again; it does not.
  int resyncs() const { return resyncs_; }
  int scrubs_done() const { return scrubs_done_; }
  // Whether an assignment whose key begins so is there.
  bool Has(const std::string& key_prefix) const;

 private:
  bool ReadOne();
  void Obey(const v1::Assignment& assignment);

  const std::string id_;
  TestMedium& medium_;
  grpc::ClientContext context_;
  std::unique_ptr<v1::SessionService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::NodeMessage, v1::CoordinatorMessage>> stream_;
  v1::Registered registered_;
  std::map<std::string, v1::Assignment> assigned_;
  uint64_t renewals_sent_ = 0;
  uint64_t renewed_ = 0;
  int wholes_ = 0;
  int resyncs_ = 0;
  int scrubs_done_ = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_TEST_HOST_H_
