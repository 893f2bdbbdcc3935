"""Trains the demo CLIP on emoji: `train.py` (about 25 minutes on one core).

Needs the packages of test/oracle/requirements.txt and Debian's
fonts-noto-color-emoji, fonts-symbola and unicode-cldr-core. Seeded: the same
machine gives the same weights.
"""

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "test" / "oracle"))

import bpe  # noqa: E402
import torch  # noqa: E402
from data import TEMPLATES, augment, load_emoji, noto_texture, symbola_texture  # noqa: E402
from transformers import AutoTokenizer, CLIPConfig, CLIPModel  # noqa: E402

SEED = 20
HARDEN = 0.6  # the part of the steps over which the pictures become harder
IMAGE, PATCH, CONTEXT, MERGES = 60, 12, 32, 1600
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def make_tokenizer(emoji, folder):
    """A vocabulary learned from the captions of the training emoji alone."""
    lines = []
    for e in emoji:
        if e.group == "train":
            for word in sorted(e.words):
                lines += [t.format(word) for t in TEMPLATES[:3]]
    merges = bpe.learn_merges(lines, MERGES)
    vocab = bpe.build_vocab(merges)
    bpe.write_tokenizer_json(folder, vocab, merges, bpe.EOS, CONTEXT)
    return AutoTokenizer.from_pretrained(str(folder)), vocab


def make_config(vocab):
    bos, eos = vocab[bpe.BOS], vocab[bpe.EOS]
    text = dict(vocab_size=len(vocab), hidden_size=128, intermediate_size=512,
                num_hidden_layers=3, num_attention_heads=4, projection_dim=128,
                max_position_embeddings=CONTEXT, bos_token_id=bos, eos_token_id=eos,
                pad_token_id=eos)  # fmt: skip
    vision = dict(hidden_size=128, intermediate_size=512, num_hidden_layers=4,
                  num_attention_heads=4, image_size=IMAGE, patch_size=PATCH,
                  projection_dim=128)  # fmt: skip
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=128)


def make_textures(emoji):
    """All renderings that may be trained on: (texture, emoji number, is glyph)."""
    textures, owner, glyph = [], [], []
    for i, e in enumerate(emoji):
        if e.group != "train":
            continue
        textures.append(noto_texture(e.char))
        owner.append(i)
        glyph.append(False)
        if e.symbola_seen:
            textures.append(symbola_texture(e.char))
            owner.append(i)
            glyph.append(True)
    stack = torch.stack([torch.from_numpy(t) for t in textures])
    return stack, owner, torch.tensor(glyph)


def caption(e, draw):
    word = e.name if not e.keywords or draw.random() < 0.6 else draw.choice(e.keywords)
    return word, draw.choice(TEMPLATES).format(word)


def contrastive_loss(logits, words, batch):
    """Cross entropy both ways; texts that fit another picture too are left out."""
    n = len(batch)
    clash = torch.zeros(n, n, dtype=torch.bool)
    for i, e in enumerate(batch):
        for j, word in enumerate(words):
            clash[i, j] = i != j and word in e.words
    logits = logits.masked_fill(clash, -1e4)
    target = torch.arange(n)
    loss = torch.nn.functional.cross_entropy
    return (loss(logits, target) + loss(logits.T, target)) / 2


class Prototypes(torch.nn.Module):
    """One learned direction per emoji, which both towers are drawn to.

    It gives every step a view of all classes, not only of those in the batch,
    and is dropped after training.
    """

    def __init__(self, count, width):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(count, width))

    def forward(self, image, text, owner, is_name):
        weight = torch.nn.functional.normalize(self.weight, dim=1)
        target = torch.tensor(owner)
        loss = torch.nn.functional.cross_entropy
        total = loss(20 * image @ weight.T, target)
        if is_name.any():
            total = total + loss(20 * text[is_name] @ weight.T, target[is_name])
        return total


def normalise(pixels):
    return (pixels - torch.tensor(MEAN).reshape(1, 3, 1, 1)) / torch.tensor(STD).reshape(1, 3, 1, 1)


def train(model, tokenizer, emoji, steps, size):
    textures, owner, glyph = make_textures(emoji)
    flips = torch.tensor(
        [not any(w in emoji[o].name for w in ("left", "right", "arrow", "clock")) for o in owner]
    )
    draw, g = random.Random(SEED + 1), torch.Generator().manual_seed(SEED + 2)
    prototypes = Prototypes(len(emoji), model.config.projection_dim)
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    groups.append({"params": prototypes.parameters(), "weight_decay": 0.0})
    peak, warm = 1.2e-3, min(100, steps // 10)
    optimiser = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), eps=1e-6)
    order, started = [], time.time()
    coloured = [r for r in range(len(owner)) if not glyph[r]]
    for step in range(steps):
        hard = min(1.0, step / (HARDEN * steps))
        if len(order) < size:
            order = list(range(len(owner))) if hard > 0.5 else list(coloured)
            draw.shuffle(order)
        rows, order = order[:size], order[size:]
        batch = [emoji[owner[r]] for r in rows]
        pixels = augment(textures[rows], glyph[rows], flips[rows], IMAGE, hard, g)
        pairs = [caption(e, draw) for e in batch]
        ids = tokenizer([c for _, c in pairs], padding=True, truncation=True, return_tensors="pt")
        rate = peak * min(1, (step + 1) / warm)
        rate *= 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.005
        for group in optimiser.param_groups:
            group["lr"] = rate
        out = model(pixel_values=normalise(pixels), **ids)
        loss = contrastive_loss(out.logits_per_image, [w for w, _ in pairs], batch)
        is_name = torch.tensor([w == e.name for (w, _), e in zip(pairs, batch)])
        extra = prototypes(out.image_embeds, out.text_embeds, [owner[r] for r in rows], is_name)
        both = loss.item()
        loss = loss + 0.5 * extra
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        if step % 25 == 0 or step == steps - 1:
            spent = time.time() - started
            print(
                f"step {step}/{steps} loss {both:.3f} + {extra.item():.3f} {spent:.0f} s",
                flush=True,
            )


def write_processor(folder):
    value = {
        "crop_size": {"height": IMAGE, "width": IMAGE},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": MEAN,
        "image_processor_type": "CLIPImageProcessorPil",
        "image_std": STD,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": IMAGE},
    }
    path = Path(folder) / "preprocessor_config.json"
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=str(HERE), help="where the model is written")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=128)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    emoji = load_emoji(SEED)
    tokenizer, vocab = make_tokenizer(emoji, folder)
    model = CLIPModel(make_config(vocab)).train()
    train(model, tokenizer, emoji, args.steps, args.batch)
    model.half().save_pretrained(str(folder))
    write_processor(folder)


if __name__ == "__main__":
    main()
