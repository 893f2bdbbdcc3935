"""Questions about a scene and their answers, in a few words.

Each kind of question is a function that returns (question, answer) or None
where the scene gives no occasion for it.
"""

from collections import Counter

from scenes import COLOURS, SHAPES

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six"]
ORDER = ["first", "second", "third", "fourth", "fifth", "sixth"]
# All that questions and answers are made of, each to be one token; a few only
# describe what a part of a picture shows, while training.
WORDS = (
    "What Which How Where Is Read List colour shape shapes thing word picture many does have "
    "is are there the a an in it say written here this do you see yes no top bottom left right "
    "middle nothing circles squares triangles stars crosses rings hearts diamonds"
).split()
WORDS += [*SHAPES, *COLOURS, *NUMBERS, *ORDER, '"']


def unique(shapes, key, draw):
    """A shape that no other one shares `key` with."""
    counts = Counter(map(key, shapes))
    found = [s for s in shapes if counts[key(s)] == 1]
    return draw.choice(found) if found else None


def colour(scene, draw):
    if scene.word and (not scene.shapes or draw.random() < 0.4):
        return "What colour is the word?", scene.word.colour
    shape = unique(scene.shapes, lambda s: s.kind, draw)
    if not shape:
        return None
    ask = draw.choice(["What colour is the {}?", "What colour does the {} have?"])
    return ask.format(shape.kind), shape.colour


def shape(scene, draw):
    one = unique(scene.shapes, lambda s: s.colour, draw)
    if not one:
        return None
    ask = draw.choice(["What shape is {}?", "Which shape is {}?", "What is the {} thing?"])
    return ask.format(one.colour), f"a {one.kind}"


def count(scene, draw):
    if scene.word and not scene.shapes:
        return None
    way = draw.random()
    if way < 0.3:
        return "How many shapes are there?", NUMBERS[len(scene.shapes)]
    if draw.random() < 0.85:
        some = draw.choice(scene.shapes)
        kind, tone = some.kind, some.colour
    else:
        kind, tone = draw.choice(SHAPES), draw.choice(list(COLOURS))
    if way < 0.65:
        plural = kind + ("es" if kind == "cross" else "s")
        return f"How many {plural} are there?", NUMBERS[sum(s.kind == kind for s in scene.shapes)]
    number = NUMBERS[sum(s.colour == tone for s in scene.shapes)]
    return f"How many shapes are {tone}?", number


def position(scene, draw):
    if draw.random() < 0.5:
        one = unique(scene.shapes, lambda s: s.kind, draw)
        name = one and one.kind
    else:
        one = unique(scene.shapes, lambda s: (s.colour, s.kind), draw)
        name = one and f"{one.colour} {one.kind}"
    return one and (f"Where is the {name}?", one.place)


def presence(scene, draw):
    if not scene.shapes:
        return None
    some, other = draw.choice(scene.shapes), draw.choice(scene.shapes)
    kind, tone = some.kind, some.colour
    if draw.random() < 0.5:  # one of the two is wrong, or of another shape
        if draw.random() < 0.5:
            kind = draw.choice([other.kind, draw.choice(SHAPES)])
        else:
            tone = draw.choice([other.colour, draw.choice(list(COLOURS))])
    there = any(s.kind == kind and s.colour == tone for s in scene.shapes)
    article = "an" if tone == "orange" else "a"
    return f"Is there {article} {tone} {kind}?", "yes" if there else "no"


def word(scene, draw):
    if not scene.word:
        return None
    ask = [
        "What does it say?",
        "What is written here?",
        "Read the word.",
        "Which word is this?",
    ]
    return draw.choice(ask), f'"{scene.word.text}"'


def contents(scene, draw):
    if not 1 <= len(scene.shapes) <= 4:
        return None
    names = [f"{'an' if s.colour == 'orange' else 'a'} {s.colour} {s.kind}" for s in scene.shapes]
    ask = draw.choice(["What is in the picture?", "Which shapes do you see?", "List the shapes."])
    return ask, ", ".join(names)


KINDS = {"colour": colour, "shape": shape, "count": count, "position": position,
         "presence": presence, "word": word, "contents": contents}  # fmt: skip


# How often a kind is asked about once the easy ones are learnt.
OFTEN = {"colour": 5, "shape": 2, "count": 5, "position": 4, "presence": 3, "word": 1,
         "contents": 1}  # fmt: skip


def all_kinds(scene, draw):
    """The order in which kinds are tried: each twice, reading first where there is a word."""
    kinds = [k for k in KINDS for _ in range(2)]
    if scene.word:
        kinds += ["word"] * 4
    draw.shuffle(kinds)
    if scene.word and draw.random() < 0.7:
        kinds.insert(0, "word")
    return kinds


def conversation(scene, draw, turns, often=None):
    """[(kind, question, answer)], at most `turns` of them, no question twice."""
    out, seen = [], set()
    for i in range(3 * turns) if often else all_kinds(scene, draw):
        kind = draw.choices(list(often), often.values())[0] if often else i
        pair = KINDS[kind](scene, draw)
        if pair and pair[0] not in seen:
            seen.add(pair[0])
            out.append((kind, *pair))
        if len(out) == turns:
            break
    return out
