"""The random CLIP checkpoints: one entry per case, small but awkward.

Each entry says what goes into config.json, how the weights are stored, which
tokenizer and processor files lie beside them and which inputs are run. Keys:

  text, vision   the sub-configs as the model sees them
  drop           sub-config and top-level keys left out of config.json, whose
                 values above must be the class defaults
  form           config.json as transformers "v4" or "v5" writes it
  store          "f32", "f16" or "bf16"
  shards         number of weight files (1: model.safetensors)
  position_ids   also store the int64 buffers of old files
  merges         number of merges to learn (0: bytes only)
  tokenizer      "json" (v5 files), "v4" (all files), "vocab" (vocab.json and
                 merges.txt alone)
  pad            the pad token
  processor      "v5" (processor_config.json), "v4", "v4-int" (plain ints)
"""

CASES = {
    "v5-plain": {
        "about": "the layout that transformers 5 writes; pooling at the first eos",
        "text": dict(
            hidden_size=32,
            intermediate_size=72,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=16,
        ),
        "vision": dict(
            hidden_size=42,
            intermediate_size=92,
            num_hidden_layers=2,
            num_attention_heads=6,
            image_size=32,
            patch_size=8,
        ),
        "projection_dim": 40,
        "form": "v5",
        "store": "f32",
        "merges": 60,
        "tokenizer": "json",
        "processor": "v5",
    },
    "v4-old-eos": {
        "about": "old files: *_config_dict, torch_dtype, position_ids buffers, "
        "eos_token_id 2 (pooling at the largest id)",
        "text": dict(
            hidden_size=20,
            intermediate_size=50,
            num_hidden_layers=2,
            num_attention_heads=5,
            max_position_embeddings=77,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        ),
        "vision": dict(
            hidden_size=36,
            intermediate_size=70,
            num_hidden_layers=2,
            num_attention_heads=3,
            image_size=56,
            patch_size=14,
        ),
        "projection_dim": 24,
        "form": "v4",
        "store": "f32",
        "merges": 40,
        "position_ids": True,
        "tokenizer": "v4",
        "processor": "v4-int",
    },
    "heads-11": {
        "about": "11 heads of 5 and of 7, patch 7, a context of 5, float16",
        "text": dict(
            hidden_size=77,
            intermediate_size=90,
            num_hidden_layers=1,
            num_attention_heads=11,
            max_position_embeddings=5,
            hidden_act="gelu",
        ),
        "vision": dict(
            hidden_size=55,
            intermediate_size=111,
            num_hidden_layers=2,
            num_attention_heads=11,
            image_size=28,
            patch_size=7,
            hidden_act="gelu",
        ),
        "projection_dim": 17,
        "form": "v5",
        "store": "f16",
        "merges": 0,
        "tokenizer": "json",
        "processor": "v5",
    },
    "patch32-image224": {
        "about": "the grid of ViT-B/32, float16 storage, a context of 33",
        "text": dict(
            hidden_size=44,
            intermediate_size=60,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=33,
        ),
        "vision": dict(
            hidden_size=24,
            intermediate_size=52,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=224,
            patch_size=32,
        ),
        "projection_dim": 32,
        "form": "v4",
        "store": "f16",
        "merges": 80,
        "position_ids": True,
        "tokenizer": "v4",
        "processor": "v4",
    },
    "patch14-image336": {
        "about": "the grid of ViT-L/14-336, bfloat16 storage, one head",
        "text": dict(
            hidden_size=16,
            intermediate_size=40,
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=20,
        ),
        "vision": dict(
            hidden_size=20,
            intermediate_size=44,
            num_hidden_layers=2,
            num_attention_heads=1,
            image_size=336,
            patch_size=14,
        ),
        "projection_dim": 12,
        "form": "v5",
        "store": "bf16",
        "merges": 30,
        "tokenizer": "json",
        "processor": "v4",
    },
    "openclip": {
        "about": "as OpenCLIP's checkpoints: erf gelu, pad token '!'; 12 heads; "
        "an image that the patch does not divide",
        "text": dict(
            hidden_size=60,
            intermediate_size=84,
            num_hidden_layers=1,
            num_attention_heads=12,
            max_position_embeddings=24,
            hidden_act="gelu",
        ),
        "vision": dict(
            hidden_size=36,
            intermediate_size=62,
            num_hidden_layers=2,
            num_attention_heads=12,
            image_size=60,
            patch_size=16,
            hidden_act="gelu",
        ),
        "projection_dim": 28,
        "form": "v4",
        "store": "f16",
        "merges": 50,
        "tokenizer": "v4",
        "pad": "!",
        "processor": "v4",
    },
    "openclip-laion": {
        "about": "the ids that LAION's configs hold: eos_token_id 2 (pooling at the largest id), "
        "pads that are '!' in the tokenizer; position_ids buffers",
        "text": dict(
            hidden_size=20,
            intermediate_size=39,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=21,
            hidden_act="gelu",
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        ),
        "vision": dict(
            hidden_size=18,
            intermediate_size=31,
            num_hidden_layers=2,
            num_attention_heads=3,
            image_size=36,
            patch_size=9,
            hidden_act="gelu",
        ),
        "projection_dim": 20,
        "form": "v4",
        "store": "f16",
        "position_ids": True,
        "merges": 10,
        "tokenizer": "v4",
        "pad": "!",
        "processor": "v4",
    },
    "openclip-v5": {
        "about": "OpenCLIP's activation and pads in the layout of transformers 5; wide projection",
        "text": dict(
            hidden_size=14,
            intermediate_size=56,
            num_hidden_layers=3,
            num_attention_heads=2,
            max_position_embeddings=17,
            hidden_act="gelu",
        ),
        "vision": dict(
            hidden_size=20,
            intermediate_size=50,
            num_hidden_layers=1,
            num_attention_heads=5,
            image_size=40,
            patch_size=20,
            hidden_act="gelu",
        ),
        "projection_dim": 64,
        "form": "v5",
        "store": "bf16",
        "merges": 5,
        "tokenizer": "json",
        "pad": "!",
        "processor": "v5",
    },
    "openclip-quick": {
        "about": "as OpenCLIP's checkpoints with quick_gelu in the picture's tower alone; two weight files",
        "text": dict(
            hidden_size=12,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=6,
            max_position_embeddings=77,
            hidden_act="gelu",
        ),
        "vision": dict(
            hidden_size=24,
            intermediate_size=33,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=42,
            patch_size=14,
            hidden_act="quick_gelu",
        ),
        "projection_dim": 9,
        "form": "v5",
        "store": "f16",
        "shards": 2,
        "merges": 15,
        "tokenizer": "v4",
        "pad": "!",
        "processor": "v4",
    },
    "openclip-deep": {
        "about": "heads of 20 and 13, deeper in words than in pictures, as OpenCLIP's largest; plain ints",
        "text": dict(
            hidden_size=13,
            intermediate_size=17,
            num_hidden_layers=5,
            num_attention_heads=1,
            max_position_embeddings=10,
            hidden_act="gelu",
            layer_norm_eps=1e-6,
        ),
        "vision": dict(
            hidden_size=40,
            intermediate_size=21,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=35,
            patch_size=7,
            hidden_act="gelu",
        ),
        "projection_dim": 33,
        "form": "v4",
        "store": "bf16",
        "merges": 0,
        "tokenizer": "vocab",
        "pad": "!",
        "processor": "v4-int",
    },
    "openclip-image224": {
        "about": "the grid of OpenCLIP's ViT-B/16; one layer, one head",
        "text": dict(
            hidden_size=10,
            intermediate_size=40,
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=77,
            hidden_act="gelu",
        ),
        "vision": dict(
            hidden_size=8,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=1,
            image_size=224,
            patch_size=16,
            hidden_act="gelu",
        ),
        "projection_dim": 11,
        "form": "v4",
        "store": "f16",
        "merges": 0,
        "tokenizer": "v4",
        "pad": "!",
        "processor": "v4",
    },
    "sharded": {
        "about": "three weight files with an index, tanh gelus, own epsilons",
        "text": dict(
            hidden_size=22,
            intermediate_size=50,
            num_hidden_layers=3,
            num_attention_heads=2,
            max_position_embeddings=12,
            hidden_act="gelu_new",
            layer_norm_eps=1e-3,
        ),
        "vision": dict(
            hidden_size=28,
            intermediate_size=45,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=48,
            patch_size=16,
            hidden_act="gelu_pytorch_tanh",
            layer_norm_eps=1e-2,
        ),
        "projection_dim": 44,
        "form": "v5",
        "store": "f32",
        "shards": 3,
        "merges": 20,
        "tokenizer": "json",
        "processor": "v5",
    },
    "defaults": {
        "about": "a config with only the keys that differ: 12 layers, 8 and 12 "
        "heads, 224 / 32, a context of 77 and projection 512 are defaults",
        "text": dict(
            hidden_size=16,
            intermediate_size=30,
            num_hidden_layers=12,
            num_attention_heads=8,
            max_position_embeddings=77,
        ),
        "vision": dict(
            hidden_size=12,
            intermediate_size=30,
            num_hidden_layers=12,
            num_attention_heads=12,
            image_size=224,
            patch_size=32,
        ),
        "projection_dim": 512,
        "form": "sparse",
        "store": "f16",
        "merges": 0,
        "tokenizer": "json",
        "processor": "sparse",
        "drop": [
            "num_hidden_layers",
            "num_attention_heads",
            "image_size",
            "patch_size",
            "max_position_embeddings",
            "projection_dim",
        ],
    },
    "relu-silu": {
        "about": "relu and silu, patch 14 that does not divide 45, bfloat16",
        "text": dict(
            hidden_size=60,
            intermediate_size=77,
            num_hidden_layers=2,
            num_attention_heads=5,
            max_position_embeddings=9,
            hidden_act="silu",
            layer_norm_eps=1e-6,
        ),
        "vision": dict(
            hidden_size=21,
            intermediate_size=37,
            num_hidden_layers=3,
            num_attention_heads=3,
            image_size=45,
            patch_size=14,
            hidden_act="relu",
        ),
        "projection_dim": 3,
        "form": "v4",
        "store": "bf16",
        "merges": 25,
        "position_ids": True,
        "tokenizer": "vocab",
        "processor": "v4-int",
    },
    "context-1": {
        "about": "a context of one token, one layer, one patch; the ids are given, as no text fits",
        "text": dict(
            hidden_size=18,
            intermediate_size=23,
            num_hidden_layers=1,
            num_attention_heads=6,
            max_position_embeddings=1,
        ),
        "vision": dict(
            hidden_size=15,
            intermediate_size=41,
            num_hidden_layers=1,
            num_attention_heads=3,
            image_size=32,
            patch_size=32,
        ),
        "projection_dim": 8,
        "form": "v5",
        "store": "f32",
        "merges": 0,
        "tokenizer": "vocab",
        "processor": "v5",
    },
}

# The texts of mode `files`: short, long, empty, odd characters.
TEXTS = [
    "a picture of a cat",
    "",
    "The dog's 12 hats,\n\tand what they'll cost: 3.50€ — naïve ÅNGSTRÖM 猫 👩‍🚀 "
    "(a long text, so that short contexts must cut it off at their very end)",
    "two red circles!",
]

# What the merges are learned from.
LINES = [
    "a picture of a cat and a dog",
    "a photo of the red circle on a green field",
    "the picture shows two of the hats, it's what they'll cost",
    "a drawing of a small blue boat on the sea, and the sun above it",
    "there are three cats in the house; the dogs are not there",
] * 3

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


def processor_files(case, image_size):
    """File name and content of the picture settings, in the case's layout."""
    form = case["processor"]
    # Resized somewhat larger than the crop, as happens, except in v5's files.
    edge = image_size if form == "v5" else image_size + 5
    full = {
        "crop_size": {"height": image_size, "width": image_size},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": MEAN,
        "image_processor_type": "CLIPImageProcessor",
        "image_std": STD,
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": edge},
    }
    if form == "v5":
        full["image_processor_type"] = "CLIPImageProcessorPil"
        return {
            "processor_config.json": {
                "image_processor": full,
                "processor_class": "CLIPProcessor",
            }
        }
    if form == "v4":
        return {"preprocessor_config.json": full}
    if form == "v4-int":
        return {
            "preprocessor_config.json": {
                "crop_size": image_size,
                "do_center_crop": True,
                "do_normalize": True,
                "do_resize": True,
                "feature_extractor_type": "CLIPFeatureExtractor",
                "image_mean": MEAN,
                "image_std": STD,
                "resample": 3,
                "size": edge,
            }
        }
    return {"preprocessor_config.json": {"image_processor_type": "CLIPImageProcessor"}}


# Keys that transformers 4 wrote into each sub-config and that change nothing.
INERT = {
    "_name_or_path": "", "add_cross_attention": False, "architectures": None,
    "attention_dropout": 0.0, "bad_words_ids": None, "chunk_size_feed_forward": 0,
    "cross_attention_hidden_size": None, "decoder_start_token_id": None,
    "diversity_penalty": 0.0, "do_sample": False, "dropout": 0.0,
    "early_stopping": False, "encoder_no_repeat_ngram_size": 0,
    "exponential_decay_length_penalty": None, "finetuning_task": None,
    "forced_bos_token_id": None, "forced_eos_token_id": None,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "initializer_factor": 1.0,
    "initializer_range": 0.02, "is_decoder": False, "is_encoder_decoder": False,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "length_penalty": 1.0,
    "max_length": 20, "min_length": 0, "no_repeat_ngram_size": 0, "num_beams": 1,
    "num_beam_groups": 1, "num_return_sequences": 1, "output_attentions": False,
    "output_hidden_states": False, "output_scores": False, "prefix": None,
    "problem_type": None, "pruned_heads": {}, "remove_invalid_values": False,
    "repetition_penalty": 1.0, "return_dict": True,
    "return_dict_in_generate": False, "sep_token_id": None, "task_specific_params": None,
    "temperature": 1.0, "tf_legacy_loss": False, "tie_encoder_decoder": False,
    "tie_word_embeddings": True, "tokenizer_class": None, "top_k": 50, "top_p": 1.0,
    "torch_dtype": None, "torchscript": False, "transformers_version": "4.24.0",
    "typical_p": 1.0, "use_bfloat16": False,
}  # fmt: skip


def config_json(case, vocab_size, bos, eos, pad):
    """config.json of a case, in its layout."""
    text = {"vocab_size": vocab_size, "bos_token_id": bos, "eos_token_id": eos,
            "pad_token_id": pad, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
            "projection_dim": case["projection_dim"], **case["text"]}  # fmt: skip
    vision = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_channels": 3,
              "projection_dim": case["projection_dim"], **case["vision"]}  # fmt: skip
    top = {"architectures": ["CLIPModel"], "model_type": "clip", "initializer_factor": 1.0,
           "logit_scale_init_value": 2.6592,
           "projection_dim": case["projection_dim"]}  # fmt: skip
    dtype = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[case["store"]]
    if case["form"] == "v5":
        text.update(model_type="clip_text_model", attention_dropout=0.0,
                    initializer_factor=1.0, initializer_range=0.02)  # fmt: skip
        vision.update(model_type="clip_vision_model", attention_dropout=0.0,
                      initializer_factor=1.0, initializer_range=0.02)  # fmt: skip
        top.update(dtype=dtype, transformers_version="5.23.0")
        return {**top, "text_config": text, "vision_config": vision}
    if case["form"] == "sparse":
        drop = [*case["drop"], "hidden_act", "layer_norm_eps", "num_channels"]
        keep = {k: v for k, v in top.items() if k in ("architectures", "model_type")}
        return {
            **keep,
            "text_config": {k: v for k, v in text.items() if k not in drop},
            "vision_config": {k: v for k, v in vision.items() if k not in drop},
        }
    top.update(torch_dtype=dtype, transformers_version=None)
    out = {
        **top,
        "text_config": {**INERT, "model_type": "clip_text_model", **text},
        "vision_config": {**INERT, "model_type": "clip_vision_model", **vision},
    }
    if text["eos_token_id"] == 2:
        # Where both are given, the *_dict forms win, completed by the class
        # defaults: the epsilon of text_config must be ignored.
        kept = dict(text)
        del kept["layer_norm_eps"]
        out.update(text_config_dict=kept, vision_config_dict=None)
        out["text_config"]["layer_norm_eps"] = 0.5
        out["text_config"]["hidden_act"] = "relu"
    return out
