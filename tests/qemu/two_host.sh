# Two guests with the same fabric memory. Kernel modules only: this script stands in for the
# daemons and the coordinator (kmod/selftest/peer.c tells what is said). Sourced by
# tools/kernel-test, never run; needs guests.sh and talk.sh.
# shellcheck shell=bash

# Used by talk.sh.
# shellcheck disable=SC2034
shared_modules="${static_modules:?} 9pnet_virtio 9p virtio_pci virtio_net virtio_console"

# Until the writer stores in a loop, renewing its lease, and the taker has seen its bytes.
two_hosts_begin() {
  start_host writer "${series}" static_devices,peer weft.filter=writer
  # The taker finds the namespaces that the writer has made.
  hear "writer filled" || return 1
  start_host taker "${series}" found_devices,peer weft.filter=taker
  hear "taker seen" && tell writer store && hear "writer storing"
}

# A writer that no longer renews its lease.
scenario_cut() {
  tell writer cut && hear "writer fenced" &&
    tell taker copy && hear "taker copied" &&
    tell writer try && hear "writer tried" && tell taker judge
}

# A writer whose host stops altogether: its lease is trusted, and it wakes up later.
scenario_frozen() {
  host_signal writer STOP && tell writer cut &&
    tell taker expire && hear "taker expired" && tell taker copy && hear "taker copied" &&
    host_signal writer CONT && hear "writer fenced" &&
    tell writer try && hear "writer tried" && tell taker record
}

# The same, but a fence agent has ended the host before its bytes change hands.
scenario_agent() {
  host_signal writer STOP && tell taker expire && hear "taker expired" &&
    host_signal writer KILL && hear "writer ended" &&
    tell taker copy && hear "taker copied" && tell taker judge
}

# run_two_hosts SERIES cut|frozen|agent
run_two_hosts() {
  local series="$1" scenario="$2" name="$1 two hosts, $2" role directory
  export WEFT_SHARED="${work}/$1-$2-shared"
  mkdir -p "${WEFT_SHARED}"
  truncate -s 512M "${WEFT_SHARED}/pmem0"
  truncate -s 256M "${WEFT_SHARED}/pmem1"
  printf '\n# %s: kernel %s\n' "${name}" "$(<"${kernels_dir}/${series}/release")"
  talk_begin "${series}-${scenario}"
  if two_hosts_begin && "scenario_${scenario}"; then
    result pass "${name} went as planned"
  else
    result fail "${name} went as planned"
    hosts_kill
  fi
  hosts_wait
  talk_end
  for role in writer taker; do
    directory="$(host_directory "${role}")"
    [[ -d "${directory}" ]] || continue
    cat "${directory}/output"
    guest_results "${directory}/output" "${name}" >"${directory}/results"
    cat "${directory}/results" >>"${results}"
    summary+=("${name}, ${role}: $(tally "${directory}/results")")
    # The agent's victim does not come to its end, and a kernel that was frozen complains.
    if [[ "${role}" == taker || "${scenario}" != agent ]]; then
      guest_finished "${directory}" "${name}, ${role}"
    fi
    if [[ "${role}" == taker || "${scenario}" == cut ]]; then
      guest_log_is_clean "${directory}" "${name}, ${role}"
    fi
  done
}
