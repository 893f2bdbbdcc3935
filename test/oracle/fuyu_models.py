"""Random Fuyu checkpoints, and what transformers makes of them.

Cases of mode `tensors` give patches and ids; those of mode `files` prompts and
a picture of any aspect, which stands in front of the words as lines of patches.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from clip_text import SCRIPTS
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_files import BLANK, PICTURES, TEXT, added, begin_template
from siglip_cases import LINES

NEW_TOKENS = 10
SPECIALS = ["|SPEAKER|", "|NEWLINE|", "|ENDOFTEXT|"]

# form: "flat" as published files are, or "nested" as transformers 5 writes them.
CASES = {
    "flat": {
        "about": "the layout of adept/fuyu-8b: flat config, names of version 4, half of each head turned, bfloat16",
        "form": "flat",
        "layout": "v4",
        "store": "bf16",
        "patch": 30,
        "size": (120, 180),
        "text": dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2,
                     num_attention_heads=4, rope_theta=25000.0, max_position_embeddings=512),
    },
    "nested": {
        "about": "text_config with rope_parameters, a quarter of each head turned, names of version 5, "
        "large pictures shrunk, float16",
        "form": "nested",
        "layout": "v5",
        "store": "f16",
        "patch": 10,
        "size": (60, 80),
        "text": dict(hidden_size=64, intermediate_size=72, num_hidden_layers=3,
                     num_attention_heads=4, max_position_embeddings=300, layer_norm_eps=1e-3,
                     rope_parameters=dict(rope_theta=10000.0, partial_rotary_factor=0.25,
                                          rope_type="default")),
    },
    "plain-heads": {
        "about": "no norms of heads, gelu, other means, float16, heads of 20 that no vector divides",
        "form": "flat",
        "layout": "v4",
        "store": "f16",
        "patch": 16,
        "size": (96, 96),
        "text": dict(hidden_size=60, intermediate_size=50, num_hidden_layers=2,
                     num_attention_heads=3, qk_layernorm=False, hidden_act="gelu",
                     max_position_embeddings=256),
        "image": dict(image_mean=[0.4, 0.5, 0.6], image_std=[0.3, 0.25, 0.2]),
    },
}  # fmt: skip


def make_pieces():
    """Words, characters, bytes and the tokens of prompts, with scores."""
    text = " ".join(LINES + SCRIPTS[:9])
    words = sorted({BLANK + w for w in text.split() if 2 < len(w) < 12})
    chars = sorted(set(text.replace(" ", BLANK)))
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    pieces += [(f"<0x{b:02X}>", -3.0) for b in range(256)]
    pieces += [(BLANK, -4.0)] + [(c, -9.0) for c in chars if c != BLANK]
    pieces += [(w, -6.0 - 0.01 * i) for i, w in enumerate(words)]
    return pieces + [(t, -1.0) for t in SPECIALS]


def write_tokenizer(folder):
    """Pieces as Adept's: the tokens of pictures are pieces like others; returns size and ids."""
    pieces = make_pieces()
    first = len(pieces) - len(SPECIALS)
    data = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(i, t) for i, (t, _) in enumerate(pieces[:3])],
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": BLANK, "prepend_scheme": "always",
                          "split": True},
        "post_processor": begin_template("<s>", 1),
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": BLANK}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": True},
    }  # fmt: skip
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
              "unk_token": "<unk>", "pad_token": "</s>", "model_max_length": 512}  # fmt: skip
    write_json(folder / "tokenizer_config.json", config)
    return len(pieces), first


def write_processor(case, folder):
    height, width = case["size"]
    patch = {"height": case["patch"], "width": case["patch"]}
    image = {
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": 0.5,
        "image_std": 0.5,
        "image_processor_type": "FuyuImageProcessor",
        "padding_mode": "constant",
        "padding_value": 1.0,
        "patch_size": patch,
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": height, "width": width},
        **case.get("image", {}),
    }
    if case["layout"] == "v4":
        write_json(folder / "preprocessor_config.json", image)
    else:
        write_json(
            folder / "processor_config.json",
            {"image_processor": image, "processor_class": "FuyuProcessor"},
        )


def random_weight(name, shape, case):
    """Values that leave no term without effect: biases and norms as well."""
    g = rng("fuyu", case, name)
    x = g.standard_normal(shape)
    if "layernorm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "embed_tokens.weight" in name and "vision" not in name:
        return x
    gain = 1.5 if "query_key_value" in name else 1.0
    return gain * x / np.sqrt(int(np.prod(shape[1:])))


def stored_name(name, layout):
    if layout == "v5":
        return name
    name = name.removeprefix("model.")
    if name.startswith("language_model."):
        return "language_model.model." + name.removeprefix("language_model.")
    return "language_model." + name if name.startswith("lm_head") else name


def write_model(name, case, folder, vocab_size, image):
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import FuyuConfig, FuyuForCausalLM

    text = {"vocab_size": vocab_size, "eos_token_id": 2, "hidden_act": "relu2", **case["text"]}
    config = {
        "architectures": ["FuyuForCausalLM"],
        "model_type": "fuyu",
        "patch_size": case["patch"],
        "image_size": 300,
        "num_channels": 3,
        "image_token_id": image,
        "tie_word_embeddings": False,
    }
    if case["form"] == "flat":
        config.update(text, torch_dtype="bfloat16")
    else:
        config["text_config"] = {"model_type": "persimmon", **text}
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": 2, "max_new_tokens": NEW_TOKENS, "pad_token_id": 0},
    )
    with torch.device("meta"):
        model = FuyuForCausalLM(FuyuConfig(**json.loads((folder / "config.json").read_text())))
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[stored_name(key, case["layout"])] = torch.tensor(data).to(dtype[case["store"]])
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def load_model(folder):
    torch = quiet_torch()
    from transformers import FuyuForCausalLM

    model, info = FuyuForCausalLM.from_pretrained(
        str(folder),
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
    )
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


def run(model, inputs, tokens=NEW_TOKENS):
    """Logits of the prompt, and what is generated."""
    torch = quiet_torch()
    given = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in inputs.items()}
    if "attention_mask" in given:
        given["attention_mask"] = given["attention_mask"].to(torch.int64)
    # A batch of one, as get_placeholder_mask counts the patches.
    if "pixel_values" in given:
        given["pixel_values"] = given["pixel_values"][None]
    with torch.no_grad():
        got = model(**given, output_hidden_states=True)
        answer = model.generate(**given, do_sample=False, max_new_tokens=tokens)
    out = {
        "logits": got.logits.numpy(),
        "hidden_states": got.hidden_states[-1].numpy(),
        "inputs_embeds": got.hidden_states[0].numpy(),
        "generated_ids": answer[:, given["input_ids"].shape[1] :].numpy(),
    }
    if "pixel_values" in given:
        with torch.no_grad():
            features = model.model.get_image_features(given["pixel_values"]).last_hidden_state
        out["image_features"] = features[0].numpy()
    return out


def make_tensors(name, case, model, vocab_size, image, out):
    g = rng("fuyu-inputs", name)
    side, inputs, golden, cases = case["patch"], {}, {}, []
    for what, (lines, columns) in {"patches": (2, 3), "line": (1, 2), "words": (0, 0)}.items():
        ids = []
        for _ in range(lines):
            ids += [image] * columns + [image + 1]
        ids += [1, *g.integers(3, vocab_size - 3, 7)]
        one = {"input_ids": np.array([ids], np.int64)}
        if lines:
            shape = (lines * columns, side * side * 3)
            one["pixel_values"] = g.standard_normal(shape).astype(np.float32)
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        inputs[f"{what}.attention_mask"] = np.ones_like(one["input_ids"], np.uint8)
        for key, value in run(model, one).items():
            golden[f"{what}.{key}"] = value
        cases.append(
            {"name": what, "tensors": "inputs.safetensors", "prefix": f"{what}.",
             "max_new_tokens": NEW_TOKENS}
        )  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(out / "requests-tensors.json", {"family": "fuyu", "mode": "tensors", "cases": cases})


def make_files(case, model, out):
    from transformers import FuyuImageProcessor, FuyuProcessor, TokenizersBackend
    from transformers.image_utils import load_image
    from transformers.models.fuyu.image_processing_pil_fuyu import FuyuImageProcessorPil

    class ImageProcessor(FuyuImageProcessorPil):
        """Pillow's arithmetic; its own patchify_image fails, as it takes tensors for arrays."""

        patchify_image = FuyuImageProcessor.patchify_image

    folder = str(out / "model")
    tokenizer = TokenizersBackend.from_pretrained(folder)  # as FuyuProcessor does
    processor = FuyuProcessor(ImageProcessor.from_pretrained(folder), tokenizer)
    golden, cases = {}, []
    for what, picture, text in [("ask", PICTURES[0], TEXT), ("tall", PICTURES[1], "Caption.\n")]:
        request = {"name": what, "text": text, "images": [f"../../clip/pictures/{picture}"]}
        got = processor(text=text, images=load_image(str(out / request["images"][0])))
        inputs = {
            "input_ids": got["input_ids"].numpy(),
            "pixel_values": got["image_patches"].numpy(),
        }
        answer = run(model, inputs)
        text = processor.tokenizer.decode(answer["generated_ids"][0], skip_special_tokens=True)
        kept = {"input_ids": inputs["input_ids"], "generated_ids": answer["generated_ids"]}
        kept["attention_mask"] = np.ones_like(inputs["input_ids"], np.uint8)
        if what == "tall":
            kept["logits"] = answer["logits"]
        if text:
            kept["text"] = np.frombuffer(text.encode(), np.uint8)
        digest = bytes.fromhex(sha256(inputs["pixel_values"]))
        kept["pixel_values.sha256"] = np.frombuffer(digest, np.uint8)
        golden.update({f"{what}.{k}": v for k, v in kept.items()})
        cases.append(request)
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "fuyu", "mode": "files", "cases": cases})


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "model"
    folder.mkdir(parents=True)
    vocab_size, image = write_tokenizer(folder)
    write_processor(case, folder)
    write_model(name, case, folder, vocab_size, image)
    model = load_model(folder)
    make_tensors(name, case, model, vocab_size, image, out)
    make_files(case, model, out)
    return out


def make_all(root):
    for name in CASES:
        out = make_case(name, root)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"fuyu/{name}: {size / 1024:.0f} KiB", flush=True)
