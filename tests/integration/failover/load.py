"""What drives failover_load, the clients of the test."""

import json
import subprocess

from cluster import COORDINATOR_ADDRESSES
from network import HOSTS, Failure, Process


class Load:
    """failover_load, which does as it is told; load_main.cc says what that can be."""

    def __init__(self, cluster, seed):
        self.log = cluster.log("load")
        self.process = Process("clients", [
            cluster.options.load, f"--coordinators={COORDINATOR_ADDRESSES}", f"--seed={seed}",
            f"--folder={cluster.folder}", "--host", *HOSTS,
        ], self.log, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cluster.processes["load"] = self.process
        self.read()

    def read(self):
        """The next answer."""
        line = self.process.child.stdout.readline()
        if not line:
            with open(self.log, encoding="utf-8") as log:
                raise Failure(log.read().strip() or "the load ended")
        return json.loads(line)

    def ask(self, line):
        """Tells, and returns the answer."""
        self.process.child.stdin.write(line + "\n")
        self.process.child.stdin.flush()
        return self.read()
