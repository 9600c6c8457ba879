#!/bin/bash
# two_processes_test.sh SIM: two processes print the same log for one seed.
set -euo pipefail

for seed in 21 22; do
  for run in 1 2; do
    "$1" --seed "${seed}" --log >"${TEST_TMPDIR}/all"
    grep -v 'runs/s$' "${TEST_TMPDIR}/all" >"${TEST_TMPDIR}/${run}"
  done
  [[ "$(wc -l <"${TEST_TMPDIR}/1")" -gt 100 ]]
  cmp "${TEST_TMPDIR}/1" "${TEST_TMPDIR}/2"
done
