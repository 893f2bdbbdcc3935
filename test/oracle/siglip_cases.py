"""The random SigLIP checkpoints: one entry per case, small but awkward.

Keys as in clip_cases.py, but for

  tokenizer      "spiece" (spiece.model), "gemma" or "siglip2" (tokenizer.json)
  tokenizer_config  what tokenizer_config.json says beside the class
  normalizer     of spiece.model: a name that SentencePiece knows, or None for
                 a handful of rules
"""

from clip_cases import LINES

UNMASKED = ["input_ids"]

CASES = {
    "v5-plain": {
        "about": "the layout that transformers 5 writes; a projection of the text tower",
        "text": dict(
            hidden_size=32,
            intermediate_size=34,
            num_hidden_layers=1,
            num_attention_heads=4,
            max_position_embeddings=16,
            projection_size=30,
        ),
        "vision": dict(
            hidden_size=30,
            intermediate_size=45,
            num_hidden_layers=2,
            num_attention_heads=6,
            image_size=32,
            patch_size=8,
        ),
        "form": "v5",
        "store": "f32",
        "tokenizer": "spiece",
        "vocab": 120,
        "tokenizer_config": dict(model_input_names=UNMASKED, model_max_length=16),
        "processor": "v5",
    },
    "v4-no-projection": {
        "about": "old files: torch_dtype, position_ids buffers, no projection_size; "
        "a context longer than the tokenizer's limit",
        "text": dict(
            hidden_size=36,
            intermediate_size=50,
            num_hidden_layers=2,
            num_attention_heads=3,
            max_position_embeddings=24,
        ),
        "vision": dict(
            hidden_size=36,
            intermediate_size=50,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=56,
            patch_size=14,
        ),
        "form": "v4",
        "store": "f16",
        "position_ids": True,
        "tokenizer": "spiece",
        "vocab": 150,
        "tokenizer_config": dict(model_input_names=UNMASKED, model_max_length=20),
        "processor": "v4",
    },
    "heads-11": {
        "about": "11 heads of 3 and of 5, a patch that does not divide the picture, float16",
        "text": dict(
            hidden_size=33,
            intermediate_size=41,
            num_hidden_layers=1,
            num_attention_heads=11,
            max_position_embeddings=5,
            projection_size=55,
            hidden_act="gelu",
            layer_norm_eps=1e-3,
        ),
        "vision": dict(
            hidden_size=55,
            intermediate_size=61,
            num_hidden_layers=2,
            num_attention_heads=11,
            image_size=45,
            patch_size=14,
            hidden_act="relu",
        ),
        "form": "v5",
        "store": "f16",
        "tokenizer": "gemma",
        "vocab": 400,
        "tokenizer_config": dict(
            add_bos_token=False,
            add_eos_token=True,
            padding_side="right",
            model_input_names=UNMASKED,
            model_max_length=5,
        ),
        "processor": "v4",
    },
    "defaults": {
        "about": "a config with only the keys that differ: 12 layers, 12 heads, 224 / 16 "
        "and a context of 64 are defaults",
        "text": dict(
            hidden_size=12,
            intermediate_size=30,
            num_hidden_layers=12,
            num_attention_heads=12,
            max_position_embeddings=64,
        ),
        "vision": dict(
            hidden_size=12,
            intermediate_size=30,
            num_hidden_layers=12,
            num_attention_heads=12,
            image_size=224,
            patch_size=16,
        ),
        "form": "sparse",
        "store": "f16",
        "tokenizer": "spiece",
        "vocab": 130,
        "tokenizer_config": dict(model_input_names=UNMASKED, model_max_length=64),
        "processor": "sparse",
        "drop": [
            "num_hidden_layers",
            "num_attention_heads",
            "image_size",
            "patch_size",
            "max_position_embeddings",
        ],
    },
    "siglip2": {
        "about": "as the SigLIP 2 checkpoints of fixed resolution: Gemma's kind of "
        "tokenizer with its end token, bfloat16, one head",
        "text": dict(
            hidden_size=20,
            intermediate_size=40,
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=33,
            projection_size=28,
        ),
        "vision": dict(
            hidden_size=28,
            intermediate_size=44,
            num_hidden_layers=2,
            num_attention_heads=1,
            image_size=224,
            patch_size=14,
        ),
        "form": "v4",
        "store": "bf16",
        "tokenizer": "gemma",
        "vocab": 420,
        "tokenizer_config": dict(
            add_bos_token=False,
            add_eos_token=True,
            padding_side="right",
            model_input_names=UNMASKED,
            model_max_length=64,
        ),
        "processor": "v4",
    },
    "siglip2-v5": {
        "about": "SigLIP 2 in the layout of transformers 5; three layers, heads of 6",
        "text": dict(
            hidden_size=24,
            intermediate_size=35,
            num_hidden_layers=3,
            num_attention_heads=3,
            max_position_embeddings=23,
            projection_size=16,
        ),
        "vision": dict(
            hidden_size=16,
            intermediate_size=29,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=48,
            patch_size=16,
        ),
        "form": "v5",
        "store": "f16",
        "tokenizer": "siglip2",
        "vocab": 360,
        "tokenizer_config": dict(
            add_bos_token=False,
            add_eos_token=True,
            padding_side="right",
            model_input_names=UNMASKED,
            model_max_length=64,
        ),
        "processor": "v5",
    },
    "siglip2-right": {
        "about": "lower case and padding on the right; position_ids buffers, a picture that the patch does not divide",
        "text": dict(
            hidden_size=16,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
            projection_size=24,
        ),
        "vision": dict(
            hidden_size=24,
            intermediate_size=31,
            num_hidden_layers=1,
            num_attention_heads=8,
            image_size=50,
            patch_size=15,
        ),
        "form": "v4",
        "store": "bf16",
        "position_ids": True,
        "tokenizer": "siglip2",
        "vocab": 340,
        "tokenizer_config": dict(
            add_bos_token=False,
            add_eos_token=True,
            padding_side="right",
            model_input_names=UNMASKED,
            model_max_length=64,
        ),
        "processor": "v4",
    },
    "siglip2-shards": {
        "about": "Gemma's tokenizer, both special tokens, padding on the left, two weight files",
        "text": dict(
            hidden_size=15,
            intermediate_size=23,
            num_hidden_layers=2,
            num_attention_heads=5,
            max_position_embeddings=19,
            projection_size=18,
        ),
        "vision": dict(
            hidden_size=18,
            intermediate_size=40,
            num_hidden_layers=3,
            num_attention_heads=3,
            image_size=39,
            patch_size=13,
        ),
        "form": "v5",
        "store": "bf16",
        "shards": 2,
        "tokenizer": "gemma",
        "vocab": 330,
        "tokenizer_config": dict(
            add_bos_token=True,
            add_eos_token=True,
            model_input_names=UNMASKED,
            model_max_length=17,
        ),
        "processor": "v4",
    },
    "padded-left": {
        "about": "lower case, padding on the left, three weight files; a picture of one patch",
        "text": dict(
            hidden_size=22,
            intermediate_size=31,
            num_hidden_layers=3,
            num_attention_heads=2,
            max_position_embeddings=12,
            projection_size=15,
            hidden_act="gelu_new",
        ),
        "vision": dict(
            hidden_size=15,
            intermediate_size=45,
            num_hidden_layers=1,
            num_attention_heads=3,
            image_size=12,
            patch_size=12,
            hidden_act="silu",
            layer_norm_eps=1e-2,
        ),
        "form": "v5",
        "store": "f32",
        "shards": 3,
        "tokenizer": "siglip2",
        "vocab": 380,
        "tokenizer_config": dict(
            add_bos_token=True,
            add_eos_token=True,
            model_input_names=UNMASKED,
            model_max_length=12,
        ),
        "processor": "v5",
    },
    "masked": {
        "about": "a tokenizer that gives a mask: padding is not attended to; 4 layers",
        "text": dict(
            hidden_size=30,
            intermediate_size=27,
            num_hidden_layers=4,
            num_attention_heads=5,
            max_position_embeddings=9,
            projection_size=21,
        ),
        "vision": dict(
            hidden_size=21,
            intermediate_size=37,
            num_hidden_layers=3,
            num_attention_heads=3,
            image_size=64,
            patch_size=16,
        ),
        "form": "v4",
        "store": "bf16",
        "tokenizer": "spiece",
        "vocab": 110,
        "tokenizer_config": dict(model_max_length=9),
        "processor": "v4",
    },
}

TEXTS = [
    "a picture of a cat",
    "",
    "The dog's 12 hats,\n\tand what they'll cost: 3.50€ — naïve ÅNGSTRÖM 猫 👩‍🚀 "
    "(a long text, so that short contexts must cut it off at their very end)",
    "Two RED circles!",
]


def processor_files(case):
    """File name and content of the picture settings, in the case's layout."""
    side = case["vision"]["image_size"]
    size = {"height": side, "width": side}
    half = [0.5, 0.5, 0.5]
    form = case["processor"]
    if form == "sparse":
        return {"preprocessor_config.json": {"image_processor_type": "SiglipImageProcessor"}}
    value = {
        "do_convert_rgb": None if form == "v4" else True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": half,
        "image_processor_type": "SiglipImageProcessor",
        "image_std": half,
        "processor_class": "SiglipProcessor",
        "resample": 3 if form == "v5" else 2,
        "rescale_factor": 1 / 255,
        "size": size,
    }
    if form == "v4":
        return {"preprocessor_config.json": value}
    return {
        "processor_config.json": {"image_processor": value, "processor_class": "SiglipProcessor"}
    }


def config_json(case, vocab_size):
    """config.json as transformers 4 or 5, or a thrifty person, would write it."""
    text = dict(case["text"], vocab_size=vocab_size)
    vision = dict(case["vision"])
    out = {"architectures": ["SiglipModel"], "model_type": "siglip"}
    if case["form"] == "sparse":
        for key in case["drop"]:
            text.pop(key, None)
            vision.pop(key, None)
        return dict(out, text_config=text, vision_config=vision)
    dtype = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[case["store"]]
    if case["form"] == "v4":
        out.update(
            initializer_factor=1.0,
            text_config=dict(text, model_type="siglip_text_model"),
            torch_dtype=dtype,
            transformers_version="4.47.0.dev0",
            vision_config=dict(vision, model_type="siglip_vision_model"),
        )
        return out
    from transformers import SiglipConfig

    config = SiglipConfig(text_config=text, vision_config=vision, dtype=dtype)
    value = dict(config.to_diff_dict(), architectures=["SiglipModel"])
    return dict(value, transformers_version="5.23.0")


__all__ = ["CASES", "LINES", "TEXTS", "config_json", "processor_files"]
