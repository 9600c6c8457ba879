"""Every option that a program's --help names is in its man page, and the other way round.

  man_test.py PROGRAM PAGE...

Looks at the help of PROGRAM and of all its subcommands.
"""

import re
import subprocess
import sys
import unittest

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def help_of(command):
    """What `command --help` prints; fails if it does not end with 0."""
    return subprocess.run(
        command + ["--help"], check=True, capture_output=True, text=True
    ).stdout


def subcommands_of(text):
    """The names under the heading Subcommands."""
    _, _, part = text.partition("\nSubcommands:\n")
    return re.findall(r"^  ([a-z][a-z-]*) ", part.split("\n\n")[0], re.MULTILINE)


def options_of_program(command):
    """All options of a program and its subcommands."""
    text = help_of(command)
    options = set(OPTION.findall(text))
    for name in subcommands_of(text):
        options |= options_of_program(command + [name])
    return options


def options_of_page(path):
    """All options that a man page names."""
    with open(path, encoding="utf-8") as file:
        return set(OPTION.findall(file.read().replace("\\-", "-")))


class ManTest(unittest.TestCase):
    program = page = None

    def test_page_names_every_option(self):
        self.assertEqual(options_of_program([self.program]) - options_of_page(self.page), set())

    def test_page_names_no_other_option(self):
        self.assertEqual(options_of_page(self.page) - options_of_program([self.program]), set())

    def test_help_was_understood(self):
        options = options_of_program([self.program])
        self.assertIn("--version", options)
        if self.page.endswith("weft.1"):
            self.assertIn("--confirm-powered-off", options)


if __name__ == "__main__":
    ManTest.program, ManTest.page = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1], verbosity=2)
