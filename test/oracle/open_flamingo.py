"""Random OpenFlamingo checkpoints and their goldens.

transformers has no such class, and the package open_flamingo 2.0.1 pins torch
2.0.1 and transformers 4.28, which cannot stand beside the other oracles. So the
model is stated here anew from the package's source, with its names of weights,
over the language models of transformers: Llama, MPT, GPT-NeoX. (Once compared
with the package's own classes over Llama: the same bits.) What MosaicML's own
classes of MPT have more than that of transformers is stated anew as well.
"""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_files import PICTURES, added, learn, sentence_tokenizer

torch = quiet_torch()
from torch import nn  # noqa: E402

NEW_TOKENS = 8
CHUNK, IMAGE = "<|endofchunk|>", "<image>"
SMALL = dict(depth=2, dim_head=6, heads=3, num_latents=5, ff_mult=2)

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
        "alias": "layers",
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
    "mpt": {
        "about": "MPT of transformers, which takes no notice of some keys; three heads",
        "store": "bf16",
        "every": 2,
        "alias": "old_decoder_blocks",
        "vision": dict(image_size=28, layers=1, width=12, patch_size=7, head_width=4),
        "perceiver": SMALL,
        "text": dict(model_type="mpt", architectures=["MptForCausalLM"], d_model=15, n_heads=3,
                     n_layers=4, max_seq_len=256, expansion_ratio=2, no_bias=False,
                     attn_config=dict(alibi_bias_max=4, clip_qkv=1.5, softmax_scale=0.7,
                                      attn_impl="torch")),
    },
    "mpt-own": {
        "about": "MosaicML's own class: all keys count; all pictures before a token are seen",
        "store": "bf16",
        "every": 2,
        "alias": "layers",
        "previous": True,
        "vision": dict(image_size=28, layers=1, width=10, patch_size=14, head_width=10,
                       quick_gelu=True),
        "perceiver": SMALL,
        "text": dict(model_type="mpt", architectures=["MPTForCausalLM"], d_model=18, n_heads=6,
                     n_layers=2, max_seq_len=256, expansion_ratio=3, no_bias=False,
                     logit_scale="inv_sqrt_d_model", tie_word_embeddings=False,
                     attn_config=dict(alibi=True, alibi_bias_max=5, clip_qkv=2.0, qk_ln=True,
                                      attn_type="grouped_query_attention", kv_n_heads=2)),
    },
    "mosaic-gpt": {
        "about": "the class before: keys beside each other, other names of tensors",
        "store": "f16",
        "every": 2,
        "alias": "old_decoder_blocks",
        "vision": dict(image_size=30, layers=1, width=8, patch_size=10, head_width=8),
        "perceiver": SMALL,
        "text": dict(model_type="mosaic_gpt", d_model=16, n_heads=4, n_layers=2, max_seq_len=256,
                     mlp_ratio=4, alibi=True, alibi_bias_max=8, attn_qk_ln=True, no_bias=True,
                     attn_impl="torch"),
    },
    "mpt-positions": {
        "about": "no slopes but learned positions, RMSNorm, one head of keys",
        "store": "bf16",
        "every": 2,
        "alias": "layers",
        "vision": dict(image_size=28, layers=1, width=8, patch_size=14, head_width=4),
        "perceiver": SMALL,
        "text": dict(model_type="mpt", architectures=["MPTForCausalLM"], d_model=16, n_heads=4,
                     n_layers=2, max_seq_len=200, no_bias=True, norm_type="rmsnorm",
                     attn_config=dict(alibi=False, attn_type="multiquery_attention")),
    },
    "neox": {
        "about": "GPT-NeoX: both branches side by side, a quarter of each head turned",
        "store": "bf16",
        "every": 2,
        "alias": "old_decoder_blocks",
        "previous": True,
        "vision": dict(image_size=28, layers=1, width=12, patch_size=7, head_width=6),
        "perceiver": SMALL,
        "text": dict(model_type="gpt_neox", hidden_size=24, intermediate_size=40,
                     num_hidden_layers=3, num_attention_heads=3, max_position_embeddings=256,
                     rotary_pct=0.25, rotary_emb_base=500.0),
    },
    "neox-serial": {
        "about": "as RedPajama: one branch behind the other, whole heads turned; no biases",
        "store": "f16",
        "every": 2,
        "alias": "layers",
        "vision": dict(image_size=30, layers=1, width=8, patch_size=10, head_width=8),
        "perceiver": SMALL,
        "text": dict(model_type="gpt_neox", hidden_size=16, intermediate_size=36,
                     num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=256,
                     rotary_pct=1.0, use_parallel_residual=False, attention_bias=False,
                     hidden_act="gelu_new", tie_word_embeddings=True),
    },
    "video": {
        "about": "videos of up to four frames; three media",
        "store": "bf16",
        "every": 2,
        "alias": "old_decoder_blocks",
        "vision": dict(image_size=28, layers=1, width=12, patch_size=7, head_width=4),
        "perceiver": {**SMALL, "max_num_frames": 4, "max_num_media": 3},
        "text": dict(model_type="mpt", d_model=16, n_heads=4, n_layers=2, max_seq_len=256,
                     attn_config=dict(alibi_bias_max=8)),
    },
    "video-frames": {
        "about": "videos of up to three frames, without numbers of media, GPT-NeoX",
        "store": "bf16",
        "every": 2,
        "alias": "layers",
        "previous": True,
        "vision": dict(image_size=30, layers=1, width=8, patch_size=10, head_width=8),
        "perceiver": {**SMALL, "max_num_frames": 3},
        "text": dict(model_type="gpt_neox", hidden_size=16, intermediate_size=36,
                     num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=256),
    },
}  # fmt: skip

# Where the layers of a language model are.
LAYERS = {"gpt_neox": "gpt_neox.layers", "mpt": "transformer.blocks",
          "mosaic_gpt": "transformer.blocks"}  # fmt: skip


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


def attend(q, k, v, mask=None, heads=8, size=64, hidden=None):
    """A row of the mask without any key finds all alike; `hidden` rows give zero."""
    q, k, v = (x.unflatten(-1, (heads, size)).transpose(-2, -3) for x in (q, k, v))
    scores = q * size**-0.5 @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.finfo(scores.dtype).max)
    weights = scores.softmax(-1)
    if hidden is not None:
        weights = weights.masked_fill(hidden[..., None], 0.0)
    return (weights @ v).transpose(-2, -3).flatten(-2)


def feed_forward(dim, times=4):
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, times * dim, bias=False), nn.GELU(),
                         nn.Linear(times * dim, dim, bias=False))  # fmt: skip


class PerceiverAttention(nn.Module):
    def __init__(self, dim, heads, size):
        super().__init__()
        self.heads, self.size = heads, size
        self.norm_media, self.norm_latents = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, heads * size, bias=False)
        self.to_kv = nn.Linear(dim, 2 * heads * size, bias=False)
        self.to_out = nn.Linear(heads * size, dim, bias=False)

    def forward(self, x, latents):
        latents = self.norm_latents(latents)
        k, v = self.to_kv(torch.cat([self.norm_media(x), latents], -2)).chunk(2, -1)
        mixed = attend(self.to_q(latents), k, v, heads=self.heads, size=self.size)
        return self.to_out(mixed)


class Perceiver(nn.Module):
    """The package's PerceiverResampler."""

    def __init__(self, dim, depth=6, dim_head=64, heads=8, num_latents=64, max_num_media=None,
                 max_num_frames=None, ff_mult=4):  # fmt: skip
        super().__init__()
        self.latents = nn.Parameter(torch.zeros(num_latents, dim))
        self.frame_embs = self.media_time_embs = None
        if max_num_frames:
            self.frame_embs = nn.Parameter(torch.zeros(max_num_frames, dim))
        if max_num_media:
            self.media_time_embs = nn.Parameter(torch.zeros(max_num_media, 1, dim))
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(dim, heads, dim_head), feed_forward(dim, ff_mult)])
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x, first=0):
        """[T, F, V, D] of media `first` and so on to [T, R, D]."""
        if self.frame_embs is not None:
            x = x + self.frame_embs[: x.shape[1], None]
        x = x.flatten(1, 2)
        if self.media_time_embs is not None:
            x = x + self.media_time_embs[first : first + len(x)]
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

    def forward(self, x, media, mask, hidden):
        k, v = self.to_kv(media).chunk(2, -1)
        return self.to_out(attend(self.to_q(self.norm(x)), k, v, mask, hidden=hidden))


class Gated(nn.Module):
    def __init__(self, dim, visual):
        super().__init__()
        self.attn, self.ff = CrossAttention(dim, visual), feed_forward(dim)
        self.attn_gate, self.ff_gate = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x, media, mask, hidden):
        x = self.attn(x, media, mask, hidden) * self.attn_gate.tanh() + x
        return self.ff(x) * self.ff_gate.tanh() + x


# ---- Language models -----------------------------------------------------------


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class MosaicAttention(nn.Module):
    """GroupedQueryAttention of llm-foundry with its torch implementation."""

    def __init__(self, text, keys, norm):
        super().__init__()
        dim, self.heads = text["d_model"], text["n_heads"]
        self.size, bias = dim // self.heads, not text["no_bias"]
        kinds = {"multiquery_attention": 1, "grouped_query_attention": keys.get("kv_n_heads")}
        self.groups = kinds.get(keys.get("attn_type"), self.heads)
        self.clip, self.scale = keys.get("clip_qkv"), keys.get("softmax_scale")
        inner = self.groups * self.size
        self.Wqkv = nn.Linear(dim, dim + 2 * inner, bias=bias)
        self.out_proj = nn.Linear(dim, dim, bias=bias)
        self.q_ln = self.k_ln = None
        if keys.get("qk_ln"):
            self.q_ln, self.k_ln = norm(dim), norm(inner)
        self.sizes = [dim, inner, inner]

    def forward(self, x, bias):
        made = self.Wqkv(x)
        if self.clip:
            made = made.clamp(min=-self.clip, max=self.clip)
        q, k, v = made.split(self.sizes, -1)
        if self.q_ln is not None:
            q, k = self.q_ln(q), self.k_ln(k)
        q = q.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = (y.unflatten(-1, (self.groups, -1)).transpose(1, 2)
                .repeat_interleave(self.heads // self.groups, 1) for y in (k, v))  # fmt: skip
        scores = q @ k.transpose(-1, -2) * (self.scale or self.size**-0.5) + bias
        t = x.shape[1]
        later = torch.ones(t, t, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, -torch.finfo(scores.dtype).max).softmax(-1)
        return self.out_proj((weights @ v).transpose(1, 2).flatten(-2))


class MosaicBlock(nn.Module):
    def __init__(self, text, keys, norm, gpt):
        super().__init__()
        dim, bias = text["d_model"], not text["no_bias"]
        inner = dim * text["mlp_ratio" if gpt else "expansion_ratio"]
        self.names = ("ln_1", "ln_2", "mlp", "mlp_up", "mlp_down") if gpt else (
            "norm_1", "norm_2", "ffn", "up_proj", "down_proj")  # fmt: skip
        first, second, mlp, up, down = self.names
        self.add_module(first, norm(dim))
        self.attn = MosaicAttention(text, keys, norm)
        self.add_module(second, norm(dim))
        self.add_module(mlp, nn.ModuleDict({up: nn.Linear(dim, inner, bias=bias),
                                            down: nn.Linear(inner, dim, bias=bias)}))  # fmt: skip

    def forward(self, x, bias):
        first, second, mlp, up, down = (self.names[0], self.names[1], *self.names[2:])
        x = x + self.attn(getattr(self, first)(x), bias)
        mlp = getattr(self, mlp)
        return x + mlp[down](nn.functional.gelu(mlp[up](getattr(self, second)(x))))


def slopes(heads, most):
    """gen_slopes() of llm-foundry."""
    power = 1
    while power < heads:
        power *= 2
    all_ = [2.0 ** -(i * most / power) for i in range(1, power + 1)]
    return all_ if power == heads else (all_[1::2] + all_[::2])[:heads]


class MosaicModel(nn.Module):
    """MPTForCausalLM of llm-foundry, or MosaicGPT before it."""

    def __init__(self, text, words):
        super().__init__()
        gpt = text["model_type"] == "mosaic_gpt"
        text = {"expansion_ratio": 4, **text}
        keys = {"alibi": text.get("alibi"), "alibi_bias_max": text.get("alibi_bias_max", 8),
                "qk_ln": text.get("attn_qk_ln"), "clip_qkv": text.get("attn_clip_qkv"),
                "softmax_scale": text.get("softmax_scale")}  # fmt: skip
        keys = keys if gpt else {"alibi_bias_max": 8, **text["attn_config"]}
        rms = "rms" in text.get("norm_type", "layernorm")

        def norm(dim):
            return RMSNorm(dim) if rms else nn.LayerNorm(dim, bias=not text["no_bias"])

        dim = text["d_model"]
        parts = {"wte": nn.Embedding(words, dim)}
        if not keys["alibi"]:
            parts["wpe"] = nn.Embedding(text["max_seq_len"], dim)
        parts["blocks"] = nn.ModuleList(
            MosaicBlock(text, keys, norm, gpt) for _ in range(text["n_layers"])
        )
        parts["ln_f" if gpt else "norm_f"] = norm(dim)
        self.transformer = nn.ModuleDict(parts)
        self.final = "ln_f" if gpt else "norm_f"
        self.lm_head = None
        if not text.get("tie_word_embeddings", True):
            self.lm_head = nn.Linear(dim, words, bias=False)
        self.scale = dim**-0.5 if text.get("logit_scale") == "inv_sqrt_d_model" else 1.0
        self.slopes = slopes(text["n_heads"], keys["alibi_bias_max"]) if keys["alibi"] else None

    def forward(self, input_ids, output_hidden_states=True):
        x = self.transformer["wte"](input_ids)
        places = torch.arange(input_ids.shape[1])
        bias = torch.zeros(1)
        if self.slopes:
            distance = (places[None] - places[:, None]).float()
            bias = torch.tensor(self.slopes)[:, None, None] * distance
        else:
            x = x + self.transformer["wpe"](places)
        for block in self.transformer["blocks"]:
            x = block(x, bias)
        x = self.transformer[self.final](x)
        head = self.lm_head or self.transformer["wte"]
        logits = x @ head.weight.T * self.scale
        return SimpleNamespace(logits=logits, hidden_states=[x])


def language_model(text, words):
    """The model, the width of its tokens and the number of its layers."""
    kind = text["model_type"]
    if kind == "mosaic_gpt" or text.get("architectures") == ["MPTForCausalLM"]:
        return MosaicModel(text, words), text["d_model"], text["n_layers"]
    import transformers

    config, model = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "mpt": (transformers.MptConfig, transformers.MptForCausalLM),
        "gpt_neox": (transformers.GPTNeoXConfig, transformers.GPTNeoXForCausalLM),
    }[kind]
    keys = {k: v for k, v in text.items() if k not in ("model_type", "architectures")}
    made = config(vocab_size=words, attn_implementation="eager", use_cache=False, **keys)
    return model(made), made.hidden_size, made.num_hidden_layers


class Flamingo(nn.Module):
    def __init__(self, case, words):
        super().__init__()
        text = case["text"]
        self.previous = case.get("previous", False)
        self.vision_encoder = Tower(**case["vision"])
        width, every = case["vision"]["width"], case["every"]
        self.perceiver = Perceiver(width, **case.get("perceiver", {}))
        self.lang_encoder, dim, count = language_model(text, words)
        self.lang_encoder.gated_cross_attn_layers = nn.ModuleList(
            Gated(dim, width) if (i + 1) % every == 0 else None for i in range(count)
        )
        layers = self.lang_encoder.get_submodule(LAYERS.get(text["model_type"], "model.layers"))
        for gated, layer in zip(self.lang_encoder.gated_cross_attn_layers, layers):
            if gated is not None:
                layer.register_forward_pre_hook(self.conditioned(gated), with_kwargs=True)

    def conditioned(self, gated):
        def hook(_, args, kwargs):
            return (gated(args[0], self.media, self.mask, self.hidden), *args[1:]), kwargs

        return hook

    def forward(self, media, ids, image_token):
        """One prompt: frames [F, 3, H, W] of each of its media, and [T]."""
        if len({len(frames) for frames in media}) == 1:
            seen = self.vision_encoder(torch.cat(media))[:, 1:]
            made = self.perceiver(seen.unflatten(0, (len(media), -1)))
        else:  # which the package's tensor of all frames cannot hold
            made = torch.cat([self.perceiver(self.vision_encoder(frames)[None, :, 1:], i)
                              for i, frames in enumerate(media)])  # fmt: skip
        self.media = made.flatten(0, 1)[None]
        picture = torch.arange(len(media)).repeat_interleave(made.shape[1]) + 1
        seen = (ids == image_token).cumsum(0)
        if self.previous:
            self.mask, self.hidden = (seen[:, None] >= picture)[None, None], None
        else:
            self.mask = (seen[:, None] == picture)[None, None]
            self.hidden = (seen == 0)[None, None]
        return self.lang_encoder(input_ids=ids[None], output_hidden_states=True)


# ---- Checkpoints ---------------------------------------------------------------


def random_weight(name, shape, case):
    g = rng("open-flamingo", case, name)
    x = g.standard_normal(shape)
    if "gate" in name and shape == (1,):
        return 0.8 * x
    norms = ("norm", "ln_", "_ln.")
    if any(n in name for n in norms) or name.endswith((".ff.0.weight", ".1.0.weight")):
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    tables = ("embed", "latents", "_embs", ".wte.", ".wpe.")
    if any(t in name for t in tables):
        return x
    return x / np.sqrt(int(np.prod(shape[1:])))


def stored_names(name, alias, layers):
    """The names of a tensor of the class above in the package's state."""
    prefix = "lang_encoder."
    if name.startswith(prefix + "gated_cross_attn_layers."):
        number, rest = name.removeprefix(prefix + "gated_cross_attn_layers.").split(".", 1)
        names = {
            "old_decoder_blocks": name,
            "layers": f"{prefix}{layers}.{number}.gated_cross_attn_layer.{rest}",
        }
    elif name.startswith(f"{prefix}{layers}."):
        number, rest = name.removeprefix(f"{prefix}{layers}.").split(".", 1)
        names = {
            "old_decoder_blocks": f"{prefix}old_decoder_blocks.{number}.{rest}",
            "layers": f"{prefix}{layers}.{number}.decoder_layer.{rest}",
        }
    elif name == prefix + "lm_head.weight" and layers == LAYERS["gpt_neox"]:
        # As transformers called it before its version 5, and the package does.
        return [prefix + "embed_out.weight"]
    else:
        return [name]
    return list(names.values()) if alias == "all" else [names[alias]]


def byte_tokenizer():
    """GPT-NeoX's: pieces of bytes of texts in normal form C."""
    from tokenizers.pre_tokenizers import ByteLevel

    first = ["<|endoftext|>", "<|padding|>"]
    alphabet = sorted(ByteLevel.alphabet())
    vocab, merges = learn(ByteLevel(add_prefix_space=False), first, 400, alphabet)
    bytes_ = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    data = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(i, t) for i, t in enumerate(first)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": bytes_,
        "post_processor": bytes_,
        "decoder": bytes_,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False, "vocab": vocab,
                  "merges": [" ".join(m) for m in merges]},
    }  # fmt: skip
    config = {"tokenizer_class": "GPTNeoXTokenizer", "bos_token": "<|endoftext|>",
              "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
              "add_prefix_space": False, "padding_side": "left",
              "model_max_length": 512}  # fmt: skip
    return data, config, len(vocab)


def write_tokenizer(case, folder):
    if case["text"]["model_type"] == "llama":
        data, config, size = sentence_tokenizer("prepend")
        size -= 2  # which are taken out again
    else:
        data, config, size = byte_tokenizer()
    tokens = [t for t in data["added_tokens"] if t["content"] not in (IMAGE, "<pad>")]
    tokens += [added(size + i, t) for i, t in enumerate([CHUNK, IMAGE, "<PAD>"])]
    data["added_tokens"] = tokens
    config.update(pad_token="<PAD>", additional_special_tokens=[CHUNK, IMAGE])
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    return {t["content"]: t["id"] for t in tokens}


def write_checkpoint(name, folder):
    from safetensors.torch import save_file

    case = CASES[name]
    ids = write_tokenizer(case, folder)
    words = max(ids.values()) + 1
    config = {
        "model_type": "open_flamingo",
        "cross_attn_every_n_layers": case["every"],
        "media_token_id": ids[IMAGE],
        "eoc_token_id": ids[CHUNK],
        "vision_config": case["vision"],
        "text_config": {**case["text"], "vocab_size": words, "pad_token_id": ids["<PAD>"]},
    }
    if "perceiver" in case:
        config["perceiver_config"] = case["perceiver"]
    if case.get("previous"):
        config["only_attend_immediate_media"] = False
    write_json(folder / "config.json", config)
    side = case["vision"]["image_size"]
    write_json(
        folder / "preprocessor_config.json",
        {"crop_size": {"height": side, "width": side}, "image_processor_type": "CLIPImageProcessor",
         "size": {"shortest_edge": side}},
    )  # fmt: skip
    model = Flamingo(case, words).eval()
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[case["store"]]
    state, tensors = {}, {}
    heads = ("lang_encoder.lm_head.weight", "lang_encoder.embed_out.weight")
    tied = [h for h in heads if h in model.state_dict()]
    if not case["text"].get("tie_word_embeddings", case["text"]["model_type"] == "mpt"):
        tied = []
    layers = LAYERS.get(case["text"]["model_type"], "model.layers")
    for key, value in model.state_dict().items():
        if key in tied:
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        state[key] = torch.tensor(data).to(dtype).float()
        for stored in stored_names(key, case["alias"], layers):
            tensors[stored] = torch.tensor(data).to(dtype)
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and missing.missing_keys == tied
    return model, ids


# ---- Requests ------------------------------------------------------------------


FRAMES = [f"../frames/{i}.png" for i in range(4)]


def write_frames(root):
    """A few small pictures of one size."""
    from PIL import Image

    folder = Path(root) / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(len(FRAMES)):
        noise = rng("open-flamingo", "frames", str(i)).integers(0, 256, (9, 11, 3), np.uint8)
        picture = Image.fromarray(noise).resize((44, 36), Image.Resampling.BILINEAR)
        picture.save(folder / f"{i}.png")


def requests(perceiver):
    picture = [{"image": f"../../clip/pictures/{p}"} for p in PICTURES]
    usual = {"task": "generate", "max_new_tokens": NEW_TOKENS}
    if "max_num_frames" in perceiver:
        videos = [{"video": FRAMES[:3]}, {"video": [FRAMES[3], FRAMES[0], FRAMES[1]]}]
        chunk = "Falling." + CHUNK
        mixed = [picture[0], "A cat." + CHUNK, videos[0], chunk, videos[1], "A"]
        return [
            {"name": "ask", **usual, "interleaved": ["Look: ", videos[0], "A video of"]},
            {"name": "shots", **usual, "interleaved": mixed},
        ]
    shots = []
    for i in range(4):
        shots += [picture[i % 2], f"{i + 1} cats." + CHUNK]
    return [
        {"name": "ask", **usual, "interleaved": ["Look: ", picture[1], "An image of"]},
        {"name": "shots4", **usual, "interleaved": [*shots, picture[0], "A"]},
    ]


def run(model, processor, tokenizer, case, ids, root):
    from transformers.image_utils import load_image

    media, text = [], ""
    for part in case["interleaved"]:
        if isinstance(part, dict):
            files = part["video"] if "video" in part else [part["image"]]
            pictures = [load_image(str(root / file)) for file in files]
            media.append(np.stack(processor(images=pictures)["pixel_values"]))
        text += IMAGE if isinstance(part, dict) else part
    most = max(len(frames) for frames in media)
    pixels = np.zeros((len(media), most, *media[0].shape[1:]), np.float32)
    for i, frames in enumerate(media):
        pixels[i, : len(frames)] = frames
    if model.perceiver.frame_embs is None:
        pixels = pixels[:, 0]
    media = [torch.from_numpy(frames) for frames in media]
    tokens = torch.tensor(tokenizer(text)["input_ids"])
    whole, out = tokens, {}
    for step in range(NEW_TOKENS):
        with torch.no_grad():
            got = model(media, whole, ids[IMAGE])
        if step == 0:
            out["logits"] = got.logits.numpy()
            out["hidden_states"] = got.hidden_states[-1].numpy()
            features = model.media.unflatten(1, (len(media), -1))
            out["image_features"] = features.detach().numpy()
        whole = torch.cat([whole, got.logits[0, -1].argmax()[None]])
        if whole[-1] == ids[CHUNK]:
            break
    if case["name"] != "ask":
        out = {}
    out["last_step_logits"] = got.logits[:, -1].numpy()
    out["generated_ids"] = whole[None, len(tokens) :].numpy()
    out["input_ids"] = tokens[None].numpy()
    out["attention_mask"] = np.ones((1, len(tokens)), np.uint8)
    digest = bytes.fromhex(sha256(pixels[None]))
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
    golden, cases = {}, requests(CASES[name].get("perceiver", {}))
    for one in cases:
        for key, value in run(model, processor, tokenizer, one, ids, out).items():
            golden[f"{one['name']}.{key}"] = value
    write_safetensors(out / "golden-files.safetensors", golden)
    requested = {"family": "open_flamingo", "mode": "files", "cases": cases}
    write_json(out / "requests-files.json", requested)


def make_all(root):
    write_frames(root)
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"open-flamingo/{name}: {size / 1024:.0f} KiB", flush=True)
