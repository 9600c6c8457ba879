// How a client gets a handle, or the files that it lacks: a grant from the coordinator, then
// files from the backend.

#include "server/node/grant_acquire.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/node/grant_keeper.h"

namespace weft {
namespace {

// As Register allows.
constexpr int kMaxDevices = 1024;

// What a session that is over means to a client: try again, the daemon will have another.
absl::Status ForClient(const absl::Status& status) {
  if (ReasonOf(status) != v1::SESSION_EXPIRED) return status;
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   "weftd lost its session with the coordinator and is getting another");
}

// Whether the segment is what the client asked for.
absl::Status CheckWanted(const v1::OpenRequest& request, const v1::Segment& segment,
                         const v1::Incarnation& actual) {
  if (request.require_hardware_coherence() && segment.coherence() != v1::HARDWARE) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, v1::NOT_COHERENT,
        absl::StrCat(segment.name(), " is on a device that other hosts see only after ",
                     "Flush and Invalidate; open it without require_hardware_coherence "
                     "and call them"));
  }
  if (segment.bad_ranges_size() > 0 && !request.allow_poisoned()) {
    return MakeError(
        absl::StatusCode::kDataLoss, v1::POISONED,
        absl::StrCat(segment.name(), " has bytes that are bad, the first at offset ",
                     segment.bad_ranges(0).offset_bytes(),
                     "; to rescue or rewrite the others and these: open it with allow_poisoned"));
  }
  const v1::Incarnation& expected = request.expected();
  if (!request.has_expected() ||
      google::protobuf::util::MessageDifferencer::Equals(expected, actual)) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, v1::STALE_GENERATION,
      absl::StrCat(segment.name(), " is not the memory it was: it is segment ", actual.segment_id(),
                   " of generation ", actual.generation(), " now, expected was ",
                   expected.segment_id(), " of generation ", expected.generation()));
}

// A request is kept while it is under way.
absl::Status CheckDevices(int devices) {
  if (devices <= kMaxDevices) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                   absl::StrCat(devices, " devices are named: a host has at most ", kMaxDevices));
}

}  // namespace

void GrantKeeper::Acquire::Fail(const absl::Status& status) {
  if (open_reply) {
    open_reply(ForClient(status));
  } else {
    refresh_reply(ForClient(status));
  }
}

void GrantKeeper::Open(ConnectionId connection, const std::string& principal,
                       v1::OpenRequest request, Reply<v1::OpenReply> reply) {
  auto acquire = std::make_shared<Acquire>();
  acquire->connection = connection;
  acquire->principal = principal;
  acquire->segment = request.segment();
  // One that is none is the coordinator's to refuse.
  acquire->mode = request.mode() == v1::ACCESS_MODE_UNSPECIFIED ? v1::READ_ONLY : request.mode();
  acquire->open = std::move(request);
  acquire->open_reply = std::move(reply);
  absl::Status status = ParseSegmentName(acquire->segment).status();
  if (status.ok()) status = CheckDevices(acquire->open.expected().devices_size());
  if (status.ok()) status = table_.CheckQuota(connection, principal);
  if (!status.ok()) {
    acquire->Fail(status);
    return;
  }
  StartAcquire(std::move(acquire));
}

void GrantKeeper::Refresh(ConnectionId connection, const std::string& principal,
                          v1::RefreshRequest request, Reply<v1::RefreshReply> reply) {
  auto acquire = std::make_shared<Acquire>();
  acquire->refresh_reply = std::move(reply);
  const Handle* const handle = table_.FindHandle({connection, request.handle_id()});
  if (handle == nullptr) {
    acquire->Fail(MakeError(absl::StatusCode::kFailedPrecondition, v1::STALE_GENERATION,
                            absl::StrCat("handle ", request.handle_id(), " is gone: open again")));
    return;
  }
  acquire->connection = connection;
  acquire->principal = principal;
  acquire->segment = table_.Find(handle->segment)->grant().segment();
  acquire->mode = handle->mode;
  acquire->refresh = std::move(request);
  if (absl::Status s = CheckDevices(acquire->refresh.devices_size()); !s.ok()) {
    acquire->Fail(s);
    return;
  }
  StartAcquire(std::move(acquire));
}

void GrantKeeper::StartAcquire(AcquirePtr acquire) {
  const absl::StatusOr<CallIdentity> identity = identity_(acquire->principal);
  if (!identity.ok()) {
    acquire->Fail(identity.status());
    return;
  }
  if (table_.IsReleasing(acquire->segment)) {
    const std::string& segment = acquire->segment;
    waiting_opens_.emplace(segment, std::move(acquire));
    return;
  }
  table_.BeginAcquire(acquire->segment);
  acquire->trusted = trusted_;
  v1::AcquireGrantRequest request;
  request.set_session_id(identity->session_id);
  request.set_segment(acquire->segment);
  request.set_mode(acquire->mode);
  deps_.transport.AcquireGrant(
      *identity, request, [this, &executor = deps_.executor, acquire](auto response) mutable {
        executor.Post([this, acquire, response = std::move(response)]() mutable {
          OnAcquired(std::move(acquire), std::move(response));
        });
      });
}

void GrantKeeper::OnAcquired(AcquirePtr acquire,
                             absl::StatusOr<v1::AcquireGrantResponse> response) {
  if (!response.ok()) {
    acquire->Fail(response.status());
    EndAcquire(acquire);
    return;
  }
  const bool trusted = acquire->trusted == trusted_;
  if (!table_.Acquired(*response) || !trusted) {
    acquire->Fail(MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                            absl::StrCat("the grant of ", acquire->segment,
                                         " was taken back before it could be used")));
    EndAcquire(acquire);
    return;
  }
  acquire->response = *std::move(response);
  const v1::GrantAssignment& newest =
      *table_.Find(SegmentId(acquire->response.grant().segment_id()));
  // It may have come before, by itself: the client is told the token under which it gets its files.
  *acquire->response.mutable_grant()->mutable_token() = newest.grant().token();
  deps_.blocking.Post([this, acquire, grant = newest] {
    absl::StatusOr<HandleFiles> files = MakeFiles(*acquire, grant);
    deps_.executor.Post([this, acquire, files = std::move(files)]() mutable {
      OnFiles(std::move(acquire), std::move(files));
    });
  });
}

// On the blocking executor.
absl::StatusOr<HandleFiles> GrantKeeper::MakeFiles(const Acquire& acquire,
                                                   const v1::GrantAssignment& grant) {
  deps_.before_prepare(SegmentId(grant.grant().segment_id()));
  if (absl::Status s = deps_.backend.Prepare(grant); !s.ok()) return s;
  if (acquire.open_reply) return deps_.backend.Open(grant, acquire.mode);
  const std::set<std::string> devices(acquire.refresh.devices().begin(),
                                      acquire.refresh.devices().end());
  return deps_.backend.Refresh(grant, acquire.mode, devices);
}

void GrantKeeper::OnFiles(AcquirePtr acquire, absl::StatusOr<HandleFiles> files) {
  if (!files.ok()) {
    acquire->Fail(files.status());
  } else if (acquire->open_reply) {
    FinishOpen(*acquire, *std::move(files));
  } else {
    FinishRefresh(*acquire, *std::move(files));
  }
  EndAcquire(acquire);
}

void GrantKeeper::EndAcquire(const AcquirePtr& acquire) {
  table_.EndAcquire(acquire->segment);
  Reconcile();
}

void GrantKeeper::FinishOpen(Acquire& acquire, HandleFiles files) {
  const absl::StatusOr<CallIdentity> identity = identity_(acquire.principal);
  if (!identity.ok()) {  // the lease ended meanwhile
    acquire.Fail(identity.status());
    return;
  }
  const v1::Segment& segment = acquire.response.segment();
  WithFiles<v1::OpenReply> reply;
  v1::OpenReply& message = reply.message;
  message.mutable_incarnation()->set_segment_id(segment.id());
  message.mutable_incarnation()->set_generation(segment.generation());
  for (v1::DeviceIncarnation& device : files.incarnation) {
    *message.mutable_incarnation()->add_devices() = std::move(device);
  }
  if (absl::Status s = CheckWanted(acquire.open, segment, message.incarnation()); !s.ok()) {
    acquire.Fail(s);
    return;
  }
  const uint64_t handle_id = ++last_handle_;
  const HandleKey key{acquire.connection, handle_id};
  if (absl::Status s =
          table_.AddHandle(key, acquire.principal, SegmentId(segment.id()), acquire.mode);
      !s.ok()) {
    acquire.Fail(s);
    return;
  }
  message.set_handle_id(handle_id);
  *message.mutable_segment() = segment;
  message.set_mode(acquire.mode);
  *message.mutable_token() = acquire.response.grant().token();
  message.set_backend(deps_.backend.kind());
  message.set_page_size_bytes(files.page_size.value());
  for (std::string& device : files.devices) message.add_devices(std::move(device));
  reply.fds = std::move(files.fds);
  acquire.open_reply(std::move(reply));
}

void GrantKeeper::FinishRefresh(Acquire& acquire, HandleFiles files) {
  WithFiles<v1::RefreshReply> reply;
  *reply.message.mutable_segment() = acquire.response.segment();
  for (std::string& device : files.devices) reply.message.add_new_devices(std::move(device));
  reply.fds = std::move(files.fds);
  acquire.refresh_reply(std::move(reply));
}

}  // namespace weft
