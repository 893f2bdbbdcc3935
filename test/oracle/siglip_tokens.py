"""Goldens of SigLIP's tokenizers: the same strings with several vocabularies.

tokens/<tokenizer>/        see TOKENIZERS
tokens/requests.json       task `tokenize`, one case for each tokenizer
tokens/golden.safetensors  `texts`, then `<case>.<name>`; packed, see README.md
"""

import shutil
from pathlib import Path

import numpy as np
from clip_text import FIXED, SCRIPTS
from clip_tokens import make_texts, pack, pack_text, training_lines
from common import rng, write_json, write_safetensors
from sentence import train_spiece, write_space_bpe, write_spiece_config

# Where blanks, punctuation, special tokens and their like stand matters here.
OWN = [
    "</s>", "<unk>", "<pad>", "a</s>b", "a </s> b", "</s></s>", "cat</s>", "<unk>cat", "cat<unk>", "<s>", "<bos>", "<eos>",
    "<bos>a cat<eos>", "a<eos>", "<mask>", "<0x41>", "<0x0A>", "<0xe7>", "▁", "▁▁", "▁cat", " ▁ cat", "cat▁dog", "▁ ▁", "a ▁",
    "A PHOTO, OF: a Cat!", "!?.,;:", "-", "a-b", "it's a dog's life", "  two  blanks  ", "\ttab\tand\nline\n", "a\u00a0b", "a\u3000b",
    "ΟΔΟΣ", "ΟΔΟΣ ΣΑΣ", "Σ", "ΑΣ.", "ΑΣ.Α", "ΑΣ'", "Σ'Σ", "ΑΣ\u0301", "ΑΣ\u0301Α", "ªΣ", "ⅠΣ", "ⒶΣ", "1Σ", "Σ1", "ʰΣ", "ΑΣ:", "ΑΣ·Β",
    "ﬁne ﬀ", "e\u0301", "½ cup", "soft\u00adhyphen", "Ω ohm", "①②", "ｆｕｌｌ", "\u200b", "\u200bcat", "cat\u200b", "\ufeffcat",
    "user_symbol", "a user_symbol b", "USER_SYMBOL", "<extra_id_0>", "a photo of a </s>", "\x1f", "a\x1fb", "\x1c cat \x1d",
    "\n\n\n", "a\n\nb", "    code", "x = [1, 2]", "日本語のテキスト", "🙂🙃", "🏳️‍🌈 flag", "ﷺ", "ㄱㅏ", "각", "\u1112\u1161\u11ab",
]  # fmt: skip


def lower_lines():
    return [line.lower() for line in training_lines() if line.strip()]


def write_tokenizers(out):
    """The vocabularies, by folder."""
    lines = training_lines()
    small = list(SCRIPTS[:20]) * 9 + [s for s in FIXED if 0 < len(s) < 80 and s.isascii()]
    (out / "spiece-nmt").mkdir()
    train_spiece(out / "spiece-nmt" / "spiece.model", lower_lines(), 900, "nmt_nfkc")
    write_spiece_config(
        out / "spiece-nmt",
        model_max_length=64,
        clean_up_tokenization_spaces=True,
        added_tokens_decoder={
            str(i): dict(content=c, lstrip=True, rstrip=True, normalized=False,
                         single_word=False, special=True)
            for i, c in ((1, "</s>"), (2, "<unk>"))
        },
        model_input_names=["input_ids"],
    )  # fmt: skip
    write_json(out / "spiece-nmt" / "config.json", {"model_type": "siglip"})
    (out / "spiece-bytes").mkdir()
    train_spiece(
        out / "spiece-bytes" / "spiece.model",
        [line for line in small if "\n" not in line and "\x00" not in line],
        600,
        None,
        byte_fallback=True,
        character_coverage=0.98,
        remove_extra_whitespaces=False,
        user_defined_symbols=["user_symbol", "cat"],
    )
    write_spiece_config(
        out / "spiece-bytes", do_lower_case=False, additional_special_tokens=["<extra_id_0>"]
    )
    gemma = dict(add_bos_token=False, add_eos_token=True, padding_side="right",
                 model_max_length=64)  # fmt: skip
    (out / "gemma").mkdir()
    write_space_bpe(out / "gemma", lines, 1200, "gemma", **gemma)
    (out / "siglip2").mkdir()
    write_space_bpe(out / "siglip2", lines, 700, "siglip2", add_bos_token=True)


def run_tokenizer(folder, texts):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
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
    return type(tokenizer).__name__, out


CLASSES = {
    "gemma": "GemmaTokenizer",
    "siglip2": "Siglip2Tokenizer",
    "spiece-bytes": "SiglipTokenizer",
    "spiece-nmt": "SiglipTokenizer",
}


def make_all(root):
    out = Path(root) / "tokens"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    write_tokenizers(out)
    # Every string counts for each vocabulary; rng only to mix the own ones in.
    g = rng("siglip-tokens")
    texts = list(dict.fromkeys(OWN + make_texts()))
    for _ in range(60):
        texts.append(OWN[int(g.integers(len(OWN)))] + " " + OWN[int(g.integers(len(OWN)))])
    texts = list(dict.fromkeys(texts))
    golden, cases = {}, []
    golden["texts"], golden["texts_offsets"] = pack_text(texts)
    for name, kind in CLASSES.items():
        found, result = run_tokenizer(out / name, texts)
        assert found == kind, (name, found)
        for key, value in result.items():
            golden[f"{name}.{key}"] = value
        cases.append({"name": name, "task": "tokenize", "tokenizer": name, "texts": texts})
    write_safetensors(out / "golden.safetensors", golden)
    write_json(
        out / "requests.json", {"family": "siglip", "mode": "files", "cases": cases}, indent=None
    )
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"siglip/tokens: {len(texts)} texts, {size / 1024:.0f} KiB")
