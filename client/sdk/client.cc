#include "client/sdk/client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/handle_core.h"
#include "client/sdk/internal/convert.h"
#include "client/sdk/internal/segment_client.h"
#include "client/sdk/internal/session.h"
#include "client/sdk/internal/strings.h"
#include "server/core/errors.h"
#include "server/core/names.h"

namespace weft::sdk {
namespace {

// "<what> <name>: " before the message of an error.
absl::Status InContext(const absl::Status& status, std::string_view what, std::string_view name) {
  return Annotate(status, absl::StrCat(ToAbsl(what), " ", ToAbsl(name)));
}

absl::StatusOr<Segment> ToSegment(const absl::StatusOr<v1::Segment>& segment, std::string_view what,
                                  std::string_view name) {
  if (!segment.ok()) return InContext(segment.status(), what, name);
  return FromProto(*segment);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  absl::StatusOr<std::shared_ptr<Session>> session = Session::Start(options);
  if (!session.ok()) return session.status();
  auto segments = std::make_unique<SegmentClient>(*session);
  return std::unique_ptr<Client>(new Client(*std::move(session), std::move(segments)));
}

Client::Client(std::shared_ptr<Session> session, std::unique_ptr<SegmentClient> segments)
    : session_(std::move(session)), segments_(std::move(segments)) {}

Client::~Client() { session_->StopNotices(); }

absl::StatusOr<Segment> Client::CreateSegment(std::string_view name, uint64_t size_bytes,
                                              const CreateOptions& options) {
  const absl::StatusOr<SegmentName> parsed = ParseShortSegmentName(name);
  if (!parsed.ok()) return parsed.status();
  v1::CreateSegmentRequest request;
  request.set_parent(FormatPoolName(parsed->pool));
  request.set_segment_id(parsed->segment);
  v1::Segment& segment = *request.mutable_segment();
  segment.set_size_bytes(size_bytes);
  segment.set_sharing(ToProto(options.sharing));
  segment.set_placement(ToProto(options.placement));
  segment.set_stripe_devices(options.stripe_devices);
  segment.set_chunk_bytes(options.chunk_bytes);
  return ToSegment(segments_->Create(std::move(request)), "create", name);
}

absl::StatusOr<Segment> Client::GetSegment(std::string_view name) {
  const absl::StatusOr<std::string> resource = ResourceName(name);
  if (!resource.ok()) return resource.status();
  v1::GetSegmentRequest request;
  request.set_name(*resource);
  return ToSegment(segments_->Get(request), "get", name);
}

absl::StatusOr<Segment> Client::GrowSegment(std::string_view name, uint64_t size_bytes) {
  const absl::StatusOr<std::string> resource = ResourceName(name);
  if (!resource.ok()) return resource.status();
  v1::GrowSegmentRequest request;
  request.set_name(*resource);
  request.set_size_bytes(size_bytes);
  return ToSegment(segments_->Grow(std::move(request)), "grow", name);
}

absl::Status Client::DeleteSegment(std::string_view name, const DeleteOptions& options) {
  const absl::StatusOr<std::string> resource = ResourceName(name);
  if (!resource.ok()) return resource.status();
  v1::DeleteSegmentRequest request;
  request.set_name(*resource);
  request.set_force(options.force);
  return InContext(segments_->Delete(std::move(request)), "delete", name);
}

absl::StatusOr<Handle> Client::Open(std::string_view name, AccessMode mode,
                                    const OpenOptions& options) {
  const absl::StatusOr<std::string> resource = ResourceName(name);
  if (!resource.ok()) return resource.status();
  v1::OpenRequest request;
  request.set_segment(*resource);
  request.set_mode(ToProto(mode));
  request.set_require_hardware_coherence(options.require_hardware_coherence);
  request.set_allow_poisoned(options.allow_poisoned);
  if (options.expected.has_value()) *request.mutable_expected() = ToProto(*options.expected);
  absl::StatusOr<Session::Opened> opened = session_->Open(request);
  if (!opened.ok()) return InContext(opened.status(), "open", name);
  absl::StatusOr<std::shared_ptr<HandleCore>> core = HandleCore::Make(session_, *std::move(opened));
  if (!core.ok()) return InContext(core.status(), "open", name);
  return Handle(*std::move(core));
}

absl::StatusOr<Client::Endpoint> Client::GetEndpoint() {
  Endpoint endpoint;
  absl::Status status = session_->Call([&](const Session::Connection& connection, Deadline) {
    const v1::Welcome& welcome = connection.welcome;
    endpoint = {welcome.grpc_address(), welcome.ticket(), welcome.host_id(), welcome.principal()};
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return endpoint;
}

}  // namespace weft::sdk
