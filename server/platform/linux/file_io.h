// Small files, and all of what was asked of larger ones. An int is 0, or the errno.

#ifndef WEFT_SERVER_PLATFORM_LINUX_FILE_IO_H_
#define WEFT_SERVER_PLATFORM_LINUX_FILE_IO_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

// As pread(2) and pwrite(2), of all `size` bytes, whatever interrupts. EIO: no more can be read
// or written there.
int ReadFully(int fd, void* to, size_t size, uint64_t offset);
int WriteFully(int fd, const void* from, size_t size, uint64_t offset);

// Makes `bytes` what the file at `path` holds: who reads it finds these or what it held before.
// `temporary` is a path on the same file system. Not durable: ReplaceFile is.
int SwapFile(const std::string& path, const std::string& temporary, std::string_view bytes);

// An attribute in sysfs: a word. Empty if it cannot be read.
std::string ReadWord(const std::string& path);
// In one write(2), which a signal ends.
int WriteWord(const std::string& path, std::string_view word);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_FILE_IO_H_
