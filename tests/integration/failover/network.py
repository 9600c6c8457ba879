"""Network namespaces on one bridge, and the processes in them."""

import ctypes
import os
import signal
import subprocess
import threading
import time

PREFIX = f"weft{os.getpid()}-"
NET = "10.77.0."
ETCDS = {f"etcd{i}": f"{NET}{11 + i}" for i in range(3)}
COORDINATORS = {f"coord{i}": f"{NET}{21 + i}" for i in range(3)}
HOSTS = {f"host{i}": f"{NET}{31 + i}" for i in range(3)}
CLIENTS = {"clients": f"{NET}41"}
NODES = {**ETCDS, **COORDINATORS, **HOSTS, **CLIENTS}
# What a node can lose: what it gets, what it sends.
BOTH_WAYS = ("input", "output")
PATIENCE_S = 60

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


def pause(seconds):
    """How long a fault lasts is part of it."""
    threading.Event().wait(seconds)


def wait_until(what, condition):
    """Waits for what another program does, and says nothing of. Returns what the condition
    was in the end."""
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {PATIENCE_S} s")
        pause(0.02)
    return found


class Network:
    """The bridge and the namespaces."""

    def __init__(self):
        self.namespaces = []

    def build(self):
        """Makes all of it."""
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
    def cut(node, directions, peers=None):
        """Drops, silently, what the node gets ("input") or sends ("output"), on the wire:
        from or to `peers`, or from or to everyone."""
        nft = ("nft",)
        run(*in_namespace(node, *nft, "add", "table", "inet", "weft"))
        for direction in directions:
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
