"""Makes the checkpoints of siglip_cases.py, their inputs and their goldens."""

import json
import shutil
from pathlib import Path

import numpy as np
from clip_models import FILE_PICTURES, WHOLE_PIXELS, pixel_input
from clip_text import SCRIPTS
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from sentence import (
    spiece_size,
    train_spiece,
    write_space_bpe,
    write_spiece_config,
)
from siglip_cases import CASES, LINES, TEXTS, config_json, processor_files


def write_tokenizer(case, folder):
    """Writes the tokenizer; returns the vocabulary size."""
    lines = LINES + SCRIPTS[:9]
    if case["tokenizer"] == "spiece":
        path = folder / "spiece.model"
        train_spiece(path, [line.lower() for line in lines], case["vocab"])
        write_spiece_config(folder, **case["tokenizer_config"])
        return spiece_size(path)
    return write_space_bpe(
        folder, lines, case["vocab"], case["tokenizer"], **case["tokenizer_config"]
    )


def random_weight(name, shape, case):
    """Values that leave no term without effect: biases and norms as well."""
    g = rng("siglip", case, name)
    x = g.standard_normal(shape)
    if name == "logit_scale":
        return g.uniform(1.0, 3.5, shape)
    if name == "logit_bias":
        return g.uniform(-9.0, -3.0, shape)
    if "norm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "embedding.weight" in name and "patch" not in name:
        return 0.6 * x
    if name.endswith("probe"):
        return 1.2 * x
    fan_in = int(np.prod(shape[1:]))
    # Queries and keys are made larger, so that attention is far from uniform.
    sharp = "q_proj" in name or "k_proj" in name or "in_proj" in name
    return (1.6 if sharp else 0.9) * x / np.sqrt(fan_in)


def write_weights(name, case, config, folder):
    """Writes the weight files, rounded to the stored type."""
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import SiglipConfig, SiglipModel

    with torch.device("meta"):
        model = SiglipModel(SiglipConfig(**config))
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if key.endswith("position_ids"):
            continue
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
    from transformers import SiglipModel

    model, info = SiglipModel.from_pretrained(
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
    given = {k: torch.from_numpy(v.astype(v.dtype if v.dtype != np.uint8 else np.int64))
             for k, v in inputs.items()}  # fmt: skip
    texts = {k: v for k, v in given.items() if k != "pixel_values"}
    out = {}
    with torch.no_grad():
        if "pixel_values" in given:
            got = model.get_image_features(pixel_values=given["pixel_values"])
            out["vision_features"] = got.last_hidden_state
            image = got.pooler_output
            out["image_embeds"] = image / image.norm(p=2, dim=-1, keepdim=True)
        if texts:
            got = model.get_text_features(**texts)
            out["text_features"] = got.last_hidden_state
            text = got.pooler_output
            out["text_embeds"] = text / text.norm(p=2, dim=-1, keepdim=True)
        if texts and "pixel_values" in given:
            whole = model(**given)
            assert torch.equal(whole.image_embeds, out["image_embeds"])
            assert torch.equal(whole.text_embeds, out["text_embeds"])
            out["logits_per_image"] = whole.logits_per_image
    result = {k: v.contiguous().numpy() for k, v in out.items()}
    for key, value in inputs.items():
        if key == "pixel_values" and value.shape[-1] > WHOLE_PIXELS:
            result["pixel_values.sha256"] = np.frombuffer(bytes.fromhex(sha256(value)), np.uint8)
        elif key != "attention_mask":
            result[key] = value
    return result


def random_ids(g, rows, length, vocab_size):
    """Rows of any ids; of the mask each row has another part, the last token in it."""
    ids = g.integers(0, vocab_size, (rows, length)).astype(np.int64)
    mask = np.ones((rows, length), np.uint8)
    for r in range(1, rows):
        mask[r] = g.random(length) < 0.7
        mask[r, -1] = 1
    return ids, mask


def make_tensors(name, case, model, vocab_size, out):
    """Requests, inputs and goldens of mode `tensors`."""
    g = rng("siglip-inputs", name)
    size, context = case["vision"]["image_size"], case["text"]["max_position_embeddings"]
    plan = {"both": (2, 3), "single": (1, 1), "image": (3, 0), "text": (0, 2)}
    if size > 32:  # larger pictures come by mode `files`, to keep this small
        plan = {"both": (1, 2), "text": (0, 3)} if size <= 100 else {"text": (0, 2)}
    inputs, golden, cases = {}, {}, []
    for what, (images, texts) in plan.items():
        one = {}
        if images:
            one["pixel_values"] = pixel_input(g, images, size)
        if texts:
            length = context if what != "single" else max(1, context // 2)
            one["input_ids"], one["attention_mask"] = random_ids(g, texts, length, vocab_size)
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
        out / "requests-tensors.json", {"family": "siglip", "mode": "tensors", "cases": cases}
    )


def make_files(name, case, model, out):
    """Requests and goldens of mode `files`: pictures and texts."""
    from transformers import AutoTokenizer, SiglipImageProcessorPil
    from transformers.image_utils import load_image

    context = case["text"]["max_position_embeddings"]
    processor = SiglipImageProcessorPil.from_pretrained(str(out / "model"))
    tokenizer = AutoTokenizer.from_pretrained(str(out / "model"))
    kinds = {"spiece": "SiglipTokenizer", "gemma": "GemmaTokenizer", "siglip2": "Siglip2Tokenizer"}
    assert type(tokenizer).__name__ == kinds[case["tokenizer"]]
    length = min(context, case["tokenizer_config"]["model_max_length"])
    plan = {
        "both": (FILE_PICTURES, TEXTS),
        "single": (FILE_PICTURES[:1], TEXTS[1:3]),
        "image": (FILE_PICTURES[1:], []),
        "text": ([], TEXTS[:1]),
    }
    if case["vision"]["image_size"] > 200:  # their features are large
        plan = {"both": (FILE_PICTURES[:1], TEXTS), "text": ([], TEXTS[:1])}
    golden, cases = {}, []
    for what, (pictures, texts) in plan.items():
        request, one = {"name": what, "task": "embed"}, {}
        if pictures:
            request["images"] = [f"../../clip/pictures/{p}" for p in pictures]
            loaded = [load_image(str(out / p)) for p in request["images"]]
            one["pixel_values"] = processor(images=loaded, return_tensors="np")["pixel_values"]
            assert one["pixel_values"].dtype == np.float32
        mask = None
        if texts:
            request["texts"] = texts
            # What the processor of these checkpoints is told to do.
            got = tokenizer(
                texts, padding="max_length", truncation=True, max_length=length, return_tensors="np"
            )
            one["input_ids"] = got["input_ids"].astype(np.int64)
            assert one["input_ids"].shape[1] == length
            assert ("attention_mask" in got) == (case["tokenizer_config"].get(
                "model_input_names") is None)  # fmt: skip
            mask = np.ones_like(one["input_ids"], np.uint8)
            if "attention_mask" in got:
                mask = one["attention_mask"] = got["attention_mask"].astype(np.uint8)
        for key, value in run_embed(model, one).items():
            if key != "pixel_values" or what == "both":
                golden[f"{what}.{key}"] = value
        if texts:
            golden[f"{what}.attention_mask"] = mask
        cases.append(request)
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "siglip", "mode": "files", "cases": cases})


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "model"
    folder.mkdir(parents=True)
    vocab_size = write_tokenizer(case, folder)
    write_json(folder / "config.json", config_json(case, vocab_size))
    for file, value in processor_files(case).items():
        write_json(folder / file, value)
    write_weights(name, case, json.loads((folder / "config.json").read_text()), folder)
    model = load_model(folder)
    make_tensors(name, case, model, vocab_size, out)
    make_files(name, case, model, out)
    return out


def make_all(root):
    for name in CASES:
        out = make_case(name, root)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"siglip/{name}: {size / 1024:.0f} KiB", flush=True)
