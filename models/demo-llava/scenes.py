"""Pictures of simple scenes: shapes and a word on a plain ground.

A scene is drawn at any size from one description, by NumPy alone (letters by
Pillow). Coordinates are in units of the model's picture, which is 96 x 96.
"""

import functools
import random
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE, CELL = 96, 16
COLOURS = {
    "red": (214, 32, 36), "green": (34, 150, 60), "blue": (36, 78, 214), "yellow": (244, 214, 40),
    "orange": (245, 134, 24), "purple": (136, 44, 170), "black": (18, 18, 20),
    "white": (246, 246, 246),
}  # fmt: skip
SHAPES = ["circle", "square", "triangle", "star", "cross", "ring", "heart", "diamond"]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FONT_FOLDER = "/usr/share/fonts/truetype/dejavu/"
FONTS = ["DejaVuSans-Bold.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono-Bold.ttf"]
ROWS, COLUMNS = ["top", "", "bottom"], ["left", "", "right"]


@dataclass
class Shape:
    kind: str
    colour: str
    x: float
    y: float
    radius: float
    angle: float
    rgb: np.ndarray

    @property
    def place(self):
        """Which ninth of the picture: 'top left', 'middle', 'right'."""
        row, column = ROWS[int(self.y * 3 / SIDE)], COLUMNS[int(self.x * 3 / SIDE)]
        return f"{row} {column}".strip() or "middle"


@dataclass
class Word:
    text: str
    colour: str
    x: float  # of the first letter's centre
    y: float
    size: float  # of the font
    advance: float  # from one letter's centre to the next
    font: int
    rgb: np.ndarray


@dataclass
class Scene:
    shapes: list[Shape]  # in reading order
    word: Word | None
    loose: list[Word] | None = None  # letters of a practice scene
    ground: tuple = field(default=())  # two colours, direction, noise, seed


# ---- Descriptions ----------------------------------------------------------


def tint(colour, draw):
    """The named colour, a little off."""
    return np.clip([c + draw.uniform(-16, 16) for c in COLOURS[colour]], 0, 255)


def ground(used, draw):
    """Two like colours, rather grey, far from those that are drawn on them."""
    best, best_gap = None, -1.0
    for _ in range(12):
        light = draw.uniform(20, 250)
        rgb = np.clip([light + draw.uniform(-28, 28) for _ in range(3)], 0, 255)
        gap = min((float(np.abs(rgb - u).max()) for u in used), default=255.0)
        if gap > best_gap:
            best, best_gap = rgb, gap
        if gap > 90:
            break
    other = np.clip(best + [draw.uniform(-14, 14) for _ in range(3)], 0, 255)
    return (
        best,
        other,
        draw.uniform(0, 6.28),
        draw.uniform(0, 5),
        draw.randrange(1 << 30),
    )


def draw_shapes(count, blocked_row, draw):
    """Shapes near the middles of ninths; in half of the scenes kinds and colours repeat."""
    kinds, colours = SHAPES, list(COLOURS)
    if draw.random() < 0.5:
        kinds, colours = draw.sample(kinds, 2), draw.sample(colours, 2)
    ninths = [n for n in range(9) if n // 3 != blocked_row]
    chosen = sorted(draw.sample(ninths, count))
    return [draw_shape(n, draw.choice(kinds), draw.choice(colours), draw) for n in chosen]


def draw_shape(ninth, kind, colour, draw):
    x, y = (SIDE / 6 + SIDE / 3 * i + draw.uniform(-4, 4) for i in (ninth % 3, ninth // 3))
    radius, angle = draw.uniform(9, 13), draw.uniform(-0.2, 0.2)
    return Shape(kind, colour, x, y, radius, angle, tint(colour, draw))


def draw_word(text, draw):
    """Letters near the middles of neighbouring cells of 16 x 16, where the model looks."""
    colour = draw.choice(list(COLOURS))
    x = CELL * (draw.randint(0, 6 - len(text)) + 0.5) + draw.uniform(-2, 2)
    y = CELL * (draw.randrange(6) + 0.5) + draw.uniform(-2, 2)
    return Word(text, colour, x, y, draw.uniform(14, 17), CELL, draw.randrange(len(FONTS)),
                tint(colour, draw))  # fmt: skip


def random_word(draw):
    return "".join(draw.choice(LETTERS) for _ in range(draw.randint(2, 5)))


def random_scene(draw, words=random_word):
    """`words(draw)` gives the text of a scene that has one."""
    kind = draw.random()
    word = draw_word(words(draw), draw) if kind > 0.6 else None
    count = draw.randint(1, 6) if not word else draw.choice([0, 0, 1, 2])
    shapes = draw_shapes(count, int(word.y * 3 / SIDE) if word else None, draw)
    used = [s.rgb for s in shapes] + ([word.rgb] if word else [])
    return Scene(shapes, word, ground=ground(used, draw))


def practice_scene(draw):
    """Full of shapes and of letters that are no words: to learn to see faster."""
    shapes, letters = [], []
    for ninth in range(9):
        what = draw.random()
        y, x = divmod(ninth, 3)
        if what < 0.4:
            shapes.append(draw_shape(ninth, draw.choice(SHAPES), draw.choice(list(COLOURS)), draw))
        elif what < 0.8:
            for row in range(2):
                word = draw_word("".join(draw.choice(LETTERS) for _ in range(2)), draw)
                word.x = CELL * (2 * x + 0.5) + draw.uniform(-2, 2)
                word.y = CELL * (2 * y + row + 0.5) + draw.uniform(-2, 2)
                letters.append(word)
    used = [t.rgb for t in [*shapes, *letters]]
    return Scene(shapes, None, letters, ground(used, draw))


# ---- Drawing ---------------------------------------------------------------


def distance(kind, x, y, r):
    """How far outside a shape of radius `r` around 0 a point is; below 0 inside."""
    ax, ay = np.abs(x), np.abs(y)
    if kind == "circle":
        return np.hypot(x, y) - 0.95 * r
    if kind == "ring":
        return np.abs(np.hypot(x, y) - 0.74 * r) - 0.22 * r
    if kind == "square":
        return np.maximum(ax, ay) - 0.82 * r
    if kind == "diamond":
        return (1.35 * ax + ay - 1.1 * r) / 1.68
    if kind == "cross":
        narrow = 0.32 * r
        return np.minimum(np.maximum(ax - narrow, ay - r), np.maximum(ax - r, ay - narrow))
    if kind == "triangle":
        y = y - 0.2 * r
        return np.maximum(y, 0.866 * ax - 0.5 * y) - 0.55 * r
    if kind == "star":  # inside where at most one of five lines has the point outside
        turn = np.pi * (0.4 * np.arange(5) + 0.5)
        lines = np.multiply.outer(np.cos(turn), x) + np.multiply.outer(np.sin(turn), y)
        return np.sort(lines, 0)[-2] - 0.36 * r
    if kind == "heart":
        lobes = np.hypot(ax - 0.37 * r, y + 0.32 * r) - 0.52 * r
        point = (ax + np.abs(y - 0.05 * r) - 0.74 * r) / 1.414
        return np.minimum(lobes, point)
    raise ValueError(kind)


@functools.cache
def letter_mask(letter, font, size):
    """How much of each pixel a letter covers, cut to what is visible."""
    face = ImageFont.truetype(FONT_FOLDER + FONTS[font], size)
    image = Image.new("L", (3 * size, 3 * size))
    ImageDraw.Draw(image).text((size, size), letter, font=face, fill=255)
    return np.asarray(image.crop(image.getbbox()), np.float32) / 255


def paint(canvas, mask, top, left, rgb):
    """Blends a colour in where the mask is; what lies outside is cut off."""
    height, width = mask.shape
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(canvas.shape[0], top + height), min(canvas.shape[1], left + width)
    if y0 >= y1 or x0 >= x1:
        return
    part = mask[y0 - top : y1 - top, x0 - left : x1 - left, None]
    target = canvas[y0:y1, x0:x1]
    target += part * (np.asarray(rgb, np.float32) - target)


def paint_shape(canvas, shape, scale):
    reach = int(np.ceil(1.25 * shape.radius * scale)) + 1
    cx, cy = shape.x * scale, shape.y * scale
    left, top = int(cx) - reach, int(cy) - reach
    span = np.arange(2 * reach + 1, dtype=np.float32)
    x, y = np.meshgrid(span + (left + 0.5 - cx), span + (top + 0.5 - cy))
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    d = distance(shape.kind, cos * x + sin * y, cos * y - sin * x, shape.radius * scale)
    paint(canvas, np.clip(0.5 - d, 0, 1), top, left, shape.rgb)


def paint_word(canvas, word, scale):
    for i, letter in enumerate(word.text):
        mask = letter_mask(letter, word.font, round(word.size * scale))
        left = round((word.x + i * word.advance) * scale - mask.shape[1] / 2)
        paint(canvas, mask, round(word.y * scale - mask.shape[0] / 2), left, word.rgb)


def picture(scene, side=SIDE):
    """uint8 [side, side, 3]."""
    first, second, direction, noise, seed = scene.ground
    line = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    t = 0.5 + 0.7 * (np.cos(direction) * line[None] + np.sin(direction) * line[:, None])
    canvas = np.asarray(first, np.float32) + t[..., None] * np.asarray(second - first, np.float32)
    for shape in scene.shapes:
        paint_shape(canvas, shape, side / SIDE)
    for word in [scene.word] if scene.word else scene.loose or []:
        paint_word(canvas, word, side / SIDE)
    g = np.random.default_rng(seed)
    canvas += noise * g.standard_normal(canvas.shape, dtype=np.float32)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def seeded_scene(group, number, words=random_word):
    """Scene `number` of a group, 'train' or 'held-out': always the same one."""
    return random_scene(random.Random(f"{group}/{number}"), words)
