"""The demo LLaVA's tokenizer, chat template and settings, beside its weights.

A BPE in the form of Llama 2's tokenizer.json. Each word that occurs is one
token: the merges build it letter by letter from its left end, and no merge
begins elsewhere. What else one types falls into letters and bytes.
"""

import json

from questions import WORDS
from scenes import SIDE

PATCH, GRID = 16, SIDE // 16
SPECIAL = ["<|pad|>", "<image>", "<|user|>", "<|assistant|>", "<|end|>", "<|unk|>"]
PAD, IMAGE, USER, ASSISTANT, END, UNKNOWN = range(6)
CONTEXT = 512
SPACE = "\u2581"
TEMPLATE = (
    "{%- for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{%- if message['content'] is string %}{{ message['content'] | trim }}"
    "{%- else %}{%- for part in message['content'] %}"
    "{%- if part['type'] == 'image' %}{{ '<image>' }}"
    "{%- else %}{{ part['text'] | trim }}{%- endif %}"
    "{%- endfor %}{%- endif %}{{ '<|end|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|assistant|>' }}{%- endif %}"
)


def make_vocabulary():
    """(token -> id, merges)"""
    letters = [chr(c) for c in range(33, 127)] + [SPACE]
    vocab = {t: i for i, t in enumerate(SPECIAL)}
    for token in [f"<0x{b:02X}>" for b in range(256)] + letters:
        vocab.setdefault(token, len(vocab))
    merges = []
    for word in WORDS:
        left = SPACE
        for letter in word:
            if left + letter not in vocab:
                vocab[left + letter] = len(vocab)
                merges.append([left, letter])
            left += letter
    return vocab, merges


def make_tokenizer(folder=None):
    """The tokenizer; with a folder its files are written there too."""
    from tokenizers import Tokenizer

    vocab, merges = make_vocabulary()
    added = [
        {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for i, t in enumerate(SPECIAL)
    ]  # fmt: skip
    normalizer = {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": SPACE},
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
    ]}  # fmt: skip
    decoder = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]}  # fmt: skip
    model = {"type": "BPE", "dropout": None, "unk_token": "<|unk|>",
             "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
             "byte_fallback": True, "ignore_merges": False, "vocab": vocab,
             "merges": merges}  # fmt: skip
    value = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
             "normalizer": normalizer, "pre_tokenizer": None, "post_processor": None,
             "decoder": decoder, "model": model}  # fmt: skip
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if folder:
        (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
        write_settings(folder)
    return Tokenizer.from_str(text)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_settings(folder):
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": None, "eos_token": "<|end|>",
        "pad_token": "<|pad|>", "unk_token": "<|unk|>", "padding_side": "left",
        "model_max_length": CONTEXT, "clean_up_tokenization_spaces": False,
    })  # fmt: skip
    write_json(folder / "processor_config.json", {
        "processor_class": "LlavaProcessor", "patch_size": PATCH, "image_token": "<image>",
        "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1,
    })  # fmt: skip
    write_json(folder / "preprocessor_config.json", {
        "crop_size": {"height": SIDE, "width": SIDE}, "do_center_crop": True,
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "CLIPImageProcessorPil",
        "image_std": [0.25, 0.25, 0.25], "resample": 3, "rescale_factor": 1 / 255,
        "size": {"shortest_edge": SIDE},
    })  # fmt: skip
