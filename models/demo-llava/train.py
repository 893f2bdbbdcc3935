"""Trains the demo LLaVA on drawn scenes: `train.py` (about ten minutes of one core).

Three parts, which can be run one by one; the first two do not need each other.
  see   the tower learns what each patch of a picture shows
  talk  the words learn to answer, with descriptions in the place of pictures
  join  the projector learns to turn what the tower sees into such descriptions

Needs the packages of test/oracle/requirements.txt and Debian's
fonts-dejavu-core. Seeded: the same machine gives the same weights.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
from questions import KINDS, OFTEN, ORDER, conversation
from scenes import COLOURS, LETTERS, SHAPES, SIDE, picture, practice_scene, seeded_scene
from tokens import (
    ASSISTANT,
    CONTEXT,
    END,
    GRID,
    IMAGE,
    PAD,
    PATCH,
    SPACE,
    USER,
    make_tokenizer,
    write_json,
)
from torch.nn.functional import cross_entropy
from transformers import AutoModel, LlavaConfig, LlavaForConditionalGeneration

HERE = Path(__file__).resolve().parent
SEEDS = {"see": 6, "talk": 1, "join": 6}
TOKENS = GRID * GRID  # of a picture
ASKED = 8  # most questions about a picture, each by itself
LOOKS = 1000  # pictures of the last part


def make_config(vocabulary):
    vision = dict(model_type="clip_vision_model", hidden_size=160, intermediate_size=480,
                  num_hidden_layers=4, num_attention_heads=5, image_size=SIDE,
                  patch_size=PATCH, projection_dim=160)  # fmt: skip
    text = dict(model_type="llama", hidden_size=96, intermediate_size=256,
                num_hidden_layers=4, num_attention_heads=3, num_key_value_heads=3,
                vocab_size=vocabulary, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5,
                rope_parameters={"rope_type": "default", "rope_theta": 1e6},
                initializer_range=0.05, tie_word_embeddings=True, bos_token_id=None,
                eos_token_id=END, pad_token_id=PAD)  # fmt: skip
    return LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE,
                       vision_feature_layer=-1, vision_feature_select_strategy="default",
                       image_seq_length=TOKENS, tie_word_embeddings=True)  # fmt: skip


# ---- What the patches show -------------------------------------------------

KIND_NAMES = ["nothing", *SHAPES, *LETTERS]
COLOUR_NAMES = list(COLOURS)


def patch_labels(scene):
    """int64 [3, patches]: what a patch shows or helps to show, its colour, its turn."""
    out = np.full((3, GRID, GRID), -100, np.int64)
    out[0] = 0

    def mark(kind, colour, turn, y, x, size):
        for row, value in zip(out, (KIND_NAMES.index(kind), COLOUR_NAMES.index(colour), turn)):
            row[y : y + size, x : x + size] = value

    loose = scene.loose is not None  # practice: no order to learn
    for i, s in enumerate(scene.shapes):
        y, x = 2 * int(s.y * 3 / SIDE), 2 * int(s.x * 3 / SIDE)
        mark(s.kind, s.colour, -100 if loose else i, y, x, 2)
    for w in [scene.word] if scene.word else scene.loose or []:
        for i, letter in enumerate(w.text):
            x = int(w.x + i * w.advance) // PATCH
            mark(letter, w.colour, -100 if loose else i, int(w.y) // PATCH, x, 1)
    return out.reshape(3, -1)


class Describer:
    """What each patch shows as words: kind, colour, turn and place."""

    def __init__(self, tokenizer):
        def number(word):
            return tokenizer.token_to_id(word if word in LETTERS else SPACE + word)

        self.kinds = torch.tensor([number(k) for k in KIND_NAMES])
        self.colours = torch.tensor([number(c) for c in COLOUR_NAMES])
        self.turns = torch.tensor([number(o) for o in ORDER])
        places = []
        for patch in range(TOKENS):
            row, column = (3 * i // GRID for i in divmod(patch, GRID))
            row, column = ["top", "", "bottom"][row], ["left", "", "right"][column]
            words = [w for w in (row, column) if w] or ["middle"]
            places.append([number(w) for w in words] + [PAD] * (2 - len(words)))
        self.places = torch.tensor(places)

    def ids(self, labels):
        """int64 [pictures, patches, 5], PAD where there is nothing to say."""
        out = torch.full((len(labels), TOKENS, 5), PAD)
        for i, table in enumerate((self.kinds, self.colours, self.turns)):
            given = labels[:, i] >= 0
            out[:, :, i][given] = table[labels[:, i][given]]
        some = labels[:, 0] > 0
        out[:, :, 3:][some] = self.places.expand(len(labels), -1, -1)[some]
        return out

    def __call__(self, table, labels):
        """The sums of the words' embeddings, [pictures, patches, width]."""
        ids = self.ids(labels)
        return (table[ids] * (ids != PAD).unsqueeze(-1)).sum(2)


# ---- Batches ---------------------------------------------------------------


class Data:
    """Scenes of one group, one after another, and what is asked about them."""

    def __init__(self, group, tokenizer, start=0):
        self.group, self.tokenizer, self.next, self.known = group, tokenizer, start, {}
        self.often = None  # all kinds alike

    def ids(self, text):
        if text not in self.known:
            self.known[text] = self.tokenizer.encode(text).ids
        return self.known[text]

    def scenes(self, count, practice=False):
        numbers = range(self.next, self.next + count)
        found = [seeded_scene(self.group, n) for n in numbers]
        if practice:  # every other one
            for i in range(0, count, 2):
                found[i] = practice_scene(random.Random(f"practice/{numbers[i]}"))
        self.next += count
        return found, torch.from_numpy(np.stack([patch_labels(s) for s in found]))

    def ask(self, scene, number):
        """Token ids, positions, which question a token belongs to, which kind it answers.

        Each question stands directly behind the picture and sees no other.
        """
        draw = random.Random(f"{self.group}/talk/{number}")
        pairs = conversation(scene, draw, ASKED, self.often)
        start = [USER, *[IMAGE] * TOKENS]
        ids, places, parts = list(start), list(range(len(start))), [0] * len(start)
        kinds = [-1] * len(start)
        for i, (kind, question, answer) in enumerate(pairs):
            asked = [*self.ids(question), END, ASSISTANT]
            said = [*self.ids(answer), END]
            size = len(asked) + len(said)
            ids += asked + said
            places += range(len(start), len(start) + size)
            parts += [i + 1] * size
            kinds += [-1] * len(asked) + [list(KINDS).index(kind)] * len(said)
        return ids, places, parts, kinds

    def questions(self, found):
        """ids, positions, mask and kinds for scenes that were just drawn."""
        first = self.next - len(found)
        rows = [self.ask(s, first + i) for i, s in enumerate(found)]
        width = max(len(row[0]) for row in rows)
        fill = (PAD, 0, -1, -1)
        ids, places, parts, kinds = (
            torch.tensor([row[i] + [fill[i]] * (width - len(row[i])) for row in rows])
            for i in range(4)
        )
        same = (parts.unsqueeze(2) == parts.unsqueeze(1)) | (parts.unsqueeze(1) == 0)
        mask = same & torch.ones(width, width, dtype=torch.bool).tril()
        return ids, places, mask.unsqueeze(1), kinds


def draw_pictures(found):
    pixels = torch.from_numpy(np.stack([picture(s) for s in found])).permute(0, 3, 1, 2)
    return (pixels.float() / 255 - 0.5) / 0.25


# ---- Training --------------------------------------------------------------


class Heads(torch.nn.Module):
    """What a patch shows, read off the tower's features; dropped after training.

    It teaches the tower to see before the words can, as CLIP does for a large LLaVA.
    """

    def __init__(self, width):
        super().__init__()
        sizes = [len(KIND_NAMES), len(COLOURS), len(ORDER)]
        self.lines = torch.nn.ModuleList(torch.nn.Linear(width, n) for n in sizes)

    def forward(self, features, labels):
        loss, right = 0.0, []
        for i, line in enumerate(self.lines):
            scores, wanted = line(features).flatten(0, 1), labels[:, i].flatten()
            weight = None
            if i == 0:
                weight = torch.ones(scores.shape[1])
                weight[0] = 0.3
            loss = loss + cross_entropy(scores, wanted, weight, ignore_index=-100)
            some = wanted > 0 if i == 0 else wanted >= 0
            right.append((scores.argmax(1) == wanted)[some].float().mean().item())
        return loss, right


def tower_features(tower, pixels):
    return tower(pixels).last_hidden_state[:, 1:]


def hidden_states(model, pictures, ids, places, mask):
    """The last hidden states, with `pictures` [.., tokens, width] in the place of <image>."""
    embeds = model.get_input_embeddings()(ids)
    place = (ids == IMAGE).unsqueeze(-1).expand_as(embeds)
    embeds = embeds.masked_scatter(place, pictures.reshape(-1))
    return model.model.language_model(
        inputs_embeds=embeds, position_ids=places, attention_mask=mask, use_cache=False
    ).last_hidden_state


def answer_loss(model, hidden, ids, kinds, by_answer=True):
    """Over the tokens of answers; `by_answer` each answer counts alike, however long."""
    wanted = kinds[:, 1:] >= 0
    loss = cross_entropy(
        model.lm_head(hidden[:, :-1][wanted]), ids[:, 1:][wanted], reduction="none"
    )
    if not by_answer:
        return loss.mean()
    before = torch.nn.functional.pad(kinds, (1, 0), value=-1)[:, :-1]
    number = ((kinds >= 0) & (before < 0)).cumsum(1) + CONTEXT * torch.arange(len(ids))[:, None]
    number = number[:, 1:][wanted]
    weight = 1 / torch.bincount(number)[number].float()
    return (loss * weight).sum() / weight.sum()


@torch.no_grad()
def measure(model, data, describer=None, count=128):
    """Per cent of right answers per kind, each given the right beginning."""
    data.next = 0
    found, labels = data.scenes(count)
    asked = ids, _, _, kinds = data.questions(found)
    if describer:
        pictures = describer(model.get_input_embeddings().weight, labels)
    else:
        features = tower_features(model.model.vision_tower, draw_pictures(found))
        pictures = model.model.multi_modal_projector(features)
    best = model.lm_head(hidden_states(model, pictures, *asked[:3])[:, :-1]).argmax(-1)
    wrong = (best != ids[:, 1:]) & (kinds[:, 1:] >= 0)
    totals = {k: [0, 0] for k in KINDS}
    for row in range(count):
        start = None
        for at in range(ids.shape[1]):
            kind = kinds[row, at].item()
            if kind >= 0 and start is None:
                start = at
            if start is not None and ids[row, at] == END:
                total = totals[list(KINDS)[kind]]
                total[0] += not wrong[row, start - 1 : at].any().item()
                total[1] += 1
                start = None
    return "  ".join(f"{k} {100 * a / max(b, 1):.0f}" for k, (a, b) in totals.items())


class Training:
    """Steps of AdamW over named weights: warm-up, then a cosine to nothing."""

    def __init__(self, named, steps, peak):
        named = list(named)
        groups = []
        for decay in (0.05, 0.0):
            some = [p for _, p in named if (p.ndim > 1) == (decay > 0)]
            groups.append({"params": some, "weight_decay": decay})
        self.weights = [p for _, p in named]
        self.optimiser = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), eps=1e-6)
        self.steps, self.peak, self.step, self.started = steps, peak, 0, time.time()

    def update(self, loss, *parts):
        done = self.step / self.steps
        for group in self.optimiser.param_groups:
            group["lr"] = self.peak * min(1, (done + 1e-3) / 0.03)
            group["lr"] *= 0.5 * (1 + math.cos(math.pi * done)) + 0.003
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step()
        if self.step % 50 == 0:
            text = " ".join(f"{p.item():.3f}" for p in (loss, *parts))
            spent = time.time() - self.started
            print(f"step {self.step}/{self.steps} loss {text} {spent:.0f} s", flush=True)
        self.step += 1
        return self.step % 250 == 0 or self.step == self.steps


def see(tower, tokenizer, steps, size):
    """The tower alone learns what each patch shows."""
    data, held = Data("train", tokenizer), Data("held-out", tokenizer)
    heads = Heads(tower.config.hidden_size)
    named = [*tower.named_parameters(), *heads.named_parameters()]
    training = Training(named, steps, 1.5e-3)
    for _ in range(steps):
        found, labels = data.scenes(size, practice=True)
        loss, _ = heads(tower_features(tower, draw_pictures(found)), labels)
        if training.update(loss):
            held.next = 0
            found, labels = held.scenes(128)
            with torch.no_grad():
                right = heads(tower_features(tower, draw_pictures(found)), labels)[1]
            print(
                "  held out: what, colour, turn",
                [round(100 * r, 1) for r in right],
                flush=True,
            )


@torch.no_grad()
def prepare(model):
    """Starts the words off as machines that look up and copy.

    Queries equal keys, so that a token attends to tokens that share words with it,
    and the output undoes the values, so that it copies them. From a plain random
    start they find this too, but after thousands of steps.
    """
    width = model.config.text_config.hidden_size
    model.get_input_embeddings().weight.normal_(0, 0.1)
    for layer in model.model.language_model.layers:
        attention = layer.self_attn
        turn = torch.nn.init.orthogonal_(torch.empty(width, width))
        attention.q_proj.weight.copy_(1.2 * turn)
        attention.k_proj.weight.copy_(1.2 * turn)
        turn = torch.nn.init.orthogonal_(torch.empty(width, width))
        attention.v_proj.weight.copy_(turn)
        attention.o_proj.weight.copy_(0.3 * turn.T)


def talk(model, tokenizer, steps, size):
    """The words alone learn to answer about descriptions of scenes, in two rounds."""
    prepare(model)
    held, describer = Data("held-out", tokenizer), Describer(tokenizer)
    table = model.get_input_embeddings().weight
    for second in (False, True):
        data = Data("talk", tokenizer, 100_000 if second else 0)
        data.often = OFTEN if second else None
        count = steps * 6 // 5 if second else steps
        training = Training(model.model.language_model.named_parameters(), count, 2e-3)
        for _ in range(count):
            found, labels = data.scenes(size)
            ids, places, mask, kinds = data.questions(found)
            pictures = describer(table, labels)
            noise = 0.3 * table.detach().std() * torch.randn_like(pictures)
            hidden = hidden_states(model, pictures + noise, ids, places, mask)
            if training.update(answer_loss(model, hidden, ids, kinds, second)):
                print("  held out:", measure(model, held, describer), flush=True)


@torch.no_grad()
def look(model, data, count):
    """What the trained tower sees in pictures, and what there is."""
    features, labels = [], []
    for _ in range(count // 50):
        some, told = data.scenes(50)
        features.append(tower_features(model.model.vision_tower, draw_pictures(some)))
        labels.append(told)
    return torch.cat(features), torch.cat(labels)


def join(model, tokenizer, steps, size):
    """The projector learns to turn what the tower sees into sums of words.

    Tower and words stay as they are: the tower looks at its pictures once.
    """
    data, held = Data("train", tokenizer, 10_000_000), Data("held-out", tokenizer)
    projector = model.model.multi_modal_projector
    features, labels = look(model, data, LOOKS)
    wanted = Describer(tokenizer)(model.get_input_embeddings().weight.detach(), labels)
    features, wanted = features.flatten(0, 1), wanted.flatten(0, 1)
    training = Training(projector.named_parameters(), steps, 3e-3)
    for _ in range(steps):
        rows = torch.randint(len(features), (size,))
        told = (projector(features[rows]) - wanted[rows]).square().mean()
        training.update(told / wanted.var())
    print("  held out:", measure(model, held), flush=True)


def write_model(model, folder):
    """In float16; training goes on in float32."""
    model.generation_config.eos_token_id = END
    model.generation_config.pad_token_id = PAD
    model.generation_config.max_new_tokens = 48
    state = {k: v.half() for k, v in model.state_dict().items()}
    model.save_pretrained(str(folder), state_dict=state)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["dtype"] = "float16"
    write_json(path, config)


PARTS = {"see": see, "talk": talk, "join": join}
STEPS = {"see": 2000, "talk": 1000, "join": 800}
BATCH = {"see": 24, "talk": 16, "join": 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=PARTS, help="by default all three")
    parser.add_argument("--out", default=str(HERE), help="where the model is written")
    parser.add_argument("--work", default="build/demo-llava", help="where the parts are kept")
    parser.add_argument("--steps", type=int, help=f"by default {STEPS}")
    parser.add_argument("--batch", type=int, help=f"by default {BATCH}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder, work = Path(args.out), Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    for part in [args.part] if args.part else PARTS:
        torch.manual_seed(SEEDS[part])
        tokenizer = make_tokenizer()
        config = make_config(tokenizer.get_vocab_size())
        sizes = STEPS[part] if args.steps is None else args.steps, args.batch or BATCH[part]
        if part == "see":
            tower = AutoModel.from_config(config.vision_config).train()
            see(tower, tokenizer, *sizes)
            torch.save(tower.state_dict(), work / "see.pt")
            continue
        model = LlavaForConditionalGeneration(config).train()
        if part == "talk":
            talk(model, tokenizer, *sizes)
            torch.save(model.model.language_model.state_dict(), work / "talk.pt")
            continue
        model.model.vision_tower.load_state_dict(torch.load(work / "see.pt"))
        model.model.language_model.load_state_dict(torch.load(work / "talk.pt"))
        join(model, tokenizer, *sizes)
        folder.mkdir(parents=True, exist_ok=True)
        make_tokenizer(folder)
        write_model(model, folder)


if __name__ == "__main__":
    main()
