"""Three members of etcd, each on a disk of its own, and what an administrator does to them."""

import base64
import json
import os
import subprocess

from network import ETCDS, Failure, Process, in_namespace, run, wait_until

ADDRESSES = ",".join(f"{ip}:2379" for ip in ETCDS.values())
# Room for the quota twice, as defragmenting needs it, and for logs of 64 MiB each.
DISK_BYTES = 480 << 20
QUOTA_BYTES = 64 << 20
BALLAST = "ballast/"
BALLAST_BYTES = 1 << 20


def etcdctl(*arguments, endpoints=ADDRESSES, check=True, timeout_s=2, data=""):
    """What it prints, in JSON where it can; with check=False nothing if it fails."""
    done = subprocess.run(
        in_namespace("clients", "env", "ETCDCTL_API=3", "etcdctl", "--dial-timeout=1s",
                     f"--command-timeout={timeout_s}s", f"--endpoints={endpoints}",
                     "--write-out=json", *arguments),
        check=False, capture_output=True, text=True, input=data)
    if done.returncode == 0:
        return done.stdout
    if check:
        raise Failure(f"etcdctl {' '.join(arguments)}: {done.stderr.strip()}")
    # Of several members some may have answered.
    return done.stdout


class Etcd:
    """The members. `processes`: where they are kept, by name."""

    def __init__(self, folder, processes):
        self.folder = folder
        self.processes = processes
        self.disks = {}

    def log(self, node):
        """What a member prints."""
        return os.path.join(self.folder, node + ".log")

    def start(self, node):
        """A member, with the disk that it had."""
        if node not in self.disks:
            disk = os.path.join(self.folder, node)
            os.mkdir(disk)
            run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk)
            self.disks[node] = disk
        address = ETCDS[node]
        members = ",".join(f"{name}=http://{ip}:2380" for name, ip in ETCDS.items())
        self.processes[node] = Process(node, [
            "/usr/bin/etcd", f"--name={node}", f"--data-dir={self.disks[node]}/data",
            f"--listen-client-urls=http://{address}:2379",
            f"--advertise-client-urls=http://{address}:2379",
            f"--listen-peer-urls=http://{address}:2380",
            f"--initial-advertise-peer-urls=http://{address}:2380",
            f"--initial-cluster={members}", f"--quota-backend-bytes={QUOTA_BYTES}",
            "--auto-compaction-mode=periodic", "--auto-compaction-retention=10s",
            # Often, and few old ones: a full disk is soon noticed, and not reached by itself.
            "--snapshot-count=500", "--max-wals=2", "--max-snapshots=2",
            "--logger=zap", "--log-level=warn",
        ], self.log(node))

    def close(self):
        """Gives the disks back. The members have ended."""
        for disk in self.disks.values():
            subprocess.run(["umount", "--lazy", disk], check=False)

    def statuses(self):
        """What the members that answer say of themselves."""
        text = etcdctl("endpoint", "status", check=False)
        return json.loads(text) if text.strip() else []

    def term(self):
        """Rises with each election among the members."""
        return max((status["Status"]["raftTerm"] for status in self.statuses()), default=0)

    def leader(self):
        """(name of the member that leads, ids of all by name); waits for one."""
        def find():
            statuses = self.statuses()
            ids = {status["Endpoint"].split(":")[0]: status["Status"]["header"]["member_id"]
                   for status in statuses}
            names = {name: ids.get(ip) for name, ip in ETCDS.items()}
            leaders = {status["Status"]["leader"] for status in statuses}
            return next(((name, names) for name, number in names.items()
                         if number is not None and number in leaders), None)
        return wait_until("etcd has a leader", find)

    def move_leader(self):
        """The member that leads hands over to another."""
        leader, ids = self.leader()
        to = next(number for name, number in ids.items() if name != leader and number is not None)
        etcdctl("move-leader", f"{to:x}", endpoints=f"{ETCDS[leader]}:2379", timeout_s=10)

    @staticmethod
    def get(key):
        """(value, revision at which it was created) of a key; None: it is not there, or nobody
        answers."""
        text = etcdctl("get", key, check=False)
        found = json.loads(text).get("kvs", []) if text.strip() else []
        if not found:
            return None
        return base64.b64decode(found[0]["value"]).decode(), found[0]["create_revision"]

    @staticmethod
    def is_full():
        """Whether the alarm NOSPACE is raised."""
        return "alarms" in json.loads(etcdctl("alarm", "list"))

    def fill(self):
        """Puts keys of nobody's until the space quota is reached."""
        for number in range(2 * QUOTA_BYTES // BALLAST_BYTES):
            if self.is_full():
                return
            etcdctl("put", f"{BALLAST}{number}", check=False, timeout_s=10,
                    data="x" * BALLAST_BYTES)
        raise Failure("etcd takes more than its quota")

    def make_space(self):
        """What etcd's manual says to do when the quota is reached."""
        revision = json.loads(etcdctl("del", BALLAST, "--prefix"))["header"]["revision"]
        # A later revision may be compacted by itself already.
        etcdctl("compact", "--physical", str(revision), check=False, timeout_s=30)
        for address in ETCDS.values():
            etcdctl("defrag", endpoints=f"{address}:2379", timeout_s=30)
        etcdctl("alarm", "disarm")
        if self.is_full():
            raise Failure("etcd has no space though it was made")
