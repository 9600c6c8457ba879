# Names and functions that every script of Weft shares. Sourced, never run.
#
#   weft_root    the top of the tree
#   weft_cache   what may be deleted at any time and is costly to make again:
#                $WEFT_CACHE, else $XDG_CACHE_HOME/weft, else ~/.cache/weft
# shellcheck shell=bash

weft_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
# Used by the scripts that source this file.
# shellcheck disable=SC2034
weft_cache="${WEFT_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/weft}"

# say MESSAGE...: one line about progress.
say() { printf '%s\n' "$*"; }

# die MESSAGE...: one line about what is wrong and what to do; exits 1.
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# usage: the comment at the top of the script.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# help_only [ARGUMENT...]: of a script without options: answers --help, and refuses others.
help_only() {
  case "${1:-}" in
    -h | --help)
      usage
      exit 0
      ;;
    -*) die "unknown option $1: see --help" ;;
  esac
}

# weft_bazel COMMAND ARGUMENT...: bazel in the tree, with its disk cache in weft_cache.
# (.bazelrc cannot expand a variable, so a plain `bazel` uses ~/.cache/weft.)
weft_bazel() {
  local command="$1"
  shift
  (cd "${weft_root}" && bazel "${command}" --disk_cache="${weft_cache}/bazel" "$@")
}
