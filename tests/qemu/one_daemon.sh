# One guest, whose kernel has the fabric's memory as its own at first, with the module, weftd and
# programs of this build: the memory is claimed, fails, is cleared, and is given back. Sourced by
# tools/kernel-test, never run; needs guests.sh, talk.sh, two_host.sh and daemons.sh.
#
#      this machine: weft-coordinator (T = 30 s), weft, this script
#            | user network
#      host-a: weftd, module, udevd
#            |- dax0.0, 256 MiB: kmem, then Weft, and back
#            `- dax1.0, 512 MiB: kmem, and there it stays
#
# shellcheck shell=bash disable=SC2016

# What this guest can do besides what every guest with a daemon can.
one_daemon_functions='
memory=/sys/devices/system/memory
dax=/sys/bus/dax
driver() { basename "$(readlink "${dax}/devices/$1/driver")"; }
# As booting does with CXL memory; its blocks come online as $2.
kmem_takes() {
  echo "$2" >"${memory}/auto_online_blocks"
  echo "$1" >"${dax}/devices/$1/driver/unbind"
  echo "$1" >"${dax}/drivers/kmem/bind" 2>/dev/null || echo "$1" >"${dax}/drivers/kmem/new_id"
}
# All that "weft device claim" could change.
state_of() {
  driver "$1"
  grep . "${memory}"/memory*/{state,valid_zones}
  ls /etc/udev/rules.d
}
# As I/O in flight pins them: the pages are in a pipe until it is closed.
pin_pages() {
  mkfifo /run/pinned
  python3 -c "
import ctypes, mmap, os
pages = mmap.mmap(-1, 1 << 16)
pages.write(bytes(1 << 16))
class Vector(ctypes.Structure):
    _fields_ = ((\"base\", ctypes.c_void_p), (\"length\", ctypes.c_size_t))
where = Vector(ctypes.addressof(ctypes.c_char.from_buffer(pages)), len(pages))
with open(\"/run/pinned\", \"wb\") as pipe:
    assert ctypes.CDLL(None).vmsplice(pipe.fileno(), ctypes.byref(where), 1, 0) > 0
    print(\"pinned\", file=open(\"/run/pins\", \"w\"))
    os.execlp(\"sleep\", \"sleep\", \"infinity\")
" 3>&- 5<&- &
  pinning=$!
  mkfifo /run/pins
  exec 5</run/pinned
  read -r </run/pins
}
unpin_pages() { kill "${pinning}"; exec 5<&-; }
# fail_page DEVICE OFFSET: as the handler of machine checks does.
fail_page() {
  echo $((($(<"${dax}/devices/$1/resource") + $2) >> 12)) >/sys/kernel/debug/hwpoison/corrupt-pfn
}
metric() { curl -sS "http://$(sed -n "s/^metrics=//p" /run/ready)/metrics" | grep "^$1"; }
start_udevd() {
  mount -t tmpfs rules /etc/udev/rules.d
  /lib/systemd/systemd-udevd --daemon
}
settle() { SYSTEMD_IGNORE_CHROOT=1 udevadm settle --timeout=60; }
'

# Memory that is in use stays, and so does all else.
one_daemon_in_use() {
  check "kmem has a device" ask host-a kmem_takes dax0.0 online_movable
  ask host-a weft doctor || true
  check "weft doctor says so" says "${said}" \
    "dax0.0: in use as system memory: 1 block is online" "weft device claim --offline dax0.0"
  ask host-a 'state_of dax0.0 >/tmp/before'
  ask host-a weft device claim dax0.0 || true
  check "it is not claimed while online" says "${said}" IN_USE dax0.0 --offline
  check "pages of it are pinned" ask host-a pin_pages
  ask host-a weft --timeout=3s device claim --offline dax0.0 || true
  check "that keep it where it is" says "${said}" IN_USE dax0.0 pinned memhp_default_state=offline
  check "with nothing changed" ask host-a 'state_of dax0.0 | diff /tmp/before -'
  check "they are let go" ask host-a unpin_pages
}

# Pages of the kernel's own do not move, either.
one_daemon_kernel_pages() {
  check "kmem has another device" ask host-a kmem_takes dax1.0 offline
  check "and the kernel uses one of its blocks" ask host-a '
    offline=($(grep -l offline "${memory}"/memory*/state | sort))
    echo online_movable >"${offline[0]}"
    echo online_movable >"${offline[1]}"
    echo online_kernel >"${offline[2]}"
    find /sys >/dev/null
    state_of dax1.0 >/tmp/before'
  ask host-a weft device claim --offline dax1.0 || true
  check "which keeps it where it is" \
    says "${said}" IN_USE dax1.0 "cannot be moved" memhp_default_state=offline
  check "with nothing changed there" ask host-a 'state_of dax1.0 | diff /tmp/before -'
}

one_daemon_claim() {
  check "data is in the memory" ask host-a \
    'head -c 32M /dev/urandom >/tmp/data && cksum </tmp/data >/tmp/sum'
  check "the device is claimed" ask host-a weft --timeout=60s device claim --offline dax0.0
  check "with a warning of the next boot" says "${said}" memhp_default_state=offline
  check "from kmem" ask host-a '[[ "$(driver dax0.0)" == device_dax ]]'
  check "the data has moved" ask host-a 'cksum </tmp/data | cmp - /tmp/sum && rm /tmp/data'
  ask host-a weft doctor || true
  check "weft doctor warns, too" says "${said}" memhp_default_state=offline
  check "and has nothing more to say" \
    ask host-a 'echo offline >"${memory}/auto_online_blocks" && weft doctor'
  check "weftd takes it" ask host-a 'start_weftd && weft --timeout=60s device format dax0.0 --wait'
  device="$(sed -n 's/.*: device //p' <<<"${said}")"
  check "a pool has it" admin --timeout=60s pool create fam "${device}" --wait
  check "a segment is made of it" admin segment create fam/kept --size 16M
  check "and filled" ask host-a weft --timeout=60s segment fill fam/kept
  check "weftd is started again" ask host-a 'kill "${weftd_pid}"; wait "${weftd_pid}"; start_weftd'
  check "and still has it" ask host-a weft --timeout=60s segment verify fam/kept
}

# Sets `bad`: a page of the segment, on its device and in the segment.
one_daemon_choose_page() {
  admin --json segment show fam/lost &&
    segment_offset=$(((2 << 20) + 5 * 4096)) &&
    bad=$(($(python3 -c '
import json, sys
print(json.load(sys.stdin)["runs"][0]["extents"][0]["offsetBytes"])' <<<"${admin_said}") +
      segment_offset))
}

one_daemon_memory_failure() {
  local bad segment_offset quarantined='weft_coordinator_pool_bytes{pool="fam",state="quarantined"}'
  check "another segment is made" admin segment create fam/lost --size 8M --sharing exclusive
  check "of known bytes" one_daemon_choose_page
  ask host-a start_store fam/lost || true
  check "a program stores into it" hear "host-a store storing"
  check "a page of it fails" ask host-a fail_page dax0.0 "${bad}"
  check "the program gets SIGBUS for bad memory" hear "host-a store poisoned"
  check "and is told which bytes are bad" hear "host-a store told ${segment_offset} 4096"
  check "the rest stays usable" stores host-a 1 some some
  check "the coordinator knows" hear "event MEMORY_FAILED ${device} fam/lost"
  admin device show "${device}" || true
  check "the device lists it" says "${admin_said}" "BAD OFFSET" "${bad}   4096"
  admin segment show fam/lost || true
  check "so does the segment" says "${admin_said}" "BAD OFFSET" "${segment_offset}   4096"
  check "the host counts it" ask host-a 'metric "weft_node_memory_failures_total 1"'
  ask host-a weft segment verify fam/lost || true
  check "the segment is not opened anew" says "${said}" POISONED fam/lost
  check "others are" ask host-a weft --timeout=60s segment verify fam/kept
  ask host-a end_store || true
  check "the program ends" hear "event GRANT_RELEASED fam/lost host-a"
  check "the segment is deleted" admin --timeout=60s segment delete fam/lost --wait
  admin device show "${device}" || true
  check "the bad unit is kept from use" says "${admin_said}" "quarantined  2.00 MiB" "${bad}"
  check "and counted" coordinator_counts "${quarantined}" 2097152
  check "an administrator clears it" admin device clear-poison "${device}"
  check "the host scrubs it" hear "event POISON_CLEARED ${device}*"
  admin device show "${device}" || true
  check "nothing of the device is bad" lacks "${admin_said}" "BAD OFFSET"
  check "nor counted" coordinator_counts "${quarantined}" 0
  check "the unit is free" \
    admin segment create fam/again --size 2M --extent "${device}:$((bad >> 21 << 21)):2M"
  check "and good" ask host-a \
    'weft --timeout=60s segment fill fam/again && weft segment verify fam/again'
}

one_daemon_release() {
  check "a segment more is made" admin segment create fam/used --size 2M
  ask host-a start_store fam/used || true
  check "and in use" hear "host-a store storing"
  ask host-a weft device release dax0.0 || true
  check "its device is not given back" says "${said}" dax0.0 "in use"
  check "and it stays in use" stores host-a 0 some none
  ask host-a end_store || true
  check "its program ends" hear "event GRANT_RELEASED fam/used host-a"
  check "the device is given back" ask host-a weft device release dax0.0
  check "to the driver that it was taken from" ask host-a '[[ "$(driver dax0.0)" == device_dax ]]'
  check "and left there by the next weftd" ask host-a '
    kill "${weftd_pid}"; wait "${weftd_pid}"; start_weftd && [[ "$(driver dax0.0)" == device_dax ]]'
}

# Its memory stays offline, as with memhp_default_state=offline, so that its contents stay, too.
one_daemon_boot() {
  check "kmem has the device, as after booting" ask host-a kmem_takes dax0.0 offline
  check "until the rule of the claim is done" \
    ask host-a 'settle && [[ "$(driver dax0.0)" == device_dax ]]'
  check "weftd may take it again" ask host-a weft device release --undo dax0.0
  check "and finds what was there" ask host-a weft --timeout=60s segment verify fam/again
  check "without its rule" ask host-a 'weft device release dax0.0 &&
    rm /etc/udev/rules.d/90-weft-* && SYSTEMD_IGNORE_CHROOT=1 udevadm control --reload'
  check "it goes to kmem" ask host-a kmem_takes dax0.0 online_movable
  check "for good" ask host-a 'settle && [[ "$(driver dax0.0)" == kmem ]]'
}

run_one_daemon() {
  # Used by the functions of daemons.sh and talk.sh.
  # shellcheck disable=SC2034
  local series="$1" test_name="$1 one daemon:" coordinator_pid said admin_said device
  # shellcheck disable=SC2034
  local shared_modules="${shared_modules} kmem hwpoison_inject"
  daemons_begin "$1" one || return 0
  start_daemon_host host-a static_devices
  check "it has udev" ask host-a "${one_daemon_functions}
    start_udevd"
  one_daemon_in_use
  one_daemon_claim
  one_daemon_kernel_pages
  one_daemon_memory_failure
  one_daemon_release
  one_daemon_boot
  daemons_end host-a
}
