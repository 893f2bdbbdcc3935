"""Tokenizers of every kind against transformers, on random texts.

python3 tokenizer_fuzz.py --vlmc build/release/bin/vlmc --seed 1 --count 10000 [--only KIND]

trains small vocabularies on many scripts, writes a folder for each kind, has
`vlmc run` (task `tokenize`) and transformers take the same texts, and tells
where they differ: ids with and without special tokens, cut and padded to 9,
decoded text. Exit status 1 if anything differs.
"""

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

import common  # noqa: F401  (first: pins the arithmetic)
import numpy as np
from clip_text import SCRIPTS
from llava_files import BLANK, QWEN2, added, begin_template
from piece_tokenizer import PieceTokenizer
from safetensors.numpy import load_file
from sentence import spiece_size, train_pairs, train_spiece
from siglip_cases import LINES
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MORE = [
    "Żółć, naïve café; Ünïcode ß ﬁ ſ ǅ İstanbul ΣΊΣΥΦΟΣ ΌΣΟΣ ΑΣ",
    "日本語のテキスト、ひらがなカタカナ。한국어 텍스트 漢字。",
    "مرحبا بالعالم שלום עולם हिन्दी भाषा ไทย ภาษา বাংলা தமிழ்",
    "👩‍👩‍👧‍👦 👍🏽 🇫🇷🇩🇪 ❤️ 🏳️‍🌈 1️⃣ 😀😁",
    "e\u0301 a\u0323\u0302 n\u0303 \u1e9b\u0323 Å \u212b ½ ⅷ ² ㎏ ﷺ",
    "x = foo_bar(3.14, -2e10) != \"it's\"; // don't do not I'm we've they're 'tis",
    "a.b,c!d?e f . g , h ! i ? j ' k n't 'm 's 've 're do not",
    "\t tabs\tand\r\nlines\n\n  blanks   \u00a0\u2003\u3000\u200b\ufeff end ",
]
CORPUS = LINES + list(SCRIPTS) + MORE
SPACES = " \t\n\r\v\f\x1c\x1d\x85\u00a0\u1680\u180e\u2000\u2009\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
MARKS = "\u0300\u0301\u0308\u0323\u0327\u034f\u05b0\u064b\u093c\u0e31\u20dd\u302a\u3099\ufe0f\u200d\u1d165"
ODD = "\x00\x01\x08\x1f\x7f\x80\x9f\u00ad\u0600\u061c\u2060\u2066\ue000\ufdd0\ufff9\ufffc\ufffd\ufffe\uffff\U000e0001\U000f0000\U0010ffff"
TOKENS = ["<s>", "</s>", "<unk>", "<pad>", "<image>", "<|endoftext|>", "<|im_start|>", "[CLS]"]
TOKENS += ["[SEP]", "[UNK]", "[MASK]", "<one>", "<left>", "<right>", "<WORD>", "<norm É>", "##a"]
TOKENS += [BLANK, BLANK * 2, "<0x41>", "<0xE2>", "</w>", "Ġ", "Ċ"]


# ---- Texts -----------------------------------------------------------------


def any_char(draw):
    while True:
        limit = draw.choice([0x80, 0x250, 0x3000, 0x10000, 0x20000, 0x110000])
        c = draw.randrange(limit)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def piece(draw):
    kind = draw.random()
    if kind < 0.34:
        line = draw.choice(CORPUS)
        at = draw.randrange(len(line))
        return line[at : at + draw.randint(1, 14)]
    if kind < 0.46:
        return draw.choice(SPACES) * draw.choice([1, 1, 1, 2, 3])
    if kind < 0.56:
        return draw.choice(TOKENS)
    if kind < 0.66:
        return any_char(draw)
    if kind < 0.72:
        return "".join(draw.choice(MARKS) for _ in range(draw.randint(1, 4)))
    if kind < 0.77:
        return draw.choice(ODD)
    if kind < 0.84:
        return "".join(
            draw.choice("aAeEzZ09._-'!?,;()[]{}<>/|\\\"#@$%^&*+=~`")
            for _ in range(draw.randint(1, 9))
        )
    if kind < 0.90:
        return draw.choice(["a", "ab", "é", "日", "😀", " ", "1", "'s", BLANK]) * draw.choice(
            [2, 3, 7, 40, 130]
        )
    return draw.choice(
        [" the", " cat", "Hello", "world", " don't", " picture", "123", " 4567", "naïve"]
    )


def random_texts(seed, count):
    draw = random.Random(f"tokenizer-texts/{seed}")
    texts = ["", " ", "a", *CORPUS]
    while len(texts) < count:
        texts.append("".join(piece(draw) for _ in range(draw.choice([1, 1, 2, 3, 5, 9]))))
    return texts[:count]


# ---- Kinds -----------------------------------------------------------------


def flagged(first):
    """Added tokens with every flag, ids from `first`."""
    names = {"<one>": {}, "<left>": dict(lstrip=True), "<right>": dict(rstrip=True),
             "<WORD>": dict(single_word=True, special=False),
             "<norm É>": dict(normalized=True, special=False)}  # fmt: skip
    return [added(first + i, t, **flags) for i, (t, flags) in enumerate(names.items())]


def learned(tokenizer, trainer):
    tokenizer.train_from_iterator(CORPUS * 2, trainer)
    return json.loads(tokenizer.to_str())


def byte_bpe(split, size=900, **model):
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)
    tokenizer.pre_tokenizer = (
        byte_level
        if split is None
        else pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), byte_level])
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    data = learned(tokenizer, trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                                  initial_alphabet=alphabet))  # fmt: skip
    data["model"].update(model)
    return data


def add(data, *names):
    """Special tokens behind the vocabulary, then those with flags; their ids."""
    vocab = data["model"]["vocab"]
    first = max(vocab.values()) + 1 if isinstance(vocab, dict) else len(vocab)
    data["added_tokens"] = [added(first + i, n) for i, n in enumerate(names)]
    data["added_tokens"] += flagged(first + len(names))
    return {t["content"]: t["id"] for t in data["added_tokens"]}


def llama3(folder):
    data = byte_bpe(LLAMA3, ignore_merges=True)
    ids = add(data, "<s>", "</s>", "<pad>", "<image>")
    data["post_processor"] = begin_template("<s>", ids["<s>"])
    return data, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }


def qwen2(folder):
    data = byte_bpe(QWEN2)
    add(data, "<|endoftext|>", "<|im_start|>", "<image>")
    return data, {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|im_start|>",
        "pad_token": "<|endoftext|>",
    }


def vocab_files(data, folder):
    model = data["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")


def gpt2(folder):
    data = byte_bpe(None)
    vocab = data["model"]["vocab"]
    vocab["<|endoftext|>"] = len(vocab)
    vocab_files(data, folder)
    return None, {"tokenizer_class": "GPT2Tokenizer", "pad_token": "<|endoftext|>"}


def opt(folder):
    data = byte_bpe(None)
    vocab = data["model"]["vocab"]
    for token in ["<s>", "<pad>", "</s>", "<unk>"]:
        vocab[token] = len(vocab)
    vocab_files(data, folder)
    return None, {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "errors": "replace", "pad_token": "<pad>",
                  "bos_token": added_config("</s>"), "eos_token": added_config("</s>"), "unk_token": added_config("</s>")}  # fmt: skip


def added_config(text):
    return {"__type": "AddedToken", "content": text, "lstrip": False, "normalized": True,
            "rstrip": False, "single_word": False}  # fmt: skip


def gpt2_json(folder):
    data = byte_bpe(None)
    ids = add(data, "<|endoftext|>", "<image>")
    data["post_processor"] = begin_template("<|endoftext|>", ids["<|endoftext|>"])
    return data, {"tokenizer_class": "GPT2TokenizerFast", "pad_token": "<|endoftext|>", "add_prefix_space": True,
                  "add_bos_token": False, "add_eos_token": True}  # fmt: skip


def sentence_bpe(normalizer, pre_tokenizer):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    first = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    data = learned(tokenizer, trainers.BpeTrainer(vocab_size=1100, show_progress=False, special_tokens=first,
                                                  limit_alphabet=250))  # fmt: skip
    data["model"].update(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    ids = add(data, "<pad>", "<image>")
    for i, t in enumerate(first[:3]):
        data["added_tokens"].insert(i, added(i, t))
    assert ids["<pad>"] == len(data["model"]["vocab"])
    data["normalizer"], data["pre_tokenizer"] = normalizer, pre_tokenizer
    data["post_processor"] = begin_template("<s>", 1)
    data["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": BLANK}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}  # fmt: skip
    return data


def llama_prepend(folder):
    data = sentence_bpe({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": BLANK}, {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}]}, None)  # fmt: skip
    return data, {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "bos_token": "<s>",
                  "eos_token": "</s>", "pad_token": "<pad>"}  # fmt: skip


def llama_metaspace(folder):
    data = sentence_bpe(
        None, {"type": "Metaspace", "replacement": BLANK, "prepend_scheme": "first", "split": False}
    )
    return data, {
        "tokenizer_class": "LlamaTokenizer",
        "pad_token": "<pad>",
        "legacy": False,
        "padding_side": "left",
    }


def llama_ends(folder):
    data, config = llama_metaspace(folder)
    return data, {
        **config,
        "legacy": True,
        "add_bos_token": False,
        "add_eos_token": True,
        "truncation_side": "left",
    }


def unigram(folder, byte_fallback=False):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(),
                                                 normalizers.Replace(Regex(" {2,}"), " ")])  # fmt: skip
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"] + (
        [f"<0x{b:02X}>" for b in range(256)] if byte_fallback else []
    )
    data = learned(tokenizer, trainers.UnigramTrainer(vocab_size=700 + len(special), show_progress=False,
                                                      special_tokens=special, unk_token="<unk>"))  # fmt: skip
    data["model"]["byte_fallback"] = byte_fallback
    if byte_fallback:
        data["decoder"] = {"type": "Sequence", "decoders": [
            {"type": "ByteFallback"}, {"type": "Metaspace", "replacement": BLANK, "prepend_scheme": "always", "split": True}]}  # fmt: skip
    add(data, "<image>")
    data["added_tokens"] = [added(i, t) for i, t in enumerate(special[:3])] + data["added_tokens"]
    data["post_processor"] = {
        "type": "TemplateProcessing", "pair": [],
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}}  # fmt: skip
    return data, {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "unk_token": "<unk>",
                  "pad_token": "<pad>", "clean_up_tokenization_spaces": True}  # fmt: skip


def unigram_bytes(folder):
    data, config = unigram(folder, byte_fallback=True)
    return data, {**config, "clean_up_tokenization_spaces": False}


def word_piece_model(size=900, lower=True, prefix="##"):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=prefix)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return learned(tokenizer, trainers.WordPieceTrainer(vocab_size=size, show_progress=False, special_tokens=special,
                                                        continuing_subword_prefix=prefix))  # fmt: skip


def bert(folder):
    data = word_piece_model()
    add(data)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    data["added_tokens"] = [added(i, t) for i, t in enumerate(special)] + data["added_tokens"]
    data["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    return data, {
        "tokenizer_class": "BertTokenizerFast",
        "do_lower_case": True,
        "clean_up_tokenization_spaces": True,
    }


def bert_cased(folder):
    vocab = word_piece_model(lower=False)["model"]["vocab"]
    (folder / "vocab.txt").write_text(
        "\n".join(sorted(vocab, key=vocab.get)) + "\n", encoding="utf-8"
    )
    return None, {"tokenizer_class": "BertTokenizer", "do_lower_case": False}


def bert_vocab(folder):
    """Settings of the class away from their defaults."""
    bert_cased(folder)
    return None, {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": False,
                  "tokenize_chinese_chars": False, "model_max_length": 40, "padding_side": "left"}  # fmt: skip


def word_pieces_as_in_file(folder):
    data = word_piece_model(prefix="@@")
    data["model"].update(continuing_subword_prefix="@@", max_input_chars_per_word=12)
    data["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": True, "strip_accents": True, "lowercase": False},
        {"type": "NFKC"}, {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": False, "strip_accents": None, "lowercase": True}]}  # fmt: skip
    data["decoder"] = {"type": "WordPiece", "prefix": "@@", "cleanup": False}
    add(data)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    data["added_tokens"] = [added(i, t) for i, t in enumerate(special)] + data["added_tokens"]
    return data, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "truncation_side": "left",
    }


def scored_words(folder, **config):
    """A SentencePiece model alone, with its own charsmap and symbols."""
    train_spiece(folder / "spiece.model", CORPUS * 2, 700, normalizer="nmt_nfkc",
                 user_defined_symbols=["<one>", "ab!"])  # fmt: skip
    return None, {"tokenizer_class": "T5Tokenizer", **config}


def scored_words_few(folder):
    return scored_words(folder, extra_ids=7, padding_side="left")


def scored_words_listed(folder):
    names = [f"<extra_id_{i}>" for i in range(100)]
    return scored_words(folder, extra_ids=100, additional_special_tokens=[*names, "<two>"], eos_token="</s>",
                        pad_token="<pad>", unk_token="<unk>", clean_up_tokenization_spaces=True)  # fmt: skip


def scored_bpe(folder, prefix=True, **config):
    """Byte pairs of SentencePiece as tokenizer.model; the class is not of transformers."""
    train_pairs(folder / "tokenizer.model", CORPUS * 2, 900, prefix)
    names = ["<unk>", "<s>", "</s>"]
    tokens = {str(i): added_config(n) for i, n in enumerate(names)}
    size = spiece_size(folder / "tokenizer.model")
    names = ["<|im_start|>", "<image>", "<one>"]
    tokens |= {str(size + i): added_config(n) for i, n in enumerate(names)}
    for token in tokens.values():
        token.update(normalized=False, special=True)
        token.pop("__type")
    tokens[str(size + 3)] = tokens[str(size)] | {"content": "<left>", "lstrip": True}
    tokens[str(size + 4)] = tokens[str(size)] | {"content": "<right>", "rstrip": True}
    return None, {"tokenizer_class": "InternLM2Tokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                  "pad_token": "</s>", "additional_special_tokens": [*names, "<left>", "<right>"],
                  "added_tokens_decoder": tokens, **config}  # fmt: skip


def scored_bpe_ends(folder):
    return scored_bpe(folder, prefix=False, add_bos_token=False, add_eos_token=True)


KINDS = {f.__name__.replace("_", "-"): f for f in (
    llama3, qwen2, gpt2, opt, gpt2_json, llama_prepend, llama_metaspace, llama_ends, unigram,
    unigram_bytes, scored_words, scored_words_few, scored_words_listed, scored_bpe, scored_bpe_ends, bert, bert_cased, bert_vocab, word_pieces_as_in_file)}  # fmt: skip


# ---- Both sides ------------------------------------------------------------


def write_kind(kind, folder):
    folder.mkdir(parents=True)
    data, config = KINDS[kind](folder)
    if data is not None:
        (folder / "tokenizer.json").write_text(
            json.dumps(data, ensure_ascii=False), encoding="utf-8"
        )
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def expected(folder, texts):
    from transformers import AutoTokenizer

    if (folder / "tokenizer.model").exists():
        tokenizer = PieceTokenizer(folder)
    else:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.model_max_length = 10**9
    ids = tokenizer(texts).input_ids
    plain = tokenizer(texts, add_special_tokens=False).input_ids
    cut = tokenizer(texts, padding="max_length", truncation=True, max_length=9).input_ids
    text = [tokenizer.decode(i, skip_special_tokens=True) for i in ids]
    return {"ids": ids, "ids_plain": plain, "ids_trunc9": cut, "text": text}


def check(kind, folder, texts, vlmc):
    write_kind(kind, folder / kind)
    cases = [{"name": kind, "task": "tokenize", "tokenizer": str(folder / kind), "texts": texts}]
    requests = folder / f"{kind}.json"
    requests.write_text(
        json.dumps({"family": "text", "mode": "files", "cases": cases}, ensure_ascii=False)
    )
    out = folder / f"{kind}.safetensors"
    command = [
        vlmc,
        "run",
        "--model",
        str(folder),
        "--inputs",
        str(requests),
        "--outputs",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{kind}: vlmc failed: {done.stderr.strip()}")
        return 1
    if done.stderr.strip():
        print(f"{kind}: {done.stderr.strip()}")
    got, wrong = load_file(out), 0
    want = expected(folder / kind, texts)
    for i, text in enumerate(texts):
        for name, rows in want.items():
            value = got.get(f"{kind}.{name}.{i}", np.zeros(0, np.uint8))
            value = value.tobytes().decode() if name == "text" else value.tolist()
            if value != rows[i]:
                wrong += 1
                if wrong <= 5:
                    print(f"{kind}: {name} of {text!r}:\n  got  {value!r}\n  want {rows[i]!r}")
    print(f"{kind}: {len(texts)} texts, {wrong} differences", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vlmc", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--only", choices=KINDS, action="append")
    args = parser.parse_args()
    texts = random_texts(args.seed, args.count)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.only or KINDS:
            wrong += check(kind, Path(folder), texts, args.vlmc)
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
