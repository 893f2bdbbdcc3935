"""Random PaliGemma checkpoints, of both versions, and their goldens.

Requests of mode `tensors` give pixels and ids, those of mode `files` words and
pictures; logits of the prompt and greedily chosen tokens come out.
"""

import copy
import json
import shutil
from pathlib import Path

import llava_files
import numpy as np
from clip_tokens import training_lines
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_models import load_model, stored_name
from sentence import write_space_bpe

NEW_TOKENS = 10

# `layout` and `store` as in llava_models; `prompts` are words beside the picture,
# of each row; `suffix` of them are behind the prefix.
CASES = {
    "gemma": {
        "about": "heads that are wider than their share, one key head; published layout",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=36, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="gemma", hidden_size=40, intermediate_size=70,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
                     head_dim=12, vocab_size=120, max_position_embeddings=512),
        "top": {},
        "prompts": [[40], [75]],
    },
    "gemma2-window": {
        "about": "caps of scores and logits, a window of 9 tokens in every other layer; v5 layout",
        "layout": "v5",
        "store": "f32",
        "vision": dict(hidden_size=20, intermediate_size=44, num_hidden_layers=2,
                       num_attention_heads=4, image_size=30, patch_size=10),
        "text": dict(model_type="gemma2", hidden_size=36, intermediate_size=52,
                     num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
                     head_dim=10, vocab_size=100, max_position_embeddings=512,
                     query_pre_attn_scalar=7, sliding_window=9, attn_logit_softcapping=2.5,
                     final_logit_softcapping=4.0, rms_norm_eps=1e-5),
        "top": {},
        "prompts": [[150], [30]],
        "suffix": 11,
    },
    "gemma2-types": {
        "about": "the kinds of layers by name, biases, no cap of logits, a head of its own; f16",
        "layout": "v4",
        "store": "f16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=3,
                       num_attention_heads=1, image_size=28, patch_size=7),
        "text": dict(model_type="gemma2", hidden_size=32, intermediate_size=60,
                     num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
                     head_dim=6, vocab_size=90, max_position_embeddings=256,
                     query_pre_attn_scalar=32, sliding_window=21, attn_logit_softcapping=50.0,
                     final_logit_softcapping=None, attention_bias=True, rope_theta=500.0,
                     layer_types=["full_attention", "sliding_attention", "sliding_attention"]),
        "top": dict(tie_word_embeddings=False),
        "prompts": [[18], [41]],
    },
    "files-gemma": {
        "about": "words and pictures; published layout",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="gemma", hidden_size=32, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                     head_dim=20, max_position_embeddings=512),
        "top": {},
        "v4_processor": True,
    },
    "files-gemma2": {
        "about": "words and pictures; a window; what transformers 5 writes",
        "layout": "v5",
        "store": "f16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=2, image_size=32, patch_size=8),
        "text": dict(model_type="gemma2", hidden_size=24, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
                     head_dim=14, max_position_embeddings=512, sliding_window=12,
                     query_pre_attn_scalar=14),
        "top": {},
        "v4_processor": False,
    },
}  # fmt: skip

TEXT = "What's in it? 3 cats,\tnaïve – 猫\n and more"


def random_weight(name, shape, case):
    g = rng("paligemma", case, name)
    x = g.standard_normal(shape)
    if "language_model" in name and "norm" in name:
        return 0.25 * x
    if "norm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "position_embedding" in name:
        return 0.6 * x
    if "embed_tokens" in name:
        return 0.3 * x
    gain = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
    return gain * x / np.sqrt(int(np.prod(shape[1:])))


def write_model(name, case, folder):
    torch = quiet_torch()
    import transformers
    from safetensors.torch import save_file

    text = {"eos_token_id": 1, **case["text"]}
    config = {
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "model_type": "paligemma",
        "image_token_index": text["vocab_size"] - 1,
        "projection_dim": text["hidden_size"],
        "hidden_size": text["hidden_size"],
        "vision_config": {"model_type": "siglip_vision_model", "vision_use_head": False,
                          **case["vision"]},
        "text_config": text,
        **case["top"],
    }  # fmt: skip
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": 1, "pad_token_id": 0, "max_new_tokens": NEW_TOKENS},
    )
    with torch.device("meta"):
        settings = transformers.PaliGemmaConfig(**copy.deepcopy(config))
        model = transformers.PaliGemmaForConditionalGeneration(settings)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if key.startswith("lm_head") and case["top"].get("tie_word_embeddings", True):
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[stored_name(key, case["layout"])] = torch.tensor(data).to(dtype[case["store"]])
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    write_image_processor(case, folder)


def write_image_processor(case, folder):
    side = case["vision"]["image_size"]
    processor = {
        "image_processor_type": "SiglipImageProcessor",
        "image_seq_length": (side // case["vision"]["patch_size"]) ** 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"height": side, "width": side},
        "resample": 3,
        "do_convert_rgb": None,
    }
    write_json(folder / "preprocessor_config.json",
               {"processor_class": "PaliGemmaProcessor", **processor})  # fmt: skip


def prompt(g, case, lengths, tokens):
    """Left-padded rows: a picture, then words."""
    vocabulary = case["text"]["vocab_size"]
    width = max(lengths) + tokens
    ids = np.zeros((len(lengths), width), np.int64)
    mask = np.zeros((len(lengths), width), np.uint8)
    for row, words in enumerate(lengths):
        text = g.integers(4, vocabulary - 2, words)
        line = np.concatenate([np.full(tokens, vocabulary - 1), text])
        ids[row, width - len(line) :] = line
        mask[row, width - len(line) :] = 1
    return ids, mask


def run(model, inputs):
    torch = quiet_torch()
    given = {k: torch.from_numpy(v.astype(np.int64) if v.dtype == np.uint8 else v)
             for k, v in inputs.items()}  # fmt: skip
    ids, mask = given["input_ids"], given["attention_mask"]
    given.setdefault("token_type_ids", torch.zeros_like(ids))
    position = (mask.cumsum(1) - 1).clamp(min=0) + 1
    with torch.no_grad():
        got = model(**given, position_ids=position, output_hidden_states=True)
        chosen = model.generate(**given, do_sample=False, max_new_tokens=NEW_TOKENS)
        features = model.model.get_image_features(pixel_values=given["pixel_values"])
    out = {
        "logits": got.logits,
        "inputs_embeds": got.hidden_states[0],
        "hidden_states": got.hidden_states[-1],
        "generated_ids": chosen[:, ids.shape[1] :],
        "vision_features": features.last_hidden_state,
        "image_features": features.pooler_output,
    }
    return {k: v.detach().contiguous().numpy() for k, v in out.items()}


def make_tensor_case(name, case, out):
    model = load_model(out / "model")
    tokens = (case["vision"]["image_size"] // case["vision"]["patch_size"]) ** 2
    g = rng("paligemma-inputs", name)
    inputs, golden, cases = {}, {}, []
    plan = [(f"prompt{i}", p) for i, p in enumerate(case["prompts"])]
    plan.append(("batch", [p[0] for p in case["prompts"]]))
    if "suffix" in case:
        plan.append(("suffix", case["prompts"][-1]))
    for what, lengths in plan:
        one = {}
        one["input_ids"], one["attention_mask"] = prompt(g, case, lengths, tokens)
        shape = (len(lengths), 3, *[case["vision"]["image_size"]] * 2)
        one["pixel_values"] = g.standard_normal(shape).astype(np.float32)
        if what == "suffix":
            one["token_type_ids"] = np.zeros_like(one["input_ids"])
            one["token_type_ids"][:, -case["suffix"] :] = 1
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        golden.update({f"{what}.{k}": v for k, v in run(model, one).items()})
        cases.append({"name": what, "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"{what}.", "max_new_tokens": NEW_TOKENS})  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "paligemma", "mode": "tensors", "cases": cases}
    )


# ---- Words and pictures ----------------------------------------------------


def write_tokenizer(folder):
    """Gemma's kind of tokenizer, with a token for pictures; returns the size."""
    size = write_space_bpe(folder, training_lines(), 420, "gemma", add_bos_token=True,
                           add_eos_token=False, model_max_length=512)  # fmt: skip
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["added_tokens"].append(llava_files.added(size, "<image>"))
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["extra_special_tokens"] = {"image_token": "<image>"}
    config["padding_side"] = "left"
    write_json(path, config)
    return size


def write_checkpoint(name, folder):
    case = copy.deepcopy(CASES[name])
    size = write_tokenizer(folder)
    case["text"]["vocab_size"] = size + 1
    write_model(name, case, folder)
    if not case["v4_processor"]:
        path = folder / "preprocessor_config.json"
        image = json.loads(path.read_text())
        path.unlink()
        write_json(folder / "processor_config.json",
                   {"image_processor": image, "processor_class": "PaliGemmaProcessor"})  # fmt: skip


def requests(name):
    pictures = [f"../../clip/pictures/{p}" for p in llava_files.PICTURES]
    return [
        {"name": "ask", "text": f"<image>{TEXT}", "images": pictures[:1]},
        {"name": "plain", "text": "caption en", "images": pictures[1:]},
        {"name": "between", "interleaved": [{"image": pictures[1]}, "a ", {"image": pictures[0]}, " and 12 dogs"]},
        {"name": "batch", "batch": ["<image> short", "<image>a longer prompt:\n" + TEXT],
         "images": pictures},
    ]  # fmt: skip


def run_files(model, processor, case, root):
    torch = quiet_torch()
    from transformers.image_utils import load_image

    prompts = llava_files.prompts_of(processor, case)
    paths = case.get("images") or [p["image"] for p in case["interleaved"] if isinstance(p, dict)]
    images = [load_image(str(root / p)) for p in paths]
    given = [[i] for i in images] if len(prompts) > 1 else [images]
    inputs = processor(text=list(prompts), images=given, return_tensors="pt",
                       padding=len(prompts) > 1)  # fmt: skip
    inputs.pop("labels", None)
    mask = inputs["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0) + 1
    with torch.no_grad():
        got = model(**inputs, position_ids=position, output_hidden_states=True)
        answer = model.generate(**inputs, do_sample=False, max_new_tokens=NEW_TOKENS,
                                output_logits=True, return_dict_in_generate=True)  # fmt: skip
    new = answer.sequences[:, inputs["input_ids"].shape[1] :]
    texts = processor.batch_decode(new, skip_special_tokens=True)
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": mask.numpy().astype(np.uint8),
        "generated_ids": new.numpy(),
        "hidden_states": got.hidden_states[-1].numpy(),
    }
    if case["name"] == "ask":
        out["last_step_logits"] = answer.logits[-1].numpy()
    answers = np.frombuffer("\0".join(texts).encode(), np.uint8)
    if len(answers):
        out["text"] = answers
    digest = bytes.fromhex(sha256(inputs["pixel_values"].numpy()))
    out["pixel_values.sha256"] = np.frombuffer(digest, np.uint8)
    return out


def make_files_case(name, out):
    from transformers import AutoTokenizer, PaliGemmaProcessor, SiglipImageProcessorPil

    model = load_model(out / "model")
    folder = str(out / "model")
    image = SiglipImageProcessorPil.from_pretrained(folder)
    side = CASES[name]["vision"]["image_size"] // CASES[name]["vision"]["patch_size"]
    image.image_seq_length = side * side
    processor = PaliGemmaProcessor(image, AutoTokenizer.from_pretrained(folder))
    golden, cases = {}, []
    for case in requests(name):
        for key, value in run_files(model, processor, case, out).items():
            golden[f"{case['name']}.{key}"] = value
        cases.append({"task": "generate", **case})
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(
        out / "requests-files.json", {"family": "paligemma", "mode": "files", "cases": cases}
    )


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    if "v4_processor" in case:
        write_checkpoint(name, out / "model")
        make_files_case(name, out)
    else:
        write_model(name, case, out / "model")
        make_tensor_case(name, case, out)


def make_all(root):
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"paligemma/{name}: {size / 1024:.0f} KiB", flush=True)
