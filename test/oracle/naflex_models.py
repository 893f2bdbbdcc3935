"""Makes random SigLIP 2 NaFlex checkpoints, their inputs and their goldens.

A case says, beside the two sub-configs: `store`, the type of the weights; `patches`, the processor's
max_num_patches; `form`, v4 (preprocessor_config.json) or v5 (processor_config.json); `backend`, whose
arithmetic the pictures of its goldens have; `tokenizer_config`; `drop`, keys left to their defaults.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from clip_text import SCRIPTS
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from sentence import write_space_bpe
from siglip_cases import LINES, TEXTS
from siglip_models import random_weight

PLAIN = dict(add_bos_token=False, add_eos_token=True, padding_side="right", model_max_length=64)

CASES = {
    "naflex": {
        "about": "a grid of 4 x 4 positions, patches of 8 pixels, at most 20 of them",
        "text": dict(hidden_size=24, intermediate_size=34, num_hidden_layers=1,
                     num_attention_heads=4, max_position_embeddings=16, projection_size=30),
        "vision": dict(hidden_size=30, intermediate_size=45, num_hidden_layers=2,
                       num_attention_heads=6, patch_size=8, num_patches=16),
        "store": "f32",
        "patches": 20,
        "form": "v4",
        "backend": "pil",
        "vocab": 330,
        "tokenizer_config": dict(PLAIN, model_input_names=["input_ids"], model_max_length=16),
    },
    "few-patches": {
        "about": "positions that are made fewer: 7 x 7 for at most 9 patches of 14 pixels; erf, float16",
        "text": dict(hidden_size=21, intermediate_size=50, num_hidden_layers=2,
                     num_attention_heads=3, max_position_embeddings=20, hidden_act="gelu"),
        "vision": dict(hidden_size=21, intermediate_size=33, num_hidden_layers=3,
                       num_attention_heads=7, patch_size=14, num_patches=49, hidden_act="gelu",
                       layer_norm_eps=1e-4),
        "store": "f16",
        "patches": 9,
        "form": "v5",
        "backend": "pil",
        "vocab": 300,
        "tokenizer_config": dict(PLAIN, padding_side="left", model_max_length=20),
    },
    "many-patches": {
        "about": "one position for all, and 70 patches of 5 pixels; one head, bfloat16",
        "text": dict(hidden_size=16, intermediate_size=20, num_hidden_layers=1,
                     num_attention_heads=1, max_position_embeddings=70, projection_size=12),
        "vision": dict(hidden_size=12, intermediate_size=20, num_hidden_layers=2,
                       num_attention_heads=1, patch_size=5, num_patches=1, hidden_act="quick_gelu"),
        "store": "bf16",
        "patches": 70,
        "form": "v4",
        "backend": "pil",
        "vocab": 310,
        "tokenizer_config": dict(PLAIN, model_input_names=["input_ids"]),
    },
    "defaults": {
        "about": "only the keys that differ: patches of 16 pixels, 256 of them and 256 positions, 12 "
        "layers and heads are defaults; a tokenizer of another class, which does not count",
        "text": dict(hidden_size=12, intermediate_size=16, num_hidden_layers=12,
                     num_attention_heads=12, max_position_embeddings=64),
        "vision": dict(hidden_size=12, intermediate_size=16, num_hidden_layers=12,
                       num_attention_heads=12, patch_size=16, num_patches=256),
        "drop": ["num_hidden_layers", "num_attention_heads", "max_position_embeddings",
                 "patch_size", "num_patches"],
        "store": "f16",
        "patches": None,
        "form": "v4",
        "backend": "pil",
        "vocab": 290,
        "tokenizer_class": "GemmaTokenizer",
        "tokenizer_config": dict(PLAIN, model_input_names=["input_ids"]),
    },
}  # fmt: skip

# Wide, tall, of one patch, and of a colour that stands for nothing.
PICTURES = [
    "rgb-200x150.png",
    "jpeg-420-q85-97x131.jpg",
    "rgb-3x400.png",
    "rgb-1x1.png",
    "extra-rgba.png",
]


def write_configs(case, folder, vocab_size):
    from transformers import Siglip2Config

    text, vision = dict(case["text"], vocab_size=vocab_size), dict(case["vision"])
    for key in case.get("drop", []):
        text.pop(key, None)
        vision.pop(key, None)
    value = {"architectures": ["Siglip2Model"], "model_type": "siglip2"}
    if case.get("drop"):
        value.update(text_config=text, vision_config=vision)
    elif case["form"] == "v4":
        dtype = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[case["store"]]
        value.update(
            initializer_factor=1.0,
            text_config=dict(text, model_type="siglip2_text_model"),
            torch_dtype=dtype,
            transformers_version="4.49.0.dev0",
            vision_config=dict(vision, model_type="siglip2_vision_model"),
        )
    else:
        config = Siglip2Config(text_config=text, vision_config=vision)
        value = dict(config.to_diff_dict(), **value)
    write_json(folder / "config.json", value)
    suffix = "Pil" if case["backend"] == "pil" else ""
    processor = {"image_processor_type": "Siglip2ImageProcessor" + suffix}
    if case["patches"]:
        processor.update(
            do_convert_rgb=None,
            do_normalize=True,
            do_rescale=True,
            do_resize=True,
            image_mean=[0.5, 0.45, 0.4],
            image_std=[0.5, 0.3, 0.25],
            max_num_patches=case["patches"],
            patch_size=case["vision"]["patch_size"],
            processor_class="Siglip2Processor",
            resample=2,
            rescale_factor=1 / 255,
        )
    if case["form"] == "v4":
        write_json(folder / "preprocessor_config.json", processor)
    else:
        write_json(folder / "processor_config.json", {"image_processor": processor})


def write_weights(name, case, folder):
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import Siglip2Config, Siglip2Model

    config = json.loads((folder / "config.json").read_text())
    with torch.device("meta"):
        model = Siglip2Model(Siglip2Config(**config))
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if key.endswith("position_ids"):
            continue
        data = random_weight(key, tuple(value.shape), "naflex-" + name).astype(np.float32)
        tensors[key] = torch.tensor(data).to(dtype[case["store"]])
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def load_model(folder):
    torch = quiet_torch()
    from transformers import Siglip2Model

    model, info = Siglip2Model.from_pretrained(
        str(folder),
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
    )
    surplus = [k for k in info["unexpected_keys"] if not k.endswith("position_ids")]
    if info["missing_keys"] or surplus or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


PICTURE_INPUTS = ["pixel_values", "pixel_attention_mask", "spatial_shapes"]


def run_embed(model, inputs):
    """What `vlmc run` writes for the task `embed`, given the model's inputs."""
    torch = quiet_torch()
    given = {k: torch.from_numpy(v.astype(v.dtype if v.dtype != np.uint8 else np.int64))
             for k, v in inputs.items()}  # fmt: skip
    pictures = {k: v for k, v in given.items() if k in PICTURE_INPUTS}
    texts = {k: v for k, v in given.items() if k not in PICTURE_INPUTS}
    out = {}
    with torch.no_grad():
        if pictures:
            got = model.get_image_features(**pictures)
            out["vision_features"] = got.last_hidden_state
            image = got.pooler_output
            out["image_embeds"] = image / image.norm(p=2, dim=-1, keepdim=True)
        if texts:
            got = model.get_text_features(**texts)
            out["text_features"] = got.last_hidden_state
            text = got.pooler_output
            out["text_embeds"] = text / text.norm(p=2, dim=-1, keepdim=True)
        if texts and pictures:
            whole = model(**given)
            assert torch.equal(whole.image_embeds, out["image_embeds"])
            out["logits_per_image"] = whole.logits_per_image
    return {k: v.contiguous().numpy() for k, v in out.items()}


def random_pictures(g, grids, count, width):
    """Rows of patches of some grids, zeros behind them."""
    pixels = np.zeros((len(grids), count, width), np.float32)
    mask = np.zeros((len(grids), count), np.uint8)
    for i, (lines, columns) in enumerate(grids):
        pixels[i, : lines * columns] = g.standard_normal((lines * columns, width))
        mask[i, : lines * columns] = 1
    shapes = np.array(grids, np.int64)
    return {"pixel_values": pixels, "pixel_attention_mask": mask, "spatial_shapes": shapes}


def make_tensors(name, case, model, vocab_size, out):
    """Grids of all kinds beside each other, in more rows and in fewer than the processor makes."""
    g = rng("naflex-inputs", name)
    vision, length = case["vision"], case["text"]["max_position_embeddings"]
    width = 3 * vision["patch_size"] ** 2
    plan = {
        "both": ([(3, 5), (1, 1), (2, 6)], 17),
        "whole": ([(1, 11)], 11),
        "tall": ([(9, 1), (4, 3)], 12),
        "text": ([], 0),
    }
    if name == "defaults":
        plan = {"both": ([(2, 3), (3, 1)], 7), "text": ([], 0)}
    inputs, golden, cases = {}, {}, []
    for what, (grids, count) in plan.items():
        one = random_pictures(g, grids, count, width) if grids else {}
        if what in ("both", "text"):
            one["input_ids"] = g.integers(0, vocab_size, (2, length)).astype(np.int64)
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        golden.update({f"{what}.{k}": v for k, v in run_embed(model, one).items()})
        if what in ("both", "text"):  # Every token counts.
            inputs[f"{what}.attention_mask"] = np.ones((2, length), np.uint8)
        cases.append(
            {"name": what, "task": "embed", "tensors": "inputs.safetensors", "prefix": f"{what}."}
        )
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "siglip2", "mode": "tensors", "cases": cases}
    )


def process(folder, backend, pictures):
    """The three inputs of some picture files."""
    from transformers import Siglip2ImageProcessor, Siglip2ImageProcessorPil
    from transformers.image_utils import load_image

    kind = Siglip2ImageProcessorPil if backend == "pil" else Siglip2ImageProcessor
    processor = kind.from_pretrained(str(folder))
    got = processor(images=[load_image(str(p)) for p in pictures], return_tensors="pt")
    one = {k: np.asarray(got[k]) for k in PICTURE_INPUTS}
    one["pixel_attention_mask"] = one["pixel_attention_mask"].astype(np.uint8)
    one["spatial_shapes"] = one["spatial_shapes"].astype(np.int64)
    return one


def process_alike(folder, backend, pictures):
    """The same; torchvision's are made in a process of their own, where torch has AVX2 (see
    clip_pixels.py)."""
    if backend == "pil":
        return process(folder, backend, pictures)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "pixels.npz"
        environment = {**os.environ, "VLMC_ORACLE_CPU": "avx2"}
        command = [sys.executable, __file__, str(folder), str(path), *map(str, pictures)]
        subprocess.run(command, env=environment, check=True)
        return dict(np.load(path))


def make_files(case, model, out):
    """Pictures and texts, in the arithmetic of the case's backend."""
    from transformers import AutoTokenizer, Siglip2Processor

    tokenizer = AutoTokenizer.from_pretrained(str(out / "model"))
    assert type(tokenizer).__name__ == "Siglip2Tokenizer"
    length = min(
        case["text"]["max_position_embeddings"], Siglip2Processor.text_kwargs["max_length"]
    )
    plan = {"both": (PICTURES, TEXTS), "single": (PICTURES[1:2], TEXTS[1:3])}
    if case["patches"] is None:
        plan = {"single": (PICTURES[1:2], TEXTS[:2])}
    golden, cases = {}, []
    for what, (pictures, texts) in plan.items():
        request = {"name": what, "task": "embed", "texts": texts}
        request["images"] = [f"../../clip/pictures/{p}" for p in pictures]
        paths = [out / p for p in request["images"]]
        one = process_alike(out / "model", case["backend"], paths)
        words = tokenizer(
            texts, padding="max_length", truncation=True, max_length=length, return_tensors="np"
        )
        one["input_ids"] = words["input_ids"].astype(np.int64)
        mask = np.ones_like(one["input_ids"], np.uint8)
        if "attention_mask" in words:
            mask = one["attention_mask"] = words["attention_mask"].astype(np.uint8)
        for key, value in run_embed(model, one).items():
            if key != "vision_features" or what == "single":  # the largest, and padding in part
                golden[f"{what}.{key}"] = value
        for key, value in one.items():
            if key == "pixel_values":  # to the bit, and large
                value = np.frombuffer(bytes.fromhex(sha256(value)), np.uint8)
                key += ".sha256"
            golden[f"{what}.{key}"] = value
        golden[f"{what}.attention_mask"] = mask
        cases.append(request)
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "siglip2", "mode": "files", "cases": cases})


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "model"
    folder.mkdir(parents=True)
    vocab_size = write_space_bpe(
        folder, LINES + SCRIPTS[:9], case["vocab"], "siglip2", **case["tokenizer_config"]
    )
    if "tokenizer_class" in case:
        path = folder / "tokenizer_config.json"
        value = json.loads(path.read_text())
        write_json(path, dict(value, tokenizer_class=case["tokenizer_class"]))
    write_configs(case, folder, vocab_size)
    write_weights(name, case, folder)
    model = load_model(folder)
    make_tensors(name, case, model, vocab_size, out)
    make_files(case, model, out)
    return out


def make_all(root):
    for name in CASES:
        out = make_case(name, root)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"{name}: {size / 1024:.0f} KiB")


if __name__ == "__main__":
    assert quiet_torch().backends.cpu.get_cpu_capability() == "AVX2"
    np.savez(sys.argv[2], **process(sys.argv[1], "torchvision", sys.argv[3:]))
