"""Makes the checkpoints of clip_cases.py, their inputs and their goldens."""

import json
import shutil
from pathlib import Path

import numpy as np
from bpe import (
    BOS,
    EOS,
    build_vocab,
    learn_merges,
    write_tokenizer_json,
    write_v4_tokenizer_config,
    write_vocab_files,
)
from clip_cases import CASES, LINES, TEXTS, config_json, processor_files
from common import quiet_torch, rng, sha256, write_json, write_safetensors

# Pixel values of at most this side are kept whole, others as their SHA-256.
WHOLE_PIXELS = 32
FILE_PICTURES = ["rgb-200x150.png", "jpeg-420-q85-97x131.jpg"]


def write_tokenizer(name, case, folder):
    """Writes the tokenizer; returns the vocabulary size and three ids."""
    merges = learn_merges(LINES, case["merges"]) if case["merges"] else []
    vocab = build_vocab(merges)
    pad = case.get("pad", EOS)
    limit = case["text"]["max_position_embeddings"]
    if case["tokenizer"] in ("json", "v4"):
        write_tokenizer_json(folder, vocab, merges, pad, limit)
    if case["tokenizer"] in ("v4", "vocab"):
        write_vocab_files(folder, vocab, merges)
    if case["tokenizer"] == "v4":
        write_v4_tokenizer_config(folder, pad, limit)
    return len(vocab), vocab[BOS], vocab[EOS], vocab[pad]


def random_weight(name, shape, tower_key):
    """Values that leave no term without effect: biases and norms as well."""
    g = rng("clip", tower_key, name)
    x = g.standard_normal(shape)
    if name == "logit_scale":
        return np.asarray(g.uniform(1.0, 3.5))
    if "norm" in name or "layrnorm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "embedding.weight" in name and "patch" not in name:
        return 0.6 * x
    if name.endswith("class_embedding"):
        return 0.6 * x
    fan_in = int(np.prod(shape[1:]))
    # Queries and keys are made larger, so that attention is far from uniform.
    gain = 1.6 if "q_proj" in name or "k_proj" in name else 0.9
    return gain * x / np.sqrt(fan_in)


def write_weights(name, case, config, folder):
    """Writes the weight files, rounded to the stored type."""
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import CLIPConfig, CLIPModel

    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(**config))
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[key] = torch.tensor(data).to(dtype[case["store"]])
    if case.get("position_ids"):
        for tower in ("text_model", "vision_model"):
            count = tensors[f"{tower}.embeddings.position_embedding.weight"].shape[0]
            ids = torch.arange(count, dtype=torch.int64).reshape(1, -1)
            tensors[f"{tower}.embeddings.position_ids"] = ids
    count = case.get("shards", 1)
    if count == 1:
        save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
        return
    index, total = {}, 0
    for i in range(count):
        file = f"model-{i + 1:05}-of-{count:05}.safetensors"
        part = {k: tensors[k] for k in sorted(tensors)[i::count]}
        save_file(part, str(folder / file), {"format": "pt"})
        index.update({k: file for k in part})
        total += sum(v.numel() * v.element_size() for v in part.values())
    write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))},
    )


def load_model(folder):
    """The checkpoint as transformers loads it, in fp32 with eager attention."""
    torch = quiet_torch()
    from transformers import CLIPModel

    model, info = CLIPModel.from_pretrained(
        str(folder),
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
    )
    surplus = [k for k in info["unexpected_keys"] if not k.endswith("position_ids")]
    if info["missing_keys"] or surplus or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


def run_embed(model, inputs):
    """What `vlmc run` writes for the task `embed`, given the model's inputs."""
    torch = quiet_torch()
    out = {}
    with torch.no_grad():
        if "pixel_values" in inputs:
            pixels = torch.from_numpy(inputs["pixel_values"])
            got = model.get_image_features(pixel_values=pixels)
            embeds = got.pooler_output
            out["vision_features"] = got.last_hidden_state
            image = embeds / embeds.pow(2).sum(-1, keepdim=True).pow(0.5)
            out["image_embeds"] = image
        if "input_ids" in inputs:
            ids = torch.from_numpy(inputs["input_ids"])
            mask = torch.from_numpy(inputs["attention_mask"].astype(np.int64))
            got = model.get_text_features(input_ids=ids, attention_mask=mask)
            embeds = got.pooler_output
            out["text_features"] = got.last_hidden_state
            text = embeds / embeds.pow(2).sum(-1, keepdim=True).pow(0.5)
            out["text_embeds"] = text
        if len(inputs) == 3:
            whole = model(pixel_values=pixels, input_ids=ids, attention_mask=mask)
            assert torch.equal(whole.image_embeds, image)
            assert torch.equal(whole.text_embeds, text)
            out["logits_per_image"] = whole.logits_per_image
    result = {k: v.contiguous().numpy() for k, v in out.items()}
    for key, value in inputs.items():
        if key == "pixel_values" and value.shape[-1] > WHOLE_PIXELS:
            result["pixel_values.sha256"] = np.frombuffer(bytes.fromhex(sha256(value)), np.uint8)
        elif key != "attention_mask":
            result[key] = value
    return result


def random_ids(g, rows, context, vocab_size, bos, eos, pad, old_eos):
    """Right-padded rows of different lengths; the first one fills the context."""
    ids = np.full((rows, context), pad, np.int64)
    mask = np.zeros((rows, context), np.uint8)
    for r in range(rows):
        n = context if r == 0 else int(g.integers(1, context + 1))
        row = g.integers(0, vocab_size - 2, n)
        if context > 1:
            row[0], row[-1] = bos, eos
        if old_eos and n > 4 and r == 1:
            row[n // 2] = eos  # the first of the largest ids is the one that counts
        ids[r, :n], mask[r, :n] = row, 1
    return ids, mask


def pixel_input(g, count, size):
    """Noise upon slow waves, about as wide as normalised pixels are."""
    y, x = np.mgrid[0:size, 0:size] / size
    out = np.empty((count, 3, size, size), np.float32)
    for n in range(count):
        for c in range(3):
            a, b, p = g.uniform(0.5, 6, 3)
            wave = np.sin(a * 2 * np.pi * x + p) * np.cos(b * 2 * np.pi * y)
            out[n, c] = wave + 0.5 * g.standard_normal((size, size))
    return out


def make_tensors(name, case, model, ids, out):
    """Requests, inputs and goldens of mode `tensors`."""
    g = rng("clip-inputs", name)
    size, context = case["vision"]["image_size"], case["text"]["max_position_embeddings"]
    old = case["text"].get("eos_token_id") == 2
    plan = {"both": (2, 3), "single": (1, 3), "image": (3, 0), "text": (0, 1)}
    if size > 32:  # larger pictures come by mode `files`, to keep this small
        plan = {"both": (1, 2), "text": (0, 3)} if size <= 100 else {"text": (0, 3)}
    inputs, golden, cases = {}, {}, []
    for what, (images, texts) in plan.items():
        one = {}
        if images:
            one["pixel_values"] = pixel_input(g, images, size)
        if texts:
            one["input_ids"], one["attention_mask"] = random_ids(g, texts, context, *ids, old)
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        for key, value in run_embed(model, one).items():
            if key not in one and not key.startswith("pixel_values"):
                golden[f"{what}.{key}"] = value
        cases.append(
            {"name": what, "task": "embed", "tensors": "inputs.safetensors", "prefix": f"{what}."}
        )
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json",
        {"family": "clip", "mode": "tensors", "cases": cases},
    )


def make_files(name, case, model, out):
    """Requests and goldens of mode `files`: pictures and texts."""
    from transformers import AutoTokenizer, CLIPImageProcessorPil
    from transformers.image_utils import load_image

    context = case["text"]["max_position_embeddings"]
    processor = CLIPImageProcessorPil.from_pretrained(str(out / "model"))
    tokenizer = AutoTokenizer.from_pretrained(str(out / "model"))
    plan = {
        "both": (FILE_PICTURES, TEXTS),
        "single": (FILE_PICTURES[:1], TEXTS[1:3]),
        "image": (FILE_PICTURES[1:], []),
        "text": ([], TEXTS[:1]),
    }
    golden, cases = {}, []
    for what, (pictures, texts) in plan.items():
        texts = texts if context >= 2 else []
        if not pictures and not texts:
            continue
        request, one = {"name": what, "task": "embed"}, {}
        if pictures:
            request["images"] = [f"../pictures/{p}" for p in pictures]
            loaded = [load_image(str(out / p)) for p in request["images"]]
            one["pixel_values"] = processor(images=loaded, return_tensors="np")["pixel_values"]
            assert one["pixel_values"].dtype == np.float32
        if texts:
            request["texts"] = texts
            got = tokenizer(
                texts, padding=True, truncation=True, max_length=context, return_tensors="np"
            )
            one["input_ids"] = got["input_ids"].astype(np.int64)
            one["attention_mask"] = got["attention_mask"].astype(np.uint8)
        for key, value in run_embed(model, one).items():
            if key != "pixel_values" or what == "both":
                golden[f"{what}.{key}"] = value
        if texts:
            golden[f"{what}.attention_mask"] = one["attention_mask"]
        cases.append(request)
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(
        out / "requests-files.json",
        {"family": "clip", "mode": "files", "cases": cases},
    )


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "model"
    folder.mkdir(parents=True)
    vocab_size, bos, eos, pad = write_tokenizer(name, case, folder)
    config = config_json(case, vocab_size, bos, eos, pad)
    write_json(folder / "config.json", config)
    for file, value in processor_files(case, case["vision"]["image_size"]).items():
        write_json(folder / file, value)
    write_weights(name, case, json.loads((folder / "config.json").read_text()), folder)
    model = load_model(folder)
    make_tensors(name, case, model, (vocab_size, bos, eos, pad), out)
    make_files(name, case, model, out)
    return out


def make_all(root):
    for name in CASES:
        out = make_case(name, root)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"clip/{name}: {size / 1024:.0f} KiB", flush=True)
