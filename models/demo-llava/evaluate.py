"""Measures the demo LLaVA and writes its demo pictures: `evaluate.py`.

Prints the table of README.md: answers about held-out pictures, of a group of
seeds that training never draws. With --vlmc PROGRAM the same requests go through
`vlmc run` too, and its equal answers are counted. With --write it draws pictures/
and writes answers.json: what transformers answers about them.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "test" / "oracle"))

import common  # noqa: E402, F401  (first: pins the arithmetic)
import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from questions import KINDS  # noqa: E402
from scenes import picture, seeded_scene  # noqa: E402
from transformers import (  # noqa: E402
    CLIPImageProcessorPil,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

# No training picture shows one of these but by chance, as letters at random.
WORDS = (
    "CAT DOG SUN TREE FISH BIRD MOON STAR BOOK DOOR LAMP RAIN SNOW WIND FIRE GOLD IRON SALT".split()
)
WORDS += (
    "APPLE BREAD CHAIR CLOUD DANCE EARTH GRASS HORSE HOUSE KNIFE LEMON MUSIC NIGHT OCEAN".split()
)
WORDS += "HELLO WORLD QUIZ JAZZ FOX BOX VEX YAK PIZZA ZEBRA QUEEN XYLEM OK GO UP IT".split()


# file, side in pixels, how many shapes, whether with a word, kinds of questions that it mostly gets right
PICTURES = [
    ("shapes.png", 240, 3, False, ["colour", "shape", "presence"]),
    ("many.png", 192, 5, False, ["colour", "shape", "presence"]),
    ("word.jpg", 288, 0, True, ["colour"]),
    ("both.png", 160, 1, True, ["colour", "shape", "presence"]),
]


class Demo:
    def __init__(self, folder):
        torch.set_num_threads(1)
        self.folder = folder
        self.model = LlavaForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.processor = LlavaProcessor.from_pretrained(folder)
        self.processor.image_processor = CLIPImageProcessorPil.from_pretrained(folder)

    @torch.no_grad()
    def answer(self, image, messages):
        prompt = self.processor.apply_chat_template(messages, add_generation_prompt=True)
        inputs = self.processor(text=[prompt], images=[image], return_tensors="pt")
        chosen = self.model.generate(**inputs, do_sample=False)
        new = chosen[:, inputs["input_ids"].shape[1] :]
        return self.processor.batch_decode(new, skip_special_tokens=True)[0]


def ask(question):
    return {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}


def tasks(kind, count, group="held-out", side=240, words=None):
    """[(picture, question, answer)], the first `count` of a kind."""
    out, number = [], 1000
    while len(out) < count:
        draw = random.Random(f"{group}/{kind}/{number}")
        scene = seeded_scene(group, number, words) if words else seeded_scene(group, number)
        number += 1
        pair = KINDS[kind](scene, draw)
        if pair:
            out.append((picture(scene, side), *pair))
    return out


def vlmc_answers(vlmc, model, todo, folder):
    cases = []
    for i, (image, question, _) in enumerate(todo):
        Image.fromarray(image).save(folder / f"{i}.png")
        cases.append({"name": f"c{i}", "messages": [ask(question)], "images": [f"{i}.png"]})
    requests = folder / "requests.json"
    requests.write_text(json.dumps({"family": "llava", "mode": "files", "cases": cases}))
    out = folder / "out.safetensors"
    command = [vlmc, "run", "--model", model, "--inputs", requests, "--outputs", out]
    subprocess.run(list(map(str, command)), check=True)
    from safetensors.numpy import load_file

    got = load_file(out)
    empty = np.zeros(0, np.uint8)
    return [got.get(f"c{i}.text", empty).tobytes().decode() for i in range(len(todo))]


def report(demo, count, vlmc):
    rows = [(kind, {}) for kind in KINDS]
    rows += [("word", {"words": lambda draw: draw.choice(WORDS)})]
    print("| question | answers right % | questions |" + (" vlmc the same |" if vlmc else ""))
    print("|---|---|---|" + ("---|" if vlmc else ""))
    for kind, options in rows:
        todo = tasks(kind, count, **options)
        got = [demo.answer(Image.fromarray(image), [ask(q)]) for image, q, _ in todo]
        right = sum(answer == want for answer, (_, _, want) in zip(got, todo))
        name = kind + (", English words" if options else "")
        line = f"| {name} | {100 * right / count:.1f} | {count} |"
        if vlmc:
            with tempfile.TemporaryDirectory() as folder:
                other = vlmc_answers(vlmc, demo.folder, todo, Path(folder))
            line += f" {sum(a == b for a, b in zip(got, other))} |"
        print(line, flush=True)


def fitting(number, shapes, word, wants):
    """A held-out scene with an occasion for the questions, and what is asked of it."""
    while True:
        scene = seeded_scene("held-out", number)
        draw = random.Random(f"demo/{number}")
        if len(scene.shapes) == shapes and bool(scene.word) == word:
            pairs = [KINDS[kind](scene, draw) for kind in wants]
            if all(pairs):
                return number, scene, pairs
        number += 1


def write_pictures(demo, folder):
    """Draws pictures, and what transformers says of them, each question asked by itself."""
    (folder / "pictures").mkdir(exist_ok=True)
    results, number = [], 5000
    for file, side, shapes, word, wants in PICTURES:
        number, scene, pairs = fitting(number + 1, shapes, word, wants)
        path = folder / "pictures" / file
        options = {"quality": 92} if file.endswith(".jpg") else {"optimize": True}
        Image.fromarray(picture(scene, side)).save(path, **options)
        image, questions = Image.open(path).convert("RGB"), []
        for question, right in pairs:
            answer = demo.answer(image, [ask(question)])
            print(file, question, answer, "" if answer == right else f"(wrong: {right})")
            questions.append({"question": question, "answer": answer, "right": right})
        results.append({"file": f"pictures/{file}", "questions": questions})
    text = json.dumps({"pictures": results}, indent=2) + "\n"
    (folder / "answers.json").write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(HERE))
    parser.add_argument("--count", type=int, default=100, help="questions of each kind")
    parser.add_argument("--vlmc", help="the program, to compare with")
    parser.add_argument("--write", action="store_true", help="pictures/ and answers.json too")
    args = parser.parse_args()
    demo = Demo(args.model)
    report(demo, args.count, args.vlmc)
    if args.write:
        write_pictures(demo, Path(args.model))


if __name__ == "__main__":
    main()
