"""Random BLIP-2 checkpoints with tokenizer and processor: goldens from words and pictures.

One has OPT and answers the task `generate`, one is for retrieval and answers `match`.
"""

import copy
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
from blip2_models import load_model, write_model
from clip_text import SCRIPTS
from common import quiet_torch, sha256, write_json, write_safetensors
from llava_files import added, begin_template, learn
from siglip_cases import LINES

NEW_TOKENS = 9
PICTURES = ["rgb-200x150.png", "jpeg-420-q85-97x131.jpg"]
TEXT = "Question: what's in it? 3 cats, naïve 猫\n Answer:"

CASES = {
    "files-opt": {
        "about": "captions and answers by OPT, with its begin token behind the pictures",
        "class": "Blip2ForConditionalGeneration",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=1,
                       num_attention_heads=2, image_size=28, patch_size=7),
        "qformer": dict(hidden_size=20, intermediate_size=36, num_hidden_layers=2,
                        num_attention_heads=4, cross_attention_frequency=2),
        "text": dict(model_type="opt", hidden_size=32, ffn_dim=60, num_hidden_layers=2,
                     num_attention_heads=4, max_position_embeddings=256),
        "top": dict(num_query_tokens=6),
    },
    "files-instruct": {
        "about": "InstructBLIP: the prompt in word pieces beside the queries, and in OPT's tokens",
        "class": "InstructBlipForConditionalGeneration",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=1,
                       num_attention_heads=2, image_size=28, patch_size=7),
        "qformer": dict(hidden_size=20, intermediate_size=36, num_hidden_layers=2,
                        num_attention_heads=4, cross_attention_frequency=2,
                        max_position_embeddings=100),
        "text": dict(model_type="llama", hidden_size=32, intermediate_size=60,
                     num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4,
                     max_position_embeddings=256, bos_token_id=2, eos_token_id=2, pad_token_id=1),
        "top": dict(num_query_tokens=4),
    },
    "files-retrieval": {
        "about": "texts of word pieces beside pictures",
        "class": "Blip2ForImageTextRetrieval",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=1,
                       num_attention_heads=2, image_size=28, patch_size=7),
        "qformer": dict(hidden_size=20, intermediate_size=36, num_hidden_layers=2,
                        num_attention_heads=4, cross_attention_frequency=2,
                        max_position_embeddings=64, use_qformer_text_input=True),
        "top": dict(num_query_tokens=6, image_text_hidden_size=12),
    },
}  # fmt: skip


def byte_tokenizer():
    """OPT's: GPT-2's pieces of bytes, behind the token that begins a text."""
    from tokenizers.pre_tokenizers import ByteLevel

    first = ["<s>", "<pad>", "</s>", "<unk>"]
    vocab, merges = learn(
        ByteLevel(add_prefix_space=False), first, 420, sorted(ByteLevel.alphabet())
    )
    size = len(vocab)
    bytes_ = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    data = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [*(added(i, t) for i, t in enumerate(first)), added(size, "<image>")],
        "normalizer": None,
        "pre_tokenizer": bytes_,
        "post_processor": begin_template("</s>", 2),
        "decoder": bytes_,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False, "vocab": vocab,
                  "merges": [" ".join(m) for m in merges]},
    }  # fmt: skip
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "</s>",
              "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>",
              "padding_side": "left", "model_max_length": 512}  # fmt: skip
    return data, config, size + 1


def frequent(counts, number):
    return [t for t, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][:number]


def word_pieces():
    """BERT's, uncased: characters, frequent words and ends of words. What `tokenizers` would
    train differs from run to run."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words, ends = Counter(), Counter()
    for line in LINES + SCRIPTS[:9]:
        text = tokenizer.normalizer.normalize_str(line)
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
            words[word] += 1
            ends.update("##" + word[i:] for i in range(1, len(word)))
    signs = sorted({c for word in words for c in word})
    pieces = signs + ["##" + c for c in signs] + frequent(words, 70) + frequent(ends, 70)
    vocab = {t: i for i, t in enumerate(dict.fromkeys(special + pieces))}
    data = json.loads(tokenizer.to_str())
    data["model"]["vocab"] = vocab
    data["added_tokens"] = [
        *(added(i, t) for i, t in enumerate(special)),
        added(len(vocab), "<image>"),
    ]
    data["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}

    def piece(token, number):
        return {"SpecialToken": {"id": token, "type_id": number}}

    one = [piece("[CLS]", 0), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]", 0)]
    data["post_processor"] = {
        "type": "TemplateProcessing",
        "single": one,
        "pair": [*one, {"Sequence": {"id": "B", "type_id": 1}}, piece("[SEP]", 1)],
        "special_tokens": {
            t: {"id": t, "ids": [vocab[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")
        },
    }
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "cls_token": "[CLS]",
              "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]",
              "mask_token": "[MASK]", "bos_token": "[DEC]", "model_max_length": 512}  # fmt: skip
    return data, config, len(vocab) + 1


def write_tokenizer(folder, made):
    data, config, size = made
    folder.mkdir(exist_ok=True)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    return size


def write_checkpoint(name, folder):
    case = copy.deepcopy(CASES[name])
    instructs = case["class"].startswith("Instruct")
    size = write_tokenizer(folder, byte_tokenizer() if "text" in case else word_pieces())
    if instructs:
        case["qformer"]["vocab_size"] = write_tokenizer(folder / "qformer_tokenizer", word_pieces())
    part = case["text"] if "text" in case else case["qformer"]
    part["vocab_size"] = size + 13 if "text" in case else size
    case["top"]["image_token_index"] = size - 1
    write_model(name, case, folder)
    path = folder / "config.json"
    written = json.loads(path.read_text())
    written["image_token_index"] = size - 1
    write_json(path, written)
    write_json(
        folder / "processor_config.json",
        {
            "processor_class": "InstructBlipProcessor" if instructs else "Blip2Processor",
            "num_query_tokens": case["top"]["num_query_tokens"],
        },
    )


def requests(name):
    pictures = [f"../../clip/pictures/{p}" for p in PICTURES]
    if name == "files-retrieval":
        return [
            {"name": "pair", "task": "match", "texts": [TEXT], "images": pictures[:1]},
            {"name": "pairs", "task": "match", "texts": ["a cat", "Naïve dogs, 12 of them!"],
             "images": pictures},
        ]  # fmt: skip
    return [
        {"name": "ask", "text": TEXT, "images": pictures[:1]},
        {"name": "caption", "text": "a photo of", "images": pictures[1:]},
        {"name": "batch", "batch": ["two", "a longer prompt: " + TEXT], "images": pictures},
        {"name": "interleaved", "interleaved": [{"image": pictures[1]}, "a photo of"]},
    ]  # fmt: skip


def load_images(case, root):
    from transformers.image_utils import load_image

    paths = case.get("images") or [
        p["image"] for p in case.get("interleaved", []) if isinstance(p, dict)
    ]
    return [load_image(str(root / p)) for p in paths]


def prompts_of(case):
    if "interleaved" in case:
        return ["".join(p for p in case["interleaved"] if isinstance(p, str))]
    return case.get("batch") or [case["text"]]


def digest_of(pixels):
    return np.frombuffer(bytes.fromhex(sha256(pixels.numpy())), np.uint8)


def run_match(model, processor, case, root):
    torch = quiet_torch()
    inputs = processor(text=case["texts"], images=load_images(case, root), return_tensors="pt",
                       padding=True)  # fmt: skip
    with torch.no_grad():
        itc = model(**inputs, use_image_text_matching_head=False)
        itm = model(**inputs, use_image_text_matching_head=True)
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": inputs["attention_mask"].numpy().astype(np.uint8),
        "pixel_values.sha256": digest_of(inputs["pixel_values"]),
        "itm_logits": itm.logits_per_image.numpy(),
    }
    if len(case["texts"]) > 1:  # one number has no deviation to measure it by
        out["itc_logits"] = itc.logits_per_image.numpy()
    return out


def run_generate(model, processor, case, root):
    """What `vlmc run` writes for a case."""
    torch = quiet_torch()
    prompts = prompts_of(case)
    inputs = processor(text=list(prompts), images=load_images(case, root), return_tensors="pt",
                       padding=len(prompts) > 1)  # fmt: skip
    with torch.no_grad():
        position = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
        got = model(**inputs, position_ids=position)
        new = model.generate(**inputs, do_sample=False, max_new_tokens=NEW_TOKENS)
    new = new[:, inputs["input_ids"].shape[1] :]
    texts = processor.batch_decode(new, skip_special_tokens=True)
    as_bytes = [np.frombuffer("\0".join(t).encode(), np.uint8) for t in (texts, prompts)]
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": inputs["attention_mask"].numpy().astype(np.uint8),
        "pixel_values.sha256": digest_of(inputs["pixel_values"]),
        "generated_ids": new.numpy(),
    }
    if "qformer_input_ids" in inputs:
        out["qformer_input_ids"] = inputs["qformer_input_ids"].numpy()
    for key, value in zip(("text", "prompt"), as_bytes):
        if len(value):
            out[key] = value
    if case["name"] == "batch":
        out["logits"] = got.logits.numpy()
    return out


def make_case(name, root):
    import transformers
    from transformers import BlipImageProcessorPil

    out = Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    write_checkpoint(name, out / "model")
    model = load_model(out / "model")
    kind = "InstructBlip" if CASES[name]["class"].startswith("Instruct") else "Blip2"
    processor = getattr(transformers, kind + "Processor").from_pretrained(str(out / "model"))
    processor.image_processor = BlipImageProcessorPil.from_pretrained(str(out / "model"))
    golden, cases = {}, []
    for case in requests(name):
        run = run_match if name == "files-retrieval" else run_generate
        for key, value in run(model, processor, case, out).items():
            golden[f"{case['name']}.{key}"] = value
        one = {"task": "generate", **case}
        if one["task"] == "generate":
            one["max_new_tokens"] = NEW_TOKENS
        cases.append(one)
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "blip-2", "mode": "files", "cases": cases})


def make_all(root):
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"blip2/{name}: {size / 1024:.0f} KiB", flush=True)
