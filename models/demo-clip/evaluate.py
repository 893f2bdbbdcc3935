"""Measures the demo model and writes its demo pictures: `evaluate.py`.

Prints the figures of README.md. With --write it also draws pictures/ and
writes expected.json: what transformers answers for them.
"""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "test" / "oracle"))

import common  # noqa: E402, F401  (first: pins the arithmetic)
import torch  # noqa: E402
from data import load_emoji  # noqa: E402
from scenes import as_jpeg, scene  # noqa: E402
from train import SEED  # noqa: E402
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel  # noqa: E402
from transformers.image_utils import load_image  # noqa: E402

TEMPLATE = "a picture of a {}"
LABELS = ["cat", "dog", "car", "pizza", "heart"]
# Emoji that a label names, and no other label does.
MEMBERS = {
    "cat": "🐱🐈😺😸😻😽😿😾🙀😹😼",
    "dog": "🐶🐕🦮🐩",
    "car": "🚗🚘🚙🏎🚓🚔🚕🚖",
    "pizza": "🍕",
    "heart": "❤💛💚💙💜🧡🖤💗💖💘💝💓💕💞💔",
}
# file, emoji, font, seed, width, height, label
PICTURES = [
    ("cat.png", "🐱", "noto", 1, 240, 200, "cat"),
    ("car.jpg", "🚗", "noto", 1, 300, 220, "car"),
    ("dog.png", "🐕", "noto", 2, 240, 240, "dog"),
    ("pizza.jpg", "🍕", "noto", 1, 220, 260, "pizza"),
    ("heart.png", "❤", "symbola", 1, 200, 200, "heart"),
]


class Demo:
    def __init__(self, folder):
        torch.set_num_threads(1)
        self.model = CLIPModel.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = CLIPImageProcessorPil.from_pretrained(folder)

    @torch.no_grad()
    def texts(self, names):
        prompts = [TEMPLATE.format(n) for n in names]
        ids = self.tokenizer(prompts, padding=True, truncation=True, return_tensors="pt")
        return torch.nn.functional.normalize(self.model.get_text_features(**ids).pooler_output)

    @torch.no_grad()
    def images(self, pictures):
        pixels = self.processor(images=pictures, return_tensors="pt")["pixel_values"]
        features = self.model.get_image_features(pixel_values=pixels).pooler_output
        return torch.nn.functional.normalize(features)

    @torch.no_grad()
    def classify(self, picture, names):
        prompts = [TEMPLATE.format(n) for n in names]
        ids = self.tokenizer(prompts, padding=True, truncation=True, return_tensors="pt")
        pixels = self.processor(images=[picture], return_tensors="pt")["pixel_values"]
        logits = self.model(pixel_values=pixels, **ids).logits_per_image[0]
        return logits.softmax(0).tolist()


def ranked(demo, chosen, font, names, seed=1):
    """Top-1 and top-5 in per cent of emoji among the names of `names`."""
    words = sorted({e.name for e in names})
    text = demo.texts(words)
    first = fifth = count = 0
    for start in range(0, len(chosen), 64):
        part = chosen[start : start + 64]
        pictures = [as_jpeg(scene(e.char, font, seed)) for e in part]
        top = (demo.images(pictures) @ text.T).topk(5).indices
        for e, row in zip(part, top.tolist()):
            first += words.index(e.name) == row[0]
            fifth += words.index(e.name) in row
            count += 1
    return f"{100 * first / count:.1f} | {100 * fifth / count:.1f} | {count} | {len(words)}"


def category_words(demo, emoji, font, seeds):
    """Accuracy of the five labels on pictures of their members."""
    usable = {e.char: e for e in emoji}
    text, right, count = demo.texts(LABELS), 0, 0
    for k, label in enumerate(LABELS):
        for char in MEMBERS[label]:
            e = usable.get(char)
            if e is None or (font == "symbola" and (not e.has_symbola or e.symbola_seen)):
                continue
            pictures = [as_jpeg(scene(char, font, s)) for s in seeds]
            best = (demo.images(pictures) @ text.T).argmax(1)
            right += int((best == k).sum())
            count += len(pictures)
    return f"{100 * right / count:.1f} | - | {count} | {len(LABELS)}"


def report(demo):
    emoji = load_emoji(SEED)
    train = [e for e in emoji if e.group == "train"]
    held = [e for e in emoji if e.group != "train"]
    other = [e for e in train if e.has_symbola and not e.symbola_seen]
    held_other = [e for e in held if e.has_symbola]
    print("| what | top-1 % | top-5 % | pictures | labels |\n|---|---|---|---|---|")
    print("| trained emoji, new scenes |", ranked(demo, train[::3], "noto", train), "|")
    print(
        "| trained emoji, font not seen for them |", ranked(demo, other[::2], "symbola", train), "|"
    )
    print("| held-out emoji |", ranked(demo, held, "noto", held), "|")
    print("| held-out emoji, other font |", ranked(demo, held_other, "symbola", held), "|")
    seeds = tuple(range(2, 7))
    print("| the five labels, new scenes |", category_words(demo, emoji, "noto", seeds), "|")
    print("| the five labels, font not seen |", category_words(demo, emoji, "symbola", seeds), "|")


def write_pictures(demo, folder):
    """Draws the demo pictures and what transformers says of them."""
    (folder / "pictures").mkdir(exist_ok=True)
    results = []
    for file, char, font, seed, width, height, label in PICTURES:
        path = folder / "pictures" / file
        image = scene(char, font, seed, width, height)
        image.save(path, **({"quality": 88} if file.endswith(".jpg") else {"optimize": True}))
        probabilities = demo.classify(load_image(str(path)), LABELS)
        best = LABELS[probabilities.index(max(probabilities))]
        print(file, label, [round(p, 4) for p in probabilities])
        if best != label:
            raise SystemExit(f"{file}: taken for '{best}', not '{label}'")
        results.append({"file": f"pictures/{file}", "label": label, "probabilities": probabilities})
    value = {"template": TEMPLATE, "labels": LABELS, "tolerance": 1e-4, "pictures": results}
    (folder / "expected.json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(HERE))
    parser.add_argument("--write", action="store_true", help="pictures/ and expected.json too")
    args = parser.parse_args()
    demo = Demo(args.model)
    report(demo)
    if args.write:
        write_pictures(demo, Path(args.model))


if __name__ == "__main__":
    main()
