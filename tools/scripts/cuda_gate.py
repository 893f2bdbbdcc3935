"""Compiles models of full size for GPUs, without weights, and tells what each kernel's code takes.

    cuda_gate.py --vlmc PROGRAM [--models NAME...] [--chips CHIP...] [--ptxas PROGRAM] [--write docs/cuda.md]

A model passes if ptxas takes all of its kernels without a warning, and none spills registers or takes more registers or
shared memory than a block of the chip has. `--write` puts the tables into a page, between its lines of markers.
Exit status 0 only if all models pass on all chips.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHIPS = ["sm_80", "sm_89", "sm_90a"]
BEGIN, END = "<!-- cuda-gate begins -->", "<!-- cuda-gate ends -->"
# What `vlmc compile --explain` prints for a kernel: name, strategy, then numbers, "-" where ptxas said nothing.
COLUMNS = ["threads", "registers", "spilled", "stack", "static", "dynamic", "tensor"]
LINE = re.compile(r"^\s*(\S+)\s+([a-z_]+)" + r"\s+(\d+|-)" * len(COLUMNS) + r"\s*$")
HEAD = re.compile(r"^\s*kernel \((\w+)\)\s+strategy\s+threads")


def default_models() -> list[str]:
    flamingo = "flamingo-9b" if (ROOT / "models/flamingo-9b.textproto").exists() else "idefics-9b"
    return ["clip-vit-l14", "llava-1.5-7b", flamingo, "blip2-opt-2.7b"]


def read_kernels(output: str) -> dict[str, dict]:
    """The kernels of the table in what the compiler prints; numbers are None where there are none."""
    kernels = {}
    inside = False
    for line in output.splitlines():
        if HEAD.match(line):
            inside = True
            continue
        found = LINE.match(line) if inside else None
        if found:
            numbers = [None if x == "-" else int(x) for x in found.groups()[2:]]
            kernels[found[1]] = {"strategy": found[2], **dict(zip(COLUMNS, numbers, strict=True))}
    return kernels


def compile_model(arguments, model: str, chip: str) -> tuple[dict[str, dict], list[str]]:
    """The kernels of a model on a chip, and what is wrong with them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [arguments.vlmc, "compile", str(ROOT / f"models/{model}.textproto")]
        command += [
            "--emit",
            "ptx",
            "--explain",
            "--target",
            f"cuda:{chip}",
            "-o",
            f"{folder}/{model}.ptx",
        ]
        if arguments.ptxas:
            command += ["--ptxas", arguments.ptxas]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    output = ended.stdout + ended.stderr
    kernels = read_kernels(output)
    faults = []
    if ended.returncode:
        told = [line for line in output.splitlines() if "error" in line]
        faults.append(f"{model} on {chip}: {(told or [output.strip()])[-1]}")
    elif not kernels:
        faults.append(f"{model} on {chip}: no kernel is told of")
    for name, kernel in kernels.items():
        if kernel["registers"] is None:
            faults.append(f"{model} on {chip}: kernel {name} was not assembled; is there a ptxas?")
        elif kernel["spilled"] or kernel["stack"]:
            faults.append(
                f"{model} on {chip}: kernel {name} spills {kernel['spilled']} bytes, stack {kernel['stack']}"
            )
    return kernels, faults


def joined(values: list) -> str:
    """One number where all chips have the same, else all of them."""
    texts = ["-" if value is None else str(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def table(model: str, chips: list[str], results: dict[str, dict]) -> list[str]:
    names = list(dict.fromkeys(name for chip in chips for name in results[chip]))
    lines = [f"### {model}", "", f"{len(names)} functions on {', '.join(chips)}.", ""]
    lines += [
        "| kernel | strategy | threads | registers | spilled bytes | shared bytes | tensor-core instructions |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    for name in names:
        uses = [results[chip].get(name, {}) for chip in chips]
        shared = [
            use["static"] + use["dynamic"] if use.get("static") is not None else None
            for use in uses
        ]
        cells = [
            joined([use.get(column) for use in uses])
            for column in ["strategy", "threads", "registers", "spilled"]
        ]
        cells += [joined(shared), joined([use.get("tensor") for use in uses])]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def write_page(path: pathlib.Path, lines: list[str]) -> None:
    text = path.read_text()
    before, rest = text.split(BEGIN)
    path.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vlmc", required=True)
    parser.add_argument("--models", nargs="+", default=default_models())
    parser.add_argument("--chips", nargs="+", default=CHIPS)
    parser.add_argument("--ptxas")
    parser.add_argument("--write", type=pathlib.Path)
    arguments = parser.parse_args()
    lines, faults, functions = [], [], 0
    for model in arguments.models:
        results = {}
        for chip in arguments.chips:
            results[chip], wrong = compile_model(arguments, model, chip)
            faults += wrong
            functions += len(results[chip])
        lines += table(model, arguments.chips, results) + [""]
    print("\n".join(lines))
    if arguments.write and not faults:
        write_page(arguments.write, lines[:-1])
    for fault in faults:
        print(f"cuda-gate: {fault}", file=sys.stderr)
    print(f"cuda-gate: {functions} functions, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
