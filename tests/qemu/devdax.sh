# One guest with weftd of this build and the backend devdax: programs map /dev/dax itself.
# Sourced by tools/kernel-test, never run; needs guests.sh, talk.sh, two_host.sh and daemons.sh.
#
#      this machine: weft-coordinator (T = 30 s), weft, this script
#            | user network
#      host-a: weftd, device_dax; dax1.0, 512 MiB
#
# shellcheck shell=bash disable=SC2016

# What this guest can do besides what every guest with a daemon can.
devdax_functions='
weftd_flags="--backend=devdax --allow-raw-devdax"
# As a program before Weft: leaves 16 MiB that are not zero.
use_before() {
  python3 -c "
import mmap, os
device = os.open(\"/dev/dax1.0\", os.O_RDWR)
with mmap.mmap(device, 16 << 20, offset=96 << 20) as memory:
    memory.write(b\"x\" * len(memory))" 3>&-
}
# extents zero|filled OFFSET_MIB...: what 2 MiB of the device are at each.
extents() {
  python3 - "$@" 3>&- <<PYTHON
import mmap, os, sys

device = os.open("/dev/dax1.0", os.O_RDWR)
for offset in sys.argv[2:]:
    with mmap.mmap(device, 2 << 20, offset=int(offset) << 20) as extent:
        zeros = extent[:].count(0)
    if zeros > 1 << 19 if sys.argv[1] == "filled" else zeros < 2 << 20:
        sys.exit(f"{zeros} bytes at {offset} MiB are zero")
PYTHON
}
'

# Apart and out of order, so that the SDK has to put them together.
devdax_offsets=(40 20 100 60 4 200 140)

devdax_make() {
  local offset extents=()
  for offset in "${devdax_offsets[@]}"; do extents+=(--extent "${device}:${offset}M:2M"); done
  admin --timeout=60s segment create fam/apart --size 14M "${extents[@]}"
}

devdax_use() {
  local device
  check "a device holds something" ask host-a 'use_before && extents filled 96 110'
  check "it is formatted" \
    ask host-a 'start_weftd && weft --timeout=60s device format dax1.0 --wait'
  device="$(sed -n 's/.*: device //p' <<<"${said}")"
  check "a pool takes it" admin --timeout=120s pool create fam "${device}" --wait
  check "what it held before is gone" ask host-a extents zero 96 100 110
  check "a segment of seven extents is made" devdax_make
  check "and filled" ask host-a weft --timeout=60s segment fill fam/apart
  check "and given back" hear "event GRANT_RELEASED fam/apart host-a"
  check "each where it was asked for" ask host-a extents filled "${devdax_offsets[@]}"
  check "with nothing beside them" ask host-a extents zero 2 6 22 38 42 98 102 142
  check "and read again" ask host-a weft --timeout=60s segment verify fam/apart
  check "and given back again" hear "event GRANT_RELEASED fam/apart host-a"
  ask host-a start_store fam/apart || true
  check "a program stores into it" hear "host-a store storing"
  ask host-a 'kill -KILL "${weftd_pid}"; wait "${weftd_pid}"' || true
  check "its daemon killed, it goes on" stores host-a 0 some none
  check "the daemon comes back" ask host-a start_weftd
  admin --timeout=5s segment delete fam/apart || true
  check "and the segment is still held" says "${admin_said}" IN_USE host-a
  check "by a program that goes on" stores host-a 0 some none
  ask host-a end_store || true
  check "until it ends" hear "event GRANT_RELEASED fam/apart host-a"
  check "then it is deleted" admin --timeout=120s segment delete fam/apart --wait
  check "and made again" devdax_make
  check "of zeros" ask host-a extents zero "${devdax_offsets[@]}"
  check "and used again" ask host-a \
    'weft --timeout=60s segment fill fam/apart --seed 2 && weft segment verify fam/apart --seed 2'
}

run_devdax() {
  # Used by the functions of daemons.sh and talk.sh.
  # shellcheck disable=SC2034
  local series="$1" test_name="$1 devdax:" coordinator_pid said admin_said
  daemons_begin "$1" devdax || return 0
  start_daemon_host host-a static_devices
  check "it has a backend of its own" ask host-a "${devdax_functions}"
  devdax_use
  daemons_end host-a
}
