"""Writes BertTables.inc: the characters that `tokenizers`' BertNormalizer leaves out.

It knows classes of characters by an older version of Unicode than the rest of
the package, so it is asked about every code point.

    python runtime/text/unicode/make_bert.py > runtime/text/unicode/BertTables.inc

needs only `tokenizers`, in the version of test/oracle/requirements.txt.
"""

import tokenizers
from tokenizers.normalizers import BertNormalizer

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def dropped(**flags):
    """Ranges of what one part of the normaliser makes nothing of."""
    all_off = dict.fromkeys(
        ["clean_text", "handle_chinese_chars", "strip_accents", "lowercase"], False
    )
    normalizer = BertNormalizer(**{**all_off, **flags})
    ranges = []
    for c in POINTS:
        if normalizer.normalize_str(chr(c)):
            continue
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    return ranges


def write(name, ranges, width=118):
    print(f"\ninline constexpr uint32_t {name}[][2] = {{")
    line = ""
    for first, last in ranges:
        word = f"{{{first},{last}}},"
        if len(line) + len(word) > width:
            print(line)
            line = ""
        line += word
    print(line + "};")


def main():
    print("// Written by make_bert.py; do not edit.")
    print(f"// What BertNormalizer of tokenizers {tokenizers.__version__} leaves out: code points")
    print("// from the first to the last of each pair.")
    write("kBertControl", dropped(clean_text=True))
    write("kBertMark", dropped(strip_accents=True))


if __name__ == "__main__":
    main()
