#include "client/sdk/testing/fake_weftd.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/core/check.h"

namespace weft::sdk {
namespace {

UniqueFd MakeFile(const std::string& name, uint64_t size_bytes) {
  UniqueFd file(memfd_create(name.c_str(), MFD_CLOEXEC));
  WEFT_CHECK(ftruncate(file.get(), static_cast<off_t>(size_bytes)) == 0, name);
  return file;
}

}  // namespace

FakeWeftd::FakeWeftd() { Start(); }

FakeWeftd::~FakeWeftd() { Stop(); }

void FakeWeftd::Start() {
  server_ = std::make_unique<FdServer>(
      socket_path_, [this](const std::shared_ptr<FdServer::Peer>& peer,
                           const v1::ClientMessage& message) { Handle(peer, message); });
}

void FakeWeftd::Stop() {
  server_.reset();
  unlink(socket_path_.c_str());
}

std::string FakeWeftd::ticket() const {
  absl::MutexLock lock(&mu_);
  return absl::StrCat("ticket-", greetings_);
}

std::string FakeWeftd::AddDevice(uint64_t size_bytes) {
  absl::MutexLock lock(&mu_);
  const std::string name = absl::StrCat("devices/", files_.size());
  files_[name] = MakeFile(name, size_bytes);
  return name;
}

int FakeWeftd::device_fd(const std::string& device) const {
  absl::MutexLock lock(&mu_);
  return files_.at(device).get();
}

void FakeWeftd::SetSegment(const v1::Segment& segment) {
  absl::MutexLock lock(&mu_);
  segments_[segment.name()] = segment;
  if (!kmod_) return;
  UniqueFd& file = files_[segment.name()];
  if (!file.valid()) file = MakeFile(segment.name(), segment.size_bytes());
  WEFT_CHECK(ftruncate(file.get(), static_cast<off_t>(segment.size_bytes())) == 0);
}

void FakeWeftd::Intercept(Interceptor interceptor) {
  absl::MutexLock lock(&mu_);
  interceptor_ = std::move(interceptor);
}

void FakeWeftd::MakeStale(uint64_t handle_id) {
  absl::MutexLock lock(&mu_);
  stale_.insert(handle_id);
}

void FakeWeftd::Revoke(uint64_t handle_id, uint32_t grace_ms, const std::string& detail) {
  v1::ServerMessage message;
  message.mutable_revoke()->set_handle_id(handle_id);
  message.mutable_revoke()->set_grace_ms(grace_ms);
  message.mutable_revoke()->set_detail(detail);
  Tell(message);
}

void FakeWeftd::Poison(uint64_t handle_id, uint64_t offset_bytes, uint64_t length_bytes) {
  v1::ServerMessage message;
  message.mutable_poison()->set_handle_id(handle_id);
  message.mutable_poison()->add_ranges()->set_offset_bytes(offset_bytes);
  message.mutable_poison()->mutable_ranges(0)->set_length_bytes(length_bytes);
  Tell(message);
}

void FakeWeftd::Tell(const v1::ServerMessage& message) {
  std::shared_ptr<FdServer::Peer> peer;
  {
    absl::MutexLock lock(&mu_);
    peer = last_peer_;
  }
  peer->Send(message);
}

std::set<uint64_t> FakeWeftd::handles() const {
  absl::MutexLock lock(&mu_);
  std::set<uint64_t> ids;
  for (const auto& [id, segment] : handles_) ids.insert(id);
  return ids;
}

bool FakeWeftd::AwaitHandles(size_t count) {
  const auto reached = [this, count]()
                           ABSL_SHARED_LOCKS_REQUIRED(mu_) { return handles_.size() == count; };
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&reached), absl::Minutes(1));
}

v1::OpenReply FakeWeftd::last_open() const {
  absl::MutexLock lock(&mu_);
  return last_open_;
}

void FakeWeftd::Handle(const std::shared_ptr<FdServer::Peer>& peer,
                       const v1::ClientMessage& message) {
  Interceptor interceptor;
  {
    absl::MutexLock lock(&mu_);
    last_peer_ = peer;
    interceptor = interceptor_;
  }
  if (interceptor != nullptr && interceptor(peer, message)) return;
  v1::ServerMessage reply;
  reply.set_sequence(message.sequence());
  std::vector<int> fds;
  if (message.has_hello()) {
    *reply.mutable_welcome() = Greet(message.hello());
  } else if (message.has_open()) {
    v1::FdError error;
    v1::OpenReply opened = Open(message.open(), fds, error);
    if (error.code() != 0) {
      *reply.mutable_error() = error;
    } else {
      *reply.mutable_open() = std::move(opened);
    }
  } else if (message.has_refresh()) {
    *reply.mutable_refresh() = Refresh(message.refresh(), fds);
  } else {
    reply.mutable_close();
    absl::MutexLock lock(&mu_);
    handles_.erase(message.close().handle_id());
  }
  peer->Send(reply, fds);
}

v1::Welcome FakeWeftd::Greet(const v1::Hello& hello) {
  v1::Welcome welcome;
  {
    absl::MutexLock lock(&mu_);
    ++greetings_;
    handles_.clear();
    for (const v1::HandleState& claimed : hello.handles()) {
      if (stale_.contains(claimed.handle_id())) {
        welcome.add_stale(claimed.handle_id());
      } else {
        handles_[claimed.handle_id()] = claimed.segment();
      }
    }
  }
  welcome.set_ticket(ticket());
  welcome.set_host_id("host-a");
  welcome.set_principal("uid:1@host-a");
  welcome.set_grpc_address(absl::StrCat("unix:", grpc_path_));
  return welcome;
}

v1::OpenReply FakeWeftd::Open(const v1::OpenRequest& request, std::vector<int>& fds,
                              v1::FdError& error) {
  absl::MutexLock lock(&mu_);
  v1::OpenReply reply;
  const auto found = segments_.find(request.segment());
  if (found == segments_.end()) {
    error.set_code(static_cast<int>(absl::StatusCode::kNotFound));
    error.set_reason("SEGMENT_NOT_FOUND");
    error.set_message(absl::StrCat(request.segment(), " does not exist"));
    return reply;
  }
  const v1::Segment& segment = found->second;
  reply.set_handle_id(++last_handle_);
  *reply.mutable_segment() = segment;
  reply.set_mode(request.mode());
  reply.mutable_token()->set_epoch(1);
  reply.mutable_token()->set_counter(last_handle_);
  reply.mutable_incarnation()->set_segment_id(segment.id());
  reply.mutable_incarnation()->set_generation(segment.generation());
  reply.set_backend(kmod_ ? v1::KMOD : v1::EMULATED);
  reply.set_page_size_bytes(kmod_ ? 2 << 20 : 4096);
  if (kmod_) {
    fds.push_back(files_.at(segment.name()).get());
  } else {
    for (const std::string& device : DevicesOf(segment, {})) {
      reply.add_devices(device);
      fds.push_back(files_.at(device).get());
      v1::DeviceIncarnation* const incarnation = reply.mutable_incarnation()->add_devices();
      incarnation->set_device(device);
      incarnation->set_power_epoch(1);
    }
  }
  handles_[last_handle_] = segment.name();
  last_open_ = reply;
  return reply;
}

v1::RefreshReply FakeWeftd::Refresh(const v1::RefreshRequest& request, std::vector<int>& fds) {
  absl::MutexLock lock(&mu_);
  v1::RefreshReply reply;
  *reply.mutable_segment() = segments_[handles_[request.handle_id()]];
  if (kmod_) return reply;
  const std::set<std::string> known(request.devices().begin(), request.devices().end());
  for (const std::string& device : DevicesOf(reply.segment(), known)) {
    reply.add_new_devices(device);
    fds.push_back(files_.at(device).get());
  }
  return reply;
}

std::vector<std::string> FakeWeftd::DevicesOf(const v1::Segment& segment,
                                              const std::set<std::string>& but) const {
  std::vector<std::string> devices;
  for (const v1::Run& run : segment.runs()) {
    for (const v1::Extent& extent : run.extents()) {
      const bool known =
          but.contains(extent.device()) ||
          std::find(devices.begin(), devices.end(), extent.device()) != devices.end();
      if (!known) devices.push_back(extent.device());
    }
  }
  return devices;
}

}  // namespace weft::sdk
