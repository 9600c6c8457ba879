# Paths of the kernel cache (README.md draws it). Sourced, never run.
# shellcheck shell=bash

qemu_dir="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "${qemu_dir}/../../tools/lib/common.sh"
kernels_dir="${weft_cache}/kernels"

# Holds fd 9 as the lock of one cache entry until the shell ends, so that two runs do not
# fill the same entry at once.
lock_entry() {
  mkdir -p "${kernels_dir}"
  exec 9>"${kernels_dir}/.$1.lock"
  flock 9
}
