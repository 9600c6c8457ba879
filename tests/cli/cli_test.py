"""The command line tool against a real coordinator and a real daemon.

  cli_test.py WEFT WEFT_COORDINATOR WEFTD

Nothing here waits for a daemon to be ready: `weft` itself does, by trying again.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

WEFT, COORDINATOR, WEFTD = sys.argv[1:4]
UUID = "0b2c1f0e-3d4c-4b5a-8f6e-7d8c9b0a1f2e"


class Cluster:
    """A folder with a coordinator and, if asked for, the daemon of host-a."""

    def __init__(self):
        # A socket's path must be short.
        self.folder = tempfile.mkdtemp(prefix="weft-cli.", dir="/tmp")
        self.address = f"unix:{self.folder}/c.sock"
        self.socket = f"{self.folder}/a/weftd.sock"
        self.processes = []

    def start(self, *command):
        """Starts a daemon; its log is in the folder."""
        with open(f"{self.folder}/{os.path.basename(command[0])}.log", "ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def start_coordinator(self, store="db"):
        return self.start(
            COORDINATOR, f"--store=sqlite:{self.folder}/{store}", f"--listen={self.address}",
            "--metrics-address=127.0.0.1:0", "--session-ttl=1m",
        )

    def start_host(self):
        return self.start(
            WEFTD, "--host-id=host-a", f"--coordinator={self.address}",
            f"--socket-dir={self.folder}/a", f"--state-dir={self.folder}/state",
            f"--emulated-device=path={self.folder}/mem0,size=64M",
            "--metrics-address=127.0.0.1:0",
        )

    def stop(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder)

    def environment(self):
        path = os.path.dirname(os.path.abspath(COORDINATOR)) + ":" + os.environ.get("PATH", "")
        return dict(
            os.environ, PATH=path, WEFT_COORDINATOR=self.address, WEFT_SOCKET=self.socket,
        )

    def popen(self, *arguments, stderr=None):
        """A `weft` that goes on, with its output to read."""
        return subprocess.Popen(
            [WEFT, "--timeout=1m", *arguments], env=self.environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
        )


class CliTest(unittest.TestCase):
    with_host = False

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.stop)
        cls.coordinator = cls.cluster.start_coordinator()
        if cls.with_host:
            cls.cluster.start_host()

    def weft(self, *arguments):
        """Runs a command that must succeed; returns what it printed."""
        result = self.run_weft(*arguments)
        self.assertEqual(result.returncode, 0, result)
        return result.stdout

    def weft_json(self, *arguments):
        return json.loads(self.weft(*arguments, "--json"))

    def fails(self, code, reason, *arguments):
        """Runs a command that must fail, with one line that names the reason; returns it."""
        result = self.run_weft(*arguments)
        self.assertEqual(result.returncode, code, result)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, rf"^weft: .*{reason}.*\n$")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        return result.stderr

    def run_weft(self, *arguments):
        return subprocess.run(
            [WEFT, "--timeout=1m", *arguments], env=self.cluster.environment(),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )


class CoordinatorTest(CliTest):
    def test_help_and_version(self):
        self.assertIn("Exit status", self.weft("--help"))
        self.assertIn("--size", self.weft("segment", "create", "--help"))
        self.assertRegex(self.weft("--version"), r"^weft \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        for arguments in (
            [], ["bogus"], ["pool"], ["pool", "bogus"], ["pool", "show"],
            ["pool", "show", "a", "b"], ["pool", "list", "--bogus"], ["segment", "create", "a/b"],
            ["pool", "create", "a", "--placement", "bogus"], ["status", "--timeout", "soon"],
            ["host", "fence", "host-a", "--force", "--confirm-powered-off"],
            ["status", "--tls-cert", "c"], ["coordinator", "restore", "file"],
            ["segment", "delete", "a/b", "--wait", "--local"],
        ):
            self.fails(2, "see weft --help", *arguments)

    def test_bad_names(self):
        for name in ("Fam", "-a", "a/b", "a b", "x" * 64, ""):
            self.fails(2, "BAD_NAME", "pool", "show", "--", name)
        for name in ("a", "a/", "/a", "a/B", "a/b/c"):
            self.fails(2, "BAD_NAME", "segment", "show", name)
        self.fails(2, "BAD_NAME", "device", "show", "dax0.0")

    def test_bad_sizes(self):
        self.weft("pool", "create", "sizes")
        for size in ("0", "1", "3M", "x", "2.5G", "9223372036854775808", "8388608T", "-2M"):
            self.fails(2, "BAD_SIZE", "segment", "create", "sizes/a", f"--size={size}")
        self.assertEqual(self.weft_json("segment", "list", "sizes"), [])

    def test_unknown_objects(self):
        self.fails(4, "POOL_NOT_FOUND", "pool", "show", "nope")
        self.fails(4, "POOL_NOT_FOUND", "pool", "delete", "nope")
        self.fails(4, "POOL_NOT_FOUND", "segment", "create", "nope/a", "--size=2M")
        self.fails(4, "POOL_NOT_FOUND", "segment", "list", "nope")
        self.fails(4, "SEGMENT_NOT_FOUND", "segment", "show", "nope/a")
        self.fails(4, "SEGMENT_NOT_FOUND", "segment", "delete", "nope/a")
        self.fails(4, "SEGMENT_NOT_FOUND", "grant", "list", "nope/a")
        self.fails(4, "DEVICE_NOT_FOUND", "device", "show", UUID)
        self.fails(4, "DEVICE_NOT_FOUND", "pool", "create", "devices", UUID)
        self.fails(4, "HOST_NOT_FOUND", "host", "show", "nope")
        self.fails(4, "HOST_NOT_FOUND", "host", "fence", "nope", "--confirm-powered-off")

    def test_pools(self):
        self.assertIn("spread", self.weft("pool", "create", "twice", "--placement=spread"))
        self.fails(1, "ALREADY_EXISTS", "pool", "create", "twice")
        self.fails(1, "POOL_FULL", "segment", "create", "twice/a", "--size=2M")
        pool = self.weft_json("pool", "show", "pools/twice")
        self.assertEqual(pool["name"], "pools/twice")
        self.assertEqual(pool["defaultPlacement"], "SPREAD")
        self.assertEqual(pool["usage"]["capacityBytes"], "0")
        self.assertIn(pool, self.weft_json("pool", "list"))
        self.assertEqual(self.weft_json("pool", "delete", "twice"), {})
        self.fails(4, "POOL_NOT_FOUND", "pool", "show", "twice")

    def test_a_pool_may_be_called_like_a_command(self):
        for name in ("list", "show", "status", "pool"):
            self.weft("pool", "create", name)
            self.assertEqual(self.weft_json("pool", "show", name)["name"], f"pools/{name}")

    def test_json(self):
        self.weft("pool", "create", "json")
        for noun in ("pool", "device", "segment", "grant", "host"):
            self.assertIsInstance(self.weft_json(noun, "list"), list)
        self.assertGreaterEqual(self.weft_json("status")["pools"], "1")
        events = self.weft_json("events")
        self.assertIn("POOL_CREATED", [event["type"] for event in events])
        last = events[-1]["revision"]
        self.assertNotIn(last, [e["revision"] for e in self.weft_json("events", "--after", last)])

    def test_fence_agents_can_be_tried(self):
        path = f"{self.cluster.folder}/fence.json"
        for command, code, said in (("/bin/true", 0, "ok"), ("/bin/false", 1, "failed with 1")):
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"agents": {"host-a": {"command": command}}}, file)
            result = subprocess.run(
                [COORDINATOR, f"--fence-config={path}", "--check-fence-agents"],
                capture_output=True, text=True, check=False,
            )
            self.assertEqual(result.returncode, code, result)
            self.assertTrue(result.stdout.startswith(f"host-a: {said}"), result.stdout)

    def test_unreachable(self):
        nowhere = ["--coordinator=unix:/nonexistent/c", "--socket=/nonexistent/s", "--timeout=500ms"]
        self.assertIn("/nonexistent/c", self.fails(3, "UNREACHABLE", *nowhere, "pool", "list"))
        self.fails(3, "UNREACHABLE", *nowhere, "events", "--follow")
        self.fails(8, "UNREACHABLE", *nowhere, "fsck")
        for command in (["segment", "fill", "a/b"], ["device", "list", "--local"],
                        ["segment", "list", "--local"]):
            self.assertIn("/nonexistent/s", self.fails(3, "UNREACHABLE", *nowhere, *command))

    def test_fsck(self):
        self.assertEqual(self.weft("fsck"), "clean: 0 hosts checked\n")
        self.assertEqual(self.weft_json("fsck", "--repair", "--yes")["differences"], [])
        self.fails(2, "see weft --help", "fsck", "--yes")
        for arguments in (["--repair"], ["--repair", "--json"]):
            self.assertIn("--yes", self.fails(2, "BAD_ARGUMENT", "fsck", *arguments))

    def test_follow_goes_on_after_the_coordinator_was_killed(self):
        after = self.weft_json("status")["revision"]
        follow = self.cluster.popen("events", "--follow", "--after", after, "--json")
        self.addCleanup(follow.stdout.close)
        self.addCleanup(follow.wait)
        self.addCleanup(follow.kill)
        self.weft("pool", "create", "before")
        self.await_resource(follow, "pools/before")
        self.coordinator.kill()
        self.coordinator.wait()
        type(self).coordinator = self.cluster.start_coordinator()
        self.weft("pool", "create", "after")
        self.await_resource(follow, "pools/after")

    def await_resource(self, follow, resource):
        for line in follow.stdout:
            if json.loads(line)["resource"] == resource:
                return
        self.fail(f"no event of {resource}")


class HostTest(CliTest):
    with_host = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls()
        [cls.unformatted] = case.weft_json("device", "list", "--local")
        cls.formatted = case.weft_json("device", "format", "mem0", "--wait")
        case.weft("pool", "create", "p", cls.formatted["uuid"], "--wait")

    def test_devices(self):
        self.assertIn("no label", self.unformatted["skipped"])
        self.assertEqual(self.unformatted["uuid"], "")
        [local] = self.weft_json("device", "list", "--local")
        self.assertEqual((local["skipped"], local["uuid"]), ("", self.formatted["uuid"]))
        device = self.weft_json("device", "show", local["uuid"])
        self.assertEqual(device["pool"], "pools/p")
        self.assertEqual(device["attachments"][0]["state"], "ATTACHMENT_ATTACHED")
        self.assertEqual(self.weft_json("device", "list"), [device])
        self.fails(1, "IN_USE|FOREIGN_DATA", "device", "format", "mem0")
        self.fails(4, "DEVICE_NOT_FOUND", "device", "format", "mem7")

    def test_fill_and_verify(self):
        self.weft("segment", "create", "p/data", "--size=4M")
        self.assertIn("at offset 0 ", self.fails(1, "DATA_LOSS", "segment", "verify", "p/data"))
        self.weft("segment", "fill", "p/data")
        self.weft("segment", "verify", "p/data")
        self.weft("segment", "fill", "p/data", "--seed=2", "--offset=2097160", "--length=8")
        self.weft("segment", "verify", "p/data", "--length=2097160")
        error = self.fails(1, "DATA_LOSS", "segment", "verify", "p/data")
        self.assertIn("at offset 2097160 ", error)
        filled = self.weft_json("segment", "verify", "p/data", "--seed=2", "--offset=2097160",
                                "--length=8")
        self.assertEqual(filled["lengthBytes"], "8")
        for bad in (["--offset=3"], ["--offset=4M"], ["--length=8M"], ["--length=0"]):
            self.fails(2, "BAD_ARGUMENT", "segment", "fill", "p/data", *bad)
        self.weft("segment", "delete", "p/data", "--wait")
        self.fails(4, "SEGMENT_NOT_FOUND", "segment", "verify", "p/data")

    def test_segments(self):
        created = self.weft_json("segment", "create", "p/seg", "--size=2M", "--sharing=shared")
        self.assertEqual((created["sizeBytes"], created["sharing"]), ("2097152", "SHARED"))
        self.fails(1, "ALREADY_EXISTS", "segment", "create", "p/seg", "--size=2M")
        self.fails(1, "POOL_FULL", "segment", "create", "p/big", "--size=1G")
        self.fails(1, "POOL_FULL", "segment", "grow", "p/seg", "--size=1G")
        grown = self.weft_json("segment", "grow", "p/seg", "--size=4M")
        self.assertEqual(grown["sizeBytes"], "4194304")
        self.fails(2, "BAD_SIZE", "segment", "grow", "p/seg", "--size=2M")
        self.assertIn(grown, self.weft_json("segment", "list", "p"))
        self.assertIn("4M", self.weft("segment", "show", "p/seg"))
        self.fails(1, "IN_USE", "pool", "delete", "p")
        self.weft("segment", "delete", "p/seg", "--wait")

    def test_explicit_extents(self):
        device = self.formatted["uuid"]
        extents = [f"{device}:{offset}M:2M" for offset in (40, 34, 44)]
        created = self.weft_json(
            "segment", "create", "p/pieces", "--size=6M", *(f"--extent={e}" for e in extents)
        )
        offsets = [e["offsetBytes"] for run in created["runs"] for e in run["extents"]]
        self.assertEqual(offsets, [str(o << 20) for o in (40, 34, 44)])
        self.weft("segment", "fill", "p/pieces")
        self.weft("segment", "verify", "p/pieces")
        self.weft("segment", "delete", "p/pieces", "--wait")

    def test_a_host_that_is_drained_gets_nothing_until_that_ends(self):
        self.weft("segment", "create", "p/dry", "--size=2M")
        self.addCleanup(self.weft, "segment", "delete", "p/dry")
        self.addCleanup(self.weft, "host", "undrain", "host-a")
        drained = self.weft_json("host", "drain", "host-a", "--wait")
        self.assertEqual((drained["draining"], drained["grants"]), (True, "0"))
        self.assertIn("alive, draining", self.weft("host", "list"))
        self.fails(1, "DRAINING", "segment", "fill", "p/dry")
        self.weft("host", "undrain", "host-a")
        self.weft("segment", "fill", "p/dry")
        self.fails(4, "HOST_NOT_FOUND", "host", "drain", "nobody")

    def test_a_device_that_is_drained_says_what_is_on_it(self):
        uuid = self.formatted["uuid"]
        self.fails(1, "IN_USE", "device", "remove", uuid)
        self.weft("segment", "create", "p/stays", "--size=2M")
        self.addCleanup(self.weft, "segment", "delete", "p/stays")
        self.addCleanup(self.weft, "device", "undrain", uuid)
        self.assertIn("p/stays", self.weft("device", "drain", uuid))
        (move,) = self.weft_json("device", "drain", uuid, "--revoke")["moves"]
        self.assertEqual((move["segment"], move["leftBytes"]), ("pools/p/segments/stays", "2097152"))
        self.assertEqual(move["state"], "MOVE_WAITING")
        self.assertIn("no host sees the device and another", self.weft("device", "show", uuid))
        self.fails(1, "POOL_FULL", "segment", "create", "p/new", "--size=2M")
        self.assertIn("p/", self.fails(1, "IN_USE", "device", "remove", uuid))
        self.assertEqual(self.weft_json("device", "undrain", uuid)["state"], "DEVICE_ACTIVE")

    def test_a_drain_that_somebody_ends_is_not_done(self):
        self.weft("segment", "create", "p/stays", "--size=2M")
        self.addCleanup(self.weft, "segment", "delete", "p/stays", "--wait")
        holder = self.cluster.popen("segment", "map", "p/stays", "--json")
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.assertIn("p/stays", holder.stdout.readline())
        holder.send_signal(signal.SIGSTOP)  # it will not let go
        for noun, name in (("host", "host-a"), ("device", self.formatted["uuid"])):
            drain = self.cluster.popen(noun, "drain", name, "--wait", stderr=subprocess.PIPE)
            self.addCleanup(drain.stderr.close)
            self.addCleanup(drain.stdout.close)
            self.addCleanup(drain.kill)
            self.assertIn("waiting until", drain.stderr.readline())
            self.weft(noun, "undrain", name)
            self.assertEqual(drain.wait(), 1)
            self.assertIn(f"IN_USE: {noun}s/{name} is not drained", drain.stderr.read())

    def test_local_commands_are_the_callers_own(self):
        created = self.weft_json("segment", "create", "p/mine", "--size=2M", "--local")
        self.assertEqual(created["owner"], f"uid:{os.getuid()}@host-a")
        self.assertIn(created, self.weft_json("segment", "list", "--local"))
        self.weft("segment", "delete", "p/mine", "--local")

    def test_map_holds_until_it_is_told_to_end(self):
        self.weft("segment", "create", "p/held", "--size=2M")
        holder = self.cluster.popen("segment", "map", "p/held", "--write", "--json")
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        mapped = json.loads(holder.stdout.readline())
        self.assertEqual((mapped["segment"], mapped["mode"]), ("p/held", "READ_WRITE"))
        [grant] = self.weft_json("grant", "list", "p/held")
        self.assertEqual((grant["token"], grant["mode"]), (mapped["token"], "READ_WRITE"))
        self.fails(1, "IN_USE", "segment", "delete", "p/held")
        holder.terminate()
        self.assertEqual(holder.wait(), 0)
        self.weft("segment", "delete", "p/held")


class BackupTest(CliTest):
    with_host = True

    def test_a_restored_coordinator_recovers_its_devices(self):
        device = self.weft_json("device", "format", "mem0", "--wait")
        self.weft("pool", "create", "p", device["uuid"], "--wait")
        self.weft("segment", "create", "p/data", "--size=4M")
        self.weft("segment", "fill", "p/data")
        backup = f"{self.cluster.folder}/backup"
        self.weft("coordinator", "backup", backup)
        self.assertEqual(os.stat(backup).st_mode & 0o777, 0o600)
        self.weft("segment", "create", "p/later", "--size=2M")
        self.coordinator.kill()
        self.coordinator.wait()

        store = f"--store=sqlite:{self.cluster.folder}/restored"
        self.assertEqual(self.run_weft("coordinator", "restore", __file__, store).returncode, 1)
        self.weft("coordinator", "restore", backup, store)
        self.assertEqual(self.run_weft("coordinator", "restore", backup, store).returncode, 1)
        moved = f"sqlite:{self.cluster.folder}/moved"
        self.weft("coordinator", "migrate", f"sqlite:{self.cluster.folder}/restored", moved)

        self.cluster.start_coordinator("moved")
        # Opens only once the host has registered and the device is out of recovery.
        self.weft("segment", "verify", "p/data")
        self.fails(4, "SEGMENT_NOT_FOUND", "segment", "show", "p/later")
        status = self.weft_json("status")
        self.assertEqual((status["epoch"], status["devicesRecovering"]), ("2", "0"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
