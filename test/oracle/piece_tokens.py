"""Goldens of tokenizers that are a SentencePiece file alone: T5's spiece.model, InternLM2's tokenizer.model.

tokens/<tokenizer>/        see write_tokenizers
tokens/golden.safetensors  `texts`, then `<tokenizer>.<name>`; packed, see README.md
"""

import shutil
from pathlib import Path

import numpy as np
from clip_tokens import make_texts, pack, pack_text, training_lines
from common import write_json, write_safetensors
from piece_tokenizer import PieceTokenizer
from sentence import spiece_size, train_pairs, train_spiece
from siglip_tokens import OWN

MORE = [
    "<extra_id_0>", "a <extra_id_99> b<extra_id_1>c", "<extra_id_100>", "<one>", "a <one>b<one> c", "ab!c", "xab! ab!",
    "<|im_start|>user\nhi<|im_end|>", "<left>", "a  <left>  b", "a <right>  b", "<image> a", "<image>\na", "</s><s>",
]  # fmt: skip


def added(text, **flags):
    return dict(content=text, lstrip=False, rstrip=False, single_word=False, normalized=False,
                special=True) | flags  # fmt: skip


def write_tokenizers(out):
    lines = [line for line in training_lines() if "\x00" not in line]
    words, pairs = out / "scored-words", out / "scored-bpe"
    train_spiece(words / "spiece.model", lines, 900, user_defined_symbols=["<one>", "ab!"])
    write_json(words / "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer"})
    pairs.mkdir()
    train_pairs(pairs / "tokenizer.model", lines, 1200, prefix=True)
    size = spiece_size(pairs / "tokenizer.model")
    names = ["<unk>", "<s>", "</s>"]
    tokens = {str(i): added(name) for i, name in enumerate(names)}
    more = ["<|im_start|>", "<|im_end|>", "<image>", "<left>", "<right>"]
    tokens |= {str(size + i): added(name) for i, name in enumerate(more)}
    tokens[str(size + 3)]["lstrip"] = tokens[str(size + 4)]["rstrip"] = True
    write_json(
        pairs / "tokenizer_config.json",
        {"tokenizer_class": "InternLM2Tokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
         "pad_token": "</s>", "additional_special_tokens": more, "added_tokens_decoder": tokens},
    )  # fmt: skip


def run_tokenizer(tokenizer, texts):
    ids = [tokenizer(t)["input_ids"] for t in texts]
    plain = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
    cut = [
        tokenizer(t, padding="max_length", truncation=True, max_length=9)["input_ids"]
        for t in texts
    ]
    decoded = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    out = {"ids_trunc9": np.asarray(cut, np.uint16)}
    out["ids"], out["ids_offsets"] = pack(ids, np.uint16)
    out["ids_plain"], out["ids_plain_offsets"] = pack(plain, np.uint16)
    out["decoded"], out["decoded_offsets"] = pack_text(decoded)
    return out


def make_all(root):
    from transformers import AutoTokenizer

    out = Path(root) / "tokens"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    write_tokenizers(out)
    texts = [t for t in dict.fromkeys(MORE + OWN + make_texts()) if len(t) < 200][:2100]
    golden = {}
    golden["texts"], golden["texts_offsets"] = pack_text(texts)
    words = AutoTokenizer.from_pretrained(str(out / "scored-words"))
    assert type(words).__name__ == "T5Tokenizer"
    for name, tokenizer in [
        ("scored-words", words),
        ("scored-bpe", PieceTokenizer(out / "scored-bpe")),
    ]:
        for key, value in run_tokenizer(tokenizer, texts).items():
            golden[f"{name}.{key}"] = value
    write_safetensors(out / "golden.safetensors", golden)
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"pieces/tokens: {len(texts)} texts, {size / 1024:.0f} KiB")
