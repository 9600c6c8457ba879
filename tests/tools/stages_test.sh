#!/bin/bash
# Tests of tools/lib/stages.sh: what a run of stages prints last, and its exit status.
set -euo pipefail

# run SCRIPT: runs it with the functions of stages.sh; sets `output` and `status`.
run() {
  status=0
  output="$(bash -euo pipefail -c ". tools/lib/stages.sh; $1" 2>&1)" || status=$?
}

# expect STATUS LAST_LINE
expect() {
  if [[ "${status}" != "$1" || "$(tail -n 1 <<<"${output}")" != "$2" ]]; then
    printf 'expected status %s and "%s"; got status %s and\n%s\n' "$1" "$2" "${status}" "${output}"
    exit 1
  fi
}

run 'stage a true; stage b true; stages_end'
expect 0 '2 passed, 0 failed, 0 skipped'

run 'stage a false; stage b true; stages_end'
expect 1 '1 passed, 1 failed, 0 skipped'

cases() { printf '%s\n' "$@" >>"${WEFT_RESULTS}"; }
export -f cases
run 'stage a cases "pass x" "pass y" "skip z: no QEMU"; stages_end'
expect 0 '2 passed, 0 failed, 1 skipped'
grep -qx 'skip z: no QEMU' <<<"${output}"

run 'stage a cases "pass x" "fail y"; stages_end'
expect 1 '1 passed, 1 failed, 0 skipped'
grep -qx 'fail y' <<<"${output}"

crash() { cases 'pass x' && return 3; }
export -f crash
run 'stage a crash; stages_end'
expect 1 '1 passed, 1 failed, 0 skipped'
grep -qx 'fail a (exit status 3)' <<<"${output}"

run 'stages_wanted=(b); stage a false; stage b true; stages_end'
expect 0 '1 passed, 0 failed, 0 skipped'

run 'stages_wanted=(nonesuch); stage a true; stages_end'
expect 1 '0 passed, 0 failed, 0 skipped'

run 'stage a cat; stages_end'
expect 0 '1 passed, 0 failed, 0 skipped'
