# Two guests that share fabric memory, each with the module, weftd and programs of this build;
# the coordinator and whoever administers it run on this machine. Sourced by tools/kernel-test,
# never run; needs guests.sh and two_host.sh.
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
export WEFT_SOCKET=/run/weft/weftd.sock WEFT_COORDINATOR="10.0.2.2:$(</mnt/port)"
export PATH="/mnt/bin:${PATH}"
start_weftd() {
  rm -f /run/ready
  weftd --host-id="${host}" --coordinator="${WEFT_COORDINATOR}" --backend=kmod \
    --fence-action=report --state-dir=/run/state --socket-dir=/run/weft \
    --metrics-address=127.0.0.1:0 --ready-file=/run/ready >>"/mnt/${host}.log" 2>&1 &
  weftd_pid=$!
  until [[ -e /run/ready ]]; do
    kill -0 "${weftd_pid}" || return 1
    sleep 0.2
  done
}
echo "# ${host} is up"
touch "/mnt/${host}.up"
for ((number = 1; ; number++)); do
  until [[ -e "/mnt/${host}.ask.${number}" ]]; do sleep 0.2; done
  . "/mnt/${host}.ask.${number}" >"/mnt/${host}.said" 2>&1
  echo "$?" >"/mnt/${host}.status"
  mv "/mnt/${host}.status" "/mnt/${host}.done.${number}"
done
AGENT
}

declare -A asked=()

# ask HOST COMMAND...: runs it in the guest; prints what it printed, returns what it returned.
ask() {
  local host="$1" number status
  shift
  number=$((${asked["${host}"]:-0} + 1))
  asked["${host}"]="${number}"
  printf '%s\n' "$*" >"${WEFT_SHARED}/ask"
  mv "${WEFT_SHARED}/ask" "${WEFT_SHARED}/${host}.ask.${number}"
  await_file "${host}.done.${number}" || return 125
  sed "s/^/# ${host}: /" "${WEFT_SHARED}/${host}.said"
  status="$(<"${WEFT_SHARED}/${host}.done.${number}")"
  return "${status}"
}

# check NAME COMMAND...: one result, of the test's name.
check() {
  local what="$1"
  shift
  if "$@"; then result pass "${test_name} ${what}"; else result fail "${test_name} ${what}"; fi
}

# monitor HOST COMMAND: has the guest's QEMU do it.
monitor() {
  python3 - "${work}/${series}-$1/monitor" "$2" <<'PYTHON'
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

exists() { [[ -e "${WEFT_SHARED}/$1" ]]; }
lacks() { [[ ! -e "${WEFT_SHARED}/$1" ]]; }

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

start_coordinator() {
  "${WEFT_SHARED}/bin/weft-coordinator" --store="sqlite:${work}/coordinator.db" \
    --listen=127.0.0.1:0 --metrics-address=none --session-ttl=30s \
    --ready-file="${work}/coordinator.ready" >"${work}/coordinator.log" 2>&1 &
  coordinator_pid=$!
  until [[ -e "${work}/coordinator.ready" ]]; do
    kill -0 "${coordinator_pid}" || return 1
    sleep 0.1
  done
  export WEFT_COORDINATOR
  WEFT_COORDINATOR="$(sed -n 's/^listen=//p' "${work}/coordinator.ready")"
  echo "${WEFT_COORDINATOR##*:}" >"${WEFT_SHARED}/port"
}

admin() {
  local weft="${WEFT_SHARED}/bin/weft"
  echo "# admin: weft $*"
  "${weft}" "$@"
}

two_daemons_share() {
  local device
  check "a device is formatted" \
    ask host-a start_weftd '&&' weft --timeout=60s device format dax0.0 --wait
  device="$(sed -n 's/.*: device //p' "${WEFT_SHARED}/host-a.said")"
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
  ask host-a 'store_loop fam/own /mnt host-a >>/mnt/host-a.log 2>&1 &'
  check "a program stores into it" await_file host-a.storing
  check "the daemon is killed and the program goes on" ask host-a \
    'kill -9 "${weftd_pid}"; before="$(</run/host-a.rounds)"; sleep 3;
     after="$(</run/host-a.rounds)"; echo "rounds ${before} ${after}"; ((after > before))'
  check "the daemon is back within the lease" ask host-a start_weftd
  ask host-a 'sleep 40; cat /run/host-a.rounds'
  check "the program was not disturbed" lacks host-a.refused
}

# The host is cut off from the coordinator while its program stores; another gets the segment.
two_daemons_move() {
  check "host-b does not get what host-a holds" \
    ask host-b '! weft --timeout=5s segment fill fam/own --seed 7'
  lacks host-a.refused || return 0
  monitor host-a "set_link net0 off"
  check "host-b gets it after host-a is cut off" ask host-b \
    'for try in {1..60}; do weft --timeout=10s segment fill fam/own --seed 7 && break; sleep 1;
     done; ls -l --time-style=full-iso /mnt/host-a.refused; [[ -e /mnt/host-a.refused ]]'
  check "its writer had got SIGBUS before" exists host-a.refused
  check "no byte of it lands after" ask host-b \
    'for try in 1 2 3 4 5; do weft --timeout=30s segment verify fam/own --seed 7 || break; sleep 1;
     done; ((try == 5))'
  monitor host-a "set_link net0 on"
  ask host-a 'sleep 15; touch /mnt/host-a.stop; until [[ -e /mnt/host-a.ended ]]; do sleep 0.2;
    done; tail -n 12 /mnt/host-a.log; cat /mnt/host-a.ended'
  check "nor once it is back" test "$(<"${WEFT_SHARED}/host-a.ended")" == 0
  check "and host-b has its own bytes" \
    ask host-b weft --timeout=30s segment verify fam/own --seed 7
}

# The daemon dies and does not come back.
two_daemons_orphan() {
  ask host-b 'store_loop fam/own /mnt host-b >>/mnt/host-b.log 2>&1 &'
  check "host-b stores" await_file host-b.storing
  check "its daemon killed for good, its program gets SIGBUS within the lease" ask host-b \
    'kill -9 "${weftd_pid}"; for try in {1..60}; do [[ -e /mnt/host-b.refused ]] && break;
     sleep 0.5; done; [[ -e /mnt/host-b.refused ]]'
  ask host-b 'touch /mnt/host-b.stop; until [[ -e /mnt/host-b.ended ]]; do sleep 0.2; done'
  check "and nothing lands after" test "$(<"${WEFT_SHARED}/host-b.ended")" == 0
}

run_two_daemons() {
  local series="$1" test_name="$1 two daemons:" host directory
  local writer_pid taker_pid host_pid coordinator_pid
  export WEFT_SHARED="${work}/daemons"
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
  start_coordinator || {
    cat "${work}/coordinator.log"
    result fail "${test_name} the coordinator starts"
    return 0
  }
  WEFT_GUEST_TIMEOUT_S=1200 start_host "${series}-host-a" "${series}" static_devices,host_root \
    weft.filter=host-a
  writer_pid="${host_pid}" taker_pid="${host_pid}"
  check "host-a boots" await_file host-a.up
  WEFT_GUEST_TIMEOUT_S=1200 start_host "${series}-host-b" "${series}" found_devices,host_root \
    weft.filter=host-b
  taker_pid="${host_pid}"
  check "host-b boots" await_file host-b.up
  if exists host-b.up; then
    two_daemons_share
    two_daemons_restart
    two_daemons_move
    two_daemons_orphan
  fi
  for host in host-a host-b; do
    directory="${work}/${series}-${host}"
    monitor "${host}" quit || true
    if "${qemu_dir}/check_log" "${directory}/console"; then
      result pass "${test_name} ${host} has a clean kernel log"
    else
      result fail "${test_name} ${host} has a clean kernel log"
    fi
    sed "s/^/# ${host}: /" "${WEFT_SHARED}/${host}.log" | tail -n 40
  done
  wait "${writer_pid}" "${taker_pid}" || true
  kill "${coordinator_pid}"
  wait "${coordinator_pid}" || true
  summary+=("${test_name%:}: $(grep -F "${test_name}" "${results}" >"${work}/two" || true
    tally "${work}/two")")
}
