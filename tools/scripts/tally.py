"""Adds up the closing lines of lit, CTest and GoogleTest and prints `N passed, N failed`.

    tally.py [--failed "TARGET..."] LOG...

A target that failed although no test of its log did (the build broke, a program was missing) counts as one failed test,
and so does a target in whose log no test is counted. Exit status 0 only if nothing failed and something passed.
"""

import argparse
import pathlib
import re
import sys

# lit: "  Passed           : 12 (92.31%)"
LIT = re.compile(r"^ {2}([A-Z][A-Za-z ]+?) *: *(\d+)(?: \([\d.]+%\))?$")
LIT_KINDS = {
    "Passed": "passed",
    "Passed With Retry": "passed",
    "Expectedly Failed": "passed",
    "Failed": "failed",
    "Timed Out": "failed",
    "Unresolved": "failed",
    "Unexpectedly Passed": "failed",
    "Unsupported": "skipped",
    "Skipped": "skipped",
    "Excluded": None,
}
# CTest: "98% tests passed, 1 tests failed out of 50"
CTEST = re.compile(r"^\d+% tests passed, (\d+) tests? failed out of (\d+)$")
CTEST_START = re.compile(r"^Test project ")
CTEST_NOT_RUN = re.compile(r"^\s+\d+ - .+ \((Skipped|Disabled)\)$")
# GoogleTest run by itself: "[  PASSED  ] 3 tests."
GTEST = re.compile(r"^\[ {2}(PASSED|FAILED|SKIPPED) {1,2}\] (\d+) tests?[.,]")


def tally(text):
    """The counts of one log as {"passed": n, "failed": n, "skipped": n}."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    inside_ctest = False
    for line in text.splitlines():
        if CTEST_START.match(line):
            inside_ctest = True
        elif match := CTEST.match(line):
            inside_ctest = False
            counts["failed"] += int(match[1])
            counts["passed"] += int(match[2]) - int(match[1])
        elif match := CTEST_NOT_RUN.match(line):
            # CTest's total holds the skipped tests, but not the disabled ones.
            counts["skipped"] += 1
            counts["passed"] -= match[1] == "Skipped"
        elif inside_ctest:
            # What a failed test printed; CTest counts it already.
            continue
        elif match := LIT.match(line):
            if kind := LIT_KINDS.get(match[1]):
                counts[kind] += int(match[2])
        elif match := GTEST.match(line):
            counts[match[1].lower()] += int(match[2])
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--failed", default="", help="targets whose command failed, separated by blanks"
    )
    parser.add_argument("logs", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    failed_targets = set(args.failed.split())
    total = {"passed": 0, "failed": 0, "skipped": 0}
    seen = set()
    for log in args.logs:
        if not log.is_file():
            continue
        seen.add(log.name)
        counts = tally(log.read_text(errors="replace"))
        nothing_ran = not any(counts.values())
        if not counts["failed"] and (log.name in failed_targets or nothing_ran):
            reason = "no test ran" if nothing_ran else "the command failed although no test did"
            print(f"{log.name}: {reason}; counted as one failed test")
            counts["failed"] = 1
        for kind in total:
            total[kind] += counts[kind]
    for target in sorted(failed_targets - seen):
        print(f"{target}: failed; counted as one failed test")
        total["failed"] += 1
    line = f"{total['passed']} passed, {total['failed']} failed"
    print(line + (f", {total['skipped']} skipped" if total["skipped"] else ""))
    return 0 if total["failed"] == 0 and total["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
