// SPDX-License-Identifier: GPL-2.0-only
#include "slow_buffer.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "env.h"
#include "harness.h"

struct slow_buffer slow_buffer_make(uint64_t length)
{
	struct slow_buffer buffer = { .length = length };
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	buffer.userfault = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (buffer.userfault < 0 && errno == ENOSYS)
		test_skip("the kernel has no userfaultfd");
	CHECK(buffer.userfault >= 0);
	CHECK_EQ(ioctl(buffer.userfault, UFFDIO_API, &api), 0);
	buffer.bytes = mmap(NULL, length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(buffer.bytes != MAP_FAILED);
	range.range.start = (uintptr_t)buffer.bytes;
	range.range.len = length;
	CHECK_EQ(ioctl(buffer.userfault, UFFDIO_REGISTER, &range), 0);
	return buffer;
}

void slow_buffer_await_access(const struct slow_buffer *buffer)
{
	struct uffd_msg message;

	CHECK_EQ(read(buffer->userfault, &message, sizeof(message)), sizeof(message));
	CHECK_EQ(message.event, UFFD_EVENT_PAGEFAULT);
}

void slow_buffer_provide(const struct slow_buffer *buffer, char value)
{
	char page[PAGE];
	struct uffdio_copy copy = { .src = (uintptr_t)page, .len = PAGE };

	memset(page, value, sizeof(page));
	for (uint64_t at = 0; at < buffer->length; at += PAGE) {
		copy.dst = (uintptr_t)buffer->bytes + at;
		CHECK_EQ(ioctl(buffer->userfault, UFFDIO_COPY, &copy), 0);
	}
}
