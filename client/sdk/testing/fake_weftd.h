// weftd's fd socket as node.proto describes it, over memory of the test's own process.

#ifndef WEFT_CLIENT_SDK_TESTING_FAKE_WEFTD_H_
#define WEFT_CLIENT_SDK_TESTING_FAKE_WEFTD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/internal/unique_fd.h"
#include "client/sdk/testing/fd_server.h"
#include "proto/weft/v1/node.pb.h"
#include "proto/weft/v1/segment.pb.h"
#include "server/platform/linux/temp_dir.h"

namespace weft::sdk {

// Thread-safe, but for Start and Stop. Devices and segments outlive a restart; so do the
// handles that clients claim.
class FakeWeftd {
 public:
  // Started, in a directory of its own.
  FakeWeftd();
  ~FakeWeftd();

  void Start();
  void Stop();
  const std::string& socket_path() const { return socket_path_; }
  // Where the gRPC services are to be served.
  const std::string& grpc_path() const { return grpc_path_; }
  // Of the connection made last.
  std::string ticket() const;

  // A file of zeros that stands in for a device; returns its name.
  std::string AddDevice(uint64_t size_bytes);
  int device_fd(const std::string& device) const;
  // Adds the segment, or replaces the one of its name.
  void SetSegment(const v1::Segment& segment);
  // Segments that are one file each, as the kernel module gives them; else EMULATED.
  void SetKmod() { kmod_ = true; }

  // Sees each message first; true: it is dealt with.
  using Interceptor =
      std::function<bool(const std::shared_ptr<FdServer::Peer>&, const v1::ClientMessage&)>;
  void Intercept(Interceptor interceptor);

  // Hello will be told that this handle is stale.
  void MakeStale(uint64_t handle_id);
  void Revoke(uint64_t handle_id, uint32_t grace_ms, const std::string& detail);
  // Tells a client that bytes of its segment are bad.
  void Poison(uint64_t handle_id, uint64_t offset_bytes, uint64_t length_bytes);

  // The handles open; Await returns once there are `count`, or false after a minute.
  std::set<uint64_t> handles() const;
  bool AwaitHandles(size_t count);
  // As weftd sent it.
  v1::OpenReply last_open() const;

 private:
  void Tell(const v1::ServerMessage& message);

  void Handle(const std::shared_ptr<FdServer::Peer>& peer, const v1::ClientMessage& message);
  v1::Welcome Greet(const v1::Hello& hello);
  v1::OpenReply Open(const v1::OpenRequest& request, std::vector<int>& fds, v1::FdError& error);
  v1::RefreshReply Refresh(const v1::RefreshRequest& request, std::vector<int>& fds);
  // The devices of a segment, in order, without those in `but`.
  std::vector<std::string> DevicesOf(const v1::Segment& segment,
                                     const std::set<std::string>& but) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const TempDir folder_;
  const std::string socket_path_ = folder_.File("fd.sock");
  const std::string grpc_path_ = folder_.File("grpc.sock");
  bool kmod_ = false;
  mutable absl::Mutex mu_;
  Interceptor interceptor_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, UniqueFd> files_ ABSL_GUARDED_BY(mu_);  // By device, or segment.
  std::map<std::string, v1::Segment> segments_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, std::string> handles_ ABSL_GUARDED_BY(mu_);  // To segments.
  std::set<uint64_t> stale_ ABSL_GUARDED_BY(mu_);
  uint64_t last_handle_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t greetings_ ABSL_GUARDED_BY(mu_) = 0;
  v1::OpenReply last_open_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<FdServer::Peer> last_peer_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<FdServer> server_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_TESTING_FAKE_WEFTD_H_
