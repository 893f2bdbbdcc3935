"""Random LLaVA-NeXT checkpoints with tokenizer and processor, and their goldens.

Pictures are cut into tiles, so the requests have pictures of many shapes. One
checkpoint takes words and pictures (mode `files`), one ready-made tensors.
"""

import copy
import json
import shutil
from pathlib import Path

import llava_files
import llava_models
import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors

NEW_TOKENS = 8
PICTURES = [
    "rgb-200x150.png",
    "jpeg-420-q85-97x131.jpg",
    "grey-7x5.png",
    "rgb-1x57.png",
    "rgb-400x3.png",
    "jpeg-420-q80-3x201.jpg",
]

CASES = {
    "next-files": {
        "about": "Llama; two lines of tiles at most; layout of published files",
        "layout": "v4",
        "grid": [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]],
        "base": "files-vicuna",
        "mode": "files",
    },
    "next-tensors": {
        "about": "Qwen2, five tiles a line; sizes where nothing and much is cut off",
        "layout": "v5",
        "grid": [[30, 150], [90, 60], [60, 60]],
        "base": "files-qwen2",
        "mode": "tensors",
        "sizes": [[61, 60], [7, 300], [200, 133], [60, 60], [1, 1]],
    },
}


def write_checkpoint(name, folder):
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration

    own = CASES[name]
    case = copy.deepcopy(llava_files.CASES[own["base"]])
    case["processor"].update(vision_feature_select_strategy="default")
    size, eos, pad, image = llava_files.write_processor(case, folder)
    case["text"].update(
        vocab_size=size + 3,
        eos_token_id=eos,
        bos_token_id=None,
        pad_token_id=pad,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
    )
    side = case["vision"]["image_size"]
    config = {
        "architectures": ["LlavaNextForConditionalGeneration"],
        "model_type": "llava_next",
        "image_token_index": image,
        "image_grid_pinpoints": own["grid"],
        "vision_config": {"model_type": "clip_vision_model", **case["vision"]},
        "text_config": case["text"],
    }
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": eos, "pad_token_id": pad, "max_new_tokens": NEW_TOKENS},
    )
    write_json(
        folder / "preprocessor_config.json",
        {
            "crop_size": {"height": side, "width": side},
            "do_pad": True,
            "image_grid_pinpoints": own["grid"],
            "image_processor_type": "LlavaNextImageProcessor",
            "size": {"shortest_edge": side},
        },
    )
    path = folder / "processor_config.json"
    processor = json.loads(path.read_text())
    write_json(path, {**processor, "processor_class": "LlavaNextProcessor"})
    with torch.device("meta"):
        model = LlavaNextForConditionalGeneration(LlavaNextConfig(**config))
    tensors = {}
    for key, value in model.state_dict().items():
        if key.endswith("image_newline"):
            data = rng("llava-next", name, key).standard_normal(tuple(value.shape))
        else:
            data = llava_models.random_weight(key, tuple(value.shape), name)
        stored = llava_models.stored_name(key, own["layout"])
        tensors[stored] = torch.tensor(data.astype(np.float32)).to(torch.bfloat16)
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def load_model(folder):
    torch = quiet_torch()
    from transformers import LlavaNextForConditionalGeneration

    model, info = LlavaNextForConditionalGeneration.from_pretrained(
        str(folder), dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


def run(model, inputs):
    torch = quiet_torch()
    mask = inputs["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**inputs, position_ids=position, output_hidden_states=True)
        chosen = model.generate(**inputs, do_sample=False, max_new_tokens=NEW_TOKENS)
    return got, chosen[:, inputs["input_ids"].shape[1] :]


def make_files(name, out, model):
    from transformers import LlavaNextImageProcessorPil, LlavaNextProcessor
    from transformers.image_utils import load_image

    processor = LlavaNextProcessor.from_pretrained(str(out / "model"))
    processor.image_processor = LlavaNextImageProcessorPil.from_pretrained(str(out / "model"))
    names = [f"../../clip/pictures/{p}" for p in PICTURES]
    plan = [{"name": f"one{i}", "text": "USER: <image>\nWhat? ASSISTANT:", "images": [p]}
            for i, p in enumerate(names)]  # fmt: skip
    plan.append({"name": "two", "text": "a <image> and <image> b", "images": names[:2]})
    plan.append(
        {"name": "batch", "batch": ["<image> x", "a longer <image> y z"], "images": names[1:3]}
    )
    golden, cases = {}, []
    for case in plan:
        images = [load_image(str(out / p)) for p in case["images"]]
        inputs = processor(text=case.get("batch") or [case["text"]], images=images,
                           return_tensors="pt", padding=True)  # fmt: skip
        got, new = run(model, inputs)
        digest = bytes.fromhex(sha256(inputs["pixel_values"].numpy()))
        one = {
            "input_ids": inputs["input_ids"].numpy(),
            "image_sizes": inputs["image_sizes"].numpy(),
            "attention_mask": inputs["attention_mask"].numpy().astype(np.uint8),
            "generated_ids": new.numpy(),
            "pixel_values.sha256": np.frombuffer(digest, np.uint8),
        }
        if case["name"] == "two":
            one["hidden_states"] = got.hidden_states[-1].numpy()
        golden.update({f"{case['name']}.{k}": v for k, v in one.items()})
        cases.append({"task": "generate", **case})
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(
        out / "requests-files.json", {"family": "llava_next", "mode": "files", "cases": cases}
    )


def make_tensors(name, out, model):
    torch = quiet_torch()
    from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

    g = rng("llava-next-inputs", name)
    config = model.config
    side = config.vision_config.image_size
    inputs, golden, cases = {}, {}, []
    for i, size in enumerate(CASES[name]["sizes"]):
        tiles = image_size_to_num_patches(size, config.image_grid_pinpoints, side)
        pixels = torch.tensor(
            g.standard_normal((1, tiles + i % 2, 3, side, side)).astype(np.float32)
        )
        sizes = torch.tensor([size])
        with torch.no_grad():
            features = model.model.get_image_features(pixel_values=pixels, image_sizes=sizes)
        placed = torch.cat(tuple(features.pooler_output))
        words = torch.tensor(g.integers(4, 250, 9))
        image = torch.full((len(placed),), config.image_token_id)
        ids = torch.cat([words[:4], image, words[4:]])[None]
        one = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels,
               "image_sizes": sizes}  # fmt: skip
        got, new = run(model, one)
        inputs.update({f"size{i}.{k}": v.numpy() for k, v in one.items()})
        golden[f"size{i}.generated_ids"] = new.numpy()
        golden[f"size{i}.image_features"] = placed.numpy()
        golden[f"size{i}.hidden_states"] = got.hidden_states[-1].numpy()
        cases.append({"name": f"size{i}", "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"size{i}.", "max_new_tokens": NEW_TOKENS})  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "llava_next", "mode": "tensors", "cases": cases}
    )


def make_all(root):
    for name, case in CASES.items():
        out = Path(root) / name
        shutil.rmtree(out, ignore_errors=True)
        (out / "model").mkdir(parents=True)
        write_checkpoint(name, out / "model")
        model = load_model(out / "model")
        (make_files if case["mode"] == "files" else make_tensors)(name, out, model)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"llava/{name}: {size / 1024:.0f} KiB", flush=True)
