# Two guests with the same fabric memory. Kernel modules only: this script stands in for the
# daemons and the coordinator (kmod/selftest/peer.c draws who tells what to whom). Sourced by
# tools/kernel-test, never run; needs guests.sh.
# shellcheck shell=bash

shared_modules="${static_modules:?} 9pnet_virtio 9p virtio_pci virtio_net"

# start_host NAME SERIES STAGES APPEND: boots a guest that shares WEFT_SHARED in the
# background; its process id is left in host_pid.
start_host() {
  guest_boot "$1" "$2" shared "${shared_modules}" "shared,$3" 600 "$4" &
  host_pid=$!
}

# await_file FILE: waits until a guest has made it; fails when a guest ends instead.
await_file() {
  until [[ -e "${WEFT_SHARED}/$1" ]]; do
    kill -0 "${writer_pid}" "${taker_pid}" 2>/dev/null || return 1
    inotifywait -qq -t 2 -e create "${WEFT_SHARED}" || true
  done
}

tell() { touch "${WEFT_SHARED}/$1"; }

# writer_kill SIGNAL: to the writer's whole machine.
writer_kill() { kill "-$1" "$(<"${work}/${writer}/pid")"; }

# A writer that no longer renews its lease.
scenario_cut() {
  await_file seen && tell cut && await_file fenced && tell taken
}

# A writer whose host stops altogether: its lease is trusted, and it wakes up later.
scenario_frozen() {
  await_file seen && writer_kill STOP && tell cut && tell frozen &&
    await_file expired && tell taken && await_file copied && writer_kill CONT
}

# The same, but a fence agent has ended the host before its bytes change hands.
scenario_agent() {
  await_file seen && writer_kill STOP && tell frozen && await_file expired &&
    writer_kill KILL && tell killed && tell taken
}

# run_two_hosts SERIES cut|frozen|agent
run_two_hosts() {
  local series="$1" scenario="$2" name="$1 two hosts, $2" role
  local writer="$1-$2-writer" taker="$1-$2-taker" writer_pid taker_pid host_pid
  export WEFT_SHARED="${work}/$1-$2-shared"
  mkdir -p "${WEFT_SHARED}"
  truncate -s 512M "${WEFT_SHARED}/pmem0"
  truncate -s 256M "${WEFT_SHARED}/pmem1"
  printf '\n# %s: kernel %s\n' "${name}" "$(<"${kernels_dir}/${series}/release")"
  start_host "${writer}" "${series}" static_devices,peer weft.filter=writer
  writer_pid="${host_pid}" taker_pid="${host_pid}"
  # The taker finds the namespaces that the writer has made.
  await_file writer || true
  start_host "${taker}" "${series}" found_devices,peer weft.filter=taker
  taker_pid="${host_pid}"
  "scenario_${scenario}" || result fail "${name} went as planned"
  wait "${writer_pid}" "${taker_pid}" || true
  for role in "${writer}" "${taker}"; do
    cat "${work}/${role}/output"
    guest_results "${work}/${role}/output" "${name}" >"${work}/${role}/results"
    cat "${work}/${role}/results" >>"${results}"
    summary+=("${role}: $(tally "${work}/${role}/results")")
    # The agent's victim does not come to its end, and a kernel that was frozen complains.
    if [[ "${role}" == "${taker}" || "${scenario}" != agent ]]; then
      guest_finished "${work}/${role}" "${role}"
    fi
    if [[ "${role}" == "${taker}" || "${scenario}" == cut ]]; then
      guest_log_is_clean "${work}/${role}" "${role}"
    fi
  done
}
