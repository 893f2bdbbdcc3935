"""The emoji of two fonts with their CLDR names, and the augmentation.

Fonts: Noto Color Emoji (Debian: fonts-noto-color-emoji) and Symbola
(fonts-symbola); names: Unicode CLDR (unicode-cldr-core).
"""

import random
import unicodedata
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

NOTO = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
SYMBOLA = "/usr/share/fonts/truetype/ancient-scripts/Symbola_hint.ttf"
CLDR = "/usr/share/unicode/cldr/common/annotations/en.xml"

SIDE = 80  # of the glyph textures
TEMPLATES = [
    "{}", "a picture of a {}", "a picture of {}", "a drawing of a {}",
    "an emoji of a {}", "a photo of a {}", "a {}", "the {}", "an icon: {}",
]  # fmt: skip


@dataclass
class Emoji:
    char: str
    name: str
    keywords: list[str]
    has_symbola: bool
    group: str = "train"  # or "held-out": no rendering of it is trained on
    symbola_seen: bool = False  # whether its Symbola glyph is trained on
    words: set = field(default_factory=set)


def load_emoji(seed):
    """Every emoji of one code point, split into training and held-out ones."""
    names, keywords = {}, {}
    for item in ElementTree.parse(CLDR).getroot().iter("annotation"):
        char = item.get("cp").replace("\ufe0f", "")
        if len(char) == 1 and not 0x1F3FB <= ord(char) <= 0x1F3FF:
            if item.get("type") == "tts":
                names[char] = item.text.strip().lower()
            else:
                keywords[char] = [w.strip().lower() for w in item.text.split("|")]
    noto, symbola = ImageFont.truetype(NOTO, 109), ImageFont.truetype(SYMBOLA, 100)
    absent = bytes(symbola.getmask("\U000e1234"))
    found = []
    for char in sorted(names):
        if char in "*#0123456789" or unicodedata.category(char) == "Cf":
            continue
        if not draw_noto(noto, char)[..., 3].any():
            continue
        mask = symbola.getmask(char)
        has = mask.getbbox() is not None and bytes(mask) != absent
        found.append(Emoji(char, names[char], keywords.get(char, []), has))
    order = random.Random(seed)
    for emoji in found:
        if order.random() < 0.1:
            emoji.group = "held-out"
        elif emoji.has_symbola and order.random() < 0.5:
            emoji.symbola_seen = True
        emoji.words = {emoji.name, *emoji.keywords}
    return found


def draw_noto(font, char):
    image = Image.new("RGBA", (136, 128))
    ImageDraw.Draw(image).text((0, 0), char, font=font, embedded_color=True)
    return np.asarray(image)


def fit(image):
    """An RGBA array, cut to what is visible and scaled into SIDE x SIDE."""
    image = Image.fromarray(image)
    image = image.crop(image.getchannel("A").getbbox())
    scale = 0.86 * SIDE / max(image.size)
    size = [max(1, round(s * scale)) for s in image.size]
    image = image.convert("RGBa").resize(size, Image.Resampling.BICUBIC)
    out = np.zeros((SIDE, SIDE, 4), np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    out[top : top + size[1], left : left + size[0]] = np.asarray(image)
    return out  # colours are multiplied by alpha


def noto_texture(char):
    return fit(draw_noto(ImageFont.truetype(NOTO, 109), char))


def symbola_texture(char):
    """The glyph in white: the colour is chosen when it is used."""
    image = Image.new("RGBA", (260, 260))
    font = ImageFont.truetype(SYMBOLA, 150)
    ImageDraw.Draw(image).text((40, 20), char, font=font, fill="white")
    return fit(np.asarray(image))


def uniform(n, low, high, g):
    return torch.rand(n, generator=g) * (high - low) + low


def backgrounds(n, side, hard, g):
    """White, plain colours, gradients and soft blotches."""
    first = torch.rand(n, 3, 1, 1, generator=g)
    second = torch.rand(n, 3, 1, 1, generator=g)
    angle = uniform(n, 0, 6.28318, g).reshape(n, 1, 1, 1)
    line = torch.linspace(-0.7, 0.7, side)
    t = torch.cos(angle) * line.reshape(1, 1, 1, side)
    t = (t + torch.sin(angle) * line.reshape(1, 1, side, 1) + 0.5).clamp(0, 1)
    out = first + (second - first) * t
    blotch = torch.rand(n, 3, 4, 4, generator=g)
    blotch = F.interpolate(blotch, size=(side, side), mode="bilinear")
    pick = torch.rand(n, generator=g).reshape(n, 1, 1, 1) / max(hard, 1e-3)
    out = torch.where(pick < 0.12, 0.6 * out + 0.4 * blotch, out)
    out = torch.where(pick > 0.35, first.expand_as(out), out)
    return torch.where(pick > 0.7, torch.ones_like(out), out)


def move(x, may_flip, size, hard, g):
    """Turns, scales, stretches, flips and shifts."""
    n = x.shape[0]
    angle = uniform(n, -0.35, 0.35, g) * (torch.rand(n, generator=g) < 0.6) * hard
    scale = 1 / (1 + (uniform(n, 0.7, 1.12, g) - 1) * hard)
    stretch = 1 + (uniform(n, 0.88, 1.14, g) - 1) * hard
    flip = torch.where((torch.rand(n, generator=g) < 0.3 * hard) & may_flip, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = uniform(2 * n, -0.15, 0.15, g).reshape(n, 2) * hard
    row0 = torch.stack([cos * stretch * flip, -sin, shift[:, 0]], 1)
    row1 = torch.stack([sin * stretch * flip, cos, shift[:, 1]], 1)
    grid = F.affine_grid(torch.stack([row0, row1], 1), (n, 4, size, size), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", align_corners=False)


def augment(textures, is_glyph, may_flip, size, hard, g):
    """uint8 [n, SIDE, SIDE, 4] with alpha multiplied in, to RGB [n, 3, size, size].

    `hard` runs from 0 (hardly changed, on white) to 1.
    """
    n = textures.shape[0]
    x = move(textures.permute(0, 3, 1, 2).float() / 255, may_flip, size, hard, g)
    colour, alpha = x[:, :3], x[:, 3:]
    back = backgrounds(n, size, hard, g)
    out = recolour(colour, alpha, is_glyph, back, hard, g) + back * (1 - alpha)
    gain = 1 + uniform(3 * n, -0.15, 0.15, g).reshape(n, 3, 1, 1) * hard
    contrast = 1 + uniform(n, -0.25, 0.15, g).reshape(n, 1, 1, 1) * hard
    out = (out - 0.5) * contrast + 0.5
    out = out * gain + uniform(n, -0.08, 0.08, g).reshape(n, 1, 1, 1) * hard
    blurred = F.avg_pool2d(F.pad(out, (1, 1, 1, 1), mode="replicate"), 3, 1)
    blur = uniform(n, -1.0, 0.9, g).clamp(min=0).reshape(n, 1, 1, 1)
    out = out + (blurred - out) * blur
    noise = uniform(n, -0.06, 0.06, g).clamp(min=0).reshape(n, 1, 1, 1) * hard
    return (out + noise * torch.randn(out.shape, generator=g)).clamp(0, 1)


def recolour(colour, alpha, is_glyph, back, hard, g):
    """Glyphs get one colour that contrasts; some emoji become grey."""
    n = colour.shape[0]
    weights = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    light = (back * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    ink = torch.rand(n, 3, 1, 1, generator=g) * 0.4
    ink = torch.where(light > 0.5, ink, 1 - ink)
    grey = (colour * weights).sum(1, keepdim=True).expand_as(colour)
    some = (torch.rand(n, generator=g) < 0.12 * hard).reshape(n, 1, 1, 1)
    colour = torch.where(some, grey, colour)
    return torch.where(is_glyph.reshape(n, 1, 1, 1), ink * alpha, colour)
