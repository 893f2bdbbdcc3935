"""Tests of tools/scripts/tally.py: what `tools/dev test` counts."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TALLY = pathlib.Path(__file__).resolve().parents[3] / "tools/scripts/tally.py"

LIT = """Testing Time: 0.51s

Total Discovered Tests: 14
  Unsupported:  1 (7.14%)
  Passed     : 12 (85.71%)
  Failed     :  1 (7.14%)
"""
CTEST = """Test project build
    Start 1: a
1/4 Test #1: a ...............   Passed    0.01 sec
2/4 Test #2: s ...............***Skipped   0.00 sec
4/4 Test #4: f ...............***Failed    0.00 sec
  Passed: 3 (100.00%)
[  PASSED  ] 2 tests.

67% tests passed, 1 tests failed out of 3

Total Test time (real) =   0.03 sec

The following tests did not run:
\t  2 - s (Skipped)
\t  3 - d (Disabled)

The following tests FAILED:
\t  4 - f (Failed)
"""
GTEST = "[==========] 3 tests from 1 test suite ran. (0 ms total)\n[  PASSED  ] 2 tests.\n[  FAILED  ] 1 test, listed below:\n"


def tally(logs, failed=""):
    """The last line and the exit status for these logs."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in logs.items():
            (pathlib.Path(folder) / name).write_text(text)
        paths = [f"{folder}/{name}" for name in logs]
        command = [sys.executable, str(TALLY), "--failed", failed, *paths]
        result = subprocess.run(command, capture_output=True, text=True)
    return result.stdout.splitlines()[-1], result.returncode


class TallyTest(unittest.TestCase):
    def test_lit(self):
        self.assertEqual(tally({"check": LIT}), ("12 passed, 1 failed, 1 skipped", 1))

    def test_ctest_counts_each_test_once(self):
        self.assertEqual(tally({"check": CTEST}), ("1 passed, 1 failed, 2 skipped", 1))

    def test_gtest(self):
        self.assertEqual(tally({"check": GTEST}), ("2 passed, 1 failed", 1))

    def test_logs_are_added(self):
        passing = "100% tests passed, 0 tests failed out of 5\n"
        self.assertEqual(
            tally({"check": passing, "check-e2e": "  Passed: 2 (100.00%)\n"}),
            ("7 passed, 0 failed", 0),
        )

    def test_a_broken_build_is_a_failure(self):
        self.assertEqual(tally({}, "build"), ("0 passed, 1 failed", 1))

    def test_a_target_that_breaks_before_its_tests_is_a_failure(self):
        passing = "100% tests passed, 0 tests failed out of 5\n"
        logs = {"check": passing, "check-e2e": "ninja: build stopped\n"}
        self.assertEqual(tally(logs, "check-e2e"), ("5 passed, 1 failed", 1))

    def test_a_target_without_tests_is_a_failure(self):
        self.assertEqual(tally({"check": "nothing to do\n"}), ("0 passed, 1 failed", 1))


if __name__ == "__main__":
    unittest.main()
