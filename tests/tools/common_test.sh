#!/bin/bash
# Tests of tools/lib/common.sh: how a script without options answers those it is given.
set -euo pipefail

export WEFT_CACHE="${TEST_TMPDIR}"
script="${TEST_TMPDIR}/script"
cat >"${script}" <<'SCRIPT'
#!/bin/bash
# What it is for.
#
#   indented
set -euo pipefail
. tools/lib/common.sh
help_only "$@"
echo "ran with $*"
SCRIPT

# expect STATUS OUTPUT [ARGUMENT...]: of the script.
expect() {
  local wanted="$1" text="$2" status=0 output
  shift 2
  output="$(bash "${script}" "$@" 2>&1)" || status=$?
  if [[ "${status}" != "${wanted}" || "${output}" != "${text}" ]]; then
    printf 'with "%s": status %s and\n%s\n' "$*" "${status}" "${output}"
    exit 1
  fi
}

help=$'What it is for.\n\n  indented'
expect 0 "${help}" --help
expect 0 "${help}" -h
expect 1 'script: unknown option --bogus: see --help' --bogus
expect 0 'ran with stage' stage
expect 0 'ran with '
