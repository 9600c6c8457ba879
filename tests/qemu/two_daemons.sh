# Two guests that share fabric memory, each with the module, weftd and programs of this build;
# the coordinator and whoever administers it run on this machine. Sourced by tools/kernel-test,
# never run; needs guests.sh, talk.sh and two_host.sh.
#
#      this machine: weft-coordinator (T = 30 s), weft, this script
#            | user network              | user network, monitor: set_link
#      host-a: weftd, module       host-b: weftd, module
#            `------ one file: /dev/dax0.0 ------'
#
# shellcheck shell=bash disable=SC2016

# What the guests run: everything that this script asks for, one after another.
write_guest_agent() {
  cat >"${WEFT_SHARED}/run" <<'AGENT'
host="${WEFT_FILTER}"
export WEFT_SOCKET=/run/weft/weftd.sock PATH="/mnt/bin:${PATH}"
exec 3<>/dev/talk
say() { printf '%s %s\n' "${host}" "$*" >&3; }
start_weftd() {
  rm -f /run/ready
  weftd --host-id="${host}" --coordinator="${WEFT_COORDINATOR}" --backend=kmod \
    --fence-action=report --state-dir=/run/state --socket-dir=/run/weft \
    --metrics-address=none --ready-file=/run/ready >>/run/weftd.log 2>&1 3>&- 4>&- &
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

# Programs of the build; a reason on stdout and failure if there are none.
stage_programs() {
  local targets=(//client/cli:weft //server/coordinator:weft-coordinator //server/node:weftd
    //tests/qemu:store_loop) bin target
  weft_bazel build --noshow_progress --ui_event_filters=-info "${targets[@]}" >&2 || return 1
  bin="$(weft_bazel info bazel-bin 2>/dev/null)"
  mkdir -p "${WEFT_SHARED}/bin"
  for target in "${targets[@]}"; do
    target="${target#//}"
    cp "${bin}/${target/://}" "${WEFT_SHARED}/bin/"
  done
}

# What the coordinator calls to end host-a.
write_fence_config() {
  cat >"${work}/agents.json" <<AGENTS
{"agents": {"host-a": {"command": "${qemu_dir}/fence_guest",
                       "options": {"pidfile": "$(host_directory host-a)/pid"}}}}
AGENTS
}

# The coordinator; all its events are heard as "event TYPE RESOURCE [SUBJECT]".
start_coordinator() {
  local ready="${work}/coordinator.ready"
  "${WEFT_SHARED}/bin/weft-coordinator" --store="sqlite:${work}/coordinator.db" \
    --listen=127.0.0.1:0 --metrics-address=none --session-ttl=30s \
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

stop_coordinator() {
  kill "${coordinator_pid}" || true
  wait "${coordinator_pid}" || true
}

admin() {
  echo "# admin: weft $*"
  "${WEFT_SHARED}/bin/weft" "$@"
}

# start_daemon_host HOST STAGE: boots a guest; what it has to know.
start_daemon_host() {
  start_host "$1" "${series}" "$2,host_root" "weft.filter=$1"
  check "$1 boots" hear "$1 is up"
  check "$1 is told where the coordinator is" ask "$1" export "WEFT_COORDINATOR=10.0.2.2:${WEFT_COORDINATOR##*:}"
}

two_daemons_share() {
  local device
  check "a device is formatted" \
    ask host-a 'start_weftd && weft --timeout=60s device format dax0.0 --wait'
  device="$(sed -n 's/.*: device //p' <<<"${said}")"
  check "a pool takes it" admin --timeout=60s pool create fam "${device}" --wait
  check "a second host proves that it sees the same memory" ask host-b start_weftd
  check "a segment is made" admin segment create fam/both --size 16M
  check "one host fills it" ask host-a weft --timeout=60s segment fill fam/both
  check "the other reads it through a mapping of its own" \
    ask host-b weft --timeout=60s segment verify fam/both
}

# The daemon dies and comes back while a program stores.
two_daemons_restart() {
  check "an exclusive segment is made" \
    admin segment create fam/own --size 8M --sharing exclusive
  ask host-a start_store fam/own || true
  check "a program stores into it" hear "host-a store storing"
  ask host-a 'kill -KILL "${weftd_pid}"; wait "${weftd_pid}"' || true
  check "its daemon killed, it goes on" stores host-a 0 some none
  check "the daemon is back within the lease" ask host-a start_weftd
  # Longer than the lease that the daemon's predecessor had.
  check "and nothing was disturbed" stores host-a 35 some none
}

# The host is cut off from the coordinator while its program stores; another gets the segment.
two_daemons_move() {
  check "host-b does not get what host-a holds" \
    ask host-b '! weft --timeout=5s segment fill fam/own --seed 7'
  check "nor does host-a's program notice" stores host-a 0 some none
  check "host-a's link goes" monitor host-a "set_link net0 off"
  check "host-a is cut off, and its lease runs out" hear "event HOST_EXPIRED *host-a*"
  check "its writer gets SIGBUS" hear "host-a store refused"
  check "host-b gets the segment" ask host-b weft --timeout=60s segment fill fam/own --seed 7
  check "by a grant" hear "event GRANT_ACQUIRED fam/own *host-b"
  check "given after host-a's writer got SIGBUS" heard_before "host-a store refused" "${heard}"
  check "whose stores are all refused" stores host-a 5 none some
  check "no byte of it lands after" ask host-b weft --timeout=30s segment verify fam/own --seed 7
  check "and comes back" monitor host-a "set_link net0 on"
  check "host-a comes back" hear "event HOST_REGISTERED *host-a*"
  check "its writer stays cut off" stores host-a 5 none some
  check "and host-b has its own bytes" \
    ask host-b weft --timeout=30s segment verify fam/own --seed 7
  ask host-a end_store || true
}

# The host stops altogether, where its lease is not trusted: an agent ends it first.
two_daemons_agent() {
  local device
  check "another device is formatted" ask host-a weft --timeout=60s device format dax1.0 --wait
  device="$(sed -n 's/.*: device //p' <<<"${said}")"
  check "a pool with fence agents takes it" \
    admin --timeout=120s pool create guarded "${device}" --fencing agent --wait
  check "host-b sees it too" hear "event DEVICE_ATTACHED ${device} host-b"
  check "and a segment is made" admin segment create guarded/own --size 8M --sharing exclusive
  ask host-a start_store guarded/own || true
  check "host-a stores" hear "host-a store storing"
  ask host-a 'tail -n 40 /run/weftd.log' || true
  expect_end host-a
  host_signal host-a STOP
  check "host-a frozen, its agent is called" hear "event HOST_FENCE_STARTED host-a*"
  check "which ends it" hear "host-a ended"
  check "and so it is fenced" hear "event HOST_FENCED host-a*"
  check "host-b gets what it held" ask host-b weft --timeout=60s segment fill guarded/own --seed 9
  check "by a grant of its own" hear "event GRANT_ACQUIRED guarded/own host-b"
  check "given after host-a's end" heard_before "host-a ended" "${heard}"
  check "and no byte of host-a lands after" \
    ask host-b weft --timeout=30s segment verify guarded/own --seed 9
}

# The daemon dies and does not come back.
two_daemons_orphan() {
  ask host-b start_store fam/own || true
  check "host-b stores" hear "host-b store storing"
  ask host-b 'kill -KILL "${weftd_pid}"' || true
  check "its daemon killed, it goes on" stores host-b 0 some none
  check "the daemon not back within the lease, it gets SIGBUS" hear "host-b store refused"
  check "and nothing lands after" stores host-b 5 none some
  ask host-b end_store || true
}

run_two_daemons() {
  local series="$1" test_name="$1 two daemons:" host directory coordinator_pid
  local said
  export WEFT_SHARED="${work}/$1-daemons"
  mkdir -p "${WEFT_SHARED}"
  if ! command -v bazel >/dev/null; then
    result skip "${test_name%:}" "no bazel to build the daemons with: run tools/setup"
    return 0
  fi
  stage_programs || {
    result fail "${test_name} the daemons build"
    return 0
  }
  truncate -s 512M "${WEFT_SHARED}/pmem0"
  truncate -s 256M "${WEFT_SHARED}/pmem1"
  write_guest_agent
  printf '\n# %s kernel %s\n' "${test_name}" "$(<"${kernels_dir}/${series}/release")"
  talk_begin "${series}"
  write_fence_config
  start_coordinator || {
    cat "${work}/coordinator.log"
    result fail "${test_name} the coordinator starts"
    return 0
  }
  start_daemon_host host-a static_devices
  # It finds the namespaces that host-a has made.
  start_daemon_host host-b found_devices
  two_daemons_share
  two_daemons_restart
  two_daemons_move
  # It takes a minute more, and does not depend on the kernel.
  if [[ "${series}" == 6.1 ]]; then
    result skip "${test_name} a fence agent" "run tools/kernel-test 6.12 two_daemons"
  else
    two_daemons_agent
  fi
  two_daemons_orphan
  for host in host-a host-b; do
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
  summary+=("${test_name%:}: $(grep -F "${test_name}" "${results}" >"${work}/two" || true
    tally "${work}/two")")
}
