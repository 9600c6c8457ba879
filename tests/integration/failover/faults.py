"""What is done to the processes. FAULTS: each function does one thing and undoes it, while the
load goes on, and sees to it that the thing really happened."""

import contextlib
import functools
import os
import signal

from cluster import FAR_HOST, LEADER_TTL_S, REVOKE_BOUND_S, SESSION_TTL_S
from network import BOTH_WAYS, ETCDS, Failure, Process, pause, wait_until

# How long most faults last: past the leader's lease, within the hosts'.
FAULT_S = 5
# For a disk's sync; longer than a member of etcd waits for its leader.
SLOW_SYNC_S = 1.5


@contextlib.contextmanager
def deposed(cluster):
    """What is done inside to the leader, which is what this gives, goes on until another leads;
    in the end the one that it was done to must have seen that it leads no more."""
    leader, term = cluster.leadership()
    size = cluster.log_size(leader)
    yield leader, lambda: wait_until("another coordinator leads",
                                     lambda: cluster.leadership()[1] != term)
    wait_until(f"{leader} sees that it leads no more",
               lambda: "term_ended" in cluster.log_since(leader, size))


def stop_leader(cluster, load):
    """Deposed while it believes that it leads: it goes on when another one has made changes."""
    with deposed(cluster) as (leader, await_other):
        cluster.processes[leader].signal(signal.SIGSTOP)
        await_other()
        load.ask("run 100")
        cluster.processes[leader].signal(signal.SIGCONT)


def cut_leader(cluster, load, directions, peers=None):
    """The leader is alone."""
    with deposed(cluster) as (leader, await_other):
        cluster.network.cut(leader, directions, peers)
        await_other()
        load.ask("run 100")
        cluster.network.heal(leader)


def cut_leader_from_etcd(cluster, load, directions):
    """The leader has its clients, but not its store."""
    cut_leader(cluster, load, directions, ETCDS.values())


def cut_etcd_leader(cluster, _load, directions):
    """etcd's leader is alone."""
    node = cluster.etcd.leader()[0]
    cluster.network.cut(node, directions)
    pause(FAULT_S)
    cluster.network.heal(node)


def cut_host(cluster, _load, directions):
    """A host is alone, for less than its lease."""
    cluster.network.cut("host1", directions)
    pause(FAULT_S)
    cluster.network.heal("host1")


def cut_host_past_lease(cluster, load, directions):
    """A host is alone until another one has what it held exclusively; then it comes back."""
    before = cluster.sessions()
    load.ask("hold")
    cluster.network.cut(FAR_HOST, directions)
    load.ask("inherit")
    if FAR_HOST in cluster.sessions():
        raise Failure(f"what {FAR_HOST} held was given away during its session")
    cluster.network.heal(FAR_HOST)
    wait_until(f"{FAR_HOST} has a session", lambda: FAR_HOST in cluster.sessions())
    wait_until(f"{FAR_HOST} is attached", cluster.all_attached)
    load.ask("return")
    changed = {host for host, session in cluster.sessions().items() if before[host] != session}
    if changed != {FAR_HOST}:
        raise Failure(f"new sessions have {changed}, not {FAR_HOST}")


def kill_etcd_leader(cluster, _load):
    """etcd loses its leader, which comes back with its disk."""
    node = cluster.etcd.leader()[0]
    cluster.processes[node].kill()
    pause(FAULT_S)
    cluster.etcd.start(node)


def stop_etcd_leader(cluster, _load):
    """etcd's leader hangs."""
    process = cluster.processes[cluster.etcd.leader()[0]]
    process.signal(signal.SIGSTOP)
    pause(FAULT_S)
    process.signal(signal.SIGCONT)


def move_etcd_leader(cluster, _load):
    """etcd's leader hands over."""
    cluster.etcd.move_leader()


def slow_disk(cluster, _load):
    """Every sync of etcd's leader lasts longer than the others wait for it, and nothing else of
    it is slow: strace delays these system calls."""
    node = cluster.etcd.leader()[0]
    trace = cluster.path("strace")
    cluster.forget("strace")
    tracer = Process(node, [
        "/usr/bin/strace", f"--attach={cluster.processes[node].child.pid}", "--follow-forks",
        f"--output={trace}", "--trace=fsync,fdatasync",
        f"--inject=fsync,fdatasync:delay_enter={int(SLOW_SYNC_S * 1e6)}"], cluster.log("strace"))
    cluster.processes["strace"] = tracer
    pause(FAULT_S)
    if not tracer.alive():
        raise Failure(f"strace ended; see {cluster.log('strace')}")
    tracer.signal(signal.SIGINT)  # lets go of etcd
    tracer.child.wait()
    with open(trace, encoding="utf-8") as file:
        delayed = file.read().count("(DELAYED)")
    if delayed == 0:
        raise Failure(f"no sync of {node} was slow; see {trace}")


def full_disk(cluster, _load):
    """No space is left on the disk of etcd's leader, until it has met that, which ends it."""
    node = cluster.etcd.leader()[0]
    size = cluster.log_size(node)
    ballast = os.path.join(cluster.etcd.disks[node], "ballast")
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    wait_until(f"{node} has no space left",
               lambda: "no space left on device" in cluster.log_since(node, size))
    os.remove(ballast)
    if not cluster.processes[node].alive():
        cluster.etcd.start(node)


def refused(answer):
    """How many operations found no room in the store."""
    return answer["refused"].get("STORE_FULL", 0)


def quota_reached(cluster, load):
    """etcd's space quota is reached, for longer than any lease lasts: changes are refused, and
    that is all that happens until there is space again."""
    before = cluster.leadership(), cluster.sessions()
    load.ask("tolerate STORE_FULL")
    cluster.etcd.fill()
    first = load.ask("read 100")
    pause(SESSION_TTL_S + REVOKE_BOUND_S + LEADER_TTL_S)
    last = load.ask("read 100")
    if refused(last) == refused(first):
        raise Failure("etcd's quota is reached, and no change was refused")
    for operation in ("create pool", "delete pool"):
        if last["acknowledged"][operation] != first["acknowledged"][operation]:
            raise Failure(f"etcd's quota is reached, and there was a \"{operation}\"")
    if (cluster.leadership(), cluster.sessions()) != before:
        raise Failure("etcd's quota was reached, and leases ended")
    cluster.etcd.make_space()
    load.ask("run 100")
    load.ask("tolerate -")


def each_way(fault):
    """The fault by which messages are lost: both ways, and either way."""
    return {fault.__name__: functools.partial(fault, directions=BOTH_WAYS),
            **{f"{fault.__name__}_{direction}": functools.partial(fault, directions=(direction,))
               for direction in BOTH_WAYS}}


FAULTS = {
    **each_way(cut_leader), **each_way(cut_leader_from_etcd), **each_way(cut_etcd_leader),
    **each_way(cut_host), **each_way(cut_host_past_lease),
    **{fault.__name__: fault
       for fault in (stop_leader, kill_etcd_leader, stop_etcd_leader, move_etcd_leader, slow_disk,
                     full_disk, quota_reached)},
}
