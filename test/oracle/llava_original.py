"""Random checkpoints in the layout of LLaVA's own code, and their goldens.

That code is no package; the oracle is transformers' LlavaForConditionalGeneration
(LlavaNext where pictures are cut) with the same weights under the names that
transformers' convert_llava_weights_to_hf.py gives them. What that script does and
the original does not is undone here: it adds a row for `<image>` to the token
embeddings and to the head, which is left out of the logits and suppressed. A
projector of other than two layers has no class: transformers' own gets its layers
in a torch.nn.Sequential, as multimodal_projector/builder.py of LLaVA makes it.
"""

import copy
import json
import shutil
import tempfile
from pathlib import Path

import llava_files
import llava_next
import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_models import random_weight

NEW_TOKENS = 8

CASES = {
    "original-pad": {
        "about": "LLaVA-1.5: padded squares, two layers, shards of torch.save, the tower below",
        "class": "LlavaLlamaForCausalLM",
        "model_type": "llava",
        "own": dict(image_aspect_ratio="pad", mm_projector_type="mlp2x_gelu",
                    mm_vision_select_feature="patch", mm_vision_select_layer=-2,
                    mm_use_im_start_end=False, mm_use_im_patch_token=False,
                    tune_mm_mlp_adapter=False, freeze_mm_mlp_adapter=False, use_mm_proj=True,
                    mm_projector_lr=2e-5, image_grid_pinpoints=None, pretraining_tp=1),
        "layers": 2,
        "base": "files-vicuna",
        "store": "f16",
        "weights": "shards",
        "tower": "below",
        "mode": "files",
    },
    "original-first": {
        "about": "the first LLaVA: one matrix, the tower in one file of torch.save with the rest",
        "class": "LlavaLlamaForCausalLM",
        "model_type": "llava",
        "own": dict(mm_vision_select_layer=-1, mm_use_im_start_end=True,
                    max_sequence_length=2048, use_mm_proj=True),
        "layers": 1,
        "base": "files-vicuna",
        "store": "bf16",
        "weights": "bin",
        "tower": "config",
        "mode": "files",
    },
    "original-anyres": {
        "about": "LLaVA-1.6 over Mistral: tiles, pinpoints as text, safetensors, the tower beside",
        "class": "LlavaMistralForCausalLM",
        "model_type": "llava_mistral",
        "own": dict(image_aspect_ratio="anyres", mm_patch_merge_type="spatial_unpad",
                    mm_projector_type="mlp2x_gelu", mm_vision_select_layer=-2,
                    image_grid_pinpoints="[(28, 56), (56, 28), (56, 56), (84, 28), (28, 84)]",
                    image_crop_resolution=28, image_split_resolution=28,
                    mm_vision_tower_lr=2e-6, unfreeze_mm_vision_tower=True,
                    tokenizer_model_max_length=4096, tokenizer_padding_side="right"),
        "layers": 2,
        "base": "files-mistral",
        "store": "bf16",
        "weights": "safetensors",
        "tower": "beside",
        "mode": "files",
    },
    "original-deep": {
        "about": "three layers, the class token kept, a matrix of the head of its own",
        "class": "LlavaLlamaForCausalLM",
        "model_type": "llava_llama",
        "own": dict(mm_projector_type="mlp3x_gelu", mm_vision_select_feature="cls_patch",
                    mm_vision_select_layer=1),
        "layers": 3,
        "base": "files-vicuna",
        "store": "f32",
        "weights": "bin",
        "tower": "below",
        "mode": "tensors",
    },
    "original-identity": {
        "about": "no projector; a SigLIP tower, before its last block; Qwen2 with tied embeddings",
        "class": "LlavaQwenForCausalLM",
        "model_type": "llava_llama",
        "own": dict(mm_projector_type="identity", mm_vision_select_layer=-2, mm_hidden_size=36),
        "layers": 0,
        "base": "files-qwen2",
        "store": "f32",
        "weights": "safetensors",
        "tower": "below",
        "vision": dict(model_type="siglip_vision_model", hidden_size=36, intermediate_size=40,
                       num_hidden_layers=3, num_attention_heads=2, image_size=30, patch_size=10),
        "mode": "tensors",
    },
}  # fmt: skip


def base_case(name):
    own = CASES[name]
    case = copy.deepcopy(llava_files.CASES[own["base"]])
    case["vision"] = own.get("vision", case["vision"])
    return case


def write_tokenizer(name, folder):
    """That of the language model: there is no token for pictures."""
    kind = base_case(name)["tokenizer"]
    data, config, _ = (
        llava_files.byte_tokenizer() if kind == "bytes" else llava_files.sentence_tokenizer(kind)
    )
    data["added_tokens"] = [
        t for t in data["added_tokens"] if t["content"] not in ("<image>", "<pad>")
    ]
    if config["pad_token"] == "<pad>":
        config["pad_token"] = "<unk>"
    size = len(data["model"]["vocab"])
    if CASES[name]["own"].get("mm_use_im_start_end"):
        for token in ("<im_start>", "<im_end>"):
            data["added_tokens"].append(llava_files.added(size, token, normalized=False))
            size += 1
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    size = max(size, 1 + max(t["id"] for t in data["added_tokens"]))
    ids = {t["content"]: t["id"] for t in data["added_tokens"]}
    return size, ids[config["eos_token"]]


def words_config(name, size, eos):
    words = base_case(name)["text"]
    words.update(vocab_size=size, eos_token_id=eos, bos_token_id=1, pad_token_id=0,
                 max_position_embeddings=2048)  # fmt: skip
    return words


def settings_of(name, words):
    """The config of transformers' class, with a row for `<image>`."""
    import transformers

    own = CASES[name]["own"]
    vision = base_case(name)["vision"]
    is_siglip = vision.get("model_type") == "siglip_vision_model"
    select = own.get("mm_vision_select_feature", "patch")
    config = dict(
        vision_config={"model_type": "clip_vision_model", **vision},
        text_config={**words, "vocab_size": words["vocab_size"] + 1},
        image_token_index=words["vocab_size"],
        vision_feature_layer=own["mm_vision_select_layer"],
        vision_feature_select_strategy="full" if is_siglip or select == "cls_patch" else "default",
        tie_word_embeddings=words.get("tie_word_embeddings", False),
    )
    if own.get("image_aspect_ratio") == "anyres":
        pairs = json.loads(own["image_grid_pinpoints"].replace("(", "[").replace(")", "]"))
        return transformers.LlavaNextConfig(**config, image_grid_pinpoints=pairs)
    return transformers.LlavaConfig(**config)


def projector(torch, layers, wide, narrow):
    parts = []
    for i in range(layers):
        parts += [torch.nn.GELU()] if i else []
        parts.append(torch.nn.Linear(narrow if i == 0 else wide, wide))
    return torch.nn.Sequential(*parts)


class Projector:
    """What stands in the place of transformers' projector."""

    @staticmethod
    def put(torch, model, layers):
        config = model.config
        own = projector(torch, layers, config.text_config.hidden_size,
                        config.vision_config.hidden_size)  # fmt: skip
        model.model.multi_modal_projector = own


def original_name(key, layers):
    """The name in the original of a tensor of our model."""
    if key.startswith("model.vision_tower."):
        rest = key.removeprefix("model.vision_tower.").removeprefix("vision_model.")
        return "model.vision_tower.vision_tower.vision_model." + rest
    if key.startswith("model.multi_modal_projector."):
        rest = key.removeprefix("model.multi_modal_projector.")
        # A single `linear` stands in no Sequential.
        return "model.mm_projector." + (rest.split(".", 1)[1] if layers == 1 else rest)
    if key.startswith("model.language_model."):
        return "model." + key.removeprefix("model.language_model.")
    return key  # lm_head, model.image_newline


def fill(name, model):
    """Random weights, rounded as they are stored, in the model and by name."""
    torch = quiet_torch()
    own = CASES[name]
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[own["store"]]
    tied = base_case(name)["text"].get("tie_word_embeddings", False)
    tensors = {}
    for key, value in model.state_dict().items():
        if tied and key.startswith("lm_head"):
            continue
        shape = tuple(value.shape)
        if key.endswith("image_newline"):
            data = rng("llava-original", name, key).standard_normal(shape)
        else:
            data = random_weight(key, shape, name)
        rounded = torch.tensor(np.asarray(data, np.float32)).to(dtype)
        with torch.no_grad():
            value.copy_(rounded.float())
        if "embed_tokens" in key or key.startswith("lm_head"):
            rounded = rounded[:-1].contiguous()
        tensors[original_name(key, own["layers"])] = rounded
    model.tie_weights()
    return tensors


def write_tower(name, out, tensors):
    """The tower's checkpoint; takes its tensors out where they are there alone."""
    from safetensors.torch import save_file

    own, vision = CASES[name], base_case(name)["vision"]
    kind = "siglip" if vision.get("model_type") == "siglip_vision_model" else "clip"
    folder = out / "model" / "towers" / "tiny" if own["tower"] != "beside" else out / "tiny"
    folder.mkdir(parents=True)
    write_json(folder / "config.json",
               {"model_type": kind, "vision_config": vision, "text_config": {},
                "projection_dim": 8})  # fmt: skip
    side = vision["image_size"]
    processor = {"crop_size": side, "size": side, "do_center_crop": True,
                 "feature_extractor_type": "CLIPFeatureExtractor", "resample": 3}  # fmt: skip
    if kind == "siglip":
        processor = {"size": {"height": side, "width": side},
                     "image_processor_type": "SiglipImageProcessor"}  # fmt: skip
    write_json(folder / "preprocessor_config.json", processor)
    if own["tower"] == "config":
        return
    prefix = "model.vision_tower.vision_tower."
    mine = {k.removeprefix(prefix): tensors.pop(k) for k in list(tensors) if k.startswith(prefix)}
    torch = quiet_torch()
    # What the whole CLIP has besides.
    mine["logit_scale"] = torch.tensor(2.6)
    mine["text_model.final_layer_norm.weight"] = torch.ones(8)
    mine["visual_projection.weight"] = torch.ones(8, vision["hidden_size"])
    save_file(mine, str(folder / "model.safetensors"), {"format": "pt"})


def write_weights(name, folder, tensors):
    torch = quiet_torch()
    from safetensors.torch import save_file

    how = CASES[name]["weights"]
    if how == "safetensors":
        save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    elif how == "bin":
        torch.save(tensors, str(folder / "pytorch_model.bin"))
    else:
        names = sorted(tensors)
        shards = [names[::2], names[1::2]]
        where = {}
        for i, shard in enumerate(shards):
            file = f"pytorch_model-{i + 1:05}-of-00002.bin"
            torch.save({k: tensors[k] for k in shard}, str(folder / file))
            where.update({k: file for k in shard})
        index = {"metadata": {"total_size": 0}, "weight_map": where}
        write_json(folder / "pytorch_model.bin.index.json", index)


def write_checkpoint(name, out):
    """Writes the folder; returns transformers' model with the same weights."""
    torch = quiet_torch()
    import transformers

    own = CASES[name]
    folder = out / "model"
    folder.mkdir(parents=True)
    size, eos = write_tokenizer(name, folder) if own["mode"] == "files" else (96, 2)
    words = words_config(name, size, eos)
    tower = {"below": "towers/tiny", "beside": "somebody/tiny", "config": "towers/tiny"}
    config = {**words, "architectures": [own["class"]], "model_type": own["model_type"],
              "mm_vision_tower": tower[own["tower"]],
              "mm_hidden_size": base_case(name)["vision"]["hidden_size"], **own["own"]}  # fmt: skip
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": eos, "pad_token_id": 0, "max_new_tokens": NEW_TOKENS},
    )
    settings = settings_of(name, words)
    kind = type(settings).__name__.removesuffix("Config") + "ForConditionalGeneration"
    settings._attn_implementation = "eager"
    model = getattr(transformers, kind)(settings)
    Projector.put(torch, model, own["layers"])
    tensors = fill(name, model.eval())
    write_tower(name, out, tensors)
    write_weights(name, folder, tensors)
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=eos, pad_token_id=0, suppress_tokens=[size]
    )
    return model


# ---- Words and pictures ----------------------------------------------------


def make_processor(name, folder, model):
    """As the conversion makes it: the language model's tokenizer and `<image>`."""
    import transformers
    from tokenizers import AddedToken

    own, case = CASES[name], base_case(name)
    with tempfile.TemporaryDirectory() as words:
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(folder / file, words)
        write_json(Path(words) / "config.json", {"model_type": case["text"]["model_type"]})
        tokenizer = transformers.AutoTokenizer.from_pretrained(words)
    tokenizer.add_tokens(AddedToken("<image>", special=True, normalized=False), special_tokens=True)
    if tokenizer.convert_tokens_to_ids("<image>") != model.config.image_token_id:
        raise SystemExit(f"{name}: <image> has another id than the model says")
    side = case["vision"]["image_size"]
    common = dict(patch_size=case["vision"]["patch_size"], num_additional_image_tokens=1,
                  vision_feature_select_strategy=model.config.vision_feature_select_strategy)  # fmt: skip
    sizes = dict(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    if own["own"].get("image_aspect_ratio") == "anyres":
        image = transformers.LlavaNextImageProcessorPil(
            **sizes, image_grid_pinpoints=model.config.image_grid_pinpoints
        )
        return transformers.LlavaNextProcessor(image, tokenizer, **common)
    image = transformers.models.llava.image_processing_pil_llava.LlavaImageProcessorPil(
        **sizes, do_pad=own["own"].get("image_aspect_ratio") == "pad"
    )
    return transformers.LlavaProcessor(image, tokenizer, **common)


def plan_of(name):
    pictures = [f"../../clip/pictures/{p}" for p in llava_next.PICTURES]
    ask = "USER: <image>\nWhat's in it? ASSISTANT:"
    if CASES[name]["own"].get("mm_use_im_start_end"):
        ask = ask.replace("<image>", "<im_start><image><im_end>")
    plan = [{"name": f"one{i}", "text": ask, "images": [p]} for i, p in enumerate(pictures)]
    plan.append({"name": "two", "text": "a <image> and <image> b", "images": pictures[:2]})
    batch = ["<image> x", "a longer <image> y z"]
    plan.append({"name": "batch", "batch": batch, "images": pictures[1:3]})
    return plan


def make_files(name, out, model):
    from transformers.image_utils import load_image

    processor = make_processor(name, out / "model", model)
    golden, cases = {}, []
    for case in plan_of(name):
        images = [load_image(str(out / p)) for p in case["images"]]
        inputs = processor(text=case.get("batch") or [case["text"]], images=images,
                           return_tensors="pt", padding=True)  # fmt: skip
        got, new = llava_next.run(model, inputs)
        digest = bytes.fromhex(sha256(inputs["pixel_values"].numpy()))
        one = {
            "input_ids": inputs["input_ids"].numpy(),
            "attention_mask": inputs["attention_mask"].numpy().astype(np.uint8),
            "generated_ids": new.numpy(),
            "pixel_values.sha256": np.frombuffer(digest, np.uint8),
        }
        if case["name"] == "two":
            one["hidden_states"] = got.hidden_states[-1].numpy()
        if case["name"] == "one2":
            one["logits"] = got.logits[..., :-1].contiguous().numpy()
        golden.update({f"{case['name']}.{k}": v for k, v in one.items()})
        cases.append({"task": "generate", **case})
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "llava", "mode": "files", "cases": cases})


def make_tensors(name, out, model):
    torch = quiet_torch()
    g = rng("llava-original-inputs", name)
    side = model.config.vision_config.image_size
    inputs, golden, cases = {}, {}, []
    for i, words in enumerate((9, 31)):
        pixels = torch.tensor(g.standard_normal((1, 3, side, side)).astype(np.float32))
        with torch.no_grad():
            features = model.model.get_image_features(pixel_values=pixels).pooler_output
        placed = torch.stack(tuple(features))
        text = torch.tensor(g.integers(4, 90, words))
        image = torch.full((placed.shape[1],), model.config.image_token_id)
        ids = torch.cat([text[:4], image, text[4:]])[None]
        one = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}
        got, new = llava_next.run(model, one)
        inputs.update({f"prompt{i}.{k}": v.numpy() for k, v in one.items()})
        golden[f"prompt{i}.generated_ids"] = new.numpy()
        golden[f"prompt{i}.image_features"] = placed.numpy()
        golden[f"prompt{i}.logits"] = got.logits[..., :-1].contiguous().numpy()
        cases.append({"name": f"prompt{i}", "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"prompt{i}.", "max_new_tokens": NEW_TOKENS})  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "llava", "mode": "tensors", "cases": cases}
    )


def make_all(root):
    for name, case in CASES.items():
        out = Path(root) / name
        shutil.rmtree(out, ignore_errors=True)
        model = write_checkpoint(name, out)
        (make_files if case["mode"] == "files" else make_tensors)(name, out, model)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"llava/{name}: {size / 1024:.0f} KiB", flush=True)
