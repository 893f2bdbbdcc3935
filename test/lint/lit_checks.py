"""Checks on lit tests: a directive that FileCheck does not see, or a test that checks nothing, passes for ever."""

import re

from tree import Finding

RUN = re.compile(r"\bRUN:\s*(.*)$", re.MULTILINE)
PREFIX = re.compile(r"--?check-prefix(?:es)?[= ]([\w,-]+)")
KINDS = r"(?:-(?:LABEL|SAME|NEXT|NOT|DAG|EMPTY|COUNT-\d+))?(?:\{LITERAL\})?"
# What makes a test fail other than FileCheck and diagnostics.
OTHER_CHECKS = re.compile(
    r"\b(?:cmp|diff|grep)\b|\bcompare\w*\.py\b|\bcheck_\w+\.py\b|verify-roundtrip|%check"
)


def _lit_tests(tree):
    """The files of test/ with a RUN line, and those that should have one."""
    for path in tree.match("test/*.mlir", "test/*.test", "test/*.ll", "test/*.td"):
        if "/Inputs/" not in path and "/inputs/" not in path:
            yield path, "\n".join(RUN.findall(tree.text(path)))


def _prefixes(run):
    """The FileCheck prefixes that RUN lines use."""
    names = set()
    for command in re.split(r"\||&&|;|\n", re.sub(r"\\\n", " ", run)):
        if "FileCheck" in command:
            given = PREFIX.findall(command)
            names.update(*(one.split(",") for one in given)) if given else names.add("CHECK")
    return names


def check_colon(tree):
    """a CHECK directive has its colon and a kind that FileCheck knows"""
    for path, run in _lit_tests(tree):
        names = "|".join(sorted(map(re.escape, _prefixes(run) | {"CHECK"}), key=len, reverse=True))
        near = re.compile(rf"^\s*(?://|#|;)\s*((?:{names})(?![a-z0-9_])[\w{{}}-]*)(.?)")
        for number, line in tree.lines(path):
            match = near.match(line)
            if match and not re.fullmatch(rf"(?:{names}){KINDS}", match[1]):
                yield Finding(path, number, f"'{match[1]}' is no directive that FileCheck knows")
            elif match and match[2] != ":":
                yield Finding(path, number, f"'{match[1]}' without its colon checks nothing")


def test_has_check(tree):
    """a lit test has a RUN line, and something in it can fail"""
    for path, run in _lit_tests(tree):
        text = tree.text(path)
        if not run:
            yield Finding(path, 0, "no RUN line; inputs of other tests go in a folder named Inputs")
            continue
        for name in sorted(_prefixes(run)):
            if not re.search(rf"\b{re.escape(name)}{KINDS}:", text):
                yield Finding(
                    path, 0, f"FileCheck is run with '{name}', but no line has that directive"
                )
        diagnostics = "verify-diagnostics" in run
        if diagnostics and not re.search(r"expected-(?:error|warning|note|remark)", text):
            yield Finding(path, 0, "-verify-diagnostics is given, but no diagnostic is expected")
        if not (_prefixes(run) or diagnostics or OTHER_CHECKS.search(run)):
            yield Finding(
                path, 0, "nothing is checked; pipe the output into FileCheck or compare it"
            )


CHECKS = [check_colon, test_has_check]
