"""Random LLaVA checkpoints with tokenizer and processor: goldens from words and pictures.

The requests are of mode `files`, task `generate`: prompts, conversations and
pictures go in; ids, pixels, logits, generated ids and text come out.
"""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
from clip_text import SCRIPTS
from common import quiet_torch, sha256, write_json, write_safetensors
from llava_models import load_model, write_model
from siglip_cases import LINES

NEW_TOKENS = 10
PICTURES = ["rgb-200x150.png", "jpeg-420-q85-97x131.jpg"]
BLANK = "\u2581"
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
VICUNA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}"
    "{{ message['role'].upper() + ': '}}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ content['text'] + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
CHATML = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{%- if message.content is string %}{{ message.content }}{% else %}"
    "{%- for part in message.content %}{% if part.type == 'image' %}{{ '<image>' }}"
    "{% else %}{{ part.text | trim }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}{{ '<image>\n' }}{% endif %}{% endfor %}{{ ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'][0]['text'] + eos_token }}{% endif %}{% endfor %}"
)

CASES = {
    "files-vicuna": {
        "about": "Llama with SentencePiece's kind of tokenizer in its old form; published layout",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=7),
        "text": dict(model_type="llama", hidden_size=32, intermediate_size=60,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     max_position_embeddings=512, rms_norm_eps=1e-5),
        "top": {},
        "tokenizer": "prepend",
        "template": ("chat_template.json", VICUNA),
        "processor": dict(patch_size=7, vision_feature_select_strategy="default",
                          num_additional_image_tokens=1),
        "surplus": 14,
    },
    "files-qwen2": {
        "about": "Qwen2 with bytes; more ids than tokens have; all tokens of the tower",
        "layout": "v5",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=2, image_size=30, patch_size=10),
        "text": dict(model_type="qwen2", hidden_size=36, intermediate_size=50,
                     num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
                     max_position_embeddings=512, rms_norm_eps=1e-6, tie_word_embeddings=True),
        "top": dict(vision_feature_select_strategy="full"),
        "tokenizer": "bytes",
        "template": ("chat_template.jinja", CHATML),
        "processor": dict(patch_size=10, vision_feature_select_strategy="full",
                          num_additional_image_tokens=1),
        "surplus": 40,
    },
    "files-mistral": {
        "about": "Mistral with a window; Metaspace; a template that begins with the begin token",
        "layout": "v4",
        "store": "f16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=1, image_size=28, patch_size=14),
        "text": dict(model_type="mistral", hidden_size=30, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=5,
                     head_dim=6, max_position_embeddings=512, rms_norm_eps=1e-6,
                     sliding_window=24),
        "top": dict(vision_feature_layer=-1),
        "tokenizer": "metaspace",
        "template": ("processor_config.json", MISTRAL),
        "processor": dict(patch_size=14, vision_feature_select_strategy="default",
                          num_additional_image_tokens=1, image_token="<image>"),
        "surplus": 0,
    },
    # Answers that cross the length from which on frequencies are others.
    "files-dynamic": {
        "about": "rotary positions whose base grows with the length, beyond 64 tokens",
        "fresh": True,
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="llama", hidden_size=32, intermediate_size=40,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0,
                     rope_scaling=dict(type="dynamic", factor=8.0)),
        "top": {},
        "tokenizer": "prepend",
        "template": ("chat_template.json", VICUNA),
        "processor": dict(patch_size=14, vision_feature_select_strategy="default",
                          num_additional_image_tokens=1),
        "surplus": 0,
    },
    "files-longrope": {
        "about": "factors for short and for long sequences, of more than 64 tokens",
        "fresh": True,
        "layout": "v5",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="mistral", hidden_size=32, intermediate_size=40,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
                     head_dim=12, max_position_embeddings=512, rms_norm_eps=1e-6,
                     sliding_window=None,
                     rope_parameters=dict(
                         rope_type="longrope", rope_theta=10000.0,
                         original_max_position_embeddings=64,
                         short_factor=[1.0, 1.05, 1.1, 1.3, 1.7, 2.0],
                         long_factor=[1.2, 1.9, 3.0, 5.5, 8.0, 11.0])),
        "top": {},
        "tokenizer": "metaspace",
        "template": ("processor_config.json", MISTRAL),
        "processor": dict(patch_size=14, vision_feature_select_strategy="default",
                          num_additional_image_tokens=1, image_token="<image>"),
        "surplus": 0,
    },
}  # fmt: skip

TEXT = "What's in it? 3 cats,\tnaïve – 猫 👩‍🚀  \n"


# ---- Tokenizers ------------------------------------------------------------


def added(id_, content, **flags):
    usual = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {"id": id_, "content": content, **usual, **flags}


def begin_template(token, id_):
    piece = [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {
        "type": "TemplateProcessing",
        "single": piece,
        "pair": piece,
        "special_tokens": {token: {"id": token, "ids": [id_], "tokens": [token]}},
    }


def learn(pre_tokenizer, first, size, alphabet=()):
    """Vocabulary and merges as `tokenizers` learns them, behind `first`."""
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size - len(first), show_progress=False,
                                  min_frequency=2, initial_alphabet=list(alphabet))  # fmt: skip
    tokenizer.train_from_iterator(LINES + SCRIPTS[:9], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    learned = sorted(model["vocab"], key=model["vocab"].get)
    vocab = {t: i for i, t in enumerate([*first, *learned])}
    return vocab, [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]


def sentence_tokenizer(kind):
    """Byte fallback and visible blanks, in the old form or with Metaspace."""
    from tokenizers import pre_tokenizers

    first = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    vocab, merges = learn(pre_tokenizers.Metaspace(), first, 480)
    size = len(vocab)
    old = {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": BLANK},
        {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}]}  # fmt: skip
    new = {"type": "Metaspace", "replacement": BLANK, "prepend_scheme": "first", "split": False}
    data = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [*(added(i, t) for i, t in enumerate(first[:3])),
                         added(size, "<image>"), added(size + 1, "<pad>")],
        "normalizer": old if kind == "prepend" else None,
        "pre_tokenizer": None if kind == "prepend" else new,
        "post_processor": begin_template("<s>", 1),
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": BLANK}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": vocab, "merges": merges},
    }  # fmt: skip
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
              "unk_token": "<unk>", "pad_token": "<pad>", "padding_side": "left",
              "add_bos_token": True, "add_eos_token": False, "legacy": False,
              "model_max_length": 512}  # fmt: skip
    return data, config, size + 2


def byte_tokenizer():
    from tokenizers import pre_tokenizers
    from tokenizers.pre_tokenizers import ByteLevel

    split = {"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": False}
    from tokenizers import Regex

    words = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2), "isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    vocab, merges = learn(words, [], 420, sorted(ByteLevel.alphabet()))
    size = len(vocab)
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
    bytes_ = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=False, use_regex=False)
    data = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(size + i, t) for i, t in enumerate(specials)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]},
        "post_processor": bytes_,
        "decoder": bytes_,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": vocab, "merges": [" ".join(m) for m in merges]},
    }  # fmt: skip
    config = {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "bos_token": None,
              "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None,
              "padding_side": "left", "model_max_length": 512,
              "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}  # fmt: skip
    return data, config, size + len(specials)


def write_processor(case, folder):
    """Tokenizer, template and processor; returns the vocabulary size and ids."""
    kind = case["tokenizer"]
    data, config, size = byte_tokenizer() if kind == "bytes" else sentence_tokenizer(kind)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    processor = {"processor_class": "LlavaProcessor", **case["processor"]}
    name, template = case["template"]
    if name == "chat_template.jinja":
        (folder / name).write_text(template, encoding="utf-8")
    elif name == "chat_template.json":
        write_json(folder / name, {"chat_template": template})
    else:
        processor["chat_template"] = template
    write_json(folder / "processor_config.json", processor)
    ids = {t["content"]: t["id"] for t in data["added_tokens"]}
    return size, ids[config["eos_token"]], ids[config["pad_token"]], ids["<image>"]


def write_checkpoint(name, folder):
    case = copy.deepcopy(CASES[name])
    size, eos, pad, image = write_processor(case, folder)
    case["text"]["vocab_size"] = size + case["surplus"]
    case["text"].update(eos_token_id=eos, bos_token_id=None, pad_token_id=pad)
    write_model(name, case, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["image_token_index"] = image
    write_json(path, config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": eos, "pad_token_id": pad, "max_new_tokens": NEW_TOKENS},
    )


# ---- Requests --------------------------------------------------------------


def image_block(text, before=True):
    parts = [{"type": "image"}, {"type": "text", "text": text}]
    return parts if before else parts[::-1]


def crossing_requests():
    """Prompts before and behind 64 tokens, whose answers are longer."""
    picture = f"../../clip/pictures/{PICTURES[0]}"
    plan = []
    for words in (1, 5, 20):
        text = "USER: <image>\n" + "What is it? " * words + "ASSISTANT:"
        plan.append({"name": f"ask{words}", "text": text, "images": [picture],
                     "max_new_tokens": 40})  # fmt: skip
    return plan


def requests(name):
    if "fresh" in CASES[name]:
        return crossing_requests()
    chat = [
        {"role": "user", "content": image_block(TEXT)},
        {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
        {"role": "user", "content": image_block("And this <one>? ", before=False)},
    ]
    pictures = [f"../../clip/pictures/{p}" for p in PICTURES]
    return [
        {"name": "ask", "text": f"USER: <image>\n{TEXT}ASSISTANT:", "images": pictures[:1]},
        {"name": "words", "text": TEXT, "max_new_tokens": 3},
        {"name": "between", "interleaved": ["a ", {"image": pictures[1]}, " and 12 dogs", {"image": pictures[0]}]},
        {"name": "batch", "batch": ["<image> short", "a longer prompt: <image>\n" + TEXT],
         "images": pictures},
        {"name": "chat", "messages": chat, "images": pictures},
    ]  # fmt: skip


def prompts_of(processor, case):
    if "messages" in case:
        return [processor.apply_chat_template(case["messages"], add_generation_prompt=True)]
    if "interleaved" in case:
        return ["".join(p if isinstance(p, str) else "<image>" for p in case["interleaved"])]
    return case.get("batch") or [case["text"]]


def run(model, processor, case, root):
    """What `vlmc run` writes for a case."""
    torch = quiet_torch()
    from transformers.image_utils import load_image

    prompts = prompts_of(processor, case)
    paths = case.get("images") or [
        p["image"] for p in case.get("interleaved", []) if isinstance(p, dict)
    ]
    images = [load_image(str(root / p)) for p in paths]
    bos = processor.tokenizer.bos_token
    extra = {}
    if "messages" in case and bos and prompts[0].startswith(bos):
        extra["add_special_tokens"] = False
    inputs = processor(text=list(prompts), images=images or None, return_tensors="pt",
                       padding=len(prompts) > 1, **extra)  # fmt: skip
    tokens = case.get("max_new_tokens", NEW_TOKENS)
    mask = inputs["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**inputs, position_ids=position, output_hidden_states=True)
        answer = model.generate(**inputs, do_sample=False, max_new_tokens=tokens,
                                output_logits=True, return_dict_in_generate=True)  # fmt: skip
    chosen = answer.sequences
    new = chosen[:, inputs["input_ids"].shape[1] :]
    texts = processor.batch_decode(new, skip_special_tokens=True)
    as_bytes = [np.frombuffer("\0".join(t).encode(), np.uint8) for t in (texts, prompts)]
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": mask.numpy().astype(np.uint8),
        "generated_ids": new.numpy(),
        "prompt": as_bytes[1],
    }
    if case["name"] == "ask":
        out["last_step_logits"] = answer.logits[-1].numpy()
    if len(as_bytes[0]):
        out["text"] = as_bytes[0]
    if case["name"] == "batch":
        out["logits"] = got.logits.numpy()
        out["hidden_states"] = got.hidden_states[-1].numpy()
    if images:
        digest = bytes.fromhex(sha256(inputs["pixel_values"].numpy()))
        out["pixel_values.sha256"] = np.frombuffer(digest, np.uint8)
    return out


def make_case(name, root):
    from transformers import CLIPImageProcessorPil, LlavaProcessor

    out = Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    write_checkpoint(name, out / "model")
    model = load_model(out / "model")
    processor = LlavaProcessor.from_pretrained(str(out / "model"))
    processor.image_processor = CLIPImageProcessorPil.from_pretrained(str(out / "model"))
    golden, cases = {}, []
    for case in requests(name):
        if "fresh" in CASES[name]:  # its frequencies are those of the prompt before
            model = load_model(out / "model")
        for key, value in run(model, processor, case, out).items():
            golden[f"{case['name']}.{key}"] = value
        cases.append({"task": "generate", **case})
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "llava", "mode": "files", "cases": cases})


def make_all(root):
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"llava/{name}: {size / 1024:.0f} KiB", flush=True)
