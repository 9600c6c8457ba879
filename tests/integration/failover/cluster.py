"""Coordinators, daemons and etcd, with their files and logs."""

import datetime
import json
import os

import etcd
from network import COORDINATORS, HOSTS, Failure, Network, Process, in_namespace, run, wait_until

COORDINATOR_ADDRESSES = ",".join(f"{ip}:9460" for ip in COORDINATORS.values())
SESSION_TTL_S = 15
LEADER_TTL_S = 3
# The bound of a host for taking back what it gave out; short, since a silent host that is
# waited for has its lease and this.
REVOKE_BOUND_S = 1
# More than the load sends in the time for which they must be kept.
REMEMBERED_REQUESTS = 30_000
DEVICE_BYTES = 128 << 20
# The host that is cut off for longer than its lease; the load's workers use the others.
FAR_HOST = "host2"


class Cluster:
    """All processes, their files and their disks."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.processes = {}
        self.network = Network()
        self.etcd = etcd.Etcd(folder, self.processes)

    def path(self, name):
        """A file of the test's."""
        return os.path.join(self.folder, name)

    def log(self, node):
        """What the node's processes print."""
        return self.path(node + ".log")

    def log_size(self, node):
        """For log_since."""
        return os.path.getsize(self.log(node))

    def log_since(self, node, size):
        """What the node's processes printed since the log had this size."""
        with open(self.log(node), encoding="utf-8", errors="replace") as log:
            log.seek(size)
            return log.read()

    def close(self):
        """Ends and removes everything but the logs."""
        for process in self.processes.values():
            process.kill()
        self.etcd.close()
        self.network.close()

    def start_coordinator(self, node):
        """One of those that can lead. Returns before it serves or follows."""
        self.forget(node + ".ready")
        self.processes[node] = Process(node, [
            self.options.coordinator, f"--store=etcd://{etcd.ADDRESSES}/failover",
            f"--listen={COORDINATORS[node]}:9460", "--insecure", "--metrics-address=none",
            f"--session-ttl={SESSION_TTL_S}s", f"--leader-ttl={LEADER_TTL_S}s",
            f"--remembered-requests={REMEMBERED_REQUESTS}",
            f"--ready-file={self.path(node + '.ready')}",
        ], self.log(node))

    def start_host(self, node):
        """A daemon. All hosts share the devices."""
        self.forget(node + ".ready")
        devices = [f"--emulated-device=path={self.path(f'mem{i}')},size={DEVICE_BYTES},name=mem{i}"
                   for i in range(2)]
        # Its clients let go when they are told to.
        trust = ["--trust-expiry"] if node == FAR_HOST else []
        self.processes[node] = Process(node, [
            self.options.weftd, f"--host-id={node}", f"--coordinator={COORDINATOR_ADDRESSES}",
            f"--state-dir={self.path(node + '.state')}", f"--socket-dir={self.path(node)}",
            f"--revoke-bound={REVOKE_BOUND_S}s", "--metrics-address=none",
            f"--ready-file={self.path(node + '.ready')}", *devices, *trust,
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

    def leadership(self):
        """(the coordinator that leads, a number that no other term of one has); waits for one."""
        def find():
            key = self.etcd.get("/failover/weft/leader")
            if key is None:
                return None
            return next(((name, key[1]) for name, ip in COORDINATORS.items()
                         if key[0] == f"{ip}:9460"), None)
        return wait_until("a coordinator leads", find)

    def leader(self):
        """The coordinator that leads; waits for one."""
        return self.leadership()[0]

    def load_ms(self, node, size):
        """How long, in its last term since the log had this size, the coordinator took from being
        the leader until it had its state."""
        times = {}
        for line in self.log_since(node, size).splitlines():
            words = line.split()
            if len(words) > 2 and words[2] == "term_began":
                times = {"term_began": datetime.datetime.fromisoformat(words[0])}
            elif len(words) > 2 and words[2] == "state_loaded":
                times.setdefault("state_loaded", datetime.datetime.fromisoformat(words[0]))
        if len(times) < 2:
            raise Failure(f"{node} leads, and its log says of no term that it loaded its state")
        return (times["state_loaded"] - times["term_began"]) / datetime.timedelta(milliseconds=1)

    def weft(self, *arguments):
        """What the CLI says to an administrator, in JSON."""
        return run(*in_namespace("clients", self.options.weft, "--json",
                                 f"--coordinator={COORDINATOR_ADDRESSES}", *arguments))

    def start(self):
        """Everything, and a pool of two devices that all hosts have proved to see."""
        self.network.build()
        for node in etcd.ETCDS:
            self.etcd.start(node)
        for node in COORDINATORS:
            self.start_coordinator(node)
        for node in COORDINATORS:
            self.await_ready(node)
        first, *others = HOSTS
        self.start_host(first)
        self.await_ready(first)
        for i in range(2):
            run(*in_namespace(first, self.options.weft,
                              f"--socket={self.path(first)}/weftd.sock",
                              f"--coordinator={COORDINATOR_ADDRESSES}",
                              "device", "format", f"mem{i}"))
        for node in others:
            self.start_host(node)
        for node in others:
            self.await_ready(node)
        self.weft("pool", "create", "p", *(device["name"].removeprefix("devices/")
                                           for device in self.devices()))
        wait_until("the pool is scrubbed", lambda: all(
            int(device.get("scrubbingBytes", 0)) == 0 for device in self.devices()))
        wait_until("all hosts are attached", self.all_attached)

    def devices(self):
        """What the coordinator says of them."""
        return json.loads(self.weft("device", "list"))

    def all_attached(self):
        """Whether all hosts have proved that they see all devices."""
        return all(sum(attachment.get("state") == "ATTACHMENT_ATTACHED"
                       for attachment in device.get("attachments", [])) == len(HOSTS)
                   for device in self.devices())

    def sessions(self):
        """The sessions of the hosts that have one, by name of the host."""
        return {host["name"].removeprefix("hosts/"): host["sessionId"]
                for host in json.loads(self.weft("host", "list"))
                if host.get("state") == "HOST_ALIVE"}
