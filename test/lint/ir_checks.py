"""Checks on what TableGen declares: passes and ops are described, implemented and tested."""

import posixpath
import re

from tree import Finding, line_of

DEF = re.compile(r"^def (\w+)\s*:\s*(\w+)\s*<", re.MULTILINE)
TEXT_FIELD = r"\blet {}\s*=\s*(\"(?:[^\"\\]|\\.)*\"|\[\{{.*?\}}\])\s*[;#]"


def kebab(stem):
    """FuseQKV to fuse-qkv, LowerVlmToLinalg to lower-vlm-to-linalg."""
    stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", stem)
    return re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", "-", stem).lower()


def definitions(text):
    """The defs of a .td file: (name, class, line, text up to the next def or class)."""
    matches = list(DEF.finditer(text))
    starts = sorted(
        match.start()
        for match in re.finditer(r"^(?:def|class|multiclass|defm|foreach)\b", text, re.MULTILINE)
    )
    for match in matches:
        end = next((start for start in starts if start > match.start()), len(text))
        yield match[1], match[2], line_of(text, match.start()), text[match.start() : end]


def field(body, name):
    """The text of `let NAME = ...`, empty where there is none."""
    match = re.search(TEXT_FIELD.format(name), body, re.DOTALL)
    return match[1].strip('"[{}] \n') if match else ""


def pass_complete(tree):
    """a pass has summary and description, the flag of its name, its .cpp and its test"""
    for path in tree.match("*Passes.td"):
        folder = posixpath.dirname(path)
        passes = [entry for entry in definitions(tree.text(path)) if entry[1].endswith("Pass")]
        if not passes:
            yield Finding(path, 0, "declares no pass: expected `def NamePass : ...Pass<...>`")
        for name, _, number, body in passes:
            for message in _pass_faults(tree, folder, name, body):
                yield Finding(path, number, f"{name}: {message}")
    for path in tree.match("passes/*.cpp", "passes/*.h", "codegen/*.cpp", "codegen/*.h"):
        for number, line in tree.lines(path):
            if re.search(r"\bcl::(opt|list)\b", line):
                yield Finding(
                    path,
                    number,
                    "a cl::opt; use a pass option, so that the pipeline prints and replays itself",
                )


def _pass_faults(tree, folder, name, body):
    for key in ("summary", "description"):
        if not field(body, key):
            yield f"no {key}"
    if re.search(r"\blet constructor\b", body):
        yield "has a constructor; MLIR writes create and register functions without"
    if not name.endswith("Pass"):
        yield "expected a name that ends in Pass"
        return
    stem = name.removesuffix("Pass")
    flag = re.search(r'Pass\s*<\s*"([^"]*)"', body)
    if not flag:
        yield "no flag"
    elif flag[1] != f"vlm-{kebab(stem)}":
        yield f"its flag is '{flag[1]}'; expected 'vlm-{kebab(stem)}'"
    if not tree.match(f"{folder}/{stem}.cpp", f"{folder}/*/{stem}.cpp"):
        yield f"no {folder}/{stem}.cpp"
    if not tree.match(f"test/{folder}/{kebab(stem)}.mlir", f"test/{folder}/*/{kebab(stem)}.mlir"):
        yield f"no test/{folder}/{kebab(stem)}.mlir"


def op_docs(tree):
    """an op has a summary, a description, and its place in a test of its dialect"""
    tests = "\n".join(tree.text(path) for path in tree.match("test/ir/*.mlir"))
    for path in tree.match("ir/*Ops.td"):
        dialect = posixpath.basename(posixpath.dirname(path)).lower()
        for name, base, number, body in definitions(tree.text(path)):
            if not name.endswith("Op") or not re.search(r"Op\w*$", base):
                continue
            for key in ("summary", "description"):
                if not field(body, key):
                    yield Finding(path, number, f"{name}: no {key}")
            mnemonic = re.search(r'<\s*"(\w+)"', body)
            if mnemonic and not re.search(rf"\b{dialect}\.{mnemonic[1]}\b", tests):
                yield Finding(
                    path, number, f"{name}: no test in test/ir has {dialect}.{mnemonic[1]}"
                )


CHECKS = [pass_complete, op_docs]
