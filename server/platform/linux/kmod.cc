#include "server/platform/linux/kmod.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kmod/uapi/weft.h"
#include "server/core/errors.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/kmod_errors.h"

namespace weft {
namespace {

static_assert(kExtentUnit.value() == WEFT_UNIT_BYTES);
static_assert(sizeof(DeviceId) == sizeof(weft_device_info::uuid));

constexpr uint32_t kListRoom = 256;
constexpr size_t kEventRoom = 64;

weft_token ToKernel(Token token) { return {token.epoch, token.counter}; }
Token FromKernel(const weft_token& token) { return {token.epoch, token.counter}; }

uint32_t ToKernel(Access mode) {
  return mode == Access::kReadWrite ? WEFT_MODE_READ_WRITE : WEFT_MODE_READ;
}

KmodState StateOf(uint32_t state) {
  switch (state) {
    case WEFT_STATE_LIVE:
      return KmodState::kLive;
    case WEFT_STATE_REVOKED:
      return KmodState::kRevoked;
    case WEFT_STATE_DEAD:
      return KmodState::kDead;
    default:
      return KmodState::kRevoking;
  }
}

KmodDeviceInfo FromKernel(const weft_device_info& info) {
  KmodDeviceInfo device;
  device.id = KmodDeviceId(info.device_id);
  std::array<uint8_t, 16> uuid;
  std::copy(std::begin(info.uuid), std::end(info.uuid), uuid.begin());
  device.uuid = DeviceId(uuid);
  device.capacity = ByteCount(info.capacity_bytes);
  device.device_number = makedev(info.dev_major, info.dev_minor);
  device.dead = info.state == WEFT_DEVICE_DEAD;
  return device;
}

KmodSegmentInfo FromKernel(const weft_segment_info& info) {
  KmodSegmentInfo segment;
  segment.id = SegmentId(info.segment_id);
  segment.token = FromKernel(info.token);
  segment.last_token = FromKernel(info.last_token);
  segment.mode = info.mode == WEFT_MODE_READ_WRITE ? Access::kReadWrite : Access::kReadOnly;
  segment.state = StateOf(info.state);
  segment.size = ByteCount(info.size_bytes);
  segment.pages_pinned = info.pages_pinned;
  return segment;
}

KmodEvent FromKernel(const weft_event& event) {
  using Type = KmodEvent::Type;
  static constexpr Type kTypes[] = {
      Type::kOverflow,       Type::kOverflow,    Type::kMemoryFailure,
      Type::kDeadManFired,   Type::kDeadManDone, Type::kFenceFailed,
      Type::kHandleReleased, Type::kDeviceGone,  Type::kSegmentRevoked,
  };
  KmodEvent out;
  // One that this daemon does not know may be about anything.
  out.type = event.type < std::size(kTypes) ? kTypes[event.type] : Type::kOverflow;
  out.device = KmodDeviceId(event.device_id);
  out.segment = SegmentId(event.segment_id);
  out.offset = ByteOffset(event.offset);
  out.length = event.length;
  return out;
}

template <size_t kSize>
std::string FromKernel(const __u8 (&text)[kSize]) {
  const auto* const begin = reinterpret_cast<const char*>(text);
  return std::string(begin, strnlen(begin, kSize));
}

std::string NameOf(SegmentId segment) { return absl::StrCat("segment ", segment.value()); }
std::string NameOf(KmodDeviceId device) { return absl::StrCat("device ", device.value()); }

std::vector<weft_extent> ToKernel(const KmodRun& run) {
  std::vector<weft_extent> extents;
  for (const KmodExtent& extent : run.extents) {
    extents.push_back({extent.device.value(), extent.offset.value(), extent.length.value()});
  }
  return extents;
}

// `extents` must outlive it.
weft_segment_create MakeCreate(SegmentId segment, Token token, const KmodRun& run,
                               const std::vector<weft_extent>& extents) {
  weft_segment_create arg = {};
  arg.segment_id = segment.value();
  arg.token = ToKernel(token);
  arg.extents = static_cast<uint32_t>(extents.size());
  arg.extents_ptr = reinterpret_cast<uintptr_t>(extents.data());
  arg.stripe_chunk_bytes = run.stripe_chunk.value();
  arg.stripe_ways = run.stripe_chunk == ByteCount(0) ? 0 : arg.extents;
  return arg;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kmod>> LinuxKmod::Open(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) {
    return Annotate(ErrnoError(errno, "open", path), "is the module loaded? run: modprobe weft");
  }
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) return ErrnoError(errno, "eventfd", path);
  std::unique_ptr<LinuxKmod> kmod(new LinuxKmod(std::move(fd), std::move(stop), path));
  if (absl::Status s = kmod->ReadInfo(); !s.ok()) return s;
  return kmod;
}

absl::Status LinuxKmod::ReadInfo() {
  weft_info info = {};
  if (absl::Status s = Call(WEFT_INFO, "WEFT_INFO", path_, info); !s.ok()) return s;
  if (info.abi_version != WEFT_ABI_VERSION) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_SUPPORTED,
                     absl::StrCat("the loaded module speaks version ", info.abi_version,
                                  " of the interface, this daemon ", WEFT_ABI_VERSION,
                                  ": install both of one release"));
  }
  driver_name_ = FromKernel(info.driver_name);
  return absl::OkStatus();
}

template <typename Arg>
absl::Status LinuxKmod::Call(unsigned long command, const char* name, const std::string& object,
                             Arg& arg) const {
  arg.size = sizeof(arg);
  if (ioctl(fd_.get(), command, &arg) == 0) return absl::OkStatus();
  return KmodError(errno, name, object);
}

template <typename Entry>
absl::StatusOr<std::vector<Entry>> LinuxKmod::List(unsigned long command, const char* name,
                                                   uint64_t object_id) const {
  std::vector<Entry> all;
  weft_list arg = {};
  arg.object_id = object_id;
  do {
    std::vector<Entry> page(kListRoom);
    arg.entries_ptr = reinterpret_cast<uintptr_t>(page.data());
    arg.entries = kListRoom;
    arg.entry_size = sizeof(Entry);
    if (absl::Status s = Call(command, name, path_, arg); !s.ok()) return s;
    all.insert(all.end(), page.begin(), page.begin() + arg.entries);
  } while (arg.cursor != 0);
  return all;
}

absl::StatusOr<KmodDeviceInfo> LinuxKmod::AddDevice(const std::string& path, const DeviceId& uuid,
                                                    bool software_coherent) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, "open", path);
  weft_device_add arg = {};
  arg.flags = software_coherent ? WEFT_DEVICE_SOFTWARE_COHERENT : 0;
  arg.dev_fd = fd.get();
  std::copy(uuid.bytes().begin(), uuid.bytes().end(), arg.uuid);
  if (absl::Status s = Call(WEFT_DEVICE_ADD, "WEFT_DEVICE_ADD", path, arg); !s.ok()) return s;
  KmodDeviceInfo device;
  device.id = KmodDeviceId(arg.device_id);
  device.uuid = uuid;
  device.capacity = ByteCount(arg.capacity_bytes);
  return device;
}

absl::Status LinuxKmod::RemoveDevice(KmodDeviceId device) {
  weft_device_remove arg = {};
  arg.device_id = device.value();
  return Call(WEFT_DEVICE_REMOVE, "WEFT_DEVICE_REMOVE", NameOf(device), arg);
}

absl::StatusOr<std::vector<KmodDeviceInfo>> LinuxKmod::ListDevices() {
  const auto entries = List<weft_device_info>(WEFT_DEVICE_LIST, "WEFT_DEVICE_LIST", 0);
  if (!entries.ok()) return entries.status();
  std::vector<KmodDeviceInfo> devices;
  for (const weft_device_info& entry : *entries) devices.push_back(FromKernel(entry));
  return devices;
}

absl::StatusOr<std::vector<ByteRange>> LinuxKmod::ListBadRanges(KmodDeviceId device) {
  const auto entries =
      List<weft_bad_range>(WEFT_BAD_RANGE_LIST, "WEFT_BAD_RANGE_LIST", device.value());
  if (!entries.ok()) return entries.status();
  std::vector<ByteRange> ranges;
  for (const weft_bad_range& entry : *entries) {
    ranges.push_back({ByteOffset(entry.offset), ByteCount(entry.length)});
  }
  return ranges;
}

SegmentId LinuxKmod::LabelSegment(KmodDeviceId device) const {
  return SegmentId(WEFT_SEGMENT_INTERNAL | device.value());
}

absl::Status LinuxKmod::CreateSegment(SegmentId segment, Token token, Access mode,
                                      const std::vector<KmodRun>& runs) {
  const std::vector<weft_extent> extents = ToKernel(runs.front());
  weft_segment_create arg = MakeCreate(segment, token, runs.front(), extents);
  arg.mode = ToKernel(mode);
  arg.flags = WEFT_CREATE_IN_ORDER;
  absl::Status status = Call(WEFT_SEGMENT_CREATE, "WEFT_SEGMENT_CREATE", NameOf(segment), arg);
  if (!status.ok()) return status;
  for (size_t i = 1; i < runs.size() && status.ok(); ++i) {
    status = ExtendSegment(segment, token, runs[i]);
  }
  if (!status.ok()) DestroySegment(segment, token).IgnoreError();  // nobody has opened it
  return status;
}

absl::Status LinuxKmod::ExtendSegment(SegmentId segment, Token token, const KmodRun& run) {
  const std::vector<weft_extent> extents = ToKernel(run);
  weft_segment_create arg = MakeCreate(segment, token, run, extents);
  return Call(WEFT_SEGMENT_EXTEND, "WEFT_SEGMENT_EXTEND", NameOf(segment), arg);
}

absl::StatusOr<UniqueFd> LinuxKmod::OpenSegment(SegmentId segment, Token token, Access mode) {
  weft_segment_open arg = {};
  arg.segment_id = segment.value();
  arg.token = ToKernel(token);
  arg.mode = ToKernel(mode);
  const absl::Status s = Call(WEFT_SEGMENT_OPEN, "WEFT_SEGMENT_OPEN", NameOf(segment), arg);
  if (!s.ok()) return s;
  return UniqueFd(arg.fd);
}

absl::StatusOr<KmodRevoke> LinuxKmod::RevokeSegment(SegmentId segment, Token token,
                                                    absl::Duration wait) {
  weft_segment_revoke arg = {};
  arg.segment_id = segment.value();
  arg.token = ToKernel(token);
  arg.timeout_ms = static_cast<uint32_t>(absl::ToInt64Milliseconds(wait));
  const absl::Status s = Call(WEFT_SEGMENT_REVOKE, "WEFT_SEGMENT_REVOKE", NameOf(segment), arg);
  if (!s.ok()) return s;
  return KmodRevoke{StateOf(arg.state), arg.pages_pinned, ByteCount(arg.flushed_bytes),
                    absl::Nanoseconds(arg.elapsed_ns)};
}

absl::Status LinuxKmod::ResumeSegment(SegmentId segment, Token token, Access mode) {
  weft_segment_resume arg = {};
  arg.segment_id = segment.value();
  arg.token = ToKernel(token);
  arg.mode = ToKernel(mode);
  return Call(WEFT_SEGMENT_RESUME, "WEFT_SEGMENT_RESUME", NameOf(segment), arg);
}

absl::Status LinuxKmod::DestroySegment(SegmentId segment, Token token) {
  weft_segment_destroy arg = {};
  arg.segment_id = segment.value();
  arg.token = ToKernel(token);
  return Call(WEFT_SEGMENT_DESTROY, "WEFT_SEGMENT_DESTROY", NameOf(segment), arg);
}

absl::Status LinuxKmod::ZeroSegment(SegmentId segment, Token token, ByteOffset offset,
                                    ByteCount length) {
  weft_segment_zero arg = {};
  arg.segment_id = segment.value();
  arg.token = ToKernel(token);
  arg.offset = offset.value();
  arg.length = length.value();
  return Call(WEFT_SEGMENT_ZERO, "WEFT_SEGMENT_ZERO", NameOf(segment), arg);
}

absl::StatusOr<KmodSegmentInfo> LinuxKmod::FindSegment(SegmentId segment) {
  weft_segment_info entry = {};
  weft_list arg = {};
  arg.cursor = segment.value();
  arg.entries_ptr = reinterpret_cast<uintptr_t>(&entry);
  arg.entries = 1;
  arg.entry_size = sizeof(entry);
  const absl::Status s = Call(WEFT_SEGMENT_LIST, "WEFT_SEGMENT_LIST", NameOf(segment), arg);
  if (!s.ok()) return s;
  if (arg.entries == 1 && entry.segment_id == segment.value()) return FromKernel(entry);
  return KmodError(ENOENT, "WEFT_SEGMENT_LIST", NameOf(segment));
}

absl::StatusOr<std::vector<KmodSegmentInfo>> LinuxKmod::ListSegments() {
  const auto entries = List<weft_segment_info>(WEFT_SEGMENT_LIST, "WEFT_SEGMENT_LIST", 0);
  if (!entries.ok()) return entries.status();
  std::vector<KmodSegmentInfo> segments;
  for (const weft_segment_info& entry : *entries) {
    if ((entry.segment_id & WEFT_SEGMENT_INTERNAL) == 0) segments.push_back(FromKernel(entry));
  }
  return segments;
}

absl::StatusOr<std::vector<KmodHandleInfo>> LinuxKmod::ListHandles(SegmentId segment) {
  const auto entries =
      List<weft_handle_info>(WEFT_HANDLE_LIST, "WEFT_HANDLE_LIST", segment.value());
  if (!entries.ok()) return entries.status();
  std::vector<KmodHandleInfo> handles;
  for (const weft_handle_info& entry : *entries) {
    handles.push_back({FromKernel(entry.token), StateOf(entry.state)});
  }
  return handles;
}

absl::Status LinuxKmod::ArmDeadMan(BootTime deadline, absl::Duration bound, FenceAction action) {
  weft_deadman_set arg = {};
  arg.deadline_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(deadline.since_start()));
  arg.bound_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(bound));
  arg.fence_action = action == FenceAction::kReboot ? WEFT_FENCE_REBOOT : WEFT_FENCE_REPORT;
  const absl::Status s = Call(WEFT_DEADMAN_SET, "WEFT_DEADMAN_SET", "dead-man", arg);
  if (ReasonOf(s) != v1::BUSY_PINNED) return s;
  return absl::AbortedError("the dead-man has fired and is still taking back: arm it again");
}

absl::Status LinuxKmod::DisarmDeadMan() {
  weft_deadman_set arg = {};
  arg.flags = WEFT_DEADMAN_DISARM;
  return Call(WEFT_DEADMAN_SET, "WEFT_DEADMAN_SET", "dead-man", arg);
}

absl::StatusOr<KmodDeadMan> LinuxKmod::GetDeadMan() {
  weft_deadman_get arg = {};
  const absl::Status s = Call(WEFT_DEADMAN_GET, "WEFT_DEADMAN_GET", "dead-man", arg);
  if (!s.ok()) return s;
  KmodDeadMan dead_man;
  using State = KmodDeadMan::State;
  dead_man.state = arg.state == WEFT_DEADMAN_OFF     ? State::kOff
                   : arg.state == WEFT_DEADMAN_ARMED ? State::kArmed
                   : arg.state == WEFT_DEADMAN_DONE  ? State::kDone
                                                     : State::kFired;
  dead_man.longest_firing = absl::Nanoseconds(arg.elapsed_max_ns);
  dead_man.longest_revoke = absl::Nanoseconds(arg.revoke_max_ns);
  return dead_man;
}

absl::StatusOr<KmodHost> LinuxKmod::GetHost() {
  weft_host arg = {};
  if (absl::Status s = Call(WEFT_HOST_GET, "WEFT_HOST_GET", path_, arg); !s.ok()) return s;
  return KmodHost{FromKernel(arg.host_id), FromKernel(arg.session_id), FromKernel(arg.last_token)};
}

absl::Status LinuxKmod::SetHost(const KmodHost& host) {
  weft_host arg = {};
  host.host_id.copy(reinterpret_cast<char*>(arg.host_id), sizeof(arg.host_id) - 1);
  host.session_id.copy(reinterpret_cast<char*>(arg.session_id), sizeof(arg.session_id) - 1);
  arg.last_token = ToKernel(host.last_token);
  return Call(WEFT_HOST_SET, "WEFT_HOST_SET", host.host_id, arg);
}

absl::StatusOr<std::vector<KmodEvent>> LinuxKmod::WaitEvents() {
  for (;;) {
    pollfd fds[] = {{fd_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (poll(fds, std::size(fds), -1) < 0) {
      if (errno == EINTR) continue;
      return ErrnoError(errno, "poll", path_);
    }
    if (fds[1].revents != 0) return std::vector<KmodEvent>();
    weft_event room[kEventRoom];
    const ssize_t bytes = read(fd_.get(), room, sizeof(room));
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (bytes < 0) return ErrnoError(errno, "read", path_);
    std::vector<KmodEvent> events;
    const auto count = static_cast<size_t>(bytes) / sizeof(weft_event);
    for (size_t i = 0; i < count; ++i) events.push_back(FromKernel(room[i]));
    return events;
  }
}

void LinuxKmod::StopEvents() { eventfd_write(stop_.get(), 1); }

}  // namespace weft
