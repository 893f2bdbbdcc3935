"""Random LLaVA checkpoints, one for each kind of decoder, and their goldens.

The requests are of mode `tensors`, task `generate`: the pictures' pixels and the
token ids are given, logits of the prompt and greedily chosen tokens come out.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from common import quiet_torch, rng, write_json, write_safetensors

NEW_TOKENS = 12

# layout: "v5" as transformers 5 names tensors, "v4" as published files do.
CASES = {
    "llama": {
        "about": "Llama 3's rotary positions, grouped queries, biases; v4 layout",
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=3,
                       num_attention_heads=3, image_size=28, patch_size=7),
        "text": dict(model_type="llama", hidden_size=40, intermediate_size=70,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     head_dim=12, vocab_size=120, max_position_embeddings=512,
                     rms_norm_eps=1e-5, attention_bias=True, mlp_bias=True, rope_theta=500000.0,
                     rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                       high_freq_factor=4.0,
                                       original_max_position_embeddings=64)),
        "top": dict(vision_feature_layer=-2, vision_feature_select_strategy="default"),
        "prompts": [[40], [75]],
    },
    "mistral-window": {
        "about": "a window of 9 tokens, one key head, a prompt of three pages; all tokens of the tower",
        "layout": "v5",
        "store": "bf16",
        "vision": dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                       num_attention_heads=2, image_size=30, patch_size=10, hidden_act="gelu"),
        "text": dict(model_type="mistral", hidden_size=36, intermediate_size=64,
                     num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=1,
                     head_dim=6, vocab_size=90, max_position_embeddings=512,
                     rms_norm_eps=1e-6, sliding_window=9),
        "top": dict(vision_feature_layer=-1, vision_feature_select_strategy="full"),
        "prompts": [[150]],
    },
    "qwen2": {
        "about": "biases on query, key and value, windows from the second layer on, yarn, tied embeddings",
        "layout": "v4",
        "store": "f16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=1, image_size=28, patch_size=14),
        "text": dict(model_type="qwen2", hidden_size=48, intermediate_size=60,
                     num_hidden_layers=3, num_attention_heads=3, num_key_value_heads=3,
                     vocab_size=110, max_position_embeddings=512, rms_norm_eps=1e-6,
                     use_sliding_window=True, sliding_window=21, max_window_layers=1,
                     tie_word_embeddings=True, rope_theta=10000.0,
                     rope_scaling=dict(rope_type="yarn", factor=4.0,
                                       original_max_position_embeddings=128)),
        "top": dict(vision_feature_layer=1, multimodal_projector_bias=False),
        "prompts": [[33], [90]],
    },
    "qwen3": {
        "about": "norms on the heads of query and key, a head of 20 that no vector divides; words alone too",
        "layout": "v5",
        "store": "f32",
        "vision": dict(hidden_size=20, intermediate_size=44, num_hidden_layers=2,
                       num_attention_heads=4, image_size=28, patch_size=14),
        "text": dict(model_type="qwen3", hidden_size=44, intermediate_size=52,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     head_dim=20, vocab_size=100, max_position_embeddings=512, rms_norm_eps=1e-6),
        "top": dict(projector_hidden_act="relu"),
        "prompts": [[64]],
    },
    "siglip-tower": {
        "about": "a SigLIP tower without a class token, all of its features, its own layout",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(model_type="siglip_vision_model", hidden_size=24, intermediate_size=36,
                       num_hidden_layers=3, num_attention_heads=2, image_size=30, patch_size=10),
        "text": dict(model_type="qwen2", hidden_size=32, intermediate_size=48,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     vocab_size=96, max_position_embeddings=256, rms_norm_eps=1e-6),
        "top": dict(vision_feature_layer=-1, vision_feature_select_strategy="full"),
        "prompts": [[20], [41]],
    },
    "several-layers": {
        "about": "features of three layers, the embeddings among them, side by side",
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=18, intermediate_size=32, num_hidden_layers=4,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="mistral", hidden_size=24, intermediate_size=40,
                     num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                     vocab_size=80, max_position_embeddings=256, rms_norm_eps=1e-5,
                     sliding_window=None),
        "top": dict(vision_feature_layer=[-2, 0, 1], vision_feature_select_strategy="full"),
        "prompts": [[15]],
    },
    "vip": {
        "about": "ViP-LLaVA: five layers through a LayerNorm",
        "class": "VipLlava",
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=20, intermediate_size=32, num_hidden_layers=12,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="llama", hidden_size=24, intermediate_size=40,
                     num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                     vocab_size=80, max_position_embeddings=256, rms_norm_eps=1e-5),
        "top": dict(projector_layernorm_eps=1e-4),
        "prompts": [[15], [31]],
    },
    "siglip-first": {
        "about": "a SigLIP tower whose first patch is left out, as `default` has it; v5 layout",
        "layout": "v5",
        "store": "f32",
        "vision": dict(model_type="siglip_vision_model", hidden_size=20, intermediate_size=32,
                       num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=7),
        "text": dict(model_type="llama", hidden_size=24, intermediate_size=40,
                     num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                     vocab_size=80, max_position_embeddings=256, rms_norm_eps=1e-5),
        "top": dict(vision_feature_layer=-2, vision_feature_select_strategy="default"),
        "prompts": [[15]],
    },
    # Answers that cross the length from which on frequencies are others, and
    # prompts that begin beyond it.
    "dynamic": {
        "about": "rotary positions whose base grows with the length; v4 keys",
        "fresh": True,
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="llama", hidden_size=32, intermediate_size=40,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     vocab_size=80, max_position_embeddings=32, rms_norm_eps=1e-5,
                     rope_theta=20000.0, rope_scaling=dict(type="dynamic", factor=16.0)),
        "top": dict(vision_feature_layer=-1),
        "prompts": [[23], [47]],
    },
    "longrope": {
        "about": "rotary positions with factors for short and for long sequences; v5 keys",
        "fresh": True,
        "layout": "v5",
        "store": "f32",
        "vision": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="mistral", hidden_size=32, intermediate_size=40,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
                     head_dim=12, vocab_size=80, max_position_embeddings=512, rms_norm_eps=1e-6,
                     sliding_window=None,
                     rope_parameters=dict(
                         rope_type="longrope", rope_theta=10000.0,
                         original_max_position_embeddings=24,
                         short_factor=[1.0, 1.05, 1.1, 1.3, 1.7, 2.0],
                         long_factor=[1.2, 1.9, 3.0, 5.5, 8.0, 11.0])),
        "top": dict(vision_feature_layer=-1),
        "prompts": [[18], [52]],
    },
    "longrope-beside": {
        "about": "the same with a factor of cosines, the original length beside the scaling",
        "fresh": True,
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="qwen2", hidden_size=48, intermediate_size=40,
                     num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3,
                     vocab_size=80, max_position_embeddings=512, rms_norm_eps=1e-6,
                     rope_theta=50000.0, original_max_position_embeddings=30,
                     rope_scaling=dict(
                         rope_type="longrope", factor=4.0, attention_factor=1.15,
                         short_factor=[1.0, 1.0, 1.1, 1.2, 1.4, 1.5, 1.8, 2.0],
                         long_factor=[1.1, 1.5, 2.0, 3.0, 4.0, 6.0, 7.0, 9.0])),
        "top": dict(vision_feature_layer=-2),
        "prompts": [[25], [40]],
    },
    "linear": {
        "about": "the first LLaVA: the projector is one matrix with a bias",
        "linear": True,
        "layout": "v4",
        "store": "f16",
        "vision": dict(hidden_size=20, intermediate_size=32, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="llama", hidden_size=24, intermediate_size=40,
                     num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                     vocab_size=80, max_position_embeddings=512, rms_norm_eps=1e-5),
        "top": dict(vision_feature_layer=-2),
        "prompts": [[12], [30]],
    },
    # What generation_config.json says of the choice of tokens.
    "rules-repeats": {
        "about": "penalties of tokens that are there, n-grams, suppressed tokens, the least length",
        "generation": dict(max_new_tokens=14, eos_token_id=[46, 33], repetition_penalty=1.4,
                           encoder_repetition_penalty=0.8, no_repeat_ngram_size=2,
                           encoder_no_repeat_ngram_size=3, suppress_tokens=[41, 9, 23],
                           begin_suppress_tokens=[8, 16, 34], min_length=30, min_new_tokens=8),
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="llama", hidden_size=32, intermediate_size=40,
                     num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                     vocab_size=60, max_position_embeddings=512, rms_norm_eps=1e-5),
        "top": dict(vision_feature_layer=-1),
        "prompts": [[9], [21]],
    },
    "rules-ends": {
        "about": "forbidden and favoured words, a forced end, ends that grow likelier, max_length",
        "generation": dict(max_length=34, eos_token_id=[55, 13], forced_eos_token_id=[57],
                           bad_words_ids=[[31], [19, 39], [26, 29, 4], [55]],
                           sequence_bias=[[[48], -3.0], [[19, 56], 4.0], [[50], 0.5]],
                           exponential_decay_length_penalty=[6, 1.2]),
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=14),
        "text": dict(model_type="llama", hidden_size=32, intermediate_size=40,
                     num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                     vocab_size=60, max_position_embeddings=512, rms_norm_eps=1e-5),
        "top": dict(vision_feature_layer=-1),
        "prompts": [[9], [21]],
    },
}  # fmt: skip


def random_weight(name, shape, case):
    """Values that leave no term without effect: biases and norms as well."""
    g = rng("llava", case, name)
    x = g.standard_normal(shape)
    if "norm" in name or "layrnorm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if name.endswith("class_embedding") or "position_embedding" in name:
        return 0.6 * x
    if "embed_tokens" in name:
        return x
    gain = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
    return gain * x / np.sqrt(int(np.prod(shape[1:])))


def stored_name(name, layout):
    """The name in the file of a tensor that the class calls `name`."""
    if layout == "v5":
        return name
    name = name.removeprefix("model.")
    if name.startswith("vision_tower."):
        return "vision_tower.vision_model." + name.removeprefix("vision_tower.")
    if name.startswith("language_model."):
        return "language_model.model." + name.removeprefix("language_model.")
    return "language_model." + name if name.startswith("lm_head") else name


def write_model(name, case, folder):
    torch = quiet_torch()
    import transformers
    from safetensors.torch import save_file

    kind = case.get("class", "Llava")
    config = {
        "architectures": [kind + "ForConditionalGeneration"],
        "model_type": kind.lower(),
        "image_token_index": case["text"]["vocab_size"] - 1,
        "vision_config": {"model_type": "clip_vision_model", **case["vision"]},
        "text_config": {"eos_token_id": 2, **case["text"]},
        **case["top"],
    }
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {
            "eos_token_id": [2, 3],
            "pad_token_id": 0,
            **case.get("generation", {"max_new_tokens": NEW_TOKENS}),
        },
    )
    side = case["vision"]["image_size"]
    write_json(
        folder / "preprocessor_config.json",
        {
            "crop_size": {"height": side, "width": side},
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": side},
        },
    )
    with torch.device("meta"):
        settings = getattr(transformers, kind + "Config")(**config)
        model = getattr(transformers, kind + "ForConditionalGeneration")(settings)
    tied = case["text"].get("tie_word_embeddings", False)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if tied and key.startswith("lm_head"):
            continue
        if "linear" in case and "linear_2" in key:
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[stored_name(key, case["layout"])] = torch.tensor(data).to(dtype[case["store"]])
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def load_model(folder):
    torch = quiet_torch()
    import transformers

    config = json.loads((Path(folder) / "config.json").read_text())
    model, info = getattr(transformers, config["architectures"][0]).from_pretrained(
        str(folder),
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
    )
    # The first LLaVA's projector (arXiv:2304.08485) is one matrix and has no
    # class: transformers' own is left with its first layer alone, and what
    # stands behind that passes values on. Its file lacks the second layer.
    missing = [k for k in info["missing_keys"] if "linear_2" not in k]
    if missing != list(info["missing_keys"]):
        model.model.multi_modal_projector.act = torch.nn.Identity()
        model.model.multi_modal_projector.linear_2 = torch.nn.Identity()
    surplus = [k for k in info["unexpected_keys"] if not k.endswith("position_ids")]
    if missing or surplus or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


def prompt(g, case, lengths, tokens):
    """Left-padded rows; each has a picture among its words."""
    vocabulary = case["text"]["vocab_size"]
    width = max(lengths) + tokens
    ids = np.zeros((len(lengths), width), np.int64)
    mask = np.zeros((len(lengths), width), np.uint8)
    for row, words in enumerate(lengths):
        at = int(g.integers(0, words + 1))
        text = g.integers(4, vocabulary - 2, words)
        line = np.concatenate([text[:at], np.full(tokens, vocabulary - 1), text[at:]])
        ids[row, width - len(line) :] = line
        mask[row, width - len(line) :] = 1
    return ids, mask


def run(model, inputs, limit):
    """What `vlmc run` writes for the task `generate`, given the inputs."""
    torch = quiet_torch()
    given = {k: torch.from_numpy(v.astype(np.int64) if v.dtype == np.uint8 else v)
             for k, v in inputs.items()}  # fmt: skip
    ids, mask = given["input_ids"], given["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**given, position_ids=position, output_hidden_states=True)
        chosen = model.generate(**given, do_sample=False, **limit)
    out = {
        "logits": got.logits,
        "inputs_embeds": got.hidden_states[0],
        "hidden_states": got.hidden_states[-1],
        "generated_ids": chosen[:, ids.shape[1] :],
    }
    if "pixel_values" in given:
        features = model.model.get_image_features(
            pixel_values=given["pixel_values"],
            vision_feature_layer=model.config.vision_feature_layer,
        ).pooler_output
        out["image_features"] = torch.stack(tuple(features))
    return {k: v.detach().contiguous().numpy() for k, v in out.items()}


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    write_model(name, case, out / "model")
    model = load_model(out / "model")
    side = case["vision"]["image_size"] // case["vision"]["patch_size"]
    tokens = side * side + (case["top"].get("vision_feature_select_strategy") == "full")
    if "model_type" in case["vision"]:
        tokens -= 1  # no class token
    g = rng("llava-inputs", name)
    inputs, golden, cases = {}, {}, []
    limit = {} if "generation" in case else {"max_new_tokens": NEW_TOKENS}
    plan = [(f"prompt{i}", p, tokens) for i, p in enumerate(case["prompts"])]
    # A batch of transformers has the frequencies of its longest row.
    if len(case["prompts"]) > 1 and "fresh" not in case:
        plan.append(("batch", [p[0] for p in case["prompts"]], tokens))
    if name == "qwen3":
        plan.append(("words", [11], 0))
    for what, lengths, count in plan:
        one = {}
        one["input_ids"], one["attention_mask"] = prompt(g, case, lengths, count)
        if count:
            shape = (len(lengths), 3, *[case["vision"]["image_size"]] * 2)
            one["pixel_values"] = g.standard_normal(shape).astype(np.float32)
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        if "fresh" in case:  # its frequencies are those of the prompt before
            model = load_model(out / "model")
        golden.update({f"{what}.{k}": v for k, v in run(model, one, limit).items()})
        cases.append({"name": what, "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"{what}.", **limit})  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "llava", "mode": "tensors", "cases": cases}
    )
    return json.dumps({k: v.tolist() for k, v in golden.items() if "ids" in k})


def make_all(root):
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"llava/{name}: {size / 1024:.0f} KiB", flush=True)
