// The daemon's way to the coordinator, against real gRPC servers in this process.

#include "server/rpc/node/grpc_transport.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/grant.grpc.pb.h"
#include "proto/weft/v1/session.grpc.pb.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

// What is put in comes out in its order; taking waits.
template <typename T>
class Mailbox {
 public:
  void Put(T item) {
    absl::MutexLock lock(&mu_);
    items_.push_back(std::move(item));
  }
  T Take() {
    const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !items_.empty(); };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&any));
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  bool empty() const {
    absl::MutexLock lock(&mu_);
    return items_.empty();
  }

 private:
  mutable absl::Mutex mu_;
  std::deque<T> items_ ABSL_GUARDED_BY(mu_);
};

using SessionIo = grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::NodeMessage>;

// A coordinator that does as the test says.
class Coordinator : public v1::SessionService::Service, public v1::GrantService::Service {
 public:
  explicit Coordinator(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(static_cast<v1::SessionService::Service*>(this));
    builder.RegisterService(static_cast<v1::GrantService::Service*>(this));
    server_ = builder.BuildAndStart();
  }
  ~Coordinator() override { Stop(); }

  // Ends what is under way at once, as a process that is killed does.
  void Stop() {
    server_->Shutdown(std::chrono::system_clock::time_point());
    server_->Wait();
  }

  grpc::Status Connect(grpc::ServerContext*, SessionIo* io) override { return conversation(io); }
  grpc::Status AcquireGrant(grpc::ServerContext* context, const v1::AcquireGrantRequest* request,
                            v1::AcquireGrantResponse* reply) override {
    return acquire(context, request, reply);
  }

  // By default a conversation confirms every renewal.
  std::function<grpc::Status(SessionIo*)> conversation = [](SessionIo* io) {
    v1::NodeMessage message;
    while (io->Read(&message)) {
      v1::CoordinatorMessage reply;
      reply.mutable_renewed()->set_sequence(message.renew().sequence());
      io->Write(reply);
    }
    return grpc::Status::OK;
  };
  std::function<grpc::Status(grpc::ServerContext*, const v1::AcquireGrantRequest*,
                             v1::AcquireGrantResponse*)>
      acquire = [](auto*, auto* request, auto* reply) {
        reply->mutable_grant()->set_segment(request->segment());
        return grpc::Status::OK;
      };

 private:
  std::unique_ptr<grpc::Server> server_;
};

// One conversation, from the daemon's side.
struct Conversation {
  struct Event {
    v1::CoordinatorMessage message;
    std::optional<absl::Status> end;
  };

  explicit Conversation(GrpcTransport& transport)
      : stream(transport.Connect(
            [this](v1::CoordinatorMessage m) { events.Put({std::move(m), std::nullopt}); },
            [this](absl::Status s) { events.Put({{}, std::move(s)}); })) {}

  void Renew(uint64_t sequence) {
    v1::NodeMessage message;
    message.mutable_renew()->set_sequence(sequence);
    stream->Send(std::move(message));
  }
  uint64_t TakeRenewed() {
    const Event event = events.Take();
    EXPECT_FALSE(event.end.has_value()) << *event.end;
    return event.message.renewed().sequence();
  }
  absl::Status TakeEnd() {
    const Event event = events.Take();
    EXPECT_TRUE(event.end.has_value());
    return event.end.value_or(absl::InternalError("a message"));
  }

  Mailbox<Event> events;
  std::unique_ptr<CoordinatorStream> stream;
};

class GrpcTransportTest : public testing::Test {
 protected:
  std::string Address(const std::string& name = "c") { return "unix:" + dir_.File(name); }

  TempDir dir_;
};

const CallIdentity kCaller{"host-a", "1.1", "uid:7@host-a"};

TEST_F(GrpcTransportTest, MessagesArriveInTheirOrderBothWays) {
  Coordinator coordinator(Address());
  GrpcTransport transport({Address()}, std::nullopt);
  Conversation conversation(transport);
  for (uint64_t i = 1; i <= 100; ++i) conversation.Renew(i);
  for (uint64_t i = 1; i <= 100; ++i) {
    EXPECT_EQ(conversation.TakeRenewed(), i);
  }
  EXPECT_TRUE(conversation.events.empty());
}

TEST_F(GrpcTransportTest, TheCoordinatorsReasonForEndingIsTold) {
  Coordinator coordinator(Address());
  coordinator.conversation = [](SessionIo* io) {
    v1::NodeMessage message;
    io->Read(&message);
    return ToGrpcStatus(
        MakeError(absl::StatusCode::kFailedPrecondition, v1::SESSION_EXPIRED, "too late"));
  };
  GrpcTransport transport({Address()}, std::nullopt);
  Conversation conversation(transport);
  conversation.Renew(1);
  EXPECT_EQ(ReasonOf(conversation.TakeEnd()), v1::SESSION_EXPIRED);
}

TEST_F(GrpcTransportTest, AnOrderlyEndIsAnEndToo) {
  Coordinator coordinator(Address());
  coordinator.conversation = [](SessionIo*) { return grpc::Status::OK; };
  GrpcTransport transport({Address()}, std::nullopt);
  Conversation conversation(transport);
  EXPECT_TRUE(conversation.TakeEnd().ok());
}

TEST_F(GrpcTransportTest, ACoordinatorThatGoesAwayMidStreamEndsTheConversationOnce) {
  auto coordinator = std::make_unique<Coordinator>(Address());
  GrpcTransport transport({Address()}, std::nullopt);
  Conversation conversation(transport);
  conversation.Renew(1);
  EXPECT_EQ(conversation.TakeRenewed(), 1u);
  coordinator.reset();
  EXPECT_TRUE(absl::IsUnavailable(conversation.TakeEnd()));
  conversation.Renew(2);  // of no use, and no harm
  conversation.stream.reset();
  EXPECT_TRUE(conversation.events.empty());
}

TEST_F(GrpcTransportTest, NobodyThereIsUnreachable) {
  GrpcTransport transport({Address()}, std::nullopt);
  Conversation conversation(transport);
  const absl::Status end = conversation.TakeEnd();
  EXPECT_TRUE(absl::IsUnavailable(end)) << end;
  EXPECT_EQ(ReasonOf(end), v1::UNREACHABLE);
}

TEST_F(GrpcTransportTest, ACoordinatorThatComesBackIsReachedAgain) {
  auto coordinator = std::make_unique<Coordinator>(Address());
  GrpcTransport transport({Address()}, std::nullopt);
  Conversation before(transport);
  before.Renew(1);
  before.TakeRenewed();
  coordinator.reset();
  EXPECT_TRUE(absl::IsUnavailable(before.TakeEnd()));
  coordinator = std::make_unique<Coordinator>(Address());
  for (;;) {  // gRPC waits between two attempts to connect, and says so
    Conversation after(transport);
    after.Renew(7);
    const Conversation::Event event = after.events.Take();
    if (event.end.has_value()) continue;
    EXPECT_EQ(event.message.renewed().sequence(), 7u);
    break;
  }
}

TEST_F(GrpcTransportTest, EachConversationIsWithTheNextAddressAndCallsFollowIt) {
  Coordinator first(Address("c0"));
  Coordinator second(Address("c1"));
  for (Coordinator* coordinator : {&first, &second}) {
    coordinator->acquire = [coordinator, &first](auto*, auto*, auto* reply) {
      reply->set_revision(coordinator == &first ? 1 : 2);
      return grpc::Status::OK;
    };
  }
  GrpcTransport transport({Address("c0"), Address("c1")}, std::nullopt);
  for (const uint64_t expected : {1, 2, 1}) {
    Conversation conversation(transport);
    EXPECT_EQ(transport.address(), Address(expected == 1 ? "c0" : "c1"));
    Mailbox<absl::StatusOr<v1::AcquireGrantResponse>> replies;
    transport.AcquireGrant(kCaller, {}, [&](auto reply) { replies.Put(std::move(reply)); });
    const auto reply = replies.Take();
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->revision(), expected);
  }
}

TEST_F(GrpcTransportTest, ACallCarriesWhoItIsForAndItsErrorComesBack) {
  Coordinator coordinator(Address());
  std::string principal;
  coordinator.acquire = [&](grpc::ServerContext* context, auto*, auto*) {
    const auto found = context->client_metadata().find("weft-principal");
    if (found != context->client_metadata().end()) {
      principal = {found->second.data(), found->second.size()};
    }
    return ToGrpcStatus(MakeError(absl::StatusCode::kFailedPrecondition, v1::HELD, "by another"));
  };
  GrpcTransport transport({Address()}, std::nullopt);
  Mailbox<absl::Status> replies;
  transport.AcquireGrant(kCaller, {}, [&](auto reply) { replies.Put(reply.status()); });
  EXPECT_EQ(ReasonOf(replies.Take()), v1::HELD);
  EXPECT_EQ(principal, kCaller.principal);
}

TEST_F(GrpcTransportTest, NothingIsCalledBackOnceAConversationIsDestroyed) {
  Coordinator coordinator(Address());
  absl::Notification over;
  coordinator.conversation = [&](SessionIo* io) {
    v1::CoordinatorMessage reply;
    while (io->Write(reply)) {  // without end, and late
    }
    over.Notify();
    return grpc::Status::OK;
  };
  GrpcTransport transport({Address()}, std::nullopt);
  auto conversation = std::make_unique<Conversation>(transport);
  conversation->events.Take();
  conversation.reset();  // a callback after this would touch what is gone
  over.WaitForNotification();
}

TEST_F(GrpcTransportTest, ACallUnderWayEndsWithTheTransportAndALateReplyIsNobodys) {
  Coordinator coordinator(Address());
  absl::Notification arrived;
  absl::Notification answer;
  coordinator.acquire = [&](auto*, auto*, auto*) {
    arrived.Notify();
    answer.WaitForNotification();
    return grpc::Status::OK;
  };
  Mailbox<absl::Status> replies;
  auto transport =
      std::make_unique<GrpcTransport>(std::vector<std::string>{Address()}, std::nullopt);
  transport->AcquireGrant(kCaller, {}, [&](auto reply) { replies.Put(reply.status()); });
  arrived.WaitForNotification();
  transport.reset();
  EXPECT_TRUE(absl::IsCancelled(replies.Take()));
  answer.Notify();
  coordinator.Stop();
  EXPECT_TRUE(replies.empty());
}

// Answers every stream with bytes that are no message.
class Garbler final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    class Reactor final : public grpc::ServerGenericBidiReactor {
     public:
      Reactor() {
        const grpc::Slice slice(std::string("\xff\xff\xff\xff"));
        bytes_ = grpc::ByteBuffer(&slice, 1);
        StartWrite(&bytes_);
      }
      void OnWriteDone(bool) override { Finish(grpc::Status::OK); }
      void OnDone() override { delete this; }

     private:
      grpc::ByteBuffer bytes_;
    };
    return new Reactor();
  }
};

TEST_F(GrpcTransportTest, AMessageThatIsNoneEndsTheConversation) {
  Garbler garbler;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(Address(), grpc::InsecureServerCredentials());
  builder.RegisterCallbackGenericService(&garbler);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  {
    GrpcTransport transport({Address()}, std::nullopt);
    Conversation conversation(transport);
    EXPECT_TRUE(conversation.events.Take().end.has_value());
  }
  server->Shutdown(std::chrono::system_clock::time_point());
}

TEST_F(GrpcTransportTest, APeerThatSpeaksAnotherProtocolIsUnreachable) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = dir_.File("c");
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  std::thread peer([listener] {
    for (;;) {
      const int fd = accept(listener, nullptr, nullptr);
      if (fd < 0) return;
      const std::string text = "220 ready when you are\r\n";
      EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
      close(fd);
    }
  });
  {
    GrpcTransport transport({Address()}, std::nullopt);
    Conversation conversation(transport);
    EXPECT_TRUE(absl::IsUnavailable(conversation.TakeEnd()));
  }
  shutdown(listener, SHUT_RDWR);
  peer.join();
  close(listener);
}

}  // namespace
}  // namespace weft
