#!/usr/bin/python3
"""Merges coverage into one lcov file, in the place of Bazel's own merger in Java.

Bazel calls it after each test, with --coverage_dir (where the test left gcov's JSON and
lcov files) and --source_file_manifest (the sources to report on), and once at the end,
with --reports_file (a list of lcov files). Other options are ignored.
"""

import argparse
import collections
import glob
import gzip
import json
import os


class Coverage:
    """How often each line and function of each source ran, over all inputs."""

    def __init__(self):
        self.lines = collections.defaultdict(collections.Counter)
        self.functions = collections.defaultdict(collections.Counter)
        self.starts = collections.defaultdict(dict)

    def add_function(self, source, name, start, count):
        self.starts[source][name] = start
        self.functions[source][name] += count

    def read_gcov(self, path):
        """Adds a file that `gcov -i` wrote."""
        with gzip.open(path, "rt", encoding="utf-8") as file:
            report = json.load(file)
        for source in report["files"]:
            for line in source["lines"]:
                self.lines[source["file"]][line["line_number"]] += line["count"]
            for function in source["functions"]:
                self.add_function(
                    source["file"], function["name"], function["start_line"],
                    function["execution_count"],
                )

    def read_lcov(self, path):
        """Adds an lcov file."""
        source, starts = None, {}
        with open(path, encoding="utf-8") as file:
            for record in file:
                kind, _, value = record.strip().partition(":")
                if kind == "SF":
                    source, starts = value, {}
                elif kind == "FN":
                    start, name = value.split(",", 1)
                    starts[name] = int(start)
                elif kind == "FNDA":
                    count, name = value.split(",", 1)
                    self.add_function(source, name, starts.get(name, 0), int(count))
                elif kind == "DA":
                    line, count = value.split(",")[:2]
                    self.lines[source][int(line)] += int(count)

    def write(self, path, is_wanted):
        """Writes the sources for which is_wanted(source), in order."""
        with open(path, "w", encoding="utf-8") as file:
            for source in sorted(filter(is_wanted, self.lines)):
                lines, functions = self.lines[source], self.functions[source]
                print(f"SF:{source}", file=file)
                for name, count in sorted(functions.items()):
                    print(f"FN:{self.starts[source][name]},{name}", file=file)
                    print(f"FNDA:{count},{name}", file=file)
                print(f"FNF:{len(functions)}", file=file)
                print(f"FNH:{sum(1 for count in functions.values() if count)}", file=file)
                for line, count in sorted(lines.items()):
                    print(f"DA:{line},{count}", file=file)
                print(f"LF:{len(lines)}", file=file)
                print(f"LH:{sum(1 for count in lines.values() if count)}", file=file)
                print("end_of_record", file=file)


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--coverage_dir")
    parser.add_argument("--output_file", required=True)
    parser.add_argument("--reports_file")
    parser.add_argument("--source_file_manifest")
    options, _ = parser.parse_known_args()

    coverage = Coverage()
    if options.coverage_dir:
        for path in glob.glob(os.path.join(options.coverage_dir, "**/*.gcov.json.gz"),
                              recursive=True):
            coverage.read_gcov(path)
        for path in glob.glob(os.path.join(options.coverage_dir, "**/*.dat"), recursive=True):
            if not os.path.exists(options.output_file) or not os.path.samefile(
                    path, options.output_file):
                coverage.read_lcov(path)
    if options.reports_file:
        for path in read_lines(options.reports_file):
            if os.path.exists(path):
                coverage.read_lcov(path)

    if options.source_file_manifest:
        wanted = set(read_lines(options.source_file_manifest))
        coverage.write(options.output_file, wanted.__contains__)
    else:
        coverage.write(options.output_file, lambda source: True)


if __name__ == "__main__":
    main()
