# Guests with the module, weftd and programs of this build, and a coordinator with leases of 30 s on
# this machine, whose events are heard like what the guests say. Sourced by tools/kernel-test,
# never run; needs guests.sh and talk.sh.
#
# shellcheck shell=bash disable=SC2016

# What the guests run: everything that this script asks for, one after another.
write_guest_agent() {
  cat >"${WEFT_SHARED}/run" <<'AGENT'
host="${WEFT_FILTER}"
export WEFT_SOCKET=/run/weft/weftd.sock PATH="/mnt/bin:${PATH}"
weftd_flags="--backend=kmod --fence-action=report"
exec 3<>/dev/talk
say() { printf '%s %s\n' "${host}" "$*" >&3; }
start_weftd() {
  rm -f /run/ready
  weftd --host-id="${host}" --coordinator="${WEFT_COORDINATOR}" ${weftd_flags} \
    --state-dir=/run/state --socket-dir=/run/weft \
    --metrics-address=127.0.0.1:0 --ready-file=/run/ready >>/run/weftd.log 2>&1 3>&- 4>&- &
  weftd_pid=$!
  until [[ -e /run/ready ]]; do
    kill -0 "${weftd_pid}" || return 1
    inotifywait -qq -t 2 -e moved_to /run || true
  done
}
# A program that stores; `ask_store SECONDS` has it say what becomes of its stores.
start_store() {
  rm -f /run/store
  mkfifo /run/store
  store_loop "${host}" "$1" </run/store >&3 2>/run/store.log &
  exec 4>/run/store
}
ask_store() { echo "$1" >&4; }
end_store() { exec 4>&-; }
say is up
while read -r -u 3 question; do
  eval "$(base64 -d <<<"${question}")" >/run/said 2>&1
  status=$?
  while read -r line; do say "said ${line}"; done </run/said
  say "done ${status}"
done
AGENT
}

# ask HOST COMMAND...: runs it in the guest; prints what it printed, returns what it returned.
ask() {
  local host="$1"
  shift
  tell "${host}" "$(base64 -w0 <<<"$*")"
  said=
  while hear "${host} @(said|done) *"; do
    if [[ "${heard}" == "${host} done "* ]]; then return "${heard##* }"; fi
    said+="${heard#* said }"$'\n'
    echo "# ${heard}"
  done
  return 125
}

# check NAME COMMAND...: one result, of the test's name.
check() {
  local what="$1"
  shift
  if "$@"; then result pass "${test_name} ${what}"; else result fail "${test_name} ${what}"; fi
}

# monitor HOST COMMAND: has the guest's QEMU do it.
monitor() {
  python3 - "$(host_directory "$1")/monitor" "$2" <<'PYTHON'
import socket
import sys

with socket.socket(socket.AF_UNIX) as monitor:
    monitor.connect(sys.argv[1])

    def await_prompt():
        seen = b""
        while not seen.endswith(b"(qemu) "):
            received = monitor.recv(1)
            if not received:  # it has ended, as it was told
                return
            seen += received

    await_prompt()
    monitor.sendall(sys.argv[2].encode() + b"\n")
    await_prompt()
PYTHON
}

# stores HOST SECONDS STORED REFUSED: for so long, so many of a program's stores are done and
# so many get SIGBUS: "some", "none" or "any".
stores() {
  ask "$1" ask_store "$2" && hear "$1 store stored *" || return 1
  echo "# ${heard}"
  read -r _ _ _ stored _ refused <<<"${heard}"
  counted "${stored}" "$3" && counted "${refused}" "$4"
}

counted() {
  case "$2" in
    some) (($1 > 0)) ;;
    none) (($1 == 0)) ;;
  esac
}

# daemons_begin SERIES NAME: what is needed before a guest boots; fails, with a result, if that is
# not there. The caller has `test_name`, `coordinator_pid`, `said` and `admin_said` as locals.
daemons_begin() {
  export WEFT_SHARED="${work}/$1-$2"
  mkdir -p "${WEFT_SHARED}"
  if ! command -v bazel >/dev/null; then
    result skip "${test_name%:}" "no bazel to build the daemons with: run tools/setup"
    return 1
  fi
  stage_programs || {
    result fail "${test_name} the daemons build"
    return 1
  }
  truncate -s 512M "${WEFT_SHARED}/pmem0"
  truncate -s 256M "${WEFT_SHARED}/pmem1"
  write_guest_agent
  printf '\n# %s kernel %s\n' "${test_name}" "$(<"${kernels_dir}/$1/release")"
  talk_begin "$1-$2"
  # What the coordinator calls to end host-a.
  cat >"${work}/agents.json" <<AGENTS
{"agents": {"host-a": {"command": "${qemu_dir}/fence_guest",
                       "options": {"pidfile": "$(host_directory host-a)/pid"}}}}
AGENTS
  start_coordinator && return 0
  cat "${work}/coordinator.log"
  result fail "${test_name} the coordinator starts"
  talk_end
  return 1
}

# daemons_end HOST...: ends the guests, looks at their kernels' logs, counts.
daemons_end() {
  local host directory
  for host in "$@"; do
    directory="$(host_directory "${host}")"
    if host_is_there "${host}"; then
      ask "${host}" 'tail -n 40 /run/weftd.log; cat /run/store.log' || true
      monitor "${host}" quit || true
    fi
    if "${qemu_dir}/check_log" "${directory}/console"; then
      result pass "${test_name} ${host} has a clean kernel log"
    else
      result fail "${test_name} ${host} has a clean kernel log"
    fi
  done
  hosts_wait
  stop_coordinator
  talk_end
  grep -F "${test_name}" "${results}" >"${work}/daemons" || true
  summary+=("${test_name%:}: $(tally "${work}/daemons")")
}

# Programs of the build.
stage_programs() {
  local targets=(//client/cli:weft //server/coordinator:weft-coordinator //server/node:weftd
    //tests/qemu:lone_segment //tests/qemu:store_loop) bin target
  weft_bazel build --noshow_progress --ui_event_filters=-info "${targets[@]}" >&2 || return 1
  bin="$(weft_bazel info bazel-bin 2>/dev/null)"
  mkdir -p "${WEFT_SHARED}/bin"
  for target in "${targets[@]}"; do
    target="${target#//}"
    cp "${bin}/${target/://}" "${WEFT_SHARED}/bin/"
  done
}

# All its events are heard as "event TYPE RESOURCE [SUBJECT]".
start_coordinator() {
  local ready="${work}/coordinator.ready"
  rm -f "${work}"/coordinator.*
  "${WEFT_SHARED}/bin/weft-coordinator" --store="sqlite:${work}/coordinator.db" \
    --listen=127.0.0.1:0 --metrics-address=127.0.0.1:0 --session-ttl=30s \
    --fence-config="${work}/agents.json" \
    --ready-file="${ready}" >"${work}/coordinator.log" 2>&1 &
  coordinator_pid=$!
  until [[ -e "${ready}" ]]; do
    kill -0 "${coordinator_pid}" || return 1
    inotifywait -qq -t 2 -e moved_to "${work}" || true
  done
  export WEFT_COORDINATOR
  WEFT_COORDINATOR="$(sed -n 's/^listen=//p' "${ready}")"
  # They end when it does.
  "${WEFT_SHARED}/bin/weft" events --follow 2>/dev/null |
    while read -r _ _ type resource subject _; do
      echo "event ${type} ${resource} ${subject}"
    done >"${work}/heard" &
}

# coordinator_counts METRIC VALUE: it tells so, now or when it counts anew, after a second.
coordinator_counts() {
  local until=$((SECONDS + 5)) counted
  while ((SECONDS < until)); do
    counted="$(curl -sS "http://$(sed -n 's/^metrics=//p' "${work}/coordinator.ready")/metrics")"
    grep -qFx -- "$1 $2" <<<"${counted}" && return 0
  done
  grep -F -- "$1" <<<"${counted}"
  return 1
}

stop_coordinator() {
  kill "${coordinator_pid}" || true
  wait "${coordinator_pid}" || true
}

# admin ARGUMENT...: runs `weft` here, with the coordinator of the test; `admin_said` has what it
# printed.
admin() {
  local status=0
  echo "# admin: weft $*"
  admin_said="$("${WEFT_SHARED}/bin/weft" "$@" 2>&1)" || status=$?
  printf '%s\n' "${admin_said}" | sed 's/^/# /'
  return "${status}"
}

# exits STATUS COMMAND...: whether the command ends with it.
exits() {
  local wanted="$1" status=0
  shift
  "$@" || status=$?
  ((status == wanted))
}

# says TEXT PART...: whether the text has all of the parts.
says() {
  local text="$1" part
  shift
  for part in "$@"; do
    [[ "${text}" == *"${part}"* ]] || return 1
  done
}

# lacks TEXT PART: whether it has not.
lacks() { [[ "$1" != *"$2"* ]]; }

# start_daemon_host HOST STAGE: boots a guest; what it has to know.
start_daemon_host() {
  start_host "$1" "${series}" "$2,host_root" "weft.filter=$1"
  check "$1 boots" hear "$1 is up"
  check "$1 is told where the coordinator is" ask "$1" export "WEFT_COORDINATOR=10.0.2.2:${WEFT_COORDINATOR##*:}"
}
