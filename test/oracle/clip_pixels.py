"""Goldens of decoding and preprocessing, by Pillow and transformers.

decode.tsv   picture, width, height, SHA-256 of the RGB bytes
pixels.tsv   settings, picture, height, width, SHA-256 of the uint8 values
             [3, height, width] after resizing and cropping, SHA-256 of the
             float32 `pixel_values` [3, height, width]; by CLIPImageProcessorPil
pixels-torchvision.tsv   the same by CLIPImageProcessor. torchvision resizes
             8-bit tensors as such only on processors with AVX2 (elsewhere it
             goes through floats for bilinear), so it runs in a process of its
             own: `clip_pixels.py ROOT` with VLMC_ORACLE_CPU=avx2.
backends.tsv   checkpoint, request of its requests-files.json, the backend that its
             processor's name asks for, SHA-256 of the request's `pixel_values`
             by CLIPImageProcessorPil and by CLIPImageProcessor
crops.safetensors   the uint8 values of the settings with small crops, as
             `<settings>/<picture>`
settings/<settings>/preprocessor_config.json
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from common import sha256, write_json, write_safetensors

CLIP_TYPE = {"image_processor_type": "CLIPImageProcessor"}


def square(side):
    return {"height": side, "width": side}


# Settings whose uint8 values are stored are small; the names say what differs.
SETTINGS = {
    "default-224": {**CLIP_TYPE},
    "bicubic-24": {**CLIP_TYPE, "size": {"shortest_edge": 24}, "crop_size": square(24)},
    "bilinear-27-crop-20": {
        **CLIP_TYPE, "resample": 2, "size": {"shortest_edge": 27}, "crop_size": square(20),
    },
    "pad-15-to-22": {
        **CLIP_TYPE, "size": {"shortest_edge": 15}, "crop_size": square(22),
    },
    "stretch-17x25": {
        **CLIP_TYPE, "do_center_crop": False, "size": {"height": 17, "width": 25},
    },
    "crop-31x40-of-47": {
        **CLIP_TYPE, "size": {"shortest_edge": 47}, "crop_size": {"height": 31, "width": 40},
    },
    "no-rescale": {
        **CLIP_TYPE, "do_rescale": False, "image_mean": [120.5, 110.25, 100],
        "image_std": [60, 62.5, 71.3], "size": {"shortest_edge": 64}, "crop_size": square(60),
    },
    "no-normalize": {
        **CLIP_TYPE, "do_normalize": False, "rescale_factor": 0.0078,
        "size": {"shortest_edge": 60}, "crop_size": square(56),
    },
    "half-half": {
        **CLIP_TYPE, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "size": {"shortest_edge": 80}, "crop_size": square(80),
    },
    "no-resize-crop-70": {**CLIP_TYPE, "do_resize": False, "crop_size": square(70)},
    "old-ints-336": {
        "feature_extractor_type": "CLIPFeatureExtractor", "do_resize": True, "size": 336,
        "resample": 3, "do_center_crop": True, "crop_size": 336, "do_normalize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    },
    "lanczos-40": {
        **CLIP_TYPE, "resample": 1, "size": {"shortest_edge": 40}, "crop_size": square(40),
    },
    "nearest-30": {
        **CLIP_TYPE, "resample": 0, "size": {"shortest_edge": 30}, "crop_size": square(30),
    },
    "nearest-120": {
        **CLIP_TYPE, "resample": 0, "size": {"height": 120, "width": 131}, "do_center_crop": False,
    },
    "box-33": {**CLIP_TYPE, "resample": 4, "size": {"shortest_edge": 33}, "crop_size": square(33)},
    "hamming-29": {
        **CLIP_TYPE, "resample": 5, "size": {"shortest_edge": 29}, "crop_size": square(29),
    },
    "bilinear-stretch-61x40": {
        **CLIP_TYPE, "resample": 2, "do_center_crop": False, "size": {"height": 61, "width": 40},
    },
    "edges-40-60": {
        **CLIP_TYPE, "size": {"shortest_edge": 40, "longest_edge": 60}, "crop_size": square(45),
    },
    "within-50x70": {
        **CLIP_TYPE, "size": {"max_height": 50, "max_width": 70}, "crop_size": square(47),
    },
    "nothing": {
        **CLIP_TYPE, "do_resize": False, "do_center_crop": False, "do_rescale": False,
        "do_normalize": False,
    },
}  # fmt: skip
# What torchvision has no filter for.
PIL_ONLY = ("box-33", "hamming-29")
# Checkpoints whose processor is named ...Pil, is named plainly, is called a feature extractor.
BACKEND_CASES = ("context-1", "openclip", "relu-silu")
STORED = ("bicubic-24", "bilinear-27-crop-20", "pad-15-to-22", "stretch-17x25")


def decode(pictures):
    from transformers.image_utils import load_image

    images, rows = {}, []
    for file in pictures:
        image = load_image(str(file))
        assert image.mode == "RGB"
        images[file.name] = image
        digest = sha256(np.asarray(image))
        rows.append(f"{file.name}\t{image.width}\t{image.height}\t{digest}")
    return images, rows


def process(name, processor, images, crops):
    rows = []
    for file, image in images.items():
        try:
            raw = processor(images=image, do_rescale=False, do_normalize=False, return_tensors="np")
        except (ValueError, RuntimeError):
            assert name in ("edges-40-60", "within-50x70"), name  # a side of 0 pixels
            continue
        raw = np.asarray(raw["pixel_values"][0])
        assert raw.dtype == np.uint8, raw.dtype
        values = np.asarray(processor(images=image, return_tensors="np")["pixel_values"][0])
        assert values.dtype == (np.uint8 if name == "nothing" else np.float32), values.dtype
        if name in STORED:
            crops[f"{name}/{file}"] = raw
        _, height, width = raw.shape
        values = sha256(values.astype(np.float32))
        rows.append(f"{name}\t{file}\t{height}\t{width}\t{sha256(raw)}\t{values}")
    return rows


def process_all(root, backend, images, crops):
    """The rows of one backend for all settings and pictures."""
    main, rows = {k: v for k, v in images.items() if not k.startswith("extra-")}, []
    for name in SETTINGS:
        if not backend.__name__.endswith("Pil") and name in PIL_ONLY:
            continue
        folder = Path(root) / "pixels" / "settings" / name
        rows += process(name, backend.from_pretrained(str(folder)), main, crops)
    return rows


def process_requests(root):
    """The rows of backends.tsv."""
    from transformers import CLIPImageProcessor, CLIPImageProcessorPil
    from transformers.image_utils import load_image

    rows = []
    for path in (Path(root) / name / "requests-files.json" for name in BACKEND_CASES):
        model = path.parent / "model"
        config, _ = CLIPImageProcessor.get_image_processor_dict(str(model))
        is_pil = str(config.get("image_processor_type")).endswith("Pil")
        for case in json.loads(path.read_text())["cases"]:
            if not case.get("images"):
                continue
            images = [load_image(str(path.parent / image)) for image in case["images"]]
            row = [path.parent.name, case["name"], "pil" if is_pil else "torchvision"]
            for backend in (CLIPImageProcessorPil, CLIPImageProcessor):
                processor = backend.from_pretrained(str(model))
                values = processor(images=images, return_tensors="np")["pixel_values"]
                row.append(sha256(np.asarray(values)))
            rows.append("\t".join(row))
    return rows


def make_torchvision(root):
    """Writes what torchvision makes; torch must have been told to use AVX2."""
    import torch
    from transformers import CLIPImageProcessor

    assert torch.backends.cpu.get_cpu_capability() == "AVX2"
    torch.set_num_threads(1)
    images, _ = decode(sorted((Path(root) / "pictures").iterdir()))
    rows = process_all(root, CLIPImageProcessor, images, {})
    (Path(root) / "pixels" / "pixels-torchvision.tsv").write_text("\n".join(rows) + "\n")
    rows = process_requests(root)
    (Path(root) / "pixels" / "backends.tsv").write_text("\n".join(rows) + "\n")


def make_all(root):
    from transformers import CLIPImageProcessorPil

    out, crops = Path(root) / "pixels", {}
    pictures = sorted((Path(root) / "pictures").iterdir())
    images, decoded = decode(pictures)
    for name, value in SETTINGS.items():
        write_json(out / "settings" / name / "preprocessor_config.json", value)
    rows = process_all(root, CLIPImageProcessorPil, images, crops)
    environment = {**os.environ, "VLMC_ORACLE_CPU": "avx2"}
    subprocess.run([sys.executable, __file__, str(root)], env=environment, check=True)
    (out / "decode.tsv").write_text("\n".join(decoded) + "\n")
    (out / "pixels.tsv").write_text("\n".join(rows) + "\n")
    write_safetensors(out / "crops.safetensors", crops)
    requests = {
        "family": "pictures",
        "mode": "files",
        "cases": [
            {"name": Path(file).stem, "task": "decode", "images": [f"../pictures/{file}"]}
            for file in images
        ],
    }
    write_json(out / "requests-decode.json", requests, indent=None)
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"clip/pixels: {len(decoded)} decoded, {len(rows)} processed, {size / 1024:.0f} KiB")


if __name__ == "__main__":
    make_torchvision(sys.argv[1])
