"""Generates the pictures of the goldens: PNG and JPEG of many kinds."""

import shutil
from pathlib import Path

import numpy as np
from common import rng
from PIL import Image


def content(name, width, height, channels, noise):
    """Waves, a few flat shapes and noise, as uint8 [height, width, channels]."""
    g = rng("picture", name)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    out = np.empty((height, width, channels))
    for c in range(channels):
        fx, fy, phase = g.uniform(0.5, 4, 3)
        wave = np.sin(fx * 2 * np.pi * x / max(width, 8) + phase)
        out[..., c] = 128 + 70 * wave * np.cos(fy * 2 * np.pi * y / max(height, 8))
    for _ in range(5):
        cx, cy = g.uniform(0, width), g.uniform(0, height)
        r = g.uniform(0.05, 0.3) * max(min(width, height), 4)
        colour = g.integers(0, 256, channels)
        if g.random() < 0.5:
            inside = (x - cx) ** 2 + (y - cy) ** 2 < r * r
        else:
            inside = (abs(x - cx) < r) & (abs(y - cy) < r / 2)
        out[inside] = colour
    if noise == 0:  # few levels, so that large PNG files stay small
        out = out // 12 * 12
    out += g.normal(0, 1, out.shape) * noise
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


# name, width, height, mode, noise, what to pass to Pillow's save.
PNG = [
    ("rgb-1x1", 1, 1, "RGB", 0),
    ("grey-1x1", 1, 1, "L", 0),
    ("rgb-2x3", 2, 3, "RGB", 20),
    ("grey-7x5", 7, 5, "L", 20),
    ("rgb-31x33", 31, 33, "RGB", 10),
    ("grey-64x64", 64, 64, "L", 10),
    ("rgb-200x150", 200, 150, "RGB", 0),
    ("rgb-224x224", 224, 224, "RGB", 0),
    ("grey-301x99", 301, 99, "L", 3),
    ("rgb-3x400", 3, 400, "RGB", 30),
    ("rgb-400x3", 400, 3, "RGB", 30),
    ("rgb-5x1000", 5, 1000, "RGB", 10),
    ("grey-1000x5", 1000, 5, "L", 10),
    ("rgb-1x57", 1, 57, "RGB", 30),
    ("grey-640x480", 640, 480, "L", 0),
    ("rgb-1000x700", 1000, 700, "RGB", 0),
    ("rgb-48x48-noise", 48, 48, "RGB", 90),
]

# name, width, height, mode, noise, quality, subsampling, further options.
JPEG = [
    ("jpeg-444-q95-64x48", 64, 48, "RGB", 10, 95, 0, {}),
    ("jpeg-422-q90-65x47", 65, 47, "RGB", 10, 90, 1, {}),
    ("jpeg-420-q85-97x131", 97, 131, "RGB", 10, 85, 2, {}),
    ("jpeg-420-q75-640x427", 640, 427, "RGB", 4, 75, 2, {}),
    ("jpeg-420-q30-1000x667", 1000, 667, "RGB", 4, 30, 2, {}),
    ("jpeg-444-q50-333x500", 333, 500, "RGB", 4, 50, 0, {}),
    ("jpeg-420-q100-33x17", 33, 17, "RGB", 20, 100, 2, {}),
    ("jpeg-420-q5-120x90", 120, 90, "RGB", 20, 5, 2, {}),
    ("jpeg-420-q80-1x1", 1, 1, "RGB", 0, 80, 2, {}),
    ("jpeg-420-q80-2x2", 2, 2, "RGB", 30, 80, 2, {}),
    ("jpeg-420-q80-3x201", 3, 201, "RGB", 20, 80, 2, {}),
    ("jpeg-422-q80-700x9", 700, 9, "RGB", 20, 80, 1, {}),
    ("jpeg-grey-q85-130x70", 130, 70, "L", 10, 85, None, {}),
    ("jpeg-grey-q40-401x611", 401, 611, "L", 3, 40, None, {}),
    ("jpeg-420-q85-240x180-progressive", 240, 180, "RGB", 6, 85, 2, {"progressive": True}),
    ("jpeg-420-q85-160x121-restart", 160, 121, "RGB", 6, 85, 2, {"restart_marker_rows": 1}),
    ("jpeg-444-q85-90x60-optimised", 90, 60, "RGB", 6, 85, 0, {"optimize": True}),
]


def save_extra(folder):
    """Pictures that need a conversion to RGB or a rotation: decoding only."""
    rgb = Image.fromarray(content("extra", 40, 26, 3, 5))
    alpha = Image.fromarray(content("extra-alpha", 40, 26, 1, 20)[..., 0])
    grey = rgb.convert("L")
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    rgba.save(folder / "extra-rgba.png", optimize=False)
    Image.merge("LA", (grey, alpha)).save(folder / "extra-la.png")
    rgb.quantize(20).save(folder / "extra-palette.png")
    rgb.quantize(20).save(folder / "extra-palette-transparent.png", transparency=3)
    grey.convert("1").save(folder / "extra-bilevel.png")
    for value in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = value
        file = folder / f"extra-exif-{value}.jpg"
        rgb.save(file, quality=80, subsampling=2, exif=exif)
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(folder / "extra-exif-png-6.png", exif=exif)


def make_all(root):
    folder = Path(root) / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, width, height, mode, noise in PNG:
        pixels = content(name, width, height, 3 if mode == "RGB" else 1, noise)
        image = Image.fromarray(pixels if mode == "RGB" else pixels[..., 0])
        image.save(folder / f"{name}.png", compress_level=9)
    for name, width, height, mode, noise, quality, sub, more in JPEG:
        pixels = content(name, width, height, 3 if mode == "RGB" else 1, noise)
        image = Image.fromarray(pixels if mode == "RGB" else pixels[..., 0])
        options = {"quality": quality, **more}
        if sub is not None:
            options["subsampling"] = sub
        image.save(folder / f"{name}.jpg", **options)
    save_extra(folder)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"clip/pictures: {len(list(folder.iterdir()))} files, {size / 1024:.0f} KiB")
