#include "server/platform/linux/file_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>

#include "server/platform/unique_fd.h"

namespace weft {
namespace {

// `call` goes on from the bytes that are done.
template <typename Call>
int Fully(size_t size, Call call) {
  for (size_t done = 0; done < size;) {
    const ssize_t n = call(done);
    if (n == 0) return EIO;
    if (n < 0 && errno != EINTR) return errno;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return 0;
}

}  // namespace

int ReadFully(int fd, void* to, size_t size, uint64_t offset) {
  return Fully(size, [&](size_t done) {
    return pread(fd, static_cast<char*>(to) + done, size - done, static_cast<off_t>(offset + done));
  });
}

int WriteFully(int fd, const void* from, size_t size, uint64_t offset) {
  return Fully(size, [&](size_t done) {
    return pwrite(fd, static_cast<const char*>(from) + done, size - done,
                  static_cast<off_t>(offset + done));
  });
}

int SwapFile(const std::string& path, const std::string& temporary, std::string_view bytes) {
  UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd.valid()) return errno;
  const int error = WriteFully(fd.get(), bytes.data(), bytes.size(), 0);
  if (error != 0) return error;
  if (close(fd.release()) != 0 || rename(temporary.c_str(), path.c_str()) != 0) return errno;
  return 0;
}

std::string ReadWord(const std::string& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

int WriteWord(const std::string& path, std::string_view word) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  const ssize_t size = write(fd.get(), word.data(), word.size());
  if (size < 0) return errno;
  return static_cast<size_t>(size) == word.size() ? 0 : EIO;
}

}  // namespace weft
