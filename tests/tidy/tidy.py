#!/usr/bin/env python3
"""Checks the tree against the rules of style that no compiler knows.

  tests/tidy/tidy.py

Prints `path:line: rule: why` for each offence and exits 1 if there is any. Each rule is
a result of its own in tools/test. The rules are the two tables below; tidy_test.py shows
that each of them can fail.
"""

import collections
import os
import re
import subprocess
import sys

Rule = collections.namedtuple("Rule", "name pattern folders allowed why")
Offence = collections.namedtuple("Offence", "path line rule why")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_LINES = 600

CPP = ("client/", "server/", "tests/")
PRODUCT = ("client/", "server/")
PLATFORM = r"^server/platform/linux/"
# `weft doctor` looks at the sysfs of the machine it is run on, before any daemon can.
DOCTOR = r"^client/cli/doctor\.cc$"
MAIN = r"_main\.cc$"
# etcd's own interface is gRPC.
ETCD = r"^server/store/etcd/"
# The SDK runs in applications and shares nothing with server/platform.
SDK = r"^client/sdk/"
TEST = r"^tests/|(^|/)fault_|_test\.cc$|_benchmark\.cc$|_fuzzer\.cc$|(^|/|_)(test|testing)(_|/)"
REAL_PROCESSES = r"^tests/(bench|integration|qemu|soak)/"

# Forbidden in C++ (comments and literals apart) under `folders`, except where the path
# matches one of `allowed`.
CODE_RULES = [
    Rule(
        "clock",
        r"\babsl::Now\b|\b(system|high_resolution)_clock::now\b|\bclock_gettime\(|"
        r"\bgettimeofday\(|\bstd::time\(",
        CPP, (PLATFORM, MAIN, REAL_PROCESSES),
        "time comes from weft::Clock; only server/platform/linux reads the real one",
    ),
    Rule(
        "steady-clock", r"\bsteady_clock::now\b",
        CPP, (PLATFORM, MAIN, REAL_PROCESSES, SDK),
        "time comes from weft::Clock; only the SDK's deadlines have a clock of their own",
    ),
    Rule(
        "sleep", r"\babsl::SleepFor\b|\bsleep_(for|until)\b|\b(usleep|nanosleep)\(|[^\w.>]sleep\(",
        CPP, (PLATFORM, MAIN),
        "wait for a condition, or advance a simulated clock",
    ),
    Rule(
        "open", r"(?<![\w:>])::open\(|\bopenat\(|\bfopen\(|\bstd::[io]?fstream\b",
        PRODUCT, (PLATFORM, MAIN, TEST, DOCTOR),
        "files and devices are reached through the interfaces of server/platform",
    ),
    Rule(
        "random", r"\brandom_device\b|\babsl::(Insecure)?BitGen\b|\bgetrandom\(|\bs?rand\(\)",
        CPP, (PLATFORM, MAIN, SDK),
        "chance comes in through an interface, or from a seed that a failing test prints",
    ),
    Rule(
        "thread", r"\bstd::(jthread|thread|async)\b|\bpthread_create\(",
        CPP, (PLATFORM, MAIN, SDK, TEST),
        "threads are made by server/platform/linux, the mains and the SDK",
    ),
    Rule(
        "mutex", r"\bstd::(recursive_|shared_|timed_)?mutex\b|\bstd::condition_variable\b",
        CPP, (),
        "use absl::Mutex with ABSL_GUARDED_BY, which Clang checks",
    ),
    Rule(
        "throw", r"\bthrow\b", CPP, (), "errors are absl::Status",
    ),
    Rule(
        "kernel-boundary", r"#include [<\"](daxctl/|kmod/uapi/|weft/uapi)",
        CPP, (PLATFORM, r"^tests/"),
        "only server/platform/linux knows libdaxctl and the kernel's interface",
    ),
    Rule(
        "grpc-boundary", r"\bgrpc::|#include [<\"]grpc",
        PRODUCT, (r"^server/rpc/", ETCD, SDK, MAIN, TEST),
        "gRPC and its status belong to server/rpc, the SDK and the client of etcd",
    ),
    Rule(
        "include-from-root", r"#include \"(\.|[^/\"]*\")",
        CPP, (), "name a header by its path from the top of the tree",
    ),
]

# Forbidden in every text file, comments included.
TEXT_RULES = [
    Rule(
        "tab", r"\t", ("",),
        (r"^kmod/", r"(^|/)Makefile$", r"\.mk$", r"(^|/)debian/", r"^tests/qemu/.*\.[ch]$"),
        "indent with spaces",
    ),
    Rule(
        "unfinished", r"\b(TO" r"DO|FIX" r"ME)\b", ("",), (),
        "finish it, or say in the documentation what is not done",
    ),
    Rule(
        "machine-path", r"(?<![\w.}*$)])(?<!}\")/(work|root|home)/\w", ("",), (r"^tests/qemu/guest/",),
        "paths of one machine mean nothing on another",
    ),
    Rule(
        "host-name",
        r"\b(deb|ftp|snapshot)\.debian\.org\b|\bregistry\.npmjs\.org\b|\bpypi\.org\b|"
        r"\bproxy\.golang\.org\b",
        ("",), (),
        "the machine's own configuration says where packages come from",
    ),
    Rule(
        "glob-sources", r"\bglob\(\[[^\]]*\.(cc|h)\"", ("",), (),
        "one library per unit: name its files",
    ),
]

# Which of our headers a folder may include, generated ones apart: dependencies run one
# way. The longest prefix of a path counts; a folder that is not here may use any.
LAYERS = {
    # `weft device claim` changes the sysfs of the machine it is run on, `weft doctor` reads it.
    "client/cli/": (
        "client/", "server/core/", "server/platform/linux/dax_claim.h",
        "server/platform/linux/dax_driver.h", "server/platform/linux/dax_ranges.h",
        "server/platform/linux/durable_file.h", "server/platform/linux/memory_blocks.h",
        "server/rpc/status.h",
    ),
    "client/sdk/": (
        "client/sdk/", "server/core/", "server/rpc/channel.h",
        "server/rpc/client_credentials.h", "server/rpc/endpoints.h", "server/rpc/status.h",
        "server/rpc/tls_files.h",
    ),
    "server/core/": ("server/core/",),
    "server/platform/": ("server/core/", "server/platform/"),
    # The one cache flush that applications and the daemon share.
    "server/platform/linux/": (
        "client/sdk/cache_ops.h", "kmod/uapi/", "server/core/", "server/platform/",
    ),
    "server/rpc/": (
        "server/coordinator/executor.h", "server/core/", "server/platform/", "server/rpc/",
    ),
    # etcd is a server that is called as ours are.
    "server/store/": (
        "server/core/", "server/platform/", "server/rpc/channel.h",
        "server/rpc/client_credentials.h", "server/rpc/tls_files.h", "server/store/",
    ),
}

# What is not read, with the reason; listed in every run.
SKIPPED = {
    r"\.(bin|binpb|gz|ico|png|svg|woff2?)$": "not text",
    r"^tests/tidy/": "holds the patterns themselves, and offences to test them with",
}

# Rules that need more than one line; each has a function below.
FILE_RULES = {
    "guard": "a header's guard is its path",
    "layer": "dependencies run one way",
    "length": f"a file has one idea and at most {MAX_LINES} lines",
    "in-build": "every source belongs to a target, or it is never compiled",
}

LITERAL = re.compile(r"//.*|/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
INCLUDE = re.compile(r"#include \"([^\"]+)\"")


def all_rules():
    """The names of all rules."""
    return [rule.name for rule in CODE_RULES + TEXT_RULES] + list(FILE_RULES)


def matches_any(patterns, path):
    return any(re.search(pattern, path) for pattern in patterns)


def code_only(line):
    """The line without comments and the contents of literals; includes stay."""
    return line if line.startswith("#include") else LITERAL.sub('""', line)


def line_offences(path, lines, rules):
    """The offences against `rules`, which look at one line each."""
    active = [
        rule for rule in rules
        if path.startswith(tuple(rule.folders)) and not matches_any(rule.allowed, path)
    ]
    for number, line in enumerate(lines, start=1):
        for rule in active:
            if re.search(rule.pattern, line):
                yield Offence(path, number, rule.name, rule.why)


def guard_offences(path, lines):
    """A C++ header begins with the guard WEFT_<PATH>_."""
    guard = "WEFT_" + re.sub(r"[^A-Z0-9]", "_", path.upper()) + "_"
    if f"#ifndef {guard}" not in lines or f"#define {guard}" not in lines:
        yield Offence(path, 1, "guard", f"{FILE_RULES['guard']}: {guard}")


def layer_offences(path, lines):
    """Includes that go against the direction of dependencies."""
    folder = max((f for f in LAYERS if path.startswith(f)), key=len, default=None)
    if folder is None or matches_any((TEST,), path):
        return
    for number, line in enumerate(lines, start=1):
        include = INCLUDE.match(line)
        if include is None or not include[1].startswith(("client/", "kmod/", "server/", "tests/")):
            continue
        if not include[1].startswith(LAYERS[folder]):
            yield Offence(path, number, "layer", f"{FILE_RULES['layer']}: not from {folder}")


def file_offences(path, text):
    """The offences in one file, except those that need the whole tree."""
    lines = text.splitlines()
    yield from line_offences(path, lines, TEXT_RULES)
    if len(lines) > MAX_LINES and path.endswith((".cc", ".h", ".c", ".py", ".sh")):
        yield Offence(path, len(lines), "length", FILE_RULES["length"])
    if path.startswith(CPP) and path.endswith((".cc", ".h")):
        yield from line_offences(path, [code_only(line) for line in lines], CODE_RULES)
        yield from layer_offences(path, lines)
        if path.endswith(".h"):
            yield from guard_offences(path, lines)


def build_offences(files):
    """Sources that the BUILD file above them does not name. `files`: path to text."""
    for path in files:
        if not (path.startswith(CPP) and path.endswith((".cc", ".h"))):
            continue
        folder = os.path.dirname(path)
        while folder and f"{folder}/BUILD.bazel" not in files:
            folder = os.path.dirname(folder)
        name = os.path.relpath(path, folder) if folder else path
        if f'"{name}"' not in files.get(f"{folder}/BUILD.bazel", ""):
            yield Offence(path, 1, "in-build", FILE_RULES["in-build"])


def tree_offences(files):
    """All offences in a tree. `files`: path to text."""
    offences = list(build_offences(files))
    for path, text in files.items():
        offences += file_offences(path, text)
    return sorted(offences)


def read_tree():
    """(path to text of what is checked, list of "path: reason" of what is not)."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )
    files, skipped = {}, []
    for path in filter(None, listing.stdout.split("\0")):
        reason = next((why for pattern, why in SKIPPED.items() if re.search(pattern, path)), None)
        full_path = os.path.join(ROOT, path)
        if reason:
            skipped.append(f"{path}: {reason}")
        elif os.path.isfile(full_path) and not os.path.islink(full_path):
            with open(full_path, encoding="utf-8") as file:
                files[path] = file.read()
    return files, skipped


def main():
    files, skipped = read_tree()
    offences = tree_offences(files)
    for line in skipped:
        print(f"not checked: {line}")
    for offence in offences:
        print(f"{offence.path}:{offence.line}: {offence.rule}: {offence.why}")
    broken = {offence.rule for offence in offences}
    with open(os.environ.get("WEFT_RESULTS", os.devnull), "a", encoding="utf-8") as results:
        for rule in all_rules():
            print("fail" if rule in broken else "pass", "tidy", rule, file=results)
    print(f"{len(files)} files, {len(all_rules())} rules, {len(offences)} offences")
    sys.exit(1 if offences else 0)


if __name__ == "__main__":
    main()
