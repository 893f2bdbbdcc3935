"""Pictures as training never makes them: perspective, stripes, shadow, JPEG.

Used to evaluate and to draw the demo pictures.
"""

import io
import random

import numpy as np
from data import NOTO, SYMBOLA, draw_noto
from PIL import Image, ImageDraw, ImageFilter, ImageFont


def glyph(char, font, ink):
    """The emoji cut to what is visible, as RGBA of about 200 pixels."""
    if font == "noto":
        image = Image.fromarray(draw_noto(ImageFont.truetype(NOTO, 109), char))
    else:
        image = Image.new("RGBA", (400, 400))
        draw = ImageDraw.Draw(image)
        draw.text((60, 40), char, font=ImageFont.truetype(SYMBOLA, 220), fill=ink)
    image = image.crop(image.getchannel("A").getbbox())
    scale = 200 / max(image.size)
    size = [max(1, round(s * scale)) for s in image.size]
    return image.convert("RGBa").resize(size, Image.Resampling.LANCZOS)


def stripes(width, height, first, second, step, lean):
    """Slanted stripes of two colours."""
    y, x = np.mgrid[0:height, 0:width]
    wave = 0.5 + 0.5 * np.sin((x + lean * y) * 2 * np.pi / step)
    out = np.asarray(first) + wave[..., None] * (np.asarray(second) - np.asarray(first))
    return Image.fromarray(np.rint(out).astype(np.uint8))


def perspective(image, draw, amount=0.09):
    """Moves the four corners of a picture inwards by different amounts."""
    w, h = image.size
    target = [(0, 0), (w, 0), (w, h), (0, h)]
    inward = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    moved = [
        (x + sx * draw.uniform(0, amount) * w, y + sy * draw.uniform(0, amount) * h)
        for (x, y), (sx, sy) in zip(target, inward)
    ]
    rows, right = [], []
    for (x, y), (u, v) in zip(moved, target):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    coefficients = np.linalg.solve(np.array(rows), np.array(right))
    return image.transform(
        (w, h), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC
    )


def scene(char, font, seed, width=240, height=240):
    """One picture, an RGB image; the same arguments give the same picture."""
    draw = random.Random(f"scene/{seed}/{char}/{font}")
    dark = draw.random() < 0.25
    low, high = (10, 90) if dark else (165, 245)
    first = [draw.randint(low, high) for _ in range(3)]
    second = [min(255, max(0, c + draw.randint(-25, 25))) for c in first]
    back = stripes(width, height, first, second, draw.uniform(14, 60), draw.uniform(-1, 1))
    ink = tuple(draw.randint(190, 255) if dark else draw.randint(0, 70) for _ in range(3))
    image = perspective(glyph(char, font, ink), draw)
    scale = draw.uniform(0.78, 0.98) * min(width, height) / max(image.size)
    size = [max(1, round(s * scale)) for s in image.size]
    image = image.resize(size, Image.Resampling.BICUBIC)
    left = (width - size[0]) // 2 + draw.randint(-8, 8)
    top = (height - size[1]) // 2 + draw.randint(-8, 8)
    layer = Image.new("RGBA", (width, height))
    layer.paste(image.convert("RGBA"), (left, top))
    shadow = layer.getchannel("A").filter(ImageFilter.GaussianBlur(4))
    shadow = shadow.transform((width, height), Image.Transform.AFFINE, (1, 0, -4, 0, 1, -5))
    back.paste((0, 0, 0), (0, 0), shadow.point(lambda v: int(v * 0.3)))
    back.paste(layer, (0, 0), layer)
    return back


def as_jpeg(image, quality=85):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")
