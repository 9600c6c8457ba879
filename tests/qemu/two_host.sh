# Two guests with the same fabric memory. Sourced by tools/kernel-test, never run; needs
# guests.sh.
# shellcheck shell=bash

shared_modules="${static_modules:?} 9pnet_virtio 9p virtio_pci virtio_net"

# start_host NAME SERIES STAGES APPEND: boots a guest that shares WEFT_SHARED in the
# background; its process id is left in host_pid.
start_host() {
  guest_boot "$1" "$2" shared "${shared_modules}" "shared,$3" 600 "$4" &
  host_pid=$!
}

# await_file FILE: waits until a guest has made it, while both guests run.
await_file() {
  until [[ -e "${WEFT_SHARED}/$1" ]]; do
    kill -0 "${writer_pid}" "${taker_pid}" 2>/dev/null || return 1
    inotifywait -qq -t 2 -e create "${WEFT_SHARED}" || true
  done
}

# A writer that no longer renews its lease, and the host that gets its bytes. Kernel modules
# only: the script stands in for the daemons and the coordinator.
run_two_hosts() {
  local series="$1" name="$1 two hosts" role directory
  local writer_pid taker_pid host_pid
  export WEFT_SHARED="${work}/shared"
  mkdir -p "${WEFT_SHARED}"
  truncate -s 512M "${WEFT_SHARED}/pmem0"
  truncate -s 256M "${WEFT_SHARED}/pmem1"
  printf '\n# %s: kernel %s\n' "${name}" "$(<"${kernels_dir}/${series}/release")"
  # The namespaces are written once: the taker finds them made.
  start_host "${series}-writer" "${series}" static_devices,peer weft.filter=writer
  writer_pid="${host_pid}"
  taker_pid="${host_pid}"
  await_file writer || true
  start_host "${series}-taker" "${series}" found_devices,peer weft.filter=taker
  taker_pid="${host_pid}"
  if await_file seen; then touch "${WEFT_SHARED}/cut"; fi
  wait "${writer_pid}" "${taker_pid}" || true
  for role in writer taker; do
    directory="${work}/${series}-${role}"
    cat "${directory}/output"
    guest_results "${directory}/output" "${name}" | tee -a "${directory}/results" >>"${results}"
    summary+=("${name}, ${role}: $(tally "${directory}/results")")
    guest_ended_well "${directory}" "${name}, ${role}"
  done
}
