"""Random InternVL checkpoints in the layout of their own code, and their goldens.

That code comes with the checkpoints; the oracle is transformers' InternVL class
with the same weights, renamed and fused as modeling_internvl_chat.py,
modeling_intern_vit.py and modeling_internlm2.py have them. `ps_version` "v1" leaves
the last permutation of the joined squares out, which is undone in the class here.
"""

import copy
import json
import shutil
import tempfile
from pathlib import Path

import internvl_models
from common import quiet_torch, write_json
from llava_models import load_model

CASES = {
    "chat-internlm2": {
        "about": "InternLM2 with biases, three queries a group; norms of query and key in the tower",
        "store": "f32",
        "vision": dict(hidden_size=24, intermediate_size=36, num_hidden_layers=2,
                       num_attention_heads=2, image_size=[28, 28], patch_size=[7, 7],
                       attention_bias=True, use_qk_norm=True, norm_type="layer_norm"),
        "text": dict(model_type="llama", hidden_size=36, intermediate_size=52,
                     num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
                     vocab_size=100, max_position_embeddings=512, rms_norm_eps=1e-5,
                     attention_bias=True, rope_theta=50000.0,
                     rope_scaling=dict(type="dynamic", factor=2.0)),
        "top": dict(tie_word_embeddings=False),
        "prompts": [(1, 40), (5, 30)],
        "version": "v2",
    },
    "chat-v1": {
        "about": "the first order of squares, an earlier state; InternLM2 without biases; torch.save",
        "store": "bf16",
        "vision": dict(hidden_size=20, intermediate_size=44, num_hidden_layers=3,
                       num_attention_heads=4, image_size=[32, 32], patch_size=[4, 4],
                       attention_bias=False, use_qk_norm=False, norm_type="rms_norm"),
        "text": dict(model_type="llama", hidden_size=32, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                     vocab_size=90, max_position_embeddings=512, rms_norm_eps=1e-6),
        "top": dict(tie_word_embeddings=False, vision_feature_layer=-2),
        "prompts": [(3, 20)],
        "version": "v1",
        "bin": True,
    },
    "chat-qwen2": {
        "about": "words and pictures, Qwen2 under its own names",
        "store": "bf16",
        "base": "files-qwen2",
        "version": "v2",
    },
}  # fmt: skip

LAYER = {
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "lambda_1": "ls1",
    "lambda_2": "ls2",
    "attention.projection_layer": "attn.proj",
    "attention.q_norm": "attn.q_norm",
    "attention.k_norm": "attn.k_norm",
    "mlp": "mlp",
}
OUTER = {
    "model.vision_tower.embeddings.cls_token": "vision_model.embeddings.class_embedding",
    "model.vision_tower.embeddings.position_embeddings": "vision_model.embeddings.position_embedding",
    "model.vision_tower.embeddings.patch_embeddings.projection": "vision_model.embeddings.patch_embedding",
    "model.multi_modal_projector.layer_norm": "mlp1.0",
    "model.multi_modal_projector.linear_1": "mlp1.1",
    "model.multi_modal_projector.linear_2": "mlp1.3",
    "lm_head": "language_model.lm_head",
}
INTERNLM2 = {
    "embed_tokens": "tok_embeddings",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
}


def renamed(name, is_internlm2):
    for ours, theirs in OUTER.items():
        if name.startswith(ours):
            name = theirs + name[len(ours) :]
    name = name.replace("model.vision_tower.encoder.layer.", "vision_model.encoder.layers.")
    for ours, theirs in LAYER.items():
        if name.startswith("vision_model."):
            name = name.replace(f".{ours}", f".{theirs}")
    name = name.replace("model.language_model.", "language_model.model.")
    if is_internlm2:
        name = name.replace("language_model.lm_head", "language_model.output")
        for ours, theirs in INTERNLM2.items():
            name = name.replace(ours, theirs)
    return name


def fuse(torch, state, config, is_internlm2):
    """Joins query, key and value: of all heads, or group by group."""
    out, done = {}, set()
    heads = config.text_config.num_attention_heads
    groups = config.text_config.num_key_value_heads
    for name, value in state.items():
        if "q_proj" not in name:
            continue
        parts = [name.replace("q_proj", f"{x}_proj") for x in "qkv"]
        if name.startswith("model.vision_tower."):
            fused = torch.cat([state[p] for p in parts])
            out[renamed(name, False).replace("attention.q_proj", "attn.qkv")] = fused
        elif is_internlm2:
            size = value.shape[0] // heads
            split = [state[p].reshape(groups, -1, size, *value.shape[1:]) for p in parts]
            fused = torch.cat(split, 1).reshape(-1, *value.shape[1:])
            out[renamed(name, True).replace("self_attn.q_proj", "attention.wqkv")] = fused
        else:
            continue
        done.update(parts)
    for name, value in state.items():
        if name not in done and "mask_token" not in name:
            out[renamed(name, is_internlm2)] = value
    return out


def chat_config(case, settings, is_internlm2):
    vision = dict(settings["vision_config"])
    vision["model_type"] = "intern_vit_6b"
    vision["qkv_bias"] = vision.pop("attention_bias", False)
    vision["qk_normalization"] = vision.pop("use_qk_norm", False)
    vision.setdefault("norm_type", "layer_norm")
    for key in ("image_size", "patch_size"):
        vision[key] = vision[key][0]
    vision.update(drop_path_rate=0.1, dropout=0.0, use_flash_attn=True)
    words = dict(settings["text_config"])
    words["auto_map"] = {"AutoConfig": "configuration_internlm2.InternLM2Config"}
    if is_internlm2:
        words["model_type"] = "internlm2"
        words["bias"] = words.pop("attention_bias", False)
    words["tie_word_embeddings"] = settings["tie_word_embeddings"]
    return {
        "architectures": ["InternVLChatModel"],
        "auto_map": {"AutoConfig": "configuration_internvl_chat.InternVLChatConfig"},
        "model_type": "internvl_chat",
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": vision["image_size"],
        "llm_config": words,
        "max_dynamic_patch": 12,
        "min_dynamic_patch": 1,
        "pad2square": False,
        "ps_version": case["version"],
        "select_layer": settings.get("vision_feature_layer", -1),
        "template": "internlm2-chat",
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "use_thumbnail": True,
        "vision_config": vision,
    }


def write_original(case, model, converted, folder):
    """Writes the model in its own layout, from transformers' in `converted`."""
    torch = quiet_torch()
    from safetensors.torch import save_file

    settings = json.loads((converted / "config.json").read_text())
    is_internlm2 = settings["text_config"]["model_type"] == "llama"
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[case["store"]]
    state = dict(model.state_dict())
    if settings["tie_word_embeddings"]:
        state.pop("lm_head.weight", None)
    state = fuse(torch, state, model.config, is_internlm2)
    state = {k: v.to(dtype).contiguous() for k, v in state.items()}
    folder.mkdir(parents=True)
    if case.get("bin"):
        torch.save(state, str(folder / "pytorch_model.bin"))
    else:
        save_file(state, str(folder / "model.safetensors"), {"format": "pt"})
    write_json(folder / "config.json", chat_config(case, settings, is_internlm2))
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        if (converted / name).exists():
            shutil.copy(converted / name, folder)
    if not (folder / "tokenizer.json").exists():
        write_json(folder / "added_tokens.json", {"<IMG_CONTEXT>": settings["image_token_id"]})


def first_order(model):
    """Undoes the permutation that "v2" of the code has and "v1" has not."""
    joined = model.model.pixel_shuffle

    def pixel_shuffle(features, scale_factor=0.5):
        return joined(features, scale_factor).permute(0, 2, 1, 3).contiguous()

    model.model.pixel_shuffle = pixel_shuffle


def make_case(name, root):
    case, out = copy.deepcopy(CASES[name]), Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        converted = Path(scratch) / "model"
        converted.mkdir()
        if "base" in case:
            internvl_models.write_checkpoint(case["base"], converted)
        else:
            internvl_models.write_model(name, {"layout": "v5", **case}, converted)

        def load(_):
            model = load_model(converted)
            if case["version"] == "v1":
                first_order(model)
            return model

        model = load(None)
        # The other script's goldens, of this model instead of the one there.
        kept, internvl_models.load_model = internvl_models.load_model, load
        try:
            if "base" in case:
                (out / "model").symlink_to(converted)
                internvl_models.make_files_case(name, out, films=False)
                (out / "model").unlink()
            else:
                internvl_models.make_tensor_case(name, case, out)
        finally:
            internvl_models.load_model = kept
        write_original(case, model, converted, out / "model")


def make_all(root):
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"internvl/{name}: {size / 1024:.0f} KiB", flush=True)
