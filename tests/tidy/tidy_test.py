"""Shows that each rule of tidy.py can fail, and what it lets pass."""

import unittest

from tests.tidy import tidy

GUARD = "#ifndef WEFT_SERVER_CORE_A_H_\n#define WEFT_SERVER_CORE_A_H_\n#endif\n"

# Rule to what breaks it and what is near but right: (path, text) each.
CASES = {
    "clock": (
        ("server/core/a.cc", "auto t = absl::Now();"),
        ("server/platform/linux/a.cc", "auto t = absl::Now();"),
    ),
    "steady-clock": (
        ("server/core/a.cc", "auto t = std::chrono::steady_clock::now();"),
        ("client/sdk/a.cc", "auto t = std::chrono::steady_clock::now();"),
    ),
    "sleep": (
        ("server/core/a_test.cc", "absl::SleepFor(ttl);"),
        ("server/core/a_test.cc", "clock.Advance(ttl);  // never absl::SleepFor(ttl)"),
    ),
    "open": (
        ("server/store/a.cc", "int fd = ::open(path, O_RDWR);"),
        ("server/store/a.cc", "auto store = Store::open(path);"),
    ),
    "random": (
        ("tests/sim/a.cc", "std::random_device seed;"),
        ("tests/sim/a.cc", "std::mt19937_64 random(seed);"),
    ),
    "thread": (
        ("server/core/a.cc", "std::thread worker(Run);"),
        ("server/core/a_test.cc", "std::thread worker(Run);"),
    ),
    "mutex": (
        ("server/node/a.cc", "std::mutex mutex_;"),
        ("server/node/a.cc", "absl::Mutex mutex_;"),
    ),
    "throw": (
        ("server/node/a.cc", "throw std::runtime_error(text);"),
        ("server/node/a.cc", 'return Error("did not throw");'),
    ),
    "kernel-boundary": (
        ("server/node/a.cc", "#include <daxctl/libdaxctl.h>"),
        ("server/platform/linux/a.cc", "#include <daxctl/libdaxctl.h>"),
    ),
    "grpc-boundary": (
        ("server/core/a.cc", "grpc::Status status;"),
        ("server/rpc/a.cc", "grpc::Status status;"),
    ),
    "include-from-root": (
        ("server/core/a.cc", '#include "a.h"'),
        ("server/core/a.cc", '#include "server/core/a.h"'),
    ),
    "tab": (("docs/a.md", "\ttext"), ("kmod/a.c", "\tint a;")),
    "unfinished": (("docs/a.md", "TO" "DO: more"), ("docs/a.md", "mktemp a.XXXXXX")),
    "machine-path": (("tools/a", "cd /ro" "ot/weft"), ("tools/a", 'cd "${entry}"/root/usr')),
    "host-name": (("tools/a", "http://deb.de" "bian.org"), ("tools/a", "https://www.debian.org")),
    "glob-sources": (
        ("server/core/BUILD.bazel", 'srcs = glob(["*.cc"]),'),
        ("server/core/BUILD.bazel", 'data = glob(["testdata/*"]),'),
    ),
    "guard": (("server/core/a.h", "#pragma once"), ("server/core/a.h", GUARD)),
    "layer": (
        ("server/core/a.cc", '#include "server/store/store.h"'),
        ("server/store/a.cc", '#include "server/core/types.h"'),
    ),
    "length": (
        ("server/core/a.cc", "int a;\n" * (tidy.MAX_LINES + 1)),
        ("server/core/a.cc", "int a;\n" * tidy.MAX_LINES),
    ),
}


def broken_rules(files):
    return {offence.rule for offence in tidy.tree_offences(files)}


class TidyTest(unittest.TestCase):
    def test_every_rule_has_a_case(self):
        self.assertEqual(set(CASES) | {"in-build"}, set(tidy.all_rules()))

    def test_each_rule_fails_on_its_offence_and_on_nothing_near(self):
        for rule, (offence, near) in CASES.items():
            with self.subTest(rule):
                self.assertIn(rule, broken_rules(dict([offence])))
                self.assertNotIn(rule, broken_rules(dict([near])))

    def test_a_source_must_be_in_the_build_file_above_it(self):
        source = {"server/core/deep/a.cc": ""}
        self.assertIn("in-build", broken_rules(source))
        self.assertIn("in-build", broken_rules({**source, "server/core/BUILD.bazel": '"a.cc"'}))
        self.assertEqual(
            broken_rules({**source, "server/core/BUILD.bazel": '"deep/a.cc"'}), set()
        )

    def test_offences_name_file_and_line(self):
        offence = tidy.tree_offences({"docs/a.md": "one\n\ttwo\n"})[0]
        self.assertEqual((offence.path, offence.line, offence.rule), ("docs/a.md", 2, "tab"))


if __name__ == "__main__":
    unittest.main()
