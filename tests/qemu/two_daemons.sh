# Two guests that share fabric memory, each with the module, weftd and programs of this build;
# the coordinator and whoever administers it run on this machine. Sourced by tools/kernel-test,
# never run; needs guests.sh, talk.sh, two_host.sh and daemons.sh.
#
#      this machine: weft-coordinator (T = 30 s), weft, this script
#            | user network              | user network, monitor: set_link
#      host-a: weftd, module       host-b: weftd, module
#            `------ one file: /dev/dax0.0 ------'
#
# shellcheck shell=bash disable=SC2016

two_daemons_share() {
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

# A segment moves to another device by way of the kernel; then nobody contradicts the records.
two_daemons_drain() {
  check "another device is formatted" ask host-a weft --timeout=60s device format dax1.0 --wait
  other="$(sed -n 's/.*: device //p' <<<"${said}")"
  check "and added to the pool" admin --timeout=120s pool add-device fam "${other}" --wait
  check "a segment is made on it" \
    admin segment create fam/moved --size 16M --extent "${other}:64M:16M"
  check "and filled" ask host-a weft --timeout=60s segment fill fam/moved
  check "the device is drained" admin --timeout=120s device drain "${other}" --wait
  check "and taken out" admin --timeout=60s device remove "${other}"
  check "what was on it is elsewhere, byte for byte" \
    ask host-b weft --timeout=60s segment verify fam/moved
  check "hosts, kernels and labels say what the records say" admin --timeout=60s fsck
}

# The kernel has what no grant is known of: a fault that is made here.
two_daemons_fsck() {
  check "a kernel has a segment that its daemon was not told of" \
    ask host-a lone_segment "${device}" 240 4711
  check "weft fsck finds it" exits 4 admin --timeout=60s fsck
  check "and says what it would do" says "${admin_said}" \
    "KERNEL_SEGMENT_UNKNOWN segment 4711 on host-a" "the kernel has it KERNEL_LIVE" \
    "have the host register again"
  check "it is repaired" exits 1 admin --timeout=60s fsck --repair --yes
  check "and nothing is left" admin --timeout=60s fsck
  check "nor was anything else disturbed" ask host-a weft --timeout=60s segment verify fam/both
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
  check "a pool with fence agents takes the device that was taken out" \
    admin --timeout=120s pool create guarded "${other}" --fencing agent --wait
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
  # Used by daemons.sh.
  # shellcheck disable=SC2034
  local series="$1" test_name="$1 two daemons:" coordinator_pid said admin_said device other
  daemons_begin "$1" two || return 0
  start_daemon_host host-a static_devices
  # It finds the namespaces that host-a has made.
  start_daemon_host host-b found_devices
  two_daemons_share
  two_daemons_drain
  two_daemons_fsck
  two_daemons_restart
  two_daemons_move
  two_daemons_agent
  two_daemons_orphan
  daemons_end host-a host-b
}
