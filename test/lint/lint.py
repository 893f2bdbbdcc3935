"""The house rules that no compiler checks.

    lint.py              all checks; each finding is `file:line: message`
    lint.py --list       the names of the checks
    lint.py NAME...      these checks

Each check first has to find the faults of its own bad samples and nothing in its good ones (samples.py); a check that
has gone blind fails. Exit status 1 on a finding. Python's standard library is all it needs.
"""

import argparse
import pathlib
import sys

import code_checks
import ir_checks
import lit_checks
import text_checks
from samples import SAMPLES
from tree import Tree

CHECKS = {
    check.__name__.replace("_", "-"): check
    for module in (code_checks, ir_checks, lit_checks, text_checks)
    for check in module.CHECKS
}


def self_test(name):
    """What the check gets wrong about its samples, as messages."""
    good, bad = SAMPLES.get(name, ({}, []))
    faults = [
        f"finds a fault in its good sample: {finding}"
        for finding in CHECKS[name](Tree.of_sample(good))
    ]
    if not bad:
        faults.append("has no bad sample")
    for files, expected in bad:
        found = [str(finding) for finding in CHECKS[name](Tree.of_sample({**good, **files}))]
        if len(found) != 1 or expected not in found[0]:
            faults.append(f'expected one finding with "{expected}", found {found}')
    return [f"test/lint/samples.py: {name} {fault}" for fault in faults]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the names of the checks")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    if args.list:
        print("\n".join(sorted(CHECKS)))
        return 0
    if unknown := [name for name in args.names if name not in CHECKS]:
        parser.error(f"no check '{unknown[0]}'; those there are: {', '.join(sorted(CHECKS))}")
    tree = Tree.of_folder(pathlib.Path(__file__).resolve().parents[2])
    failed = 0
    for name in args.names or sorted(CHECKS):
        findings = self_test(name) + [str(finding) for finding in CHECKS[name](tree)]
        failed += bool(findings)
        for finding in findings:
            print(f"{finding} [{name}]")
        if findings:
            print(f"{name}: {len(findings)} found; the rule: {CHECKS[name].__doc__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
