"""Random Mllama (Llama 3.2 with vision) checkpoints with processor, and their goldens.

Prompts of words and pictures (mode `files`); and ready-made tensors of two
prompts with unlike numbers of pictures (mode `tensors`).
"""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from jinja_cases import MLLAMA
from llava_files import PICTURES, TEXT, added, byte_tokenizer, image_block

NEW_TOKENS = 16
BEGIN, IMAGE = "<|begin_of_text|>", "<|image|>"
TOKENS = [BEGIN, "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
          "<|python_tag|>", "<|finetune_right_pad_id|>", IMAGE]  # fmt: skip
LONG = ["jpeg-420-q85-97x131.jpg", "extra-webp-lossy-33x1.webp"]

CASES = {
    "published": {
        "about": "four tiles, frequencies scaled as Llama 3 has it; published layout",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=36, num_hidden_layers=4,
                       num_global_layers=2, attention_heads=2, image_size=28, patch_size=7,
                       intermediate_layers_indices=[0, 2], vision_output_dim=72,
                       supported_aspect_ratios=[[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2],
                                                [3, 1], [4, 1]]),
        "text": dict(hidden_size=40, intermediate_size=56, num_hidden_layers=5,
                     num_attention_heads=4, num_key_value_heads=2, cross_attention_layers=[1, 3],
                     max_position_embeddings=2048, rope_theta=10000.0,
                     rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                       high_freq_factor=4.0,
                                       original_max_position_embeddings=64)),
        "image": dict(max_image_tiles=4, resample=2),
    },
    "three-tiles": {
        "about": "up to three tiles; layers that see pictures side by side, and last; what 5.x writes",
        "layout": "v5",
        "store": "f16",
        "vision": dict(hidden_size=18, intermediate_size=30, num_hidden_layers=3,
                       num_global_layers=1, attention_heads=3, image_size=30, patch_size=10,
                       max_num_tiles=3, norm_eps=1e-3, hidden_act="quick_gelu",
                       intermediate_layers_indices=[-1, 0, 1], vision_output_dim=72,
                       supported_aspect_ratios=[[1, 1], [1, 2], [1, 3], [2, 1], [3, 1]]),
        "text": dict(hidden_size=30, intermediate_size=44, num_hidden_layers=6,
                     num_attention_heads=3, num_key_value_heads=3,
                     cross_attention_layers=[2, 3, 5], max_position_embeddings=1024,
                     rms_norm_eps=1e-4, hidden_act="gelu",
                     rope_parameters=dict(rope_type="default", rope_theta=3000.0)),
        "image": dict(max_image_tiles=3, resample=3, image_mean=[0.4, 0.5, 0.6]),
    },
    "one-tile": {
        "about": "one tile, of which pixels are left over; Lanczos",
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=16, intermediate_size=28, num_hidden_layers=2,
                       num_global_layers=1, attention_heads=1, image_size=35, patch_size=8,
                       max_num_tiles=1, intermediate_layers_indices=[1], vision_output_dim=32,
                       supported_aspect_ratios=[[1, 1]]),
        "text": dict(hidden_size=32, intermediate_size=36, num_hidden_layers=3,
                     num_attention_heads=4, num_key_value_heads=1, cross_attention_layers=[1],
                     max_position_embeddings=1024),
        "image": dict(max_image_tiles=1, resample=1),
    },
}  # fmt: skip


def random_weight(name, shape, case):
    """Values that leave no term without effect: gates, biases and norms as well."""
    g = rng("mllama", case, name)
    x = g.standard_normal(shape)
    if name.endswith(("gate", "gate_attn", "gate_ffn")):
        return 0.8 * x
    if "norm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "embedding" in name and "patch" not in name:
        return 0.6 * x
    if "embed_tokens" in name:
        return x
    gain = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
    return gain * x / np.sqrt(int(np.prod(shape[1:])))


def write_tokenizer(folder):
    """Returns the tokens' ids; that of a picture comes last."""
    data, config, _ = byte_tokenizer()
    first = len(data["model"]["vocab"])
    ids = {t: first + i for i, t in enumerate(TOKENS)}
    data["added_tokens"] = [added(i, t) for t, i in ids.items()]
    begin = {"id": BEGIN, "type_id": 0}
    words = {"Sequence": {"id": "A", "type_id": 0}}
    data["post_processor"] = {"type": "Sequence", "processors": [
        data["post_processor"],
        {"type": "TemplateProcessing", "single": [{"SpecialToken": begin}, words],
         "pair": [{"SpecialToken": begin}, words],
         "special_tokens": {BEGIN: {"id": BEGIN, "ids": [ids[BEGIN]], "tokens": [BEGIN]}}}]}  # fmt: skip
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN,
         "eos_token": "<|eot_id|>", "pad_token": "<|finetune_right_pad_id|>",
         "padding_side": "left", "model_max_length": 1024},
    )  # fmt: skip
    write_json(folder / "chat_template.json", {"chat_template": MLLAMA})
    return ids


def stored_name(name, layout):
    """Files of version 4 have other prefixes."""
    if layout == "v5":
        return name
    for new, old in (("model.language_model.", "language_model.model."), ("model.", ""),
                     ("lm_head", "language_model.lm_head")):  # fmt: skip
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def write_processor(case, folder):
    side = case["vision"]["image_size"]
    image = {
        "image_processor_type": "MllamaImageProcessor",
        "do_convert_rgb": True,
        "do_pad": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "size": {"height": side, "width": side},
        **case["image"],
    }
    if case["layout"] == "v4":
        write_json(folder / "preprocessor_config.json", image)
        return
    write_json(folder / "processor_config.json",
               {"image_processor": image, "processor_class": "MllamaProcessor"})  # fmt: skip


def write_checkpoint(name, folder):
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import MllamaConfig, MllamaForConditionalGeneration

    case = copy.deepcopy(CASES[name])
    ids = write_tokenizer(folder)
    end = [ids["<|end_of_text|>"], ids["<|eot_id|>"]]
    text = {
        "model_type": "mllama_text_model",
        "vocab_size": ids[IMAGE],
        "bos_token_id": ids[BEGIN],
        "eos_token_id": end[0],
        "pad_token_id": ids["<|finetune_right_pad_id|>"],
        **case["text"],
    }
    config = {
        "architectures": ["MllamaForConditionalGeneration"],
        "model_type": "mllama",
        "image_token_index": ids[IMAGE],
        "text_config": text,
        "vision_config": {"model_type": "mllama_vision_model", **case["vision"]},
    }
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": end, "pad_token_id": text["pad_token_id"], "max_new_tokens": NEW_TOKENS},
    )
    write_processor(case, folder)
    with torch.device("meta"):
        model = MllamaForConditionalGeneration(MllamaConfig(**copy.deepcopy(config)))
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[stored_name(key, case["layout"])] = torch.tensor(data).to(dtype[case["store"]])
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    return ids


def load_model(folder):
    torch = quiet_torch()
    from transformers import MllamaForConditionalGeneration

    model, info = MllamaForConditionalGeneration.from_pretrained(
        str(folder), dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


def load_processor(folder):
    from transformers import AutoTokenizer, MllamaProcessor
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    return MllamaProcessor(
        MllamaImageProcessorPil.from_pretrained(str(folder)),
        AutoTokenizer.from_pretrained(str(folder)),
        chat_template=MLLAMA,
    )


# ---- Requests of files -------------------------------------------------------


def requests():
    first, second = (f"../../clip/pictures/{p}" for p in PICTURES)
    wide = f"../../clip/pictures/{LONG[1]}"
    chat = [
        {"role": "user", "content": image_block(TEXT)},
        {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
        {"role": "user", "content": image_block("And this <one>? ", before=False)},
    ]
    return [
        {"name": "ask", "text": f"{IMAGE}{TEXT}", "images": [first]},
        {"name": "words", "text": TEXT, "max_new_tokens": 3},
        {"name": "wide", "interleaved": ["a ", {"image": wide}, " and 12 dogs", {"image": first}]},
        {"name": "group", "interleaved": ["Two:", {"image": second}, {"image": first}, " alike? ",
                                          {"image": wide}, "no"]},
        {"name": "front", "interleaved": [{"image": second}, {"image": wide}, f"{BEGIN}Look."]},
        {"name": "batch", "batch": [f"{IMAGE} short", f"a longer prompt: {IMAGE}\n" + TEXT],
         "images": [first, second]},
        {"name": "chat", "messages": chat, "images": [first, second]},
    ]  # fmt: skip


def prompts_of(processor, case):
    if "messages" in case:
        return [processor.apply_chat_template(case["messages"], add_generation_prompt=True)]
    if "interleaved" in case:
        return ["".join(p if isinstance(p, str) else IMAGE for p in case["interleaved"])]
    return case.get("batch") or [case["text"]]


def run_model(model, inputs, tokens):
    torch = quiet_torch()
    position = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**inputs, position_ids=position, output_hidden_states=True)
        answer = model.generate(**inputs, do_sample=False, max_new_tokens=tokens,
                                output_logits=True, return_dict_in_generate=True)  # fmt: skip
    return got, answer


def features_of(model, inputs):
    """What the tower gives, and what of it the decoder attends to."""
    torch = quiet_torch()
    keys = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
    with torch.no_grad():
        states = model.model.vision_model(**{k: inputs[k] for k in keys}).last_hidden_state
        features = model.model.multi_modal_projector(states)
    return states, features.flatten(0, 2)


def run(model, processor, case, root):
    """What `vlmc run` writes for a case."""
    from transformers.image_utils import load_image

    prompts = prompts_of(processor, case)
    paths = case.get("images") or [
        p["image"] for p in case.get("interleaved", []) if isinstance(p, dict)
    ]
    images = [load_image(str(root / p)) for p in paths]
    if len(prompts) > 1:
        images = [[image] for image in images]
    extra = {"add_special_tokens": False} if "messages" in case else {}
    inputs = processor(text=list(prompts), images=images or None, return_tensors="pt",
                       padding=len(prompts) > 1, **extra)  # fmt: skip
    got, answer = run_model(model, inputs, case.get("max_new_tokens", NEW_TOKENS))
    new = answer.sequences[:, inputs["input_ids"].shape[1] :]
    texts = processor.batch_decode(new, skip_special_tokens=True)
    as_bytes = [np.frombuffer("\0".join(t).encode(), np.uint8) for t in (texts, prompts)]
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": inputs["attention_mask"].numpy().astype(np.uint8),
        "generated_ids": new.numpy(),
        "last_step_logits": answer.logits[-1].numpy(),
        "prompt": as_bytes[1],
    }
    if len(as_bytes[0]):
        out["text"] = as_bytes[0]
    if images:
        digest = bytes.fromhex(sha256(inputs["pixel_values"].numpy()))
        out["pixel_values.sha256"] = np.frombuffer(digest, np.uint8)
        out["aspect_ratio_ids"] = inputs["aspect_ratio_ids"].numpy()
        for mask in ("aspect_ratio_mask", "cross_attention_mask"):
            out[mask] = inputs[mask].numpy().astype(np.uint8)
    if case["name"] == "group":
        out["logits"] = got.logits.numpy()
    return out


# ---- Requests of tensors -----------------------------------------------------


def ready_made(case, ids):
    """Two prompts of unlike length and number of pictures, padded on the left."""
    g = rng("mllama-inputs", case["about"])
    vision = case["vision"]
    tiles, side = vision.get("max_num_tiles", 4), vision["image_size"]
    rows, width = [], 26
    padded = np.full((2, width), ids["<|finetune_right_pad_id|>"], np.int64)
    seen = np.zeros((2, width, 2, tiles), np.int64)
    there = np.zeros((2, 2, tiles), np.int64)
    there[:, :, 0] = 1
    kinds = np.zeros((2, 2), np.int64)
    pixels = np.zeros((2, 2, tiles, 3, side, side), np.float32)
    ratios = vision["supported_aspect_ratios"]
    for i, (places, words) in enumerate((((3, 11), 26), ((6,), 17))):
        row = g.integers(3, ids[BEGIN], words)
        row[0] = ids[BEGIN]
        row[list(places)] = ids[IMAGE]
        rows.append(row)
        padded[i, width - words :] = row
        for j, place in enumerate(places):
            kinds[i, j] = 1 + int(g.integers(len(ratios)))
            count = int(np.prod(ratios[kinds[i, j] - 1]))
            there[i, j, :count] = 1
            pixels[i, j, :count] = g.standard_normal((count, 3, side, side))
            end = width - words + places[j + 1] if j + 1 < len(places) else width
            seen[i, width - words + place : end, j, :count] = 1
    mask = (padded != ids["<|finetune_right_pad_id|>"]).astype(np.int64)
    return {"input_ids": padded, "attention_mask": mask, "cross_attention_mask": seen,
            "aspect_ratio_ids": kinds, "aspect_ratio_mask": there, "pixel_values": pixels}  # fmt: skip


def run_tensors(model, inputs):
    torch = quiet_torch()
    given = {k: torch.from_numpy(v) for k, v in inputs.items()}
    got, answer = run_model(model, given, NEW_TOKENS)
    with torch.no_grad():
        embedded = model.model.language_model.embed_tokens(given["input_ids"])
    states, features = features_of(model, given)
    out = {
        "logits": got.logits,
        "inputs_embeds": embedded,
        "hidden_states": got.hidden_states[-1],
        "vision_features": states,
        "image_features": features,
        "generated_ids": answer.sequences[:, given["input_ids"].shape[1] :],
        "last_step_logits": answer.logits[-1],
    }
    return {k: v.detach().contiguous().numpy() for k, v in out.items()}


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    ids = write_checkpoint(name, out / "model")
    model, processor = load_model(out / "model"), load_processor(out / "model")
    golden, cases = {}, []
    for one in requests():
        for key, value in run(model, processor, one, out).items():
            golden[f"{one['name']}.{key}"] = value
        cases.append({"task": "generate", **one})
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "mllama", "mode": "files", "cases": cases})
    inputs = ready_made(case, ids)
    golden = run_tensors(model, inputs)
    for mask in ("attention_mask", "cross_attention_mask", "aspect_ratio_mask"):
        inputs[mask] = inputs[mask].astype(np.uint8)
    write_safetensors(out / "inputs.safetensors", {f"batch.{k}": v for k, v in inputs.items()})
    write_safetensors(
        out / "golden-tensors.safetensors", {f"batch.{k}": v for k, v in golden.items()}
    )
    one = {"name": "batch", "task": "generate", "tensors": "inputs.safetensors",
           "prefix": "batch.", "max_new_tokens": NEW_TOKENS}  # fmt: skip
    write_json(
        out / "requests-tensors.json", {"family": "mllama", "mode": "tensors", "cases": [one]}
    )


def make_all(root):
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"mllama/{name}: {size / 1024:.0f} KiB", flush=True)
