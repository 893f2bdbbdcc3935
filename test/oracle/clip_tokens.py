"""Goldens of the CLIP tokenizer: the same strings with three vocabularies.

tokens/<tokenizer>/        trained, bytes (no merges), vocab-files
tokens/requests.json       task `tokenize`, one case for each tokenizer
tokens/golden.safetensors  `texts`, then `<case>.<name>`; packed, see README.md
"""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
from bpe import EOS, build_vocab, learn_merges, write_tokenizer_json, write_vocab_files
from clip_text import FIXED, SCRIPTS
from common import rng, write_json, write_safetensors

MERGES = {"trained": 1500, "bytes": 0, "vocab-files": 300}
COUNT = 2160


def training_lines():
    """Docstrings and comments of NumPy (BSD licence, pinned), and other scripts."""
    folder = Path(np.__file__).parent
    files = sorted(folder.glob("lib/_*_impl.py")) + sorted(folder.glob("linalg/_linalg.py"))
    lines = []
    for file in files:
        lines += file.read_text(encoding="utf-8").splitlines()
    return lines + list(SCRIPTS) * 20 + [s for s in FIXED if len(s) < 300] * 3


def random_code_point(g, kind):
    """A code point of a kind: any assigned, any at all, a mark, a control..."""
    while True:
        c = int(g.integers(0, 0x110000)) if g.random() < 0.35 else int(g.integers(0, 0x3000))
        if 0xD800 <= c <= 0xDFFF:
            continue
        category = unicodedata.category(chr(c))
        if kind == "any" or (kind == "assigned" and category not in ("Cn", "Co")):
            return chr(c)
        if kind == "letter" and category[0] == "L":
            return chr(c)
        if kind == "other" and category[0] in "MNSPZ":
            return chr(c)


def random_text(g):
    """Pieces of the fixed strings, random code points and spaces, mixed."""
    parts = []
    for _ in range(int(g.integers(1, 7))):
        what = g.random()
        if what < 0.3:
            source = SCRIPTS[int(g.integers(len(SCRIPTS)))].split(" ")
            parts.append(source[int(g.integers(len(source)))])
        elif what < 0.5:
            source = FIXED[int(g.integers(len(FIXED)))]
            start = int(g.integers(0, max(1, len(source))))
            parts.append(source[start : start + int(g.integers(1, 9))])
        elif what < 0.7:
            n = int(g.integers(1, 5))
            parts.append("".join(chr(int(g.integers(32, 127))) for _ in range(n)))
        elif what < 0.8:
            base = random_code_point(g, "letter")
            marks = [chr(int(g.integers(0x300, 0x370))) for _ in range(int(g.integers(1, 4)))]
            parts.append(base + "".join(marks))
        else:
            kind = ("any", "assigned", "letter", "other")[int(g.integers(4))]
            parts.append("".join(random_code_point(g, kind) for _ in range(int(g.integers(1, 4)))))
        if g.random() < 0.6:
            parts.append(" " if g.random() < 0.8 else "\t")
    return "".join(parts)


def make_texts():
    g = rng("tokens")
    texts = list(dict.fromkeys(FIXED + list(SCRIPTS)))
    # Every white space and format character, alone and between letters.
    for c in range(0x11000):
        if 0xD800 <= c <= 0xDFFF:
            continue
        category = unicodedata.category(chr(c))
        if category in ("Zs", "Zl", "Zp", "Cf") or c in (0x85, *range(9, 14), *range(28, 32)):
            texts.append(f"a{chr(c)}b {chr(c)}")
    # Code points whose lower case is longer, or depends on what follows.
    for c in range(0x80, 0x20000):
        if len(chr(c).lower()) > 1 if not 0xD800 <= c <= 0xDFFF else False:
            texts.append(f"{chr(c)}x {chr(c)}")
    seen = set(texts)
    while len(texts) < COUNT:
        text = random_text(g)
        if text not in seen:
            seen.add(text)
            texts.append(text)
    return texts


def pack(rows, dtype):
    flat = [np.asarray(row, dtype) for row in rows]
    offsets = np.cumsum([0] + [len(r) for r in flat]).astype(np.int32)
    return np.concatenate(flat), offsets


def pack_text(texts):
    return pack([np.frombuffer(t.encode("utf-8"), np.uint8) for t in texts], np.uint8)


def run_tokenizer(folder, texts):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    ids = [tokenizer(t)["input_ids"] for t in texts]
    plain = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
    cut = [
        tokenizer(t, padding="max_length", truncation=True, max_length=9)["input_ids"]
        for t in texts
    ]
    # What is not stored, as it follows from the rest: see README.md.
    assert plain == [row[1:-1] for row in ids]
    decoded = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    out = {"ids_trunc9": np.asarray(cut, np.uint16)}
    out["ids"], out["ids_offsets"] = pack(ids, np.uint16)
    return out, decoded


def make_all(root):
    out = Path(root) / "tokens"
    shutil.rmtree(out, ignore_errors=True)
    texts, lines = make_texts(), training_lines()
    golden, cases, decoded = {}, [], None
    golden["texts"], golden["texts_offsets"] = pack_text(texts)
    for name, count in MERGES.items():
        folder = out / name
        folder.mkdir(parents=True)
        merges = learn_merges(lines, count) if count else []
        vocab = build_vocab(merges)
        if name == "vocab-files":
            write_vocab_files(folder, vocab, merges)
            write_json(folder / "config.json", {"model_type": "clip"})
        else:
            write_tokenizer_json(folder, vocab, merges, EOS, 77)
        result, text = run_tokenizer(folder, texts)
        assert decoded in (None, text), "decoding depends on the vocabulary"
        decoded = text
        for key, value in result.items():
            golden[f"{name}.{key}"] = value
        cases.append({"name": name, "task": "tokenize", "tokenizer": name, "texts": texts})
    golden["decoded"], golden["decoded_offsets"] = pack_text(decoded)
    write_safetensors(out / "golden.safetensors", golden)
    write_json(
        out / "requests.json", {"family": "clip", "mode": "files", "cases": cases}, indent=None
    )
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"clip/tokens: {len(texts)} texts, {size / 1024:.0f} KiB")
