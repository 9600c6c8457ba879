# Paths of the kernel cache (README.md draws it). Sourced, never run.
# shellcheck shell=bash

qemu_dir="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# Used by the scripts that source this file.
# shellcheck disable=SC2034
project_dir="$(cd "${qemu_dir}/../.." && pwd)"
kernels_dir="${WEFT_CACHE:-${XDG_CACHE_HOME:-${HOME}/.cache}/weft}/kernels"

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# Holds fd 9 as the lock of one cache entry until the shell ends, so that two runs
# do not fill the same entry at once.
lock_entry() {
  mkdir -p "${kernels_dir}"
  exec 9>"${kernels_dir}/.$1.lock"
  flock 9
}
