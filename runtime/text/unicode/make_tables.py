"""Writes UnicodeTables.inc: what the Python package `tokenizers` knows of every code point.

Regular expressions there follow Oniguruma's version of Unicode, added tokens
and lower-casing Rust's, normal forms a third one. None of them need agree
with a Unicode library at hand, so each is asked about all code points, and the
runtime's tables say what they answered.

    python runtime/text/unicode/make_tables.py > runtime/text/unicode/UnicodeTables.inc

needs only `tokenizers`, in the version of test/oracle/requirements.txt.
"""

import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CATEGORIES = (
    "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cs"
).split()
SURROGATES = range(0xD800, 0xE000)
POINTS = [c for c in range(0x110000) if c not in SURROGATES]
HANGUL = range(0xAC00, 0xD7A4)
BLOCK = 4096
# Bits of a character class, as in Unicode.h.
SPACE, WORD, DIGIT, RUST_SPACE, RUST_WORD, LOWERS, NORMALS = (1 << i for i in range(7))


def matching(pattern):
    """The code points that a one-character regular expression matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    found = set()
    for i in range(0, len(POINTS), BLOCK):
        text = "".join(map(chr, POINTS[i : i + BLOCK]))
        found.update(ord(piece) for piece, _ in split.pre_tokenize_str(text))
    return found


def added_token_classes():
    """What added tokens take for a space and for a letter of a word."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.add_tokens(
        [
            AddedToken("ab", single_word=True, normalized=False),
            AddedToken("cd", rstrip=True, normalized=False),
        ]
    )
    spaces, words = set(), set()
    for i in range(0, len(POINTS), BLOCK):
        points = POINTS[i : i + BLOCK]
        alone = tokenizer.encode_batch(["ab" + chr(c) for c in points])
        words.update(c for c, e in zip(points, alone, strict=True) if not e.ids)
        after = tokenizer.encode_batch(["cd" + chr(c) for c in points])
        ends = ((c, e.offsets[0][1]) for c, e in zip(points, after, strict=True))
        spaces.update(c for c, end in ends if end == 3)
    return spaces, words


def categories():
    names = {}
    for number, name in enumerate(CATEGORIES):
        if name != "Cs":
            for c in matching(rf"\p{{{name}}}"):
                assert c not in names, f"U+{c:04X} has two categories"
                names[c] = number
    assert len(names) == len(POINTS)
    names.update((c, CATEGORIES.index("Cs")) for c in SURROGATES)
    return names


def combining_classes(nfd):
    """Canonical combining classes, found by what changes places with what."""

    def swaps(text):
        return nfd(text) != text

    # One mark of each class, of those that the package knows: they change places with U+0334 (class 1, the lowest)
    # or with U+0345 (240, the highest).
    low, high = "\u0334", "\u0345"
    known = {unicodedata.combining(m): m for m in (low, high)}
    for c in POINTS:
        if value := unicodedata.combining(char := chr(c)):
            if nfd(char) == char and swaps(char + low) and swaps(high + char):
                known.setdefault(value, char)
    ladder = sorted(known.items())
    result = {}
    for c in POINTS:
        char = chr(c)
        if nfd(char) != char:
            continue
        if swaps(char + low) or swaps(high + char):
            # The classes v with v < class swap behind the mark, those with v > class in front.
            below = [v for v, m in ladder if swaps(char + m)]
            above = [v for v, m in ladder if swaps(m + char)]
            same = [v for v, _ in ladder if v not in below and v not in above]
            assert len(same) == 1, f"U+{c:04X}: {same}"
            result[c] = same[0]
    return result


def compositions(nfc, decomposed):
    pairs = {}
    for c, text in decomposed.items():
        if len(text) < 2 or c in HANGUL:
            continue
        first, last = nfc(text[:-1]), text[-1]
        if len(first) == 1 and nfc(first + last) == chr(c):
            pairs[ord(first), ord(last)] = c
    return pairs


def staged(values):
    """Three stages of equal blocks, the smallest of a few sizes."""
    best = None
    for low in range(3, 8):
        for mid in range(3, 8):
            leaves, leaf_ids = _blocks(values, 1 << low)
            middles, top = _blocks(leaf_ids, 1 << mid)
            size = sum(map(len, leaves)) + 2 * sum(map(len, middles)) + 2 * len(top)
            if best is None or size < best[0]:
                best = size, low, mid, leaves, middles, top
    return best[1:]


def _blocks(values, size):
    seen, ids = {}, []
    for i in range(0, len(values), size):
        block = tuple(values[i : i + size])
        block += (0,) * (size - len(block))
        ids.append(seen.setdefault(block, len(seen)))
    return list(seen), ids


def write(kind, name, values, width=118):
    print(f"\ninline constexpr {kind} {name}[] = {{")
    line = ""
    for value in values:
        word = f"{value},"
        if len(line) + len(word) > width:
            print(line)
            line = ""
        line += word
    print(line + "};")


def main():
    nfd, nfc = normalizers.NFD().normalize_str, normalizers.NFC().normalize_str
    lower = normalizers.Lowercase().normalize_str
    decomposed = {c: t for c in POINTS if (t := nfd(chr(c))) != chr(c)}
    nfkd = normalizers.NFKD().normalize_str
    compatible = {c: t for c in POINTS if (t := nfkd(chr(c))) != nfd(chr(c))}
    marks = combining_classes(nfd)
    pairs = compositions(nfc, decomposed)
    seconds = {b for _, b in pairs} | set(range(0x1161, 0x1176)) | set(range(0x11A7, 0x11C3))
    lowered = {c: t for c in POINTS if (t := lower(chr(c))) != chr(c)}
    assert all(len(t) == 1 for c, t in lowered.items() if c != 0x130), "more long lower cases"
    names = categories()
    space, word, digit = matching(r"\s"), matching(r"\w"), matching(r"\d")
    rust_space, rust_word = added_token_classes()
    flags = [
        (SPACE, space),
        (WORD, word),
        (DIGIT, digit),
        (RUST_SPACE, rust_space),
        (RUST_WORD, rust_word),
        (LOWERS, lowered),
        (NORMALS, decomposed.keys() | marks.keys() | seconds),
    ]
    classes = {(0, 0): 0}
    values = []
    for c in range(0x110000):
        key = names[c], sum(bit for bit, points in flags if c in points)
        values.append(classes.setdefault(key, len(classes)))
    low, mid, leaves, middles, top = staged(values)

    print("// Written by make_tables.py; do not edit.")
    print(
        f"// What the Python package tokenizers {tokenizers.__version__} knows of every code point:"
    )
    print(
        f"// {len(POINTS) - sum(names[c] == 0 for c in POINTS)} of them are assigned for its regular expressions,"
    )
    print(f"// {len(lowered)} have a lower case, {len(decomposed)} a canonical decomposition.")
    print(f"inline constexpr unsigned kLeafBits = {low}, kMiddleBits = {mid};")
    write("uint8_t", "kClassCategory", [category for category, _ in classes])
    write("uint8_t", "kClassFlags", [bits for _, bits in classes])
    write("uint8_t", "kLeaves", [v for block in leaves for v in block])
    write("uint16_t", "kMiddles", [v for block in middles for v in block])
    write("uint16_t", "kTop", top)
    singles = sorted((c, ord(t)) for c, t in lowered.items() if len(t) == 1)
    write("uint32_t", "kLowerFrom", [c for c, _ in singles])
    write("uint32_t", "kLowerTo", [t for _, t in singles])
    pool, starts, points = [], [], []
    for c in sorted(decomposed.keys() - set(HANGUL)):
        points.append(c)
        starts.append(len(pool))
        pool += map(ord, decomposed[c])
    write("uint32_t", "kDecomposed", points)
    write("uint16_t", "kDecompositionStart", [*starts, len(pool)])
    write("uint32_t", "kDecomposition", pool)
    pool, starts, points = [], [], []
    for c in sorted(compatible):
        points.append(c)
        starts.append(len(pool))
        pool += map(ord, compatible[c])
    write("uint32_t", "kCompatible", points)
    write("uint16_t", "kCompatibleStart", [*starts, len(pool)])
    write("uint32_t", "kCompatibleText", pool)
    write("uint32_t", "kMark", sorted(marks))
    write("uint8_t", "kMarkClass", [marks[c] for c in sorted(marks)])
    ordered = sorted(pairs)
    write("uint32_t", "kPairFirst", [a for a, _ in ordered])
    write("uint32_t", "kPairSecond", [b for _, b in ordered])
    write("uint32_t", "kPairComposed", [pairs[p] for p in ordered])


if __name__ == "__main__":
    main()
