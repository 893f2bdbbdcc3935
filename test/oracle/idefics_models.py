"""Random Idefics checkpoints with tokenizer and processor, and their goldens.

Prompts are texts and pictures in turn (mode `files`); and ready-made tensors of
two prompts with unlike numbers of pictures (mode `tensors`).
"""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_files import PICTURES, added, sentence_tokenizer

NEW_TOKENS = 8
FAKE, IMAGE, END = "<fake_token_around_image>", "<image>", "<end_of_utterance>"

CASES = {
    "resampler": {
        "about": "norms on heads everywhere, a gate for each feature, every second layer; as published",
        "store": "bf16",
        "tokenizer": "prepend",
        "extra": [FAKE, IMAGE],
        "vision": dict(embed_dim=24, intermediate_size=40, num_hidden_layers=2,
                       num_attention_heads=3, image_size=28, patch_size=7),
        "perceiver": dict(qk_layer_norms_perceiver=True, resampler_depth=2, resampler_head_dim=12,
                          resampler_n_heads=3, resampler_n_latents=5),
        "top": dict(hidden_size=32, intermediate_size=50, num_hidden_layers=4,
                    num_attention_heads=4, cross_layer_interval=2, qk_layer_norms=True,
                    alpha_type="vector", use_resampler=True, additional_vocab_size=2),
    },
    "tower": {
        "about": "no resampler: the tower's tokens themselves, two pages of them; one gate; tied; every layer",
        "store": "f32",
        "tokenizer": "metaspace",
        "extra": [FAKE, IMAGE, END],
        "vision": dict(embed_dim=18, intermediate_size=30, num_hidden_layers=1,
                       num_attention_heads=2, image_size=36, patch_size=4, hidden_act="quick_gelu"),
        "perceiver": None,
        "top": dict(hidden_size=30, intermediate_size=44, num_hidden_layers=2,
                    num_attention_heads=5, cross_layer_interval=1, alpha_type="float",
                    additional_vocab_size=3, tie_word_embeddings=True,
                    rope_parameters=dict(rope_type="default", rope_theta=5000.0)),
    },
    "scalar": {
        "about": "a resampler without norms on heads, 64 latents, one gate, one gated layer of three",
        "store": "f16",
        "tokenizer": "prepend",
        "extra": [FAKE, IMAGE],
        "vision": dict(embed_dim=16, intermediate_size=28, num_hidden_layers=2,
                       num_attention_heads=1, image_size=30, patch_size=10),
        "perceiver": dict(resampler_depth=1, resampler_head_dim=7, resampler_n_heads=2,
                          resampler_n_latents=64),
        "top": dict(hidden_size=24, intermediate_size=36, num_hidden_layers=3,
                    num_attention_heads=2, cross_layer_interval=3, use_resampler=True,
                    additional_vocab_size=0, rms_norm_eps=1e-5),
    },
}  # fmt: skip


def random_weight(name, shape, case):
    """Values that leave no term without effect: gates, biases and norms as well."""
    g = rng("idefics", case, name)
    x = g.standard_normal(shape)
    if "norm" in name or "layrnorm" in name or name.endswith(("ln.weight", "ln.bias")):
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "alpha" in name:
        return 0.8 * x
    if name.endswith("class_embedding") or "position_embedding" in name:
        return 0.6 * x
    if "embed_tokens" in name or name.endswith("latents"):
        return x
    gain = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
    return gain * x / np.sqrt(int(np.prod(shape[1:])))


def write_tokenizer(case, folder):
    """Returns the tokens' ids; those of the pictures come last."""
    data, config, size = sentence_tokenizer(case["tokenizer"])
    tokens = [t for t in data["added_tokens"] if t["content"] != IMAGE]
    tokens[-1]["id"] = size - 2  # <pad>
    tokens += [added(size - 1 + i, t) for i, t in enumerate(case["extra"])]
    data["added_tokens"] = tokens
    config["additional_special_tokens"] = case["extra"]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    return {t["content"]: t["id"] for t in tokens}


def write_checkpoint(name, folder):
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import IdeficsConfig, IdeficsForVisionText2Text

    case = copy.deepcopy(CASES[name])
    ids = write_tokenizer(case, folder)
    words = max(ids.values()) + 1
    config = {
        "architectures": ["IdeficsForVisionText2Text"],
        "model_type": "idefics",
        "alpha_initializer": "zeros",
        "freeze_text_layers": True,
        "max_position_embeddings": 1024,
        "vocab_size": words - case["top"]["additional_vocab_size"],
        "vision_config": case["vision"],
        "eos_token_id": ids["</s>"],
        "bos_token_id": ids["<s>"],
        "pad_token_id": ids["<pad>"],
        **case["top"],
    }
    if case["perceiver"]:
        config["perceiver_config"] = case["perceiver"]
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": ids["</s>"], "pad_token_id": ids["<pad>"], "max_new_tokens": NEW_TOKENS},
    )
    write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "IdeficsImageProcessor",
            "image_num_channels": 3,
            "image_size": case["vision"]["image_size"],
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
        },
    )
    with torch.device("meta"):
        model = IdeficsForVisionText2Text(IdeficsConfig(**config))
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if config.get("tie_word_embeddings") and key.startswith("lm_head"):
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[key] = torch.tensor(data).to(dtype[case["store"]])
    if name == "resampler":  # a buffer of old files
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
        tensors["model.gated_cross_attn_layers.0.cross_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    return ids


def load_model(folder):
    torch = quiet_torch()
    from transformers import IdeficsForVisionText2Text

    model, info = IdeficsForVisionText2Text.from_pretrained(
        str(folder), dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    surplus = [k for k in info["unexpected_keys"] if "rotary_emb" not in k]
    if info["missing_keys"] or surplus or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


def load_processor(folder):
    from transformers import AutoTokenizer, IdeficsImageProcessorPil, IdeficsProcessor

    return IdeficsProcessor(
        IdeficsImageProcessorPil.from_pretrained(str(folder)),
        AutoTokenizer.from_pretrained(str(folder)),
    )


# ---- Requests of files -------------------------------------------------------


def shots(count):
    """Pictures with an answer each, and a question about one more."""
    picture = [{"image": f"../../clip/pictures/{p}"} for p in PICTURES]
    parts = ["Animals."]
    for i in range(count):
        parts += [picture[i % 2], f"{i + 1} cats. "]
    return [*parts, picture[count % 2], " What's this?"]


def requests(name):
    picture = [{"image": f"../../clip/pictures/{p}"} for p in PICTURES]
    plans = [
        ("ask", ["User:", picture[0], " Describe it.\nAssistant:"]),
        ("adjacent", [" two ", picture[0], picture[1], "are alike", "or not? "]),
        ("shots4", shots(4)),
    ]
    if name != "tower":
        plans.append(("shots32", shots(32)))
    cases = [{"name": n, "task": "generate", "interleaved": p} for n, p in plans]
    if name == "tower":
        option = {"add_end_of_utterance_token": True}
        cases.append({**cases[1], "name": "ended", "processor_kwargs": option})
    return cases


def run_model(model, inputs, tokens=NEW_TOKENS):
    torch = quiet_torch()
    mask = inputs["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**inputs, position_ids=position, output_hidden_states=True)
        answer = model.generate(**inputs, do_sample=False, max_new_tokens=tokens,
                                output_logits=True, return_dict_in_generate=True)  # fmt: skip
    return got, answer


def run(model, processor, case, root):
    """What `vlmc run` writes for a case."""
    from transformers.image_utils import load_image

    parts = [load_image(str(root / p["image"])) if isinstance(p, dict) else p
             for p in case["interleaved"]]  # fmt: skip
    inputs = processor(text=[parts], return_tensors="pt", **case.get("processor_kwargs", {}))
    got, answer = run_model(model, inputs)
    new = answer.sequences[:, inputs["input_ids"].shape[1] :]
    text = processor.batch_decode(new, skip_special_tokens=True)[0]
    digest = bytes.fromhex(sha256(inputs["pixel_values"].numpy()))
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": inputs["attention_mask"].numpy().astype(np.uint8),
        "image_attention_mask": inputs["image_attention_mask"].numpy().astype(np.int64),
        "pixel_values.sha256": np.frombuffer(digest, np.uint8),
        "generated_ids": new.numpy(),
        "last_step_logits": answer.logits[-1].numpy(),
    }
    if text:
        out["text"] = np.frombuffer(text.encode(), np.uint8)
    if case["name"] == "adjacent":
        out["logits"] = got.logits.numpy()
        out["image_features"] = got.image_hidden_states.numpy()
    return out


# ---- Requests of tensors -----------------------------------------------------


def ready_made(case, ids):
    """Two prompts of unlike length and number of pictures, padded on the left."""
    g = rng("idefics-inputs", case["about"])
    side = case["vision"]["image_size"]
    rows = []
    for pictures, words in ((3, 20), (1, 9)):
        row = [ids["<s>"]]
        places = sorted(g.choice(words, pictures, replace=False))
        for i, word in enumerate(g.integers(3, ids["<pad>"] - 1, words)):
            row += [ids[IMAGE]] * (i in places) + [int(word)]
        rows.append(row)
    rows[0].insert(15, ids["</s>"])  # behind which no picture is seen
    width = max(map(len, rows))
    padded = np.full((2, width), ids["<pad>"], np.int64)
    mask = np.zeros((2, width), np.int64)
    seen = np.zeros((2, width, 3), np.int64)
    for i, row in enumerate(rows):
        padded[i, width - len(row) :], mask[i, width - len(row) :] = row, 1
        count, over = -1, False
        for at, token in enumerate(padded[i]):
            if token == ids[IMAGE]:
                count, over = count + 1, False
            if count >= 0 and not over:
                seen[i, at, count] = 1
            over = over or token == ids["</s>"]
    seen[0, -4:] = 1  # a mask of one's own: all pictures
    pixels = g.standard_normal((2, 3, 3, side, side)).astype(np.float32)
    pixels[1, 1:] = 0
    return {"input_ids": padded, "attention_mask": mask, "image_attention_mask": seen,
            "pixel_values": pixels}  # fmt: skip


def run_tensors(model, inputs):
    torch = quiet_torch()
    given = {k: torch.from_numpy(v) for k, v in inputs.items()}
    got, answer = run_model(model, given)
    pixels = given["pixel_values"].flatten(0, 1)
    with torch.no_grad():
        tower = model.model.vision_model(pixels).last_hidden_state
        embedded = model.model.embed_tokens(given["input_ids"])
    out = {
        "logits": got.logits,
        "inputs_embeds": embedded,
        "hidden_states": got.hidden_states[-1],
        "vision_features": tower,
        "image_features": got.image_hidden_states,
        "generated_ids": answer.sequences[:, given["input_ids"].shape[1] :],
        "last_step_logits": answer.logits[-1],
    }
    out = {k: v.detach().contiguous().numpy() for k, v in out.items()}
    with torch.no_grad():
        found = model.generate(**given, do_sample=False, max_new_tokens=NEW_TOKENS, num_beams=3)
    return out, {"generated_ids": found[:, given["input_ids"].shape[1] :].contiguous().numpy()}


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    ids = write_checkpoint(name, out / "model")
    model, processor = load_model(out / "model"), load_processor(out / "model")
    golden, cases = {}, requests(name)
    for one in cases:
        for key, value in run(model, processor, one, out).items():
            golden[f"{one['name']}.{key}"] = value
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "idefics", "mode": "files", "cases": cases})
    inputs = ready_made(case, ids)
    golden, found = run_tensors(model, inputs)
    inputs["attention_mask"] = inputs["attention_mask"].astype(np.uint8)
    write_safetensors(out / "inputs.safetensors", {f"batch.{k}": v for k, v in inputs.items()})
    golden = {f"batch.{k}": v for k, v in golden.items()}
    golden |= {f"search.{k}": v for k, v in found.items()}
    write_safetensors(out / "golden-tensors.safetensors", golden)
    one = {"name": "batch", "task": "generate", "tensors": "inputs.safetensors",
           "prefix": "batch.", "max_new_tokens": NEW_TOKENS}  # fmt: skip
    cases = [one, {**one, "name": "search", "num_beams": 3}]
    write_json(
        out / "requests-tensors.json", {"family": "idefics", "mode": "tensors", "cases": cases}
    )


def make_all(root):
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"idefics/{name}: {size / 1024:.0f} KiB", flush=True)
