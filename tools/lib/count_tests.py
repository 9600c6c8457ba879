#!/usr/bin/env python3
"""Turns a Bazel build event file into one result line for each test case.

  count_tests.py EVENTS.json

EVENTS.json comes from `bazel test --build_event_json_file`. Prints, for each test case
(of GoogleTest or of any other runner that writes a test.xml; a test without one is one
case), a line of the form that tools/test documents:

  pass //server/core:types_test UuidTest.Parses
  fail //server/core:types_test UuidTest.Parses
  skip //server/core:types_test UuidTest.Parses: why

A target that fails although no case of it did (it crashed, leaked, ran out of time) is
one failure more, and so is a target that did not build.
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree


def case_results(xml_path):
    """Yields (verdict, name, reason) for each test case in a test.xml."""
    for case in ElementTree.parse(xml_path).iter("testcase"):
        name = ".".join(filter(None, [case.get("classname"), case.get("name")]))
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            yield "fail", name, ""
        elif skipped is not None:
            reason = skipped.get("message") or (skipped.text or "")
            yield "skip", name, " ".join(reason.split())
        elif case.get("status") == "notrun":
            yield "skip", name, "disabled"
        else:
            yield "pass", name, ""


def target_lines(label, attempts):
    """The result lines of one test target.

    `attempts` maps (run, shard) to (status, path of test.xml or None) of the last try.
    """
    if not attempts:
        return [f"fail {label} (did not run)"]
    lines = []
    for _, (status, xml_path) in sorted(attempts.items()):
        cases = list(case_results(xml_path)) if xml_path else []
        passed = status in ("PASSED", "FLAKY")
        for verdict, name, reason in cases:
            lines.append(f"{verdict} {label} {name}" + (f": {reason}" if reason else ""))
        if not passed and not any(verdict == "fail" for verdict, _, _ in cases):
            lines.append(f"fail {label} ({status.lower()})")
        elif passed and not cases:
            lines.append(f"pass {label}")
    return lines


def read_events(path):
    """Returns {label: attempts} for every test target of the build, run or not."""
    targets = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            event = json.loads(line)
            configured = event["id"].get("targetConfigured")
            if configured and "testSize" in event.get("configured", {}):
                targets.setdefault(configured["label"], {})
            result_id = event["id"].get("testResult")
            if result_id and "testResult" in event:
                result = event["testResult"]
                files = {f["name"]: f.get("uri", "") for f in result.get("testActionOutput", [])}
                xml = urllib.parse.urlparse(files.get("test.xml", ""))
                key = (result_id.get("run", 1), result_id.get("shard", 0))
                targets.setdefault(result_id["label"], {})[key] = (
                    result["status"],
                    urllib.parse.unquote(xml.path) if xml.scheme == "file" else None,
                )
    return targets


def main(argv):
    if len(argv) != 2:
        sys.exit(__doc__)
    for label, attempts in sorted(read_events(argv[1]).items()):
        for line in target_lines(label, attempts):
            print(line)


if __name__ == "__main__":
    main(sys.argv)
