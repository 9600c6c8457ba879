"""Tests of tools/lib/count_tests.py on the files that Bazel and GoogleTest write."""

import json
import os
import tempfile
import unittest

from tools.lib import count_tests

GTEST_XML = """<?xml version="1.0"?>
<testsuites><testsuite name="A">
  <testcase name="Passes" status="run" result="completed" classname="A"/>
  <testcase name="Fails" status="run" result="completed" classname="A">
    <failure message="no"/>
  </testcase>
  <testcase name="Skips" status="run" result="skipped" classname="A">
    <skipped message="a.cc:3&#x0A;no etcd here"/>
  </testcase>
  <testcase name="DISABLED_Never" status="notrun" result="suppressed" classname="A"/>
</testsuite></testsuites>
"""
PASSING_XML = '<testsuites><testsuite><testcase name="One"/></testsuite></testsuites>'


def configured(label):
    return {"id": {"targetConfigured": {"label": label}}, "configured": {"testSize": "SMALL"}}


class CountTestsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def result(self, label, status, xml=None, shard=0, attempt=1):
        outputs = []
        if xml is not None:
            path = self.write(f"test {len(os.listdir(self.folder))}.xml", xml)
            outputs = [{"name": "test.xml", "uri": "file://" + path.replace(" ", "%20")}]
        return {
            "id": {"testResult": {"label": label, "run": 1, "shard": shard, "attempt": attempt}},
            "testResult": {"status": status, "testActionOutput": outputs},
        }

    def lines(self, *events):
        path = self.write("events.json", "".join(json.dumps(event) + "\n" for event in events))
        return [
            line
            for label, attempts in sorted(count_tests.read_events(path).items())
            for line in count_tests.target_lines(label, attempts)
        ]

    def test_each_case_of_googletest_is_a_line(self):
        self.assertEqual(self.lines(self.result("//a:t", "FAILED", GTEST_XML)), [
            "pass //a:t A.Passes",
            "fail //a:t A.Fails",
            "skip //a:t A.Skips: a.cc:3 no etcd here",
            "skip //a:t A.DISABLED_Never: disabled",
        ])

    def test_a_crash_after_the_last_case_is_a_failure(self):
        self.assertEqual(self.lines(self.result("//a:t", "FAILED", PASSING_XML)), [
            "pass //a:t One",
            "fail //a:t (failed)",
        ])

    def test_a_timeout_without_xml_is_a_failure(self):
        self.assertEqual(self.lines(self.result("//a:t", "TIMEOUT")), ["fail //a:t (timeout)"])

    def test_a_target_that_did_not_build_is_a_failure(self):
        self.assertEqual(
            self.lines(configured("//a:t"), configured("//b:t"),
                       self.result("//b:t", "PASSED", PASSING_XML)),
            ["fail //a:t (did not run)", "pass //b:t One"],
        )

    def test_shards_add_up_and_the_last_attempt_counts(self):
        self.assertEqual(
            self.lines(self.result("//a:t", "FAILED", GTEST_XML, shard=1),
                       self.result("//a:t", "PASSED", PASSING_XML, shard=1, attempt=2),
                       self.result("//a:t", "PASSED", PASSING_XML, shard=2)),
            ["pass //a:t One", "pass //a:t One"],
        )


if __name__ == "__main__":
    unittest.main()
