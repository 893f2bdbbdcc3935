"""Writes Entities.inc: the named characters of HTML 5 as Python's html.unescape() has them.

python3 runtime/text/jinja/make_entities.py > runtime/text/jinja/Entities.inc
"""

import html
from html.entities import html5


def literal(text):
    out = ""
    for c in text:
        plain = c.isprintable() and c not in '\\"' and ord(c) < 0x300
        out += c if plain else "".join(f"\\{b:03o}" for b in c.encode())
    return out


def main():
    print("// Written by make_entities.py; do not edit.")
    print(
        "// Names and what they stand for: \\001 begins a name, \\002 its text; \\003 in the place of"
    )
    print("// \\002: the name needs no semicolon.")
    print("inline constexpr char kEntities[] =")
    line = ""
    for name in sorted({n.rstrip(";") for n in html5}):
        mark = "\\003" if name in html5 else "\\002"
        item = f"\\001{name}{mark}{literal(html5[name + ';'])}"
        if len(line) + len(item) > 112:
            print(f'    "{line}"')
            line = ""
        line += item
    print(f'    "{line}\\001";')
    print("\n// Numbers that stand for another character.")
    print("inline constexpr uint32_t kReplacedNumbers[][2] = {")
    pairs = [f"{{{n}, {ord(c)}}}" for n, c in sorted(html._invalid_charrefs.items())]
    for i in range(0, len(pairs), 8):
        print("    " + ", ".join(pairs[i : i + 8]) + ",")
    print("};\n\n// Numbers that stand for nothing.")
    print("inline constexpr uint32_t kDroppedNumbers[][2] = {")
    ranges = []
    for n in sorted(html._invalid_codepoints):
        if ranges and ranges[-1][1] == n - 1:
            ranges[-1][1] = n
        else:
            ranges.append([n, n])
    for i in range(0, len(ranges), 8):
        print("    " + ", ".join(f"{{{a}, {b}}}" for a, b in ranges[i : i + 8]) + ",")
    print("};")


if __name__ == "__main__":
    main()
