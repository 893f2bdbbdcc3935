"""hot_loops.py FILE.s TILE INSTRUCTION: the micro-kernels of assembly text.

Looks at the innermost loops of the functions whose names hold TILE ("12x32"):
prints how many there are with 16 multiply-adds or more, whether all of those
are INSTRUCTION, a regular expression, and how often a loop touches the stack.
"""

import re
import sys


def loops(lines):
    """Name of the function and lines of every innermost loop."""
    function, labels = "", {}
    for number, line in enumerate(lines):
        if label := re.match(r"([.\w]+):", line):
            labels[label[1]] = number
            if not label[1].startswith("."):
                function = label[1]
        jump = re.match(r"\t(?:j\w+|b\.\w+|cbn?z\s+\w+,)\s*(\.\w+)", line)
        if jump and jump[1] in labels:
            yield function, lines[labels[jump[1]] : number]
            labels.clear()


def main():
    path, tile, instruction = sys.argv[1:]
    with open(path) as file:
        lines = file.read().split("\n")
    found = stack = other = 0
    for function, body in loops(lines):
        products = [line for line in body if re.search("vfmadd|fmla", line)]
        if tile not in function or len(products) < 16:
            continue
        found += 1
        other += sum(not re.search(instruction, line) for line in products)
        stack += sum("%rsp" in line or "[sp" in line for line in body)
    print(f"loops: {'some' if found else 'none'}, others: {other}, stack: {stack}")


main()
