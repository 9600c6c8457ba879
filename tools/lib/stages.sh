# Stages: the parts of tools/test, run one after another, and the sum of their results.
# Sourced, never run.
#
# A stage is any command. It may append result lines to the file that WEFT_RESULTS names,
# one for each test case:
#
#   pass NAME
#   fail NAME
#   skip NAME: REASON
#
# A stage without any is one test case itself. One that ends non-zero without a `fail`
# line has crashed: that is one failure. Its standard input is empty.
# shellcheck shell=bash

stages_dir="$(mktemp -d "${TMPDIR:-/tmp}/weft-test.XXXXXX")"
trap 'rm -rf "${stages_dir}"' EXIT
stages_wanted=()
stages_begin=${SECONDS}

# stage_is_wanted NAME
stage_is_wanted() {
  local wanted
  ((${#stages_wanted[@]})) || return 0
  for wanted in "${stages_wanted[@]}"; do
    [[ "${wanted}" == "$1" ]] && return 0
  done
  return 1
}

# count VERDICT FILE...: how many result lines have that verdict.
count() {
  local verdict="$1"
  shift
  cat "$@" | grep -c "^${verdict} " || true
}

# stage NAME COMMAND...: runs one stage, unless others were asked for by name.
stage() {
  local name="$1" results="${stages_dir}/$1.results" begin=${SECONDS} status=0
  shift
  stage_is_wanted "${name}" || return 0
  : >"${results}"
  printf '\n=== %s\n' "${name}"
  WEFT_RESULTS="${results}" "$@" </dev/null || status=$?
  if ((status != 0)) && ! grep -q '^fail ' "${results}"; then
    echo "fail ${name} (exit status ${status})" >>"${results}"
  elif [[ ! -s "${results}" ]]; then
    echo "pass ${name}" >>"${results}"
  fi
  printf '=== %s: %d passed, %d failed, %d skipped, %d s\n' "${name}" \
    "$(count pass "${results}")" "$(count fail "${results}")" "$(count skip "${results}")" \
    $((SECONDS - begin))
}

# stages_end: names what failed and what was skipped; the last line is the sum. Fails if
# anything failed or nothing ran.
stages_end() {
  local all="${stages_dir}/all" failed
  cat "${stages_dir}"/*.results >"${all}" 2>/dev/null || true
  failed="$(count fail "${all}")"
  printf '\n=== all: %d s\n' $((SECONDS - stages_begin))
  grep '^skip ' "${all}" || true
  grep '^fail ' "${all}" || true
  printf '%d passed, %d failed, %d skipped\n' \
    "$(count pass "${all}")" "${failed}" "$(count skip "${all}")"
  [[ "${failed}" == 0 && -s "${all}" ]]
}
