# How scripts talk with the guests that they start: lines through a virtio port of each guest,
# /dev/talk there. What all guests say comes through one pipe, in the order in which it
# was said, and each line begins with the guest's name. Nobody looks twice for anything: who
# waits is blocked in a read. Sourced by tools/kernel-test, never run; needs guests.sh.
# shellcheck shell=bash

# Emulated guests on a busy machine: only what never comes takes this long.
talk_patience_s=180

# talk_begin NAME: begins a talk with guests whose directories are WORK/NAME-GUEST.
talk_begin() {
  talk_name="$1"
  rm -f "${work}/heard"
  mkfifo "${work}/heard"
  # Open for writing too, so that it has no end while nobody else has it open.
  exec {heard_fd}<>"${work}/heard"
  : >"${work}/heard.log"
  unheard=() talk_is_over=0 may_end=
  trap hosts_kill EXIT
  declare -gA host_pids=()
}

talk_end() {
  trap - EXIT
  exec {heard_fd}>&-
}

host_directory() { echo "${work}/${talk_name}-$1"; }

# start_host NAME SERIES STAGES APPEND: boots a guest that shares WEFT_SHARED, in the
# background; "NAME ended" is heard when it is over.
start_host() {
  local directory
  directory="$(host_directory "$1")"
  mkdir -p "${directory}"
  mkfifo "${directory}/talk.in"
  ln -s "${work}/heard" "${directory}/talk.out"
  {
    guest_boot "${talk_name}-$1" "$2" shared "${shared_modules}" "shared,$3" 900 "$4" || true
    echo "$1 ended" >"${work}/heard"
  } &
  host_pids["$1"]=$!
}

# tell NAME WORDS...: says a line to a guest that has said one. Does not wait for it to listen.
tell() {
  local host="$1"
  shift
  printf '%s\n' "$*" 1<>"$(host_directory "${host}")/talk.in"
}

# hear PATTERN: waits for a line like it, a shell pattern for the whole line, and leaves the
# line in `heard`. Each line is heard once; those that come before it stay for later calls.
# Fails when a guest ends that is not expected to, or after a long time; then nothing more is
# waited for.
hear() {
  local at
  for at in "${!unheard[@]}"; do
    heard="${unheard[at]}"
    # shellcheck disable=SC2053
    if [[ "${heard}" == $1 ]]; then
      unset "unheard[at]"
      return 0
    fi
  done
  if ((talk_is_over)); then return 1; fi
  while read -r -t "${talk_patience_s}" -u "${heard_fd}" heard; do
    printf '%(%T)T %s\n' -1 "${heard}" >>"${work}/heard.log"
    # shellcheck disable=SC2053
    [[ "${heard}" == $1 ]] && return 0
    unheard+=("${heard}")
    if [[ "${heard}" =~ ^[^\ ]+\ ended$ && "${heard% ended}" != "${may_end}" ]]; then break; fi
  done
  talk_is_over=1
  echo "# no \"$1\" was heard; the last lines were"
  tail -n 15 "${work}/heard.log" | sed 's/^/# /'
  return 1
}

# heard_before FIRST SECOND: whether lines with these texts came, and in this order.
heard_before() {
  awk -v first="$1" -v second="$2" '
    index($0, first) && !one { one = NR }
    index($0, second) { two = NR }
    END { exit !(one && two && one < two) }' "${work}/heard.log"
}

# host_signal NAME SIGNAL: to the guest's whole machine.
host_signal() { kill "-$2" "$(<"$(host_directory "$1")/pid")"; }

# expect_end NAME: that guest's end no longer ends the talk.
expect_end() { may_end="$1"; }

host_is_there() { kill -0 "${host_pids["$1"]}" 2>/dev/null; }

# Ends the guests that are still there.
hosts_kill() {
  local host
  for host in "${!host_pids[@]}"; do
    if host_is_there "${host}"; then host_signal "${host}" KILL || true; fi
  done
}

hosts_wait() {
  local host
  for host in "${!host_pids[@]}"; do wait "${host_pids["${host}"]}" || true; done
}
