// SPDX-License-Identifier: GPL-2.0-only
#include "pin.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "env.h"
#include "harness.h"

struct pin pin_take(char *bytes, int pages)
{
	struct pin pin = { .pages = pages };
	struct iovec piece = { .iov_base = bytes, .iov_len = pages * PAGE };

	CHECK_EQ(pipe2(pin.pipe, O_CLOEXEC), 0);
	CHECK_EQ(vmsplice(pin.pipe[1], &piece, 1, 0), pages * PAGE);
	return pin;
}

void pin_release(const struct pin *pin)
{
	close(pin->pipe[0]);
	close(pin->pipe[1]);
}
