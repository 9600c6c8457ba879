"""A man page says what its program's --help says: the same commands, options and defaults.

  man_test.py PROGRAM PAGE
"""

import re
import socket
import subprocess
import sys
import unittest

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
# `  -h,--help  Print...` or `  --offset TEXT=0  Where...`, where the text may begin on a line
# of its own.
HELP_ENTRY = re.compile(r"^  (?:-\w,)?(--[a-z-]+)(.*(?:\n {8,}.*)*)", re.MULTILINE)


def help_of(command):
    """What `command --help` prints; fails if it does not end with 0."""
    return subprocess.run(
        command + ["--help"], check=True, capture_output=True, text=True
    ).stdout


def subcommands_of(text):
    """The names under the heading Subcommands."""
    _, _, part = text.partition("\nSubcommands:\n")
    return re.findall(r"^  ([a-z][a-z-]*) ", part.split("\n\n")[0], re.MULTILINE)


def default_of(text):
    """The default that the help of an option names: `TEXT=10s` or `(default 10s)`."""
    named = re.search(r"\(default ([^\s)]+)\)", text)
    if named:
        return named.group(1)
    value = re.match(r" \S*=(\S+)", text)
    # The = of --device's `name=NAME[,use=no]` is part of what a value looks like.
    if not value or (value.group(1)[-1] == "]" and value.group(1)[0] != "["):
        return None
    return value.group(1).strip("[]")


def options_of_help(text):
    """The options that a help lists, with their defaults or None."""
    return {name: default_of(rest) for name, rest in HELP_ENTRY.findall(text)}


def commands_of_program(program):
    """The options of all commands, by `noun verb`; the program's own have the name ""."""
    commands = {}

    def add(words):
        text = help_of([program] + words)
        subcommands = subcommands_of(text)
        if not words or not subcommands:
            commands[" ".join(words)] = options_of_help(text)
        for name in subcommands:
            add(words + [name])

    add([])
    return commands


def sections_of_page(path):
    """The text of each section of a man page, by heading, without font changes."""
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"\\f[BIRP]", "", file.read().replace("\\-", "-"))
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in text.split("\n.SH ")[1:]}


def heads_of(entry):
    """The first line of what stands between two .TP, and those after a .TQ."""
    return [entry.partition("\n")[0]] + re.findall(r"\n\.TQ\n(.*)", entry)


def commands_of_page(sections):
    """What the page says of each command, as commands_of_program: text by name."""
    commands = {"": ""}
    for entry in sections["OPTIONS"].split(".TP\n")[1:]:
        commands[""] += entry
    for section in sections.get("COMMANDS", "").split("\n.SS ")[1:]:
        names = []
        for entry in section.split("\n.TP\n")[1:]:
            entry, _, of_all_before = entry.partition("\n.PP\n")
            for head in heads_of(entry):
                names.append(re.match(r'\.BI? "?([a-z]+(?: [a-z][a-z-]*)?)', head).group(1))
                commands[names[-1]] = commands.get(names[-1], "") + entry
            for name in names:
                commands[name] += of_all_before
    return commands


class ManTest(unittest.TestCase):
    program = page = None

    @classmethod
    def setUpClass(cls):
        cls.helps = commands_of_program(cls.program)
        cls.sections = sections_of_page(cls.page)
        cls.pages = commands_of_page(cls.sections)

    def test_same_commands(self):
        self.assertEqual(set(self.pages), set(self.helps))

    def test_same_options_of_each_command(self):
        of_all = set(self.helps[""])
        for name, options in self.helps.items():
            if not name:
                continue  # below
            named = set(OPTION.findall(self.pages[name]))
            # The text of one command may speak of the options that go with every command.
            self.assertEqual(named - of_all, set(options) - of_all, name)

    def test_each_option_of_the_program_has_an_entry(self):
        heads = [entry.partition("\n")[0] for entry in self.sections["OPTIONS"].split(".TP\n")]
        self.assertEqual(set(OPTION.findall("\n".join(heads))), set(self.helps[""]))

    def test_defaults(self):
        for name, options in self.helps.items():
            for option, default in options.items():
                if default is None or default == socket.gethostname().lower():
                    continue
                entries = [self.pages[name]]
                if not name:
                    entries = [
                        entry for entry in self.sections["OPTIONS"].split(".TP\n")
                        if option in OPTION.findall(entry.partition("\n")[0])
                    ]
                text = " ".join(entries)
                self.assertRegex(text, "default", f"{name} {option}")
                self.assertRegex(text, rf"(?<![\w.]){re.escape(default)}(?!\w)", f"{name} {option}")

    def test_help_was_understood(self):
        self.assertIn("--version", self.helps[""])
        if self.page.endswith("weft.1"):
            self.assertEqual(self.helps[""]["--timeout"], "10s")
            self.assertIn("--confirm-powered-off", self.helps["host fence"])
            self.assertEqual(self.helps["segment create"]["--sharing"], "single-writer")
        else:
            self.assertTrue(self.helps[""]["--metrics-address"].startswith("127.0.0.1:"))


if __name__ == "__main__":
    ManTest.program, ManTest.page = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1], verbosity=2)
