#include "tests/integration/fsck/relay.h"

#include <chrono>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/server_context.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/grant.grpc.pb.h"
#include "proto/weft/v1/session.grpc.pb.h"
#include "server/core/check.h"

namespace weft {
namespace {

// Who calls.
void CopyIdentity(const grpc::ServerContext& from, grpc::ClientContext& to) {
  for (const auto& [key, value] : from.client_metadata()) {
    const std::string name(key.data(), key.size());
    if (name.starts_with("weft-")) to.AddMetadata(name, std::string(value.data(), value.size()));
  }
}

// Has `coordinator` answer a daemon's call.
template <typename Service, typename Request, typename Response>
grpc::Status Forward(Service& coordinator,
                     grpc::Status (Service::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                     const grpc::ServerContext& context, const Request& request,
                     Response* response) {
  grpc::ClientContext onward;
  CopyIdentity(context, onward);
  return (coordinator.*method)(&onward, request, response);
}

}  // namespace

class Relay::Link {
 public:
  explicit Link(const std::string& coordinator)
      : channel_(grpc::CreateChannel(coordinator, grpc::InsecureChannelCredentials())) {}

  void Register(grpc::ServerBuilder& builder) {
    builder.RegisterService(&sessions_);
    builder.RegisterService(&grants_);
    builder.RegisterService(&devices_);
  }
  void Set(Edit edit) {
    absl::MutexLock lock(&mu_);
    edit_ = std::move(edit);
  }

 private:
  using Conversation = grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::NodeMessage>;

  class Sessions final : public v1::SessionService::Service {
   public:
    explicit Sessions(Link& link) : link_(link) {}
    grpc::Status Connect(grpc::ServerContext* context, Conversation* daemon) override {
      return link_.Carry(*context, *daemon);
    }

   private:
    Link& link_;
  };

  class Grants final : public v1::GrantService::Service {
   public:
    explicit Grants(Link& link) : stub_(link.channel_) {}
    grpc::Status AcquireGrant(grpc::ServerContext* context, const v1::AcquireGrantRequest* request,
                              v1::AcquireGrantResponse* response) override {
      return Forward(stub_, &v1::GrantService::Stub::AcquireGrant, *context, *request, response);
    }
    grpc::Status ReleaseGrant(grpc::ServerContext* context, const v1::ReleaseGrantRequest* request,
                              google::protobuf::Empty* response) override {
      return Forward(stub_, &v1::GrantService::Stub::ReleaseGrant, *context, *request, response);
    }

   private:
    v1::GrantService::Stub stub_;
  };

  class Devices final : public v1::DeviceService::Service {
   public:
    explicit Devices(Link& link) : stub_(link.channel_) {}
    grpc::Status GetDevice(grpc::ServerContext* context, const v1::GetDeviceRequest* request,
                           v1::Device* response) override {
      return Forward(stub_, &v1::DeviceService::Stub::GetDevice, *context, *request, response);
    }

   private:
    v1::DeviceService::Stub stub_;
  };

  grpc::Status Carry(grpc::ServerContext& context, Conversation& daemon) {
    grpc::ClientContext onward;
    CopyIdentity(context, onward);
    v1::SessionService::Stub stub(channel_);
    const auto coordinator = stub.Connect(&onward);
    std::thread up([&] {
      v1::NodeMessage message;
      while (daemon.Read(&message)) coordinator->Write(message);
      onward.TryCancel();
    });
    v1::CoordinatorMessage message;
    while (coordinator->Read(&message)) {
      if (message.has_assignments()) Change(*message.mutable_assignments());
      daemon.Write(message);
    }
    context.TryCancel();
    up.join();
    return coordinator->Finish();
  }
  void Change(v1::Assignments& assignments) {
    absl::MutexLock lock(&mu_);
    if (edit_) edit_(assignments);
  }

  const std::shared_ptr<grpc::Channel> channel_;
  Sessions sessions_{*this};
  Grants grants_{*this};
  Devices devices_{*this};
  absl::Mutex mu_;
  Edit edit_ ABSL_GUARDED_BY(mu_);
};

namespace {

template <typename Link>
std::unique_ptr<grpc::Server> Serve(const std::string& listen, Link& link) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials());
  link.Register(builder);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  WEFT_CHECK(server != nullptr, "cannot listen on ", listen);
  return server;
}

}  // namespace

Relay::Relay(const std::string& listen, const std::string& coordinator)
    : link_(std::make_unique<Link>(coordinator)), server_(Serve(listen, *link_)) {}

Relay::~Relay() { server_->Shutdown(std::chrono::system_clock::now()); }

void Relay::Set(Edit edit) { link_->Set(std::move(edit)); }

}  // namespace weft
