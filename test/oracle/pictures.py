"""Generates the pictures of the goldens: PNG, JPEG, WebP and GIF of many kinds."""

import io
import shutil
import struct
import zlib
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
    for value in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = value
        rgb.save(folder / f"extra-exif-png-{value}.png", exif=exif)
        rgb.save(folder / f"extra-exif-webp-{value}.webp", quality=60, exif=exif)
    save_png_kinds(folder)
    save_jpeg_kinds(folder, rgb)
    save_webp(folder, rgb, rgba)
    save_gif(folder, rgb, rgba)


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_rows(values, bits):
    """Rows without filter of samples [height, width, channels]."""
    rows = b""
    for row in values.reshape(len(values), -1):
        if bits == 16:
            packed = row.astype(">u2").tobytes()
        else:
            digits = "".join(f"{value:0{bits}b}" for value in row)
            digits += "0" * (-len(digits) % 8)
            packed = bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))
        rows += b"\0" + packed
    return rows


def png_file(values, colour_type, bits, interlaced=False, chunks=b""):
    """A PNG of a kind that Pillow does not write."""
    height, width = values.shape[:2]
    # Adam7: first column, first row, steps.
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)]
    passes += [(1, 0, 2, 2), (0, 1, 1, 2)]
    parts = [values[y::down, x::across] for x, y, across, down in passes]
    data = [png_rows(part, bits) for part in (parts if interlaced else [values]) if part.size]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlaced)
    body = zlib.compress(b"".join(data), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + chunks
        + png_chunk(b"IDAT", body)
        + png_chunk(b"IEND", b"")
    )


def save_png_kinds(folder):
    """Bit depths, interlacing and transparent colours."""
    for name, colour_type, channels, bits, interlaced in [
        ("grey1-interlaced", 0, 1, 1, True),
        ("grey2", 0, 1, 2, False),
        ("grey4-interlaced", 0, 1, 4, True),
        ("grey16", 0, 1, 16, False),
        ("grey16-interlaced", 0, 1, 16, True),
        ("rgb-interlaced", 2, 3, 8, True),
        ("rgb16", 2, 3, 16, False),
        ("la16-interlaced", 4, 2, 16, True),
        ("rgba16-interlaced", 6, 4, 16, True),
        ("palette2-interlaced", 3, 1, 2, True),
        ("palette-short", 3, 1, 8, False),
    ]:
        g = rng("picture", name)
        values = g.integers(0, 1 << bits, (11, 13, channels))
        if name.startswith("grey16"):  # small ones too: Pillow clips, it does not scale
            values //= g.choice([1, 100, 300], values.shape)
        chunks = b""
        if colour_type == 3:  # the short one has numbers without a colour
            colours = 3 if bits == 2 else 200
            chunks = png_chunk(b"PLTE", g.integers(0, 256, 3 * colours).astype(np.uint8).tobytes())
        if name == "grey2":
            chunks = png_chunk(b"tRNS", struct.pack(">H", 2))
        if name == "rgb-interlaced":
            chunks = png_chunk(b"tRNS", struct.pack(">HHH", *values[3, 3]))
        path = folder / f"extra-png-{name}.png"
        path.write_bytes(png_file(values, colour_type, bits, interlaced, chunks))
    # The prefix of JPEG in front, and ImageMagick's form in a text.
    tiff = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 3, 1, 8) + bytes(4)
    values = rng("picture", "png-exif").integers(0, 256, (5, 9, 3))
    prefixed = png_chunk(b"eXIf", b"Exif\0\0" + tiff)
    (folder / "extra-png-exif-prefix.png").write_bytes(png_file(values, 2, 8, chunks=prefixed))
    raw = b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (len(tiff), tiff.hex().encode())
    profile = png_chunk(b"tEXt", raw)
    (folder / "extra-png-exif-profile.png").write_bytes(png_file(values, 2, 8, chunks=profile))


def save_jpeg_kinds(folder, rgb):
    planes = [Image.fromarray(content(f"extra-{c}", 40, 26, 1, 8)[..., 0]) for c in "cmyk"]
    cmyk = Image.merge("CMYK", planes)
    cmyk.save(folder / "extra-jpeg-cmyk.jpg", quality=80)
    cmyk.save(folder / "extra-jpeg-cmyk-progressive.jpg", quality=80, progressive=True)
    # Adobe's marker tells whether the four channels are CMYK or YCCK.
    data = io.BytesIO()
    cmyk.save(data, "JPEG", quality=80)
    data = bytearray(data.getvalue())
    data[data.index(b"Adobe") + 11] = 2
    (folder / "extra-jpeg-ycck.jpg").write_bytes(bytes(data))
    rgb.save(folder / "extra-jpeg-rgb.jpg", quality=80, keep_rgb=True)
    for name, sub in (("411", "4:1:1"), ("422", 1), ("420", 2)):
        path = folder / f"extra-jpeg-{name}-progressive.jpg"
        rgb.crop((0, 0, 37, 23)).save(path, quality=70, subsampling=sub, progressive=True)


def save_webp(folder, rgb, rgba):
    rgb.save(folder / "extra-webp-lossy.webp", quality=70)
    rgb.crop((0, 0, 33, 1)).save(folder / "extra-webp-lossy-33x1.webp", quality=30)
    rgba.save(folder / "extra-webp-alpha.webp", quality=70)
    rgb.save(folder / "extra-webp-lossless.webp", lossless=True)
    rgba.save(folder / "extra-webp-lossless-alpha.webp", lossless=True, exact=True)
    more = [rgba.rotate(180), rgba.rotate(90)]
    path = folder / "extra-webp-animated.webp"
    rgba.save(path, save_all=True, append_images=more, quality=50, background=(9, 8, 7, 6))
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="5"/></x:xmpmeta>'
    rgb.save(folder / "extra-webp-xmp-5.webp", quality=60, xmp=xmp)


def save_gif(folder, rgb, rgba):
    rgb.quantize(40).save(folder / "extra-gif.gif", interlace=0)
    rgb.convert("L").save(folder / "extra-gif-grey-interlaced.gif", interlace=1)
    rgba.save(folder / "extra-gif-transparent.gif")
    rgb.save(folder / "extra-gif-animated.gif", save_all=True, append_images=[rgb.rotate(90)])
    # A screen that is larger than the picture, and one that is smaller.
    data = io.BytesIO()
    rgb.quantize(16).save(data, "GIF", interlace=0)
    data = bytearray(data.getvalue())
    at = data.index(b",\0\0\0\0" + struct.pack("<HH", *rgb.size))
    data[at + 1 : at + 5] = struct.pack("<HH", 7, 3)
    for name, screen in (("larger", (60, 33)), ("smaller", (30, 40))):
        data[6:10] = struct.pack("<HH", *screen)
        (folder / f"extra-gif-screen-{name}.gif").write_bytes(bytes(data))


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
