"""Random BLIP-2 and InstructBLIP checkpoints and their goldens, from ready-made inputs.

Those with a language model answer the task `generate`: pixels and token ids go
in, the Q-Former's features, logits and greedily chosen tokens come out. Those
for retrieval answer the task `match`.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from common import quiet_torch, rng, write_json, write_safetensors

NEW_TOKENS = 8

CASES = {
    "opt": {
        "about": "OPT as published: norms in front, ReLU, tied head; odd heads in the Q-Former",
        "class": "Blip2ForConditionalGeneration",
        "store": "f32",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                       num_attention_heads=3, image_size=28, patch_size=7, layer_norm_eps=1e-6),
        "qformer": dict(hidden_size=20, intermediate_size=36, num_hidden_layers=3,
                        num_attention_heads=4, cross_attention_frequency=2, vocab_size=40,
                        max_position_embeddings=16),
        "text": dict(model_type="opt", hidden_size=32, ffn_dim=60, num_hidden_layers=2,
                     num_attention_heads=4, vocab_size=97, max_position_embeddings=160,
                     word_embed_proj_dim=32),
        "top": dict(num_query_tokens=5),
        "prompts": [[9], [31, 4]],
    },
    "opt-post-norm": {
        "about": "OPT as its 350m: norms behind the residuals, no last norm; cross-attention in all layers",
        "class": "Blip2ForConditionalGeneration",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=1,
                       num_attention_heads=2, image_size=30, patch_size=10, qkv_bias=False,
                       hidden_act="quick_gelu"),
        "qformer": dict(hidden_size=24, intermediate_size=30, num_hidden_layers=2,
                        num_attention_heads=3, cross_attention_frequency=1, vocab_size=40,
                        max_position_embeddings=16, use_qformer_text_input=True),
        "text": dict(model_type="opt", hidden_size=28, ffn_dim=44, num_hidden_layers=3,
                     num_attention_heads=2, vocab_size=80, max_position_embeddings=128,
                     do_layer_norm_before=False),
        "top": dict(num_query_tokens=7),
        "prompts": [[70]],
    },
    "opt-unbiased": {
        "about": "OPT without biases or last norm, another activation, a head of its own; one query",
        "class": "Blip2ForConditionalGeneration",
        "store": "f16",
        "vision": dict(hidden_size=20, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=1, image_size=28, patch_size=14),
        "qformer": dict(hidden_size=16, intermediate_size=20, num_hidden_layers=4,
                        num_attention_heads=2, cross_attention_frequency=3, vocab_size=40,
                        max_position_embeddings=16, hidden_act="gelu_new"),
        "text": dict(model_type="opt", hidden_size=40, ffn_dim=50, num_hidden_layers=2,
                     num_attention_heads=5, vocab_size=90, max_position_embeddings=64,
                     enable_bias=False, activation_function="gelu",
                     _remove_final_layer_norm=True, tie_word_embeddings=False),
        "top": dict(num_query_tokens=1),
        "prompts": [[12], [3]],
    },
    "retrieval": {
        "about": "matching and contrast, as published: places for the queries in the ids",
        "class": "Blip2ForImageTextRetrieval",
        "store": "f32",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                       num_attention_heads=3, image_size=28, patch_size=7),
        "qformer": dict(hidden_size=32, intermediate_size=36, num_hidden_layers=3,
                        num_attention_heads=4, cross_attention_frequency=2, vocab_size=70,
                        max_position_embeddings=32, use_qformer_text_input=True),
        "top": dict(num_query_tokens=4, image_text_hidden_size=18, image_token_index=69),
        "texts": [9, 14],
    },
    "retrieval-old": {
        "about": "ids without places for queries; 16-bit weights, other sizes",
        "class": "Blip2ForImageTextRetrieval",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=1,
                       num_attention_heads=2, image_size=30, patch_size=10, qkv_bias=False),
        "qformer": dict(hidden_size=20, intermediate_size=50, num_hidden_layers=2,
                        num_attention_heads=2, cross_attention_frequency=1, vocab_size=60,
                        max_position_embeddings=40, use_qformer_text_input=True,
                        hidden_act="relu"),
        "top": dict(num_query_tokens=9, image_text_hidden_size=8),
        "texts": [1, 20, 7],
    },
    "retrieval-one": {
        "about": "one query, one layer",
        "class": "Blip2ForImageTextRetrieval",
        "store": "f16",
        "vision": dict(hidden_size=12, intermediate_size=30, num_hidden_layers=1,
                       num_attention_heads=1, image_size=28, patch_size=14),
        "qformer": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1,
                        num_attention_heads=4, cross_attention_frequency=2, vocab_size=60,
                        max_position_embeddings=12, use_qformer_text_input=True),
        "top": dict(num_query_tokens=1, image_text_hidden_size=16, image_token_index=5),
        "texts": [11, 5],
    },
    "instruct-llama": {
        "about": "InstructBLIP with a Llama, as Vicuna's",
        "class": "InstructBlipForConditionalGeneration",
        "store": "f32",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                       num_attention_heads=3, image_size=28, patch_size=7),
        "qformer": dict(hidden_size=20, intermediate_size=36, num_hidden_layers=3,
                        num_attention_heads=4, cross_attention_frequency=2, vocab_size=50,
                        max_position_embeddings=24),
        "text": dict(model_type="llama", hidden_size=32, intermediate_size=60,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                     vocab_size=97, max_position_embeddings=160, rms_norm_eps=1e-6),
        "top": dict(num_query_tokens=5),
        "prompts": [[9], [31, 4]],
    },
    "instruct-opt": {
        "about": "InstructBLIP with OPT, cross-attention in all layers, 16-bit weights",
        "class": "InstructBlipForConditionalGeneration",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=1,
                       num_attention_heads=2, image_size=30, patch_size=10),
        "qformer": dict(hidden_size=24, intermediate_size=30, num_hidden_layers=2,
                        num_attention_heads=3, cross_attention_frequency=1, vocab_size=40,
                        max_position_embeddings=90),
        "text": dict(model_type="opt", hidden_size=28, ffn_dim=44, num_hidden_layers=1,
                     num_attention_heads=2, vocab_size=80, max_position_embeddings=128),
        "top": dict(num_query_tokens=3),
        "prompts": [[50], [6]],
    },
    "instruct-one": {
        "about": "InstructBLIP with one layer, whose words nobody reads behind it, and one query",
        "class": "InstructBlipForConditionalGeneration",
        "store": "f16",
        "vision": dict(hidden_size=12, intermediate_size=30, num_hidden_layers=1,
                       num_attention_heads=1, image_size=28, patch_size=14, qkv_bias=False),
        "qformer": dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1,
                        num_attention_heads=2, cross_attention_frequency=2, vocab_size=40,
                        max_position_embeddings=16),
        "text": dict(model_type="llama", hidden_size=24, intermediate_size=30,
                     num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                     vocab_size=60, max_position_embeddings=64),
        "top": dict(num_query_tokens=1),
        "prompts": [[7]],
    },
}  # fmt: skip


def random_weight(name, shape, case):
    """Values that leave no term without effect: biases and norms as well."""
    g = rng("blip2", case, name)
    x = g.standard_normal(shape)
    if "norm" in name.lower():
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if name.endswith("class_embedding") or "position" in name or name == "query_tokens":
        return 0.6 * x
    if "embed_tokens" in name or "word_embeddings" in name:
        return x
    gain = 1.6 if any(p in name for p in ("q_proj", "k_proj", ".query.", ".key.")) else 1.0
    return gain * x / np.sqrt(int(np.prod(shape[1:])))


def config_of(case):
    kind = case["class"]
    config = {
        "architectures": [kind],
        "model_type": "instructblip" if kind.startswith("Instruct") else "blip-2",
        "vision_config": case["vision"],
        "qformer_config": case["qformer"],
        **case["top"],
    }
    if "text" in case:
        config["image_token_index"] = case["text"]["vocab_size"] - 1
        config["text_config"] = case["text"]
    return config


def write_model(name, case, folder):
    torch = quiet_torch()
    import transformers
    from safetensors.torch import save_file

    config = config_of(case)
    write_json(folder / "config.json", config)
    side = case["vision"]["image_size"]
    write_json(
        folder / "preprocessor_config.json",
        {"image_processor_type": "BlipImageProcessor", "size": {"height": side, "width": side}},
    )
    family = "InstructBlip" if config["model_type"] == "instructblip" else "Blip2"
    with torch.device("meta"):
        settings = getattr(transformers, family + "Config")(**config)
        model = getattr(transformers, case["class"])(settings)
    tied = case.get("text", {}).get("tie_word_embeddings", case.get("text", {}).get(
        "model_type") == "opt")  # fmt: skip
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if tied and "lm_head" in key:
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[key] = torch.tensor(data).to(dtype[case["store"]])
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
    surplus = [k for k in info["unexpected_keys"] if not k.endswith("position_ids")]
    if info["missing_keys"] or surplus or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


def prompt(g, case, lengths):
    """Left-padded rows; the places of the queries are in front of the words."""
    vocabulary, queries = case["text"]["vocab_size"], case["top"]["num_query_tokens"]
    width = max(lengths) + queries
    ids = np.full((len(lengths), width), 1, np.int64)
    mask = np.zeros((len(lengths), width), np.uint8)
    for row, words in enumerate(lengths):
        text = g.integers(4, vocabulary - 2, words)
        line = np.concatenate([np.full(queries, vocabulary - 1), text])
        ids[row, width - len(line) :] = line
        mask[row, width - len(line) :] = 1
    return ids, mask


def words(g, case, lengths, front=0):
    """Right-padded rows for the Q-Former."""
    vocabulary, width = case["qformer"]["vocab_size"], front + max(lengths)
    ids = np.zeros((len(lengths), width), np.int64)
    mask = np.zeros((len(lengths), width), np.uint8)
    for row, count in enumerate(lengths):
        ids[row, : front + count] = g.integers(6, vocabulary - 1, front + count)
        ids[row, :front] = case["top"].get("image_token_index", 0)
        mask[row, : front + count] = 1
    return ids, mask


def to_torch(inputs):
    torch = quiet_torch()
    return {
        k: torch.from_numpy(v.astype(np.int64) if v.dtype == np.uint8 else v)
        for k, v in inputs.items()
    }


def run_generate(model, inputs):
    """What `vlmc run` writes for the task `generate`, given the inputs."""
    torch = quiet_torch()
    given = to_torch(inputs)
    ids = given["input_ids"]
    queries = model.config.num_query_tokens
    with torch.no_grad():
        position = (given["attention_mask"].cumsum(1) - 1).clamp(min=0)
        got = model(**given, position_ids=position)
        chosen = model.generate(**given, do_sample=False, max_new_tokens=NEW_TOKENS)
        features = got.qformer_outputs.last_hidden_state[:, :queries]
        out = {
            "vision_features": got.vision_outputs.last_hidden_state,
            "qformer_features": features,
            "image_features": model.language_projection(features),
            "logits": got.logits,
        }
    embeds = model.get_input_embeddings()(ids)
    image = ids == model.config.image_token_index
    out["inputs_embeds"] = embeds.masked_scatter(image[..., None], out["image_features"])
    out["generated_ids"] = chosen[:, ids.shape[1] :] if chosen.shape[1] > ids.shape[1] else chosen
    return {k: v.detach().contiguous().numpy() for k, v in out.items()}


def run_match(model, inputs):
    torch = quiet_torch()
    given = to_torch(inputs)
    with torch.no_grad():
        itc = model(**given, use_image_text_matching_head=False)
        itm = model(**given, use_image_text_matching_head=True)
    out = {
        "itm_logits": itm.logits_per_image,
        "itc_logits": itc.logits_per_image,
        "image_embeds": itc.image_embeds,
        "text_embeds": itc.text_embeds,
        "vision_features": itc.vision_model_output.last_hidden_state,
    }
    return {k: v.detach().contiguous().numpy() for k, v in out.items()}


def plan_of(name, case):
    """The requests of a case: their names, tasks and inputs."""
    g = rng("blip2-inputs", name)
    side = case["vision"]["image_size"]

    def pixels(count):
        return g.standard_normal((count, 3, side, side)).astype(np.float32)

    if "texts" in case:
        front = case["top"]["num_query_tokens"] if "image_token_index" in case["top"] else 0
        one = {"pixel_values": pixels(len(case["texts"]))}
        one["input_ids"], one["attention_mask"] = words(g, case, case["texts"], front)
        yield "pairs", "match", one
        return
    for i, lengths in enumerate(case["prompts"]):
        one = {"pixel_values": pixels(len(lengths))}
        one["input_ids"], one["attention_mask"] = prompt(g, case, lengths)
        if case["class"].startswith("Instruct"):
            asked = [max(1, n // 2) for n in lengths]
            one["qformer_input_ids"], one["qformer_attention_mask"] = words(g, case, asked)
        yield f"prompt{i}", "generate", one


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    write_model(name, case, out / "model")
    model = load_model(out / "model")
    inputs, golden, cases = {}, {}, []
    for what, task, one in plan_of(name, case):
        run = run_match if task == "match" else run_generate
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        golden.update({f"{what}.{k}": v for k, v in run(model, one).items()})
        request = {"name": what, "task": task, "tensors": "inputs.safetensors",
                   "prefix": f"{what}."}  # fmt: skip
        if task == "generate":
            request["max_new_tokens"] = NEW_TOKENS
        cases.append(request)
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "blip-2", "mode": "tensors", "cases": cases}
    )


def make_all(root, names=None):
    for name in names or CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"blip2/{name}: {size / 1024:.0f} KiB", flush=True)
