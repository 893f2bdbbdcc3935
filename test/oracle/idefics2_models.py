"""Random Idefics2 checkpoints, and their goldens.

Requests of mode `files` give words and pictures of any size, those of mode `tensors`
pixels with masks and ids; the values on the way and greedily chosen tokens come out.
"""

import copy
import json
import shutil
from pathlib import Path

import llava_files
import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_models import load_model

NEW_TOKENS = 16
FAKE = "<fake_token_around_image>"
PICTURES = ["rgb-200x150.png", "jpeg-420-q85-97x131.jpg", "jpeg-422-q90-65x47.jpg"]
TEXT = "What's in it? 3 cats,\tnaïve – 猫\n and more"
# As idefics2-8b has it.
TEMPLATE = (
    "{% for message in messages %}{{message['role'].capitalize()}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)

# `vision`, `perceiver` and `text` are the sections of config.json; `image` is what
# the processor's file says.
CASES = {
    "mistral": {
        "about": "published layout; pictures of any size up to 70 pixels, a table of 8 x 8",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                       num_attention_heads=3, image_size=56, patch_size=7),
        "perceiver": dict(resampler_n_latents=5, resampler_depth=2, resampler_n_heads=4,
                          resampler_head_dim=10, num_key_value_heads=2),
        "text": dict(model_type="mistral", hidden_size=32, intermediate_size=60,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     max_position_embeddings=512, rms_norm_eps=1e-4, sliding_window=40),
        "top": dict(tie_word_embeddings=False),
        "tokenizer": "metaspace",
        "image": dict(do_image_splitting=False, size={"shortest_edge": 27, "longest_edge": 70}),
    },
    "split": {
        "about": "what transformers 5 writes; quarters of pictures; a tied head, own keys of the resampler",
        "layout": "v5",
        "store": "f16",
        "vision": dict(hidden_size=20, intermediate_size=28, num_hidden_layers=3,
                       num_attention_heads=2, image_size=30, patch_size=6, hidden_act="gelu",
                       layer_norm_eps=1e-5),
        "perceiver": dict(hidden_size=30, resampler_n_latents=3, resampler_depth=1,
                          resampler_n_heads=6, resampler_head_dim=8, num_key_value_heads=6,
                          rms_norm_eps=1e-3, hidden_act="gelu_pytorch_tanh"),
        "text": dict(model_type="mistral", hidden_size=30, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1,
                     head_dim=12, max_position_embeddings=512, rms_norm_eps=1e-6,
                     sliding_window=None),
        "top": dict(tie_word_embeddings=True),
        "tokenizer": "prepend",
        "image": dict(do_image_splitting=True, size={"shortest_edge": 19, "longest_edge": 50}),
    },
    "llama": {
        "about": "a Llama with bytes; pictures of one size; more places than the table has",
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=1, image_size=21, patch_size=4, hidden_act="relu"),
        "perceiver": dict(resampler_n_latents=7, resampler_depth=1, resampler_n_heads=2,
                          resampler_head_dim=6, num_key_value_heads=1, hidden_act="relu"),
        "text": dict(model_type="llama", hidden_size=24, intermediate_size=38,
                     num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3,
                     max_position_embeddings=256, rms_norm_eps=1e-5, attention_bias=True,
                     hidden_act="gelu"),
        "top": dict(tie_word_embeddings=False),
        "tokenizer": "bytes",
        "image": dict(do_image_splitting=False, size={"height": 33, "width": 50}, resample=3,
                      image_mean=[0.48, 0.45, 0.4], image_std=[0.26, 0.27, 0.25]),
    },
    "tensors": {
        "about": "pixels with masks of several sizes; next to no keys of the sections",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=24, num_hidden_layers=2, intermediate_size=36, image_size=64,
                       patch_size=8),
        "perceiver": dict(resampler_n_latents=4, resampler_head_dim=5),
        "text": dict(model_type="mistral", hidden_size=32, intermediate_size=40,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                     vocab_size=60, max_position_embeddings=256),
        "top": dict(),
    },
}  # fmt: skip


def random_weight(name, shape, case):
    """Values that leave no term without effect: biases and norms as well."""
    g = rng("idefics2", case, name)
    x = g.standard_normal(shape)
    if "norm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "position_embedding" in name or name.endswith("latents"):
        return 0.6 * x
    if "embed_tokens" in name:
        return x
    gain = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
    return gain * x / np.sqrt(int(np.prod(shape[1:])))


def write_weights(name, case, folder, config):
    torch = quiet_torch()
    import transformers
    from safetensors.torch import save_file

    kind = config["architectures"][0]
    with torch.device("meta"):
        known = getattr(transformers, kind.replace("ForConditionalGeneration", "Config"))
        model = getattr(transformers, kind)(known(**copy.deepcopy(config)))
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if key.startswith("lm_head") and config.get("tie_word_embeddings"):
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[key] = torch.tensor(data).to(dtype[case["store"]])
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def write_tokenizer(case, folder, more):
    """Returns the vocabulary size and the ids of tokens."""
    kind = case["tokenizer"]
    make = llava_files.byte_tokenizer if kind == "bytes" else None
    data, config, size = make() if make else llava_files.sentence_tokenizer(kind)
    data["added_tokens"] += [llava_files.added(size + i, t) for i, t in enumerate(more)]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    config["additional_special_tokens"] = ["<image>", *more]
    write_json(folder / "tokenizer_config.json", config)
    ids = {t["content"]: t["id"] for t in data["added_tokens"]}
    return size + len(more), ids, config


def write_image(case, folder, processor, kind):
    """The processor's files, of version 4 or 5."""
    image = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": kind,
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,
        "rescale_factor": 1 / 255,
        **case["image"],
    }
    if case["layout"] == "v5":
        (folder / "chat_template.jinja").write_text(case.get("template", TEMPLATE))
        write_json(folder / "processor_config.json", {**processor, "image_processor": image})
        return
    write_json(folder / "preprocessor_config.json", image)
    write_json(folder / "chat_template.json", {"chat_template": case.get("template", TEMPLATE)})
    write_json(folder / "processor_config.json", processor)


def write_model(name, case, folder, vocabulary, ids):
    text = {**case["text"], "vocab_size": vocabulary}
    if ids:
        text.update(eos_token_id=ids["eos"], pad_token_id=ids["pad"], bos_token_id=None)
    config = {
        "architectures": ["Idefics2ForConditionalGeneration"],
        "model_type": "idefics2",
        "image_token_id": ids["image"] if ids else vocabulary - 1,
        "perceiver_config": {"model_type": "idefics2", **case["perceiver"]},
        "text_config": text,
        "vision_config": {"model_type": "idefics2", **case["vision"]},
        **case["top"],
    }
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": ids["eos"] if ids else 2, "pad_token_id": ids["pad"] if ids else 0,
         "max_new_tokens": NEW_TOKENS},
    )  # fmt: skip
    write_weights(name, case, folder, config)


# ---- Words and pictures ----------------------------------------------------


def paths_of(pictures):
    return [f"../../clip/pictures/{p}" for p in pictures]


def requests():
    pictures = paths_of(PICTURES)
    chat = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": TEXT}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
        {"role": "user", "content": [{"type": "text", "text": "And <this>? "}, {"type": "image"}]},
    ]
    return [
        {"name": "ask", "text": f"User:<image>{TEXT}<end_of_utterance>\nAssistant:", "images": pictures[:1]},
        {"name": "words", "text": f"{TEXT} {FAKE}{FAKE}around", "max_new_tokens": 3},
        {"name": "between", "interleaved": ["a ", {"image": pictures[1]}, {"image": pictures[2]},
                                            " and 12 dogs", {"image": pictures[0]}]},
        {"name": "batch", "batch": ["<image>short", "a longer prompt: <image>\n" + TEXT],
         "images": pictures[:2]},
        {"name": "chat", "messages": chat, "images": pictures[1:]},
    ]  # fmt: skip


def prompts_of(processor, case):
    if "messages" in case:
        return [processor.apply_chat_template(case["messages"], add_generation_prompt=True)]
    if "interleaved" in case:
        return ["".join(p if isinstance(p, str) else "<image>" for p in case["interleaved"])]
    return case.get("batch") or [case["text"]]


def images_of(case, prompts, root):
    from transformers.image_utils import load_image

    paths = case.get("images") or [
        p["image"] for p in case.get("interleaved", []) if isinstance(p, dict)
    ]
    images = [load_image(str(root / p)) for p in paths]
    counts = [p.count("<image>") for p in prompts]
    ends = np.cumsum(counts)
    return [images[end - count : end] for count, end in zip(counts, ends)] if images else None


def digest(values):
    return np.frombuffer(bytes.fromhex(sha256(values)), np.uint8)


def run(model, processor, case, root):
    """What `vlmc run` writes for a case."""
    torch = quiet_torch()
    prompts = prompts_of(processor, case)
    images = images_of(case, prompts, root)
    inputs = processor(text=list(prompts), images=images, return_tensors="pt",
                       padding=len(prompts) > 1)  # fmt: skip
    mask = inputs["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**inputs, position_ids=position, output_hidden_states=True)
        answer = model.generate(**inputs, do_sample=False,
                                max_new_tokens=case.get("max_new_tokens", NEW_TOKENS),
                                output_logits=True, return_dict_in_generate=True)  # fmt: skip
    new = answer.sequences[:, inputs["input_ids"].shape[1] :]
    texts = processor.batch_decode(new, skip_special_tokens=True)
    as_bytes = [np.frombuffer("\0".join(t).encode(), np.uint8) for t in (texts, prompts)]
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": mask.numpy().astype(np.uint8),
        "generated_ids": new.numpy(),
        "prompt": as_bytes[1],
    }
    if len(as_bytes[0]):
        out["text"] = as_bytes[0]
    if case["name"] == "batch":
        out["hidden_states"] = got.hidden_states[-1].numpy()
    out["last_step_logits"] = answer.logits[-1].numpy()
    if images:
        out["pixel_values.sha256"] = digest(inputs["pixel_values"].numpy())
        seen = inputs["pixel_attention_mask"].numpy().astype(np.uint8)
        out["pixel_attention_mask.sha256"] = digest(seen)
    return out


def write_requests(out, family, golden, cases, mode):
    write_safetensors(out / f"golden-{mode}.safetensors", golden)
    write_json(out / f"requests-{mode}.json", {"family": family, "mode": mode, "cases": cases})


def make_files_case(name, out):
    from transformers import Idefics2Processor
    from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil

    case, folder = copy.deepcopy(CASES[name]), out / "model"
    vocabulary, ids, config = write_tokenizer(case, folder, [FAKE, "<end_of_utterance>"])
    roles = {
        "eos": ids[config["eos_token"]],
        "pad": ids[config["pad_token"]],
        "image": ids["<image>"],
    }
    processor = {"processor_class": "Idefics2Processor",
                 "image_seq_len": case["perceiver"]["resampler_n_latents"]}  # fmt: skip
    write_image(case, folder, processor, "Idefics2ImageProcessor")
    write_model(name, case, folder, vocabulary, roles)
    model = load_model(folder)
    processor = Idefics2Processor.from_pretrained(str(folder))
    processor.image_processor = Idefics2ImageProcessorPil.from_pretrained(str(folder))
    golden, cases = {}, []
    for request in requests():
        for key, value in run(model, processor, request, out).items():
            golden[f"{request['name']}.{key}"] = value
        cases.append({"task": "generate", **request})
    write_requests(out, "idefics2", golden, cases, "files")


# ---- Tensors ---------------------------------------------------------------


def padded_pictures(g, sizes, most):
    """Pixels with zeros around them and behind the pictures of a row, and masks."""
    height = max(h for row in sizes for h, _ in row)
    width = max(w for row in sizes for _, w in row)
    pixels = np.zeros((len(sizes), most, 3, height, width), np.float32)
    mask = np.zeros((len(sizes), most, height, width), np.uint8)
    for i, row in enumerate(sizes):
        for j, (h, w) in enumerate(row):
            pixels[i, j, :, :h, :w] = g.standard_normal((3, h, w))
            mask[i, j, :h, :w] = 1
    return pixels, mask


def run_tensors(model, inputs):
    torch = quiet_torch()
    given = {k: torch.from_numpy(v.astype(np.int64) if v.dtype == np.uint8 else v)
             for k, v in inputs.items()}  # fmt: skip
    position = (given["attention_mask"].cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**given, position_ids=position, output_hidden_states=True)
        chosen = model.generate(**given, do_sample=False, max_new_tokens=NEW_TOKENS)
        seen = {k: given[k] for k in ("pixel_values", "pixel_attention_mask") if k in given}
        features = model.model.get_image_features(**seen)
    rows = torch.cat([f for f in features.pooler_output])
    pictures = features.last_hidden_state.shape[0]
    out = {
        "logits": got.logits,
        "inputs_embeds": got.hidden_states[0],
        "hidden_states": got.hidden_states[-1],
        "image_features": rows.reshape(pictures, -1, rows.shape[-1]),
        "generated_ids": chosen[:, given["input_ids"].shape[1] :],
    }
    if "pixel_attention_mask" not in given:
        out["vision_features"] = features.last_hidden_state
    return {k: v.detach().contiguous().numpy() for k, v in out.items()}


def rows_of(g, counts, words, image, tokens):
    """Left-padded rows with so many pictures of `tokens` placeholders among words."""
    lines = []
    for count, length in zip(counts, words):
        text = g.integers(4, image - 1, length)
        line = []
        for i in range(count):
            begin = length * i // (count + 1)
            line += [*text[begin : length * (i + 1) // (count + 1)], *[image] * tokens]
        lines.append(line + [*text[length * count // (count + 1) :]])
    width = max(map(len, lines))
    ids = np.zeros((len(lines), width), np.int64)
    mask = np.zeros((len(lines), width), np.uint8)
    for i, line in enumerate(lines):
        ids[i, width - len(line) :] = line
        mask[i, width - len(line) :] = 1
    return ids, mask


def make_tensors_case(name, out):
    case, folder = copy.deepcopy(CASES[name]), out / "model"
    vocabulary = case["text"]["vocab_size"]
    write_model(name, case, folder, vocabulary, None)
    model = load_model(folder)
    latents = case["perceiver"]["resampler_n_latents"]
    g = rng("idefics2-inputs", name)
    plan = {
        "sizes": ([[(37, 54), (24, 17)], [(28, 40)]], (17, 30), True),
        "whole": ([[(28, 33), (28, 33)]], (12,), False),
    }
    inputs, golden, cases = {}, {}, []
    for what, (sizes, words, has_mask) in plan.items():
        counts = [len(row) for row in sizes]
        ids, mask = rows_of(g, counts, words, vocabulary - 1, latents)
        pixels, seen = padded_pictures(g, sizes, max(counts))
        one = {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels}
        if has_mask:
            one["pixel_attention_mask"] = seen
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        golden.update({f"{what}.{k}": v for k, v in run_tensors(model, one).items()})
        cases.append({"name": what, "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"{what}.", "max_new_tokens": NEW_TOKENS})  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_requests(out, "idefics2", golden, cases, "tensors")


def make_all(root):
    for name in CASES:
        out = Path(root) / name
        shutil.rmtree(out, ignore_errors=True)
        (out / "model").mkdir(parents=True)
        (make_files_case if "image" in CASES[name] else make_tensors_case)(name, out)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"idefics2/{name}: {size / 1024:.0f} KiB", flush=True)
