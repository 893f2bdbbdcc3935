#!/usr/bin/env python3
"""Writes docs/models.md: the parameters of each reference spec, as vlmc counts them, against those that are published.

    python3 models/parameters.py --vlmc build/release/bin/vlmc          # writes the page
    python3 models/parameters.py --vlmc build/release/bin/vlmc --check  # says whether the page is up to date

Either fails where a spec has no published count, or one that differs by more than 1 %.
"""

import argparse
import json
import pathlib
import subprocess
import sys

MODELS = pathlib.Path(__file__).resolve().parent
PAGE = MODELS.parent / "docs" / "models.md"
LIMIT = 0.01

HEAD = """# Reference specs
One spec for each published model, in `models/`, with its sizes and no weights. Made by `models/parameters.py`; do not edit.

Parameters are those that vlmc reads: what a model never uses, as the last blocks of a tower whose features are taken before them, is not counted. The
cache is what one token takes while text is generated. `vlmc inspect models/NAME.textproto` tells more of each: components, steps, work and memory.

| model | family | parameters | published | difference | cache | source |
|---|---|---|---|---|---|---|
"""


def published():
    """Name to (millions of parameters, source), of published.tsv."""
    rows = {}
    for line in (MODELS / "published.tsv").read_text().splitlines():
        if not line.startswith("#"):
            name, millions, source = line.split("\t")
            rows[name] = (float(millions), source)
    return rows


def cells(vlmc, spec, known, faults):
    outline = json.loads(
        subprocess.run([vlmc, "inspect", "--json", spec], check=True, capture_output=True).stdout
    )
    millions, (told, source) = outline["parameters"] / 1e6, known
    difference = millions / told - 1
    if abs(difference) > LIMIT:
        faults.append(
            f"{spec.name}: {millions:.2f} million parameters, published are {told} ({difference:+.2%}); mend one of them"
        )
    cache = max(entry["cache_bytes_per_token"] for entry in outline["entries"])
    return [
        f"`{spec.stem}`",
        outline["family"],
        f"{millions:,.2f} M",
        f"{told:,.0f} M" if told >= 1000 else f"{told:,.2f} M",
        f"{difference:+.2%}",
        f"{cache / 1024:,.0f} KiB" if cache else "",
        source,
    ]


def make_page(vlmc):
    """The page, and what is wrong."""
    faults, rows, known = [], [], published()
    for spec in sorted(MODELS.glob("*.textproto")):
        if spec.stem in known:
            rows.append("| " + " | ".join(cells(vlmc, spec, known.pop(spec.stem), faults)) + " |\n")
        else:
            faults.append(f"{spec.name}: it has no line in models/published.tsv; add one")
    faults += [f"published.tsv: '{name}' has no spec; remove the line" for name in known]
    return HEAD + "".join(rows), faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vlmc", required=True, help="the program")
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    arguments = parser.parse_args()
    page, faults = make_page(arguments.vlmc)
    if not arguments.check:
        PAGE.write_text(page)
    elif not PAGE.exists() or PAGE.read_text() != page:
        faults.append("docs/models.md: not what models/parameters.py writes; run it again")
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
