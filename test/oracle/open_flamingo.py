"""Random OpenFlamingo checkpoints and their goldens.

transformers has no such class, and the package open_flamingo 2.0.1 pins torch
2.0.1 and transformers 4.28, which cannot stand beside the other oracles. So the
model is stated here anew from the package's source, with its names of weights,
over the Llama of transformers. (Once compared with the package's own classes:
the same bits.)
"""

import json
import shutil
from pathlib import Path

import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_files import PICTURES, added, sentence_tokenizer

torch = quiet_torch()
from torch import nn  # noqa: E402

NEW_TOKENS = 8
CHUNK, IMAGE = "<|endofchunk|>", "<image>"

CASES = {
    "llama": {
        "about": "every second layer, named by the gated layers and the old blocks",
        "store": "bf16",
        "every": 2,
        "alias": "old_decoder_blocks",
        "vision": dict(image_size=28, layers=2, width=12, patch_size=7, head_width=4,
                       quick_gelu=True),
        "text": dict(model_type="llama", hidden_size=16, intermediate_size=44,
                     num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
                     max_position_embeddings=512, rms_norm_eps=1e-5),
    },
    "every": {
        "about": "every layer, named by the layers that hold both; tied embeddings",
        "store": "bf16",
        "every": 1,
        "alias": "model.layers",
        "vision": dict(image_size=30, layers=1, width=8, patch_size=10, head_width=8),
        "text": dict(model_type="llama", hidden_size=15, intermediate_size=40,
                     num_hidden_layers=2, num_attention_heads=1, num_key_value_heads=1, head_dim=14,
                     max_position_embeddings=512, rms_norm_eps=1e-6, tie_word_embeddings=True),
    },
    "third": {
        "about": "the third layer of four alone; an MLP of another width in the tower; all names",
        "store": "f16",
        "every": 3,
        "alias": "all",
        "vision": dict(image_size=28, layers=2, width=10, patch_size=14, head_width=10,
                       mlp_ratio=2.0),
        "text": dict(model_type="llama", hidden_size=12, intermediate_size=30,
                     num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=1,
                     max_position_embeddings=512, rms_norm_eps=1e-5, attention_bias=True),
    },
}  # fmt: skip


# ---- The model ---------------------------------------------------------------


class Block(nn.Module):
    """open_clip's ResidualAttentionBlock."""

    def __init__(self, width, heads, inner, quick):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(width, inner), "c_proj": nn.Linear(inner, width)}
        )
        self.quick = quick

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        y = self.mlp["c_fc"](self.ln_2(x))
        y = y * torch.sigmoid(1.702 * y) if self.quick else nn.functional.gelu(y)
        return x + self.mlp["c_proj"](y)


class Tower(nn.Module):
    """open_clip's VisionTransformer: the patches' tokens, without the last norm."""

    def __init__(self, image_size, layers, width, patch_size, head_width, mlp_ratio=4.0,
                 quick_gelu=False):  # fmt: skip
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        count = (image_size // patch_size) ** 2 + 1
        self.positional_embedding = nn.Parameter(torch.zeros(count, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        blocks = [Block(width, width // head_width, int(width * mlp_ratio), quick_gelu)
                  for _ in range(layers)]  # fmt: skip
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.proj = nn.Parameter(torch.zeros(width, 8))

    def forward(self, pixels):
        x = self.conv1(pixels).flatten(2).transpose(1, 2)
        front = self.class_embedding.expand(len(x), 1, -1)
        x = self.ln_pre(torch.cat([front, x], 1) + self.positional_embedding)
        for block in self.transformer["resblocks"]:
            x = block(x)
        return x


def attend(q, k, v, mask=None):
    """Heads of 64 features; rows of the mask without any key give zero."""
    q, k, v = (x.unflatten(-1, (8, 64)).transpose(-2, -3) for x in (q, k, v))
    scores = q @ k.transpose(-1, -2) / 8
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.nan_to_num(scores.softmax(-1))
    return (weights @ v).transpose(-2, -3).flatten(-2)


def feed_forward(dim):
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim, bias=False), nn.GELU(),
                         nn.Linear(4 * dim, dim, bias=False))  # fmt: skip


class PerceiverAttention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm_media, self.norm_latents = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, 512, bias=False)
        self.to_kv = nn.Linear(dim, 1024, bias=False)
        self.to_out = nn.Linear(512, dim, bias=False)

    def forward(self, x, latents):
        latents = self.norm_latents(latents)
        k, v = self.to_kv(torch.cat([self.norm_media(x), latents], -2)).chunk(2, -1)
        return self.to_out(attend(self.to_q(latents), k, v))


class Perceiver(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.latents = nn.Parameter(torch.zeros(64, dim))
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(dim), feed_forward(dim)]) for _ in range(6)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        latents = self.latents.expand(len(x), -1, -1)
        for attention, mlp in self.layers:
            latents = attention(x, latents) + latents
            latents = mlp(latents) + latents
        return self.norm(latents)


class CrossAttention(nn.Module):
    def __init__(self, dim, visual):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, 512, bias=False)
        self.to_kv = nn.Linear(visual, 1024, bias=False)
        self.to_out = nn.Linear(512, dim, bias=False)

    def forward(self, x, media, mask):
        k, v = self.to_kv(media).chunk(2, -1)
        return self.to_out(attend(self.to_q(self.norm(x)), k, v, mask))


class Gated(nn.Module):
    def __init__(self, dim, visual):
        super().__init__()
        self.attn, self.ff = CrossAttention(dim, visual), feed_forward(dim)
        self.attn_gate, self.ff_gate = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x, media, mask):
        x = self.attn(x, media, mask) * self.attn_gate.tanh() + x
        return self.ff(x) * self.ff_gate.tanh() + x


class Flamingo(nn.Module):
    def __init__(self, case, words):
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM

        text = {k: v for k, v in case["text"].items() if k != "model_type"}
        config = LlamaConfig(vocab_size=words, attn_implementation="eager", **text)
        self.vision_encoder = Tower(**case["vision"])
        width, every = case["vision"]["width"], case["every"]
        self.perceiver = Perceiver(width)
        self.lang_encoder = LlamaForCausalLM(config)
        self.lang_encoder.gated_cross_attn_layers = nn.ModuleList(
            Gated(config.hidden_size, width) if (i + 1) % every == 0 else None
            for i in range(config.num_hidden_layers)
        )
        for gated, layer in zip(
            self.lang_encoder.gated_cross_attn_layers, self.lang_encoder.model.layers
        ):
            if gated is not None:
                layer.register_forward_pre_hook(self.conditioned(gated), with_kwargs=True)

    def conditioned(self, gated):
        def hook(_, args, kwargs):
            return (gated(args[0], self.media, self.mask), *args[1:]), kwargs

        return hook

    def forward(self, pixels, ids, image_token):
        """One prompt: [P, 3, H, W], [T]."""
        self.media = self.perceiver(self.vision_encoder(pixels)[:, 1:]).flatten(0, 1)[None]
        picture = torch.arange(len(pixels)).repeat_interleave(64) + 1
        seen = (ids == image_token).cumsum(0)
        self.mask = (seen[:, None] == picture)[None, None]
        return self.lang_encoder(input_ids=ids[None], output_hidden_states=True)


# ---- Checkpoints ---------------------------------------------------------------


def random_weight(name, shape, case):
    g = rng("open-flamingo", case, name)
    x = g.standard_normal(shape)
    if "gate" in name and shape == (1,):
        return 0.8 * x
    if "norm" in name or "ln_" in name or name.endswith((".ff.0.weight", ".1.0.weight")):
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "embed" in name or name.endswith("latents"):
        return x
    return x / np.sqrt(int(np.prod(shape[1:])))


def stored_names(name, alias):
    """The names of a tensor of the class above in the package's state."""
    prefix = "lang_encoder."
    if name.startswith(prefix + "gated_cross_attn_layers."):
        number, rest = name.removeprefix(prefix + "gated_cross_attn_layers.").split(".", 1)
        names = {
            "old_decoder_blocks": name,
            "model.layers": f"{prefix}model.layers.{number}.gated_cross_attn_layer.{rest}",
        }
    elif name.startswith(prefix + "model.layers."):
        number, rest = name.removeprefix(prefix + "model.layers.").split(".", 1)
        names = {
            "old_decoder_blocks": f"{prefix}old_decoder_blocks.{number}.{rest}",
            "model.layers": f"{prefix}model.layers.{number}.decoder_layer.{rest}",
        }
    else:
        return [name]
    return list(names.values()) if alias == "all" else [names[alias]]


def write_tokenizer(folder):
    data, config, size = sentence_tokenizer("prepend")
    tokens = [t for t in data["added_tokens"] if t["content"] not in (IMAGE, "<pad>")]
    tokens += [added(size - 2 + i, t) for i, t in enumerate([CHUNK, IMAGE, "<PAD>"])]
    data["added_tokens"] = tokens
    config.update(pad_token="<PAD>", additional_special_tokens=[CHUNK, IMAGE])
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    return {t["content"]: t["id"] for t in tokens}


def write_checkpoint(name, folder):
    from safetensors.torch import save_file

    case = CASES[name]
    ids = write_tokenizer(folder)
    words = max(ids.values()) + 1
    write_json(
        folder / "config.json",
        {
            "model_type": "open_flamingo",
            "cross_attn_every_n_layers": case["every"],
            "media_token_id": ids[IMAGE],
            "eoc_token_id": ids[CHUNK],
            "vision_config": case["vision"],
            "text_config": {**case["text"], "vocab_size": words, "pad_token_id": ids["<PAD>"]},
        },
    )
    side = case["vision"]["image_size"]
    write_json(
        folder / "preprocessor_config.json",
        {"crop_size": {"height": side, "width": side}, "image_processor_type": "CLIPImageProcessor",
         "size": {"shortest_edge": side}},
    )  # fmt: skip
    model = Flamingo(case, words).eval()
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[case["store"]]
    state, tensors = {}, {}
    tied = case["text"].get("tie_word_embeddings")
    for key, value in model.state_dict().items():
        if tied and key == "lang_encoder.lm_head.weight":
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        state[key] = torch.tensor(data).to(dtype).float()
        for stored in stored_names(key, case["alias"]):
            tensors[stored] = torch.tensor(data).to(dtype)
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and len(missing.missing_keys) == bool(tied)
    return model, ids


# ---- Requests ------------------------------------------------------------------


def requests():
    picture = [{"image": f"../../clip/pictures/{p}"} for p in PICTURES]
    shots = []
    for i in range(4):
        shots += [picture[i % 2], f"{i + 1} cats." + CHUNK]
    usual = {"task": "generate", "max_new_tokens": NEW_TOKENS}
    return [
        {"name": "ask", **usual, "interleaved": ["Look: ", picture[1], "An image of"]},
        {"name": "shots4", **usual, "interleaved": [*shots, picture[0], "A"]},
    ]


def run(model, processor, tokenizer, case, ids, root):
    from transformers.image_utils import load_image

    pictures, text = [], ""
    for part in case["interleaved"]:
        if isinstance(part, dict):
            pictures.append(load_image(str(root / part["image"])))
        text += IMAGE if isinstance(part, dict) else part
    pixels = torch.from_numpy(np.stack(processor(images=pictures)["pixel_values"]))
    tokens = torch.tensor(tokenizer(text)["input_ids"])
    whole, out = tokens, {}
    for step in range(NEW_TOKENS):
        with torch.no_grad():
            got = model(pixels, whole, ids[IMAGE])
        if step == 0:
            out["logits"] = got.logits.numpy()
            out["hidden_states"] = got.hidden_states[-1].numpy()
            out["image_features"] = model.media.view(1, len(pixels), 64, -1).detach().numpy()
        whole = torch.cat([whole, got.logits[0, -1].argmax()[None]])
        if whole[-1] == ids[CHUNK]:
            break
    if case["name"] != "ask":
        out = {}
    out["last_step_logits"] = got.logits[:, -1].numpy()
    out["generated_ids"] = whole[None, len(tokens) :].numpy()
    out["input_ids"] = tokens[None].numpy()
    out["attention_mask"] = np.ones((1, len(tokens)), np.uint8)
    digest = bytes.fromhex(sha256(pixels[None].numpy()))
    out["pixel_values.sha256"] = np.frombuffer(digest, np.uint8)
    return out


def make_case(name, root):
    from transformers import AutoTokenizer, CLIPImageProcessorPil

    out = Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    model, ids = write_checkpoint(name, out / "model")
    processor = CLIPImageProcessorPil.from_pretrained(str(out / "model"))
    tokenizer = AutoTokenizer.from_pretrained(str(out / "model"))
    golden, cases = {}, requests()
    for one in cases:
        for key, value in run(model, processor, tokenizer, one, ids, out).items():
            golden[f"{one['name']}.{key}"] = value
    write_safetensors(out / "golden-files.safetensors", golden)
    requested = {"family": "open_flamingo", "mode": "files", "cases": cases}
    write_json(out / "requests-files.json", requested)


def make_all(root):
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"open-flamingo/{name}: {size / 1024:.0f} KiB", flush=True)
