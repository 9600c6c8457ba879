#!/usr/bin/env -S python3 -B
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
the faults (faults.py); and compares what the clients were promised with what there is. Each
member of etcd has a tmpfs for a disk: it can be filled, and its syncs can be slowed.

Prints what it measured; the exit status is 0 only if nothing was lost, done twice, or wrong
otherwise, and if the leader was always replaced in time. Removes the namespaces and ends the
processes, by their ids, whatever happens.
"""

import argparse
import collections
import os
import random
import shutil
import signal
import sys
import tempfile

from cluster import LEADER_TTL_S, Cluster
from faults import FAULTS
from load import Load
from network import COORDINATORS, Failure

# What a replaced leader costs on top of its lease and of loading the state: etcd looks for
# leases that ran out twice a second, a client looks for the leader twice a second, and
# processes that share a busy machine wait for each other.
SLACK_MS = 1500

# Of the kill of a leader: how long nobody was served; how much of that the next leader took to
# load the state; whether etcd elected a leader of its own meanwhile, which extends every lease
# once more.
Kill = collections.namedtuple("Kill", "gap_ms load_ms elected")


def limit_ms(kill):
    """The longest that nobody may be served."""
    return LEADER_TTL_S * 1000 * (2 if kill.elected else 1) + kill.load_ms + SLACK_MS


def kill_leader(cluster, load):
    """kill -9 of the leader. Returns what came of it."""
    leader, _ = cluster.leadership()
    sizes = {node: cluster.log_size(node) for node in COORDINATORS}
    term = cluster.etcd.term()
    gap_ms = load.ask(f"kill {cluster.processes[leader].child.pid}")["gap_ms"]
    cluster.processes[leader].kill()
    new_leader = cluster.leader()
    load_ms = cluster.load_ms(new_leader, sizes[new_leader])
    cluster.start_coordinator(leader)
    cluster.await_ready(leader)
    return Kill(gap_ms, load_ms, cluster.etcd.term() != term)


def play(cluster, options):
    """All rounds. Returns the kills, and the last answer of the load."""
    names = [name for name in FAULTS if not options.faults or name in options.faults.split(",")]
    random.Random(options.seed).shuffle(names)
    load = Load(cluster, options.seed)
    kills = []
    for number in range(options.rounds):
        done = load.ask("run 100")["mutations"]
        kill = kill_leader(cluster, load)
        kills.append(kill)
        load.ask("check")
        fault = names[number % len(names)]
        FAULTS[fault](cluster, load)
        done = load.ask("run 100")["mutations"] - done
        load.ask(f"run {max(0, options.operations - done)}")
        answer = load.ask("check")
        meanwhile = ", etcd elected a leader" if kill.elected else ""
        print(f"round {number + 1}: {kill.gap_ms} ms without service ({kill.load_ms:.0f} ms "
              f"loading{meanwhile}); {fault}; {answer['mutations']} mutations", flush=True)
    return kills, load.ask("devices")


def counts(numbers):
    """By name, the most first."""
    return ", ".join(f"{name} {number}"
                     for name, number in sorted(numbers.items(), key=lambda item: -item[1]))


def report(kills, answer, options):
    """What was measured. Returns whether every leader was replaced in time."""
    late = [number for number, kill in enumerate(kills, 1) if kill.gap_ms > limit_ms(kill)]
    elected = [str(number) for number, kill in enumerate(kills, 1) if kill.elected]
    gaps = sorted(kill.gap_ms for kill in kills)
    print(f"seed:            {options.seed}")
    print(f"mutations:       {answer['mutations']} acknowledged, lost 0, done twice 0")
    print(f"reads:           {answer['reads']}")
    print(f"acknowledged:    {counts(answer['acknowledged'])}")
    print(f"refused:         {counts(answer['refused'])}")
    print(f"without service: p50 {gaps[len(gaps) // 2]} ms, worst {gaps[-1]} ms of {len(gaps)} "
          f"kills of the leader (lease {LEADER_TTL_S} s, loading the state at most "
          f"{max(kill.load_ms for kill in kills):.0f} ms)")
    if elected:
        print(f"                 (etcd elected a leader in rounds {', '.join(elected)})")
    for number in late:
        print(f"round {number}: {kills[number - 1].gap_ms} ms without service, and "
              f"{limit_ms(kills[number - 1]):.0f} at most were expected", file=sys.stderr)
    return not late


def end(*_):
    """As an interrupt does: with everything removed. timeout(1) asks for it twice."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for program in ("coordinator", "weftd", "weft", "load"):
        parser.add_argument(f"--{program}", required=True, type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--operations", type=int, default=2000,
                        help="mutations in a round, at least")
    parser.add_argument("--faults", help=f"only these of {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    options = parser.parse_args()
    unknown = set((options.faults or "").split(",")) - {"", *FAULTS}
    if unknown or options.rounds < 1:
        parser.error(f"no such faults: {', '.join(unknown)}" if unknown else "no rounds")
    signal.signal(signal.SIGTERM, end)
    folder = tempfile.mkdtemp(prefix="weft.")
    cluster = Cluster(options, folder)
    try:
        cluster.start()
        in_time = report(*play(cluster, options), options)
    except Failure as failure:
        print(f"{failure}\nrepeat with --seed {options.seed}; logs are in {folder}",
              file=sys.stderr)
        sys.exit(1)
    finally:
        cluster.close()
    shutil.rmtree(folder)
    sys.exit(0 if in_time else 1)


if __name__ == "__main__":
    main()
