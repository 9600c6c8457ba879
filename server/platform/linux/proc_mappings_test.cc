#include "server/platform/linux/proc_mappings.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "gtest/gtest.h"
#include "server/platform/linux/temp_dir.h"
#include "server/platform/unique_fd.h"

namespace weft {
namespace {

constexpr size_t kPage = 4096;

// A process that has the second page of a file mapped, until it is destroyed.
class Mapper {
 public:
  explicit Mapper(const std::string& path, bool hidden = false) {
    int ready[2];
    int done[2];
    EXPECT_EQ(pipe(ready) | pipe(done), 0);
    pid_ = fork();
    if (pid_ == 0) {
      const UniqueFd fd(open(path.c_str(), O_RDWR));
      mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd.get(), kPage);
      // Hidden from all that have not CAP_SYS_PTRACE.
      prctl(PR_SET_DUMPABLE, hidden ? 0 : 1);
      char byte = 1;
      if (write(ready[1], &byte, 1) != 1) _exit(1);
      close(done[1]);
      _exit(static_cast<int>(read(done[0], &byte, 1)));
    }
    close(ready[1]);
    close(done[0]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    done_ = UniqueFd(done[1]);
  }
  ~Mapper() {
    done_ = UniqueFd();
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  UniqueFd done_;
};

// Takes CAP_SYS_PTRACE, if it is there, from the thread for as long as this lives.
class WithoutPtrace {
 public:
  WithoutPtrace() {
    EXPECT_EQ(syscall(SYS_capget, &header_, had_), 0);
    __user_cap_data_struct has[2] = {had_[0], had_[1]};
    has[0].effective &= ~(1u << CAP_SYS_PTRACE);
    EXPECT_EQ(syscall(SYS_capset, &header_, has), 0);
  }
  ~WithoutPtrace() { EXPECT_EQ(syscall(SYS_capset, &header_, had_), 0); }

 private:
  __user_cap_header_struct header_ = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct had_[2];
};

class ProcMappingsTest : public testing::Test {
 protected:
  ProcMappingsTest() {
    const UniqueFd fd(open(path_.c_str(), O_RDWR | O_CREAT, 0600));
    EXPECT_EQ(ftruncate(fd.get(), 4 * kPage), 0);
  }

  TempDir dir_;
  std::string path_ = dir_.File("device");
  ProcMappings mappings_{Unreadable::kError};
};

TEST_F(ProcMappingsTest, FindsWhatOthersMapByWhateverName) {
  const std::string link = dir_.File("link");
  ASSERT_EQ(symlink(path_.c_str(), link.c_str()), 0);
  const Mapper mapper(path_);
  const auto found = mappings_.Scan({link});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found,
            std::vector<FileMapping>({{link, ByteOffset(kPage), ByteCount(kPage), mapper.pid()}}));
}

TEST_F(ProcMappingsTest, FindsNothingOfThisProcessOrOfOnesThatEnded) {
  {
    const Mapper mapper(path_);
  }
  const UniqueFd fd(open(path_.c_str(), O_RDWR));
  void* const own = mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd.get(), 0);
  const auto found = mappings_.Scan({path_});
  munmap(own, kPage);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->empty());
}

TEST_F(ProcMappingsTest, AProcessThatMayNotBeLookedAtIsAnErrorOrIgnored) {
  const Mapper hidden(path_, /*hidden=*/true);
  const WithoutPtrace without;
  EXPECT_FALSE(mappings_.Scan({path_}).ok());
  const auto found = ProcMappings(Unreadable::kIgnored).Scan({path_});
  EXPECT_TRUE(found.ok()) << found.status();
}

TEST_F(ProcMappingsTest, AFileThatIsGoneIsAnError) {
  EXPECT_FALSE(mappings_.Scan({dir_.File("nothing")}).ok());
}

}  // namespace
}  // namespace weft
