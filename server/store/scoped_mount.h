// A file system of its own over a folder, for tests of disks that are full or cannot be written.

#ifndef WEFT_SERVER_STORE_SCOPED_MOUNT_H_
#define WEFT_SERVER_STORE_SCOPED_MOUNT_H_

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace weft {

// Unmounted at the end. Only the thread that makes it, and threads that this one starts later, see
// it. Not every environment allows it.
class ScopedMount {
 public:
  ScopedMount(const std::string& folder, const char* options) : folder_(folder) {
    mounted_ = unshare(CLONE_NEWNS) == 0 &&
               mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               mount("tmpfs", folder.c_str(), "tmpfs", 0, options) == 0;
    if (!mounted_) error_ = strerror(errno);
  }
  ScopedMount(const ScopedMount&) = delete;
  ScopedMount& operator=(const ScopedMount&) = delete;
  ~ScopedMount() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }

  bool mounted() const { return mounted_; }
  const std::string& error() const { return error_; }
  bool MakeReadOnly() {
    return mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

 private:
  const std::string folder_;
  bool mounted_ = false;
  std::string error_;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_SCOPED_MOUNT_H_
