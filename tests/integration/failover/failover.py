#!/usr/bin/env python3
"""Failover of real processes: coordinators, etcd and daemons in network namespaces, killed,
stopped and cut off under load.

  failover.py --coordinator PATH --weftd PATH --weft PATH --load PATH
              [--rounds N] [--operations N] [--faults NAME,...] [--seed S]

Needs root. Everything is on one bridge, each in a network namespace of its own:

                          bridge 10.77.0.1/24
      +-----------+------------+-----+------+------------+-----------+
      |           |            |            |            |           |
   .11 etcd0   .12 etcd1   .13 etcd2     .21 coord0   .22 coord1  .23 coord2
                                            |
      +-----------+------------+------------+-------------+
      |           |            |                          |
   .31 host0   .32 host1   .33 host2                  .41 clients (failover_load)

A round kills the leader (kill -9) and measures how long nobody is served; does one more of
the FAULTS below; and compares what the clients were promised with what there is. What a slow
disk does to etcd is done by stopping its leader for 200 ms, again and again: all that the
others see of a slow disk is that it answers late. A full disk is a tmpfs that is full.

Prints what it measured; the exit status is 0 only if nothing was lost, done twice, or wrong
otherwise. Removes the namespaces and ends the processes, by their ids, whatever happens.
"""

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

PREFIX = f"weft{os.getpid()}-"
NET = "10.77.0."
ETCDS = {f"etcd{i}": f"{NET}{11 + i}" for i in range(3)}
COORDINATORS = {f"coord{i}": f"{NET}{21 + i}" for i in range(3)}
HOSTS = {f"host{i}": f"{NET}{31 + i}" for i in range(3)}
CLIENTS = {"clients": f"{NET}41"}
NODES = {**ETCDS, **COORDINATORS, **HOSTS, **CLIENTS}
COORDINATOR_ADDRESSES = ",".join(f"{ip}:9460" for ip in COORDINATORS.values())
ETCD_ADDRESSES = ",".join(f"{ip}:2379" for ip in ETCDS.values())
SESSION_TTL_S = 15
LEADER_TTL_S = 3
# How long a fault lasts: past the leader's lease, within the hosts'.
FAULT_S = 5
PATIENCE_S = 60
DEVICE_BYTES = 128 << 20
DISK_BYTES = 320 << 20

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failure(Exception):
    """What was wrong."""


def run(*command, **kwargs):
    """The standard output of a command that must succeed."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def in_namespace(node, *command):
    """The command that runs `command` there. (ip replaces itself: one process.)"""
    return ["ip", "netns", "exec", PREFIX + node, *command]


class Network:
    """The bridge and the namespaces."""

    def __init__(self):
        self.namespaces = []
        self.add("net")
        self.ip("net", "link", "add", "bridge0", "type", "bridge")
        self.ip("net", "address", "add", f"{NET}1/24", "dev", "bridge0")
        self.ip("net", "link", "set", "bridge0", "up")
        for node, address in NODES.items():
            self.add(node)
            run("ip", "link", "add", "name", "eth0", "netns", PREFIX + node,
                "type", "veth", "peer", "name", f"to-{node}", "netns", PREFIX + "net")
            self.ip("net", "link", "set", f"to-{node}", "master", "bridge0", "up")
            self.ip(node, "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                self.ip(node, "link", "set", device, "up")

    def add(self, node):
        """A new namespace."""
        run("ip", "netns", "add", PREFIX + node)
        self.namespaces.append(node)

    @staticmethod
    def ip(node, *arguments):
        """ip(8) there."""
        run("ip", "-n", PREFIX + node, *arguments)

    @staticmethod
    def cut(node, direction, peers=None):
        """Drops, silently, what the node gets ("input") or sends ("output"), on the wire:
        from or to `peers`, or from or to everyone."""
        nft = ("nft",)
        run(*in_namespace(node, *nft, "add", "table", "inet", "weft"))
        run(*in_namespace(node, *nft, "add", "chain", "inet", "weft", direction,
                          f"{{ type filter hook {direction} priority 0; }}"))
        interface, address = ("iif", "saddr") if direction == "input" else ("oif", "daddr")
        match = ["ip", address, "{", ", ".join(peers), "}"] if peers else [interface, "eth0"]
        run(*in_namespace(node, *nft, "add", "rule", "inet", "weft", direction, *match, "drop"))

    @staticmethod
    def heal(node):
        """Undoes every cut at the node."""
        run(*in_namespace(node, "nft", "flush", "ruleset"))

    def close(self):
        """Removes the namespaces, and with them all that is in them."""
        for node in self.namespaces:
            subprocess.run(["ip", "netns", "delete", PREFIX + node], check=False)


class Process:
    """A program in a namespace, with its log."""

    def __init__(self, node, command, log, **kwargs):
        self.node = node
        self.command = command
        with open(log, "ab") as file:
            self.child = subprocess.Popen(  # pylint: disable=consider-using-with
                in_namespace(node, *command), stderr=file,
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
                **{"stdin": subprocess.DEVNULL, "stdout": file, **kwargs})

    def signal(self, number):
        """Sends a signal, to a process that is there."""
        self.child.send_signal(number)

    def kill(self):
        """As kill -9; idempotent."""
        self.child.kill()
        self.child.wait()

    def alive(self):
        """Whether it has not ended."""
        return self.child.poll() is None


def wait_until(what, condition):
    """Waits for what another program does, and says nothing of."""
    event = threading.Event()
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {PATIENCE_S} s")
        event.wait(0.02)


class Cluster:
    """All processes, their files and their disks."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.disks = []
        self.processes = {}
        self.network = Network()

    def path(self, name):
        """A file of the test's."""
        return os.path.join(self.folder, name)

    def log(self, node):
        """What the node's processes print."""
        return self.path(node + ".log")

    def close(self):
        """Ends and removes everything but the logs."""
        for process in self.processes.values():
            process.kill()
        for disk in self.disks:
            subprocess.run(["umount", "--lazy", disk], check=False)
        self.network.close()

    def start_etcd(self, node):
        """A member, on a disk of its own."""
        disk = self.path(node)
        if disk not in self.disks:
            os.mkdir(disk)
            run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk)
            self.disks.append(disk)
        address = ETCDS[node]
        members = ",".join(f"{name}=http://{ip}:2380" for name, ip in ETCDS.items())
        self.processes[node] = Process(node, [
            "/usr/bin/etcd", f"--name={node}", f"--data-dir={disk}/data",
            f"--listen-client-urls=http://{address}:2379",
            f"--advertise-client-urls=http://{address}:2379",
            f"--listen-peer-urls=http://{address}:2380",
            f"--initial-advertise-peer-urls=http://{address}:2380",
            f"--initial-cluster={members}", "--snapshot-count=2000", "--logger=zap",
            "--log-level=warn",
        ], self.log(node))

    def start_coordinator(self, node):
        """One of those that can lead. Returns before it serves or follows."""
        self.forget(node + ".ready")
        self.processes[node] = Process(node, [
            self.options.coordinator, f"--store=etcd://{ETCD_ADDRESSES}/failover",
            f"--listen={COORDINATORS[node]}:9460", "--insecure", "--metrics-address=none",
            f"--session-ttl={SESSION_TTL_S}s", f"--leader-ttl={LEADER_TTL_S}s",
            f"--ready-file={self.path(node + '.ready')}",
        ], self.log(node))

    def start_host(self, node):
        """A daemon. All hosts share the devices."""
        self.forget(node + ".ready")
        devices = [f"--emulated-device=path={self.path(f'mem{i}')},size={DEVICE_BYTES},name=mem{i}"
                   for i in range(2)]
        self.processes[node] = Process(node, [
            self.options.weftd, f"--host-id={node}", f"--coordinator={COORDINATOR_ADDRESSES}",
            f"--state-dir={self.path(node + '.state')}", f"--socket-dir={self.path(node)}",
            "--metrics-address=none", f"--ready-file={self.path(node + '.ready')}", *devices,
        ], self.log(node))

    def forget(self, name):
        """Removes a file, if it is there."""
        if os.path.exists(self.path(name)):
            os.remove(self.path(name))

    def await_ready(self, node):
        """Waits until a coordinator or daemon says that it is ready."""
        def ready():
            if not self.processes[node].alive():
                raise Failure(f"{node} ended; see {self.log(node)}")
            return os.path.exists(self.path(node + ".ready"))
        wait_until(f"{node} is ready", ready)

    def etcdctl(self, *arguments, check=True):
        """Asks etcd, all members of it."""
        done = subprocess.run(
            in_namespace("clients", "env", "ETCDCTL_API=3", "etcdctl", "--dial-timeout=1s",
                         "--command-timeout=2s", f"--endpoints={ETCD_ADDRESSES}", *arguments),
            check=False, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise Failure(f"etcdctl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def leader(self):
        """The coordinator that leads, by the leader key; waits for one."""
        def find():
            address = self.etcdctl("get", "/failover/weft/leader", "--print-value-only",
                                   check=False).strip()
            return next((name for name, ip in COORDINATORS.items() if address == f"{ip}:9460"),
                        None)
        wait_until("a coordinator leads", find)
        return find() or self.leader()

    def etcd_statuses(self):
        """What the members that answer say of themselves."""
        text = self.etcdctl("endpoint", "status", "--write-out=json", check=False)
        return json.loads(text) if text.strip() else []

    def etcd_term(self):
        """Rises with each election among etcd's members."""
        return max((status["Status"]["raftTerm"] for status in self.etcd_statuses()), default=0)

    def etcd_leader(self):
        """(name of the member that leads, ids of all by name)."""
        def find():
            statuses = self.etcd_statuses()
            ids = {status["Endpoint"].split(":")[0]: status["Status"]["header"]["member_id"]
                   for status in statuses}
            names = {name: ids.get(ip) for name, ip in ETCDS.items()}
            leaders = {status["Status"]["leader"] for status in statuses}
            return next(((name, names) for name, number in names.items()
                         if number is not None and number in leaders), None)
        wait_until("etcd has a leader", find)
        return find()

    def weft(self, *arguments):
        """The CLI, as an administrator."""
        return run(*in_namespace("clients", self.options.weft,
                                 f"--coordinator={COORDINATOR_ADDRESSES}", *arguments))

    def start(self):
        """Everything, and a pool of two devices that all hosts have proved to see."""
        for node in ETCDS:
            self.start_etcd(node)
        for node in COORDINATORS:
            self.start_coordinator(node)
        for node in COORDINATORS:
            self.await_ready(node)
        self.start_host("host0")
        self.await_ready("host0")
        for i in range(2):
            run(*in_namespace("host0", self.options.weft,
                              f"--socket={self.path('host0')}/weftd.sock",
                              f"--coordinator={COORDINATOR_ADDRESSES}",
                              "device", "format", f"mem{i}"))
        for node in HOSTS:
            if node != "host0":
                self.start_host(node)
        for node in HOSTS:
            self.await_ready(node)
        devices = json.loads(self.weft("--json", "device", "list"))
        names = [device["name"].removeprefix("devices/") for device in devices]
        self.weft("pool", "create", "p", *names)
        wait_until("the pool is scrubbed and all hosts are attached", self.is_settled)

    def is_settled(self):
        """Whether there is nothing to scrub, and nobody has still to prove anything."""
        devices = json.loads(self.weft("--json", "device", "list"))
        return all(int(device.get("scrubbingBytes", 0)) == 0 and
                   sum(attachment.get("state") == "ATTACHMENT_ATTACHED"
                       for attachment in device.get("attachments", [])) == len(HOSTS)
                   for device in devices)


class Load:
    """failover_load, which does as it is told."""

    def __init__(self, cluster, seed):
        options = cluster.options
        self.process = Process("clients", [
            options.load, f"--coordinators={COORDINATOR_ADDRESSES}", f"--seed={seed}",
            "--socket", f"{cluster.path('host0')}/weftd.sock",
            f"{cluster.path('host1')}/weftd.sock",
        ], cluster.log("load"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.acknowledged = 0
        self.log = cluster.log("load")
        self.read()

    def tell(self, line):
        """Without waiting for the answer."""
        self.process.child.stdin.write(line + "\n")
        self.process.child.stdin.flush()

    def read(self):
        """The number in the next answer."""
        words = self.process.child.stdout.readline().split()
        if not words:
            with open(self.log, encoding="utf-8") as log:
                raise Failure(log.read().strip() or "the load ended")
        if words[0] == "ok":
            self.acknowledged = int(words[1])
        return int(words[1])

    def ask(self, line):
        """Tells and reads."""
        self.tell(line)
        return self.read()


def pause(seconds=FAULT_S):
    """How long a fault lasts is part of it."""
    threading.Event().wait(seconds)


# FAULTS: each function does one and undoes it; the load goes on meanwhile.


def stop_leader(cluster, _load):
    """Deposed while it believes that it leads: stopped past its lease, then it goes on."""
    leader = cluster.processes[cluster.leader()]
    leader.signal(signal.SIGSTOP)
    pause()
    leader.signal(signal.SIGCONT)


def cut(cluster, node, directions, peers=None):
    """A partition, for a while."""
    for direction in directions:
        cluster.network.cut(node, direction, peers)
    pause()
    cluster.network.heal(node)


def cut_leader(cluster, _load):
    """The leader is alone."""
    cut(cluster, cluster.leader(), ("input", "output"))


def cut_leader_input(cluster, _load):
    """The leader is heard, and hears nobody."""
    cut(cluster, cluster.leader(), ("input",))


def cut_leader_output(cluster, _load):
    """The leader hears, and nobody hears it."""
    cut(cluster, cluster.leader(), ("output",))


def cut_leader_from_etcd(cluster, _load):
    """The leader has its clients, but not its store."""
    cut(cluster, cluster.leader(), ("input", "output"), ETCDS.values())


def cut_etcd_leader(cluster, _load):
    """etcd's leader is alone."""
    cut(cluster, cluster.etcd_leader()[0], ("input", "output"))


def cut_host(cluster, _load):
    """A host is alone, for less than its lease."""
    cut(cluster, "host1", ("input", "output"))


def kill_etcd_leader(cluster, _load):
    """etcd loses its leader, which comes back with its disk."""
    node = cluster.etcd_leader()[0]
    cluster.processes[node].kill()
    pause()
    cluster.start_etcd(node)


def stop_etcd_leader(cluster, _load):
    """etcd's leader hangs."""
    process = cluster.processes[cluster.etcd_leader()[0]]
    process.signal(signal.SIGSTOP)
    pause()
    process.signal(signal.SIGCONT)


def slow_disk(cluster, _load):
    """etcd's leader stops for 200 ms, ten times."""
    process = cluster.processes[cluster.etcd_leader()[0]]
    for _ in range(10):
        process.signal(signal.SIGSTOP)
        pause(0.2)
        process.signal(signal.SIGCONT)
        pause(0.2)


def full_disk(cluster, load):
    """No space is left on the disk of etcd's leader, which ends sooner or later."""
    node = cluster.etcd_leader()[0]
    ballast = os.path.join(cluster.path(node), "ballast")
    with open(ballast, "wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError:
            pass
    load.ask("run 500")
    os.remove(ballast)
    if not cluster.processes[node].alive():
        cluster.start_etcd(node)


def move_etcd_leader(cluster, _load):
    """etcd's leader hands over."""
    leader, ids = cluster.etcd_leader()
    to = next(number for name, number in ids.items() if name != leader and number is not None)
    subprocess.run(
        in_namespace("clients", "env", "ETCDCTL_API=3", "etcdctl",
                     f"--endpoints={ETCDS[leader]}:2379", "move-leader", f"{to:x}"),
        check=True, capture_output=True)


FAULTS = [stop_leader, cut_leader, cut_leader_input, cut_leader_output, cut_leader_from_etcd,
          cut_etcd_leader, cut_host, kill_etcd_leader, stop_etcd_leader, slow_disk, full_disk,
          move_etcd_leader]


def kill_leader(cluster, load):
    """kill -9 of the leader; returns for how long nobody was served, in milliseconds, and
    whether etcd elected a leader of its own meanwhile, which extends every lease."""
    leader = cluster.leader()
    term = cluster.etcd_term()
    gap = load.ask(f"kill {cluster.processes[leader].child.pid}")
    cluster.processes[leader].kill()
    cluster.start_coordinator(leader)
    cluster.await_ready(leader)
    return gap, cluster.etcd_term() != term


def play(cluster, options):
    """All rounds. Returns the gaps, and how many operations were acknowledged."""
    chance = random.Random(options.seed)
    faults = [fault for fault in FAULTS
              if not options.faults or fault.__name__ in options.faults.split(",")]
    chance.shuffle(faults)
    load = Load(cluster, options.seed)
    gaps = []
    for number in range(options.rounds):
        load.ask(f"run {options.operations}")
        gap, elected = kill_leader(cluster, load)
        gaps.append(gap)
        fault = faults[number % len(faults)]
        load.ask("run 100")
        fault(cluster, load)
        load.ask("run 100")
        load.ask("check")
        meanwhile = " (etcd elected a leader)" if elected else ""
        print(f"round {number + 1}: {gap} ms without service{meanwhile}, {fault.__name__}, "
              f"{load.acknowledged} acknowledged", flush=True)
    load.ask("devices")
    return gaps, load.acknowledged


def report(gaps, acknowledged, options):
    """What was measured."""
    ordered = sorted(gaps)
    print(f"seed:            {options.seed}")
    print(f"acknowledged:    {acknowledged}, lost 0, done twice 0")
    print(f"without service: p50 {ordered[len(ordered) // 2]} ms, worst {ordered[-1]} ms "
          f"of {len(ordered)} kills of the leader (lease {LEADER_TTL_S} s)")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for program in ("coordinator", "weftd", "weft", "load"):
        parser.add_argument(f"--{program}", required=True, type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--operations", type=int, default=1500, help="a round, at least")
    parser.add_argument("--faults", help="only these")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    options = parser.parse_args()
    # Ends as an interrupt does: with everything removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="weft.")
    cluster = Cluster(options, folder)
    try:
        cluster.start()
        report(*play(cluster, options), options)
    except Failure as failure:
        print(f"{failure}\nrepeat with --seed {options.seed}; logs are in {folder}",
              file=sys.stderr)
        sys.exit(1)
    finally:
        cluster.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
