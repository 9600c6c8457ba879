// A coordinator that a test plays.

#ifndef WEFT_SERVER_NODE_FAKE_TRANSPORT_H_
#define WEFT_SERVER_NODE_FAKE_TRANSPORT_H_

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/rpc/node/coordinator_transport.h"

namespace weft {

// Keeps what it is asked until the test answers. Not thread-safe.
class FakeTransport final : public CoordinatorTransport {
 public:
  struct Stream {
    absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message;
    absl::AnyInvocable<void(absl::Status)> on_end;
    std::vector<v1::NodeMessage> sent;
    bool open = true;
  };
  template <typename Request, typename Done>
  struct Call {
    CallIdentity caller;
    Request request;
    Done done;
  };

  std::unique_ptr<CoordinatorStream> Connect(
      absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message,
      absl::AnyInvocable<void(absl::Status)> on_end) override {
    auto stream = std::make_shared<Stream>();
    stream->on_message = std::move(on_message);
    stream->on_end = std::move(on_end);
    streams.push_back(stream);
    return std::make_unique<End>(stream);
  }
  void AcquireGrant(const CallIdentity& caller, const v1::AcquireGrantRequest& request,
                    Done<v1::AcquireGrantResponse> done) override {
    acquires.push_back({caller, request, std::move(done)});
  }
  void ReleaseGrant(const CallIdentity& caller, const v1::ReleaseGrantRequest& request,
                    absl::AnyInvocable<void(absl::Status)> done) override {
    releases.push_back({caller, request, std::move(done)});
  }
  void GetDevice(const CallIdentity& caller, const v1::GetDeviceRequest& request,
                 Done<v1::Device> done) override {
    devices.push_back({caller, request, std::move(done)});
  }
  std::string address() const override { return "fake:1"; }

  Stream& stream() { return *streams.back(); }

  std::vector<std::shared_ptr<Stream>> streams;
  std::deque<Call<v1::AcquireGrantRequest, Done<v1::AcquireGrantResponse>>> acquires;
  std::deque<Call<v1::ReleaseGrantRequest, absl::AnyInvocable<void(absl::Status)>>> releases;
  std::deque<Call<v1::GetDeviceRequest, Done<v1::Device>>> devices;

 private:
  class End final : public CoordinatorStream {
   public:
    explicit End(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
    ~End() override { stream_->open = false; }
    void Send(v1::NodeMessage message) override { stream_->sent.push_back(std::move(message)); }

   private:
    const std::shared_ptr<Stream> stream_;
  };
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_FAKE_TRANSPORT_H_
