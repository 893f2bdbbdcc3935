"""Writes GraphemeTables.inc: which characters the Python package `tokenizers` takes as one.

Its normaliser Precompiled replaces a whole grapheme by what the map has for the
first character, so that a map of all characters to "X" tells where graphemes
begin. It does so only for graphemes of less than six bytes, and that is all
these tables are for: they have no flags and no long letters that nothing of one byte joins.

    python runtime/text/unicode/make_graphemes.py > runtime/text/unicode/GraphemeTables.inc

needs `tokenizers` and `sentencepiece`, in the versions of test/oracle/requirements.txt.
"""

import tempfile
from pathlib import Path

import sentencepiece
import tokenizers

X = ord("X")
POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF and c != X]
ZWJ = "\u200d"


def all_to_x():
    """The normaliser that makes "X" of every character below U+20000 but blanks."""
    from sentencepiece import sentencepiece_model_pb2 as pb

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rules = (f"{c:04X}\t58\n" for c in POINTS if 0x21 <= c < 0x20000)
        (folder / "rules.tsv").write_text("".join(rules))
        (folder / "text").write_text("a b c d e f g\n" * 50)
        sentencepiece.SentencePieceTrainer.train(
            input=folder / "text",
            model_prefix=folder / "m",
            vocab_size=12,
            hard_vocab_limit=False,
            normalization_rule_tsv=folder / "rules.tsv",
            minloglevel=2,
        )
        model = pb.ModelProto.FromString((folder / "m.model").read_bytes())
    return tokenizers.normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)


def write(name, points):
    """An array of first and last characters, by turns."""
    ranges = []
    for c in sorted(points):
        if ranges and ranges[-1] == c - 1:
            ranges[-1] = c
        else:
            ranges += [c, c]
    print(f"\ninline constexpr uint32_t {name}[] = {{")
    line = ""
    for value in ranges:
        if len(line) + len(str(value)) > 118:
            print(line)
            line = ""
        line += f"{value},"
    print(line + "};")


def main():
    x = all_to_x().normalize_str

    def is_one(text):
        return x(text) == "X"

    print("// Written by make_graphemes.py; do not edit.")
    print(f"// What the Python package tokenizers {tokenizers.__version__} takes as one grapheme.")
    behind = [c for c in POINTS if is_one("a" + chr(c))]
    write("kJoinsBefore", behind)
    write("kJoinsBehind", [c for c in POINTS if 0x80 <= c < 0x20000 and is_one(chr(c) + "a")])
    # Longer characters make six bytes and more with what follows.
    short = [c for c in POINTS if 0x21 <= c < 0x10000]
    nothing = [*range(0x20), *(c for c in short if not is_one(chr(c) + "\u0301"))]
    write("kJoinsNothing", nothing)
    # A grapheme of six bytes and more is replaced character by character.
    pictures = [c for c in POINTS if 0x21 <= c < 0x20000 and len(x(f"©{ZWJ}{chr(c)}")) == 3]
    write("kJoinsPicture", sorted(set(pictures) - set(behind)))
    # A conjunct: a letter, a linker with marks around it, a letter. The mark behind tells whether they are one.
    ka, virama, mark = "\u0915", "\u094d", "\u0301"
    letters = [
        c for c in POINTS if 0x21 <= c < 0x20000 and len(x(chr(c) + virama + ka + mark)) == 4
    ]
    letters = sorted(set(letters) - set(behind) - set(nothing))
    write("kConjunctLetter", letters)
    linkers = [c for c in behind if len(x(ka + chr(c) + ka + mark)) == 4]
    write("kConjunctLinker", linkers)
    marks = [c for c in behind if len(x(ka + chr(c) + virama + ka + mark)) == 5]
    write("kConjunctMark", sorted(set(marks) - set(linkers)))


if __name__ == "__main__":
    main()
