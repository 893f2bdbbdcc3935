"""Makes random ALIGN checkpoints, their inputs and their goldens.

A case says, beside the two sub-configs: `store`, the type of the weights; `processor`, what
preprocessor_config.json says; `form`, v4 or v5; `backend`, whose arithmetic the pictures of its goldens have.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from siglip_cases import TEXTS

CASES = {
    "align": {
        "about": "three stages, both paddings of strided convolutions, a residual, odd maps; a crop, an offset",
        "text": dict(hidden_size=24, intermediate_size=34, num_hidden_layers=2,
                     num_attention_heads=4, max_position_embeddings=70),
        "vision": dict(width_coefficient=0.3, depth_coefficient=1.2, depth_divisor=4,
                       in_channels=[32, 16, 24], out_channels=[16, 24, 40],
                       kernel_sizes=[3, 5, 3], strides=[1, 2, 2], num_block_repeats=[1, 2, 1],
                       expand_ratios=[1, 4, 3], depthwise_padding=[2], hidden_dim=64),
        "projection": 12,
        "store": "f32",
        "processor": dict(size=dict(height=50, width=46), crop_size=dict(height=37, width=41),
                          do_center_crop=True, resample=2, rescale_factor=1 / 127.5,
                          rescale_offset=True, do_normalize=False, include_top=False),
        "form": "v4",
        "backend": "pil",
    },
    "max-pool": {
        "about": "pooling by the largest, kernels of 7 and 1, ReLU, float16; a batch norm of its own epsilon",
        "text": dict(hidden_size=30, intermediate_size=21, num_hidden_layers=1,
                     num_attention_heads=5, max_position_embeddings=64, hidden_act="relu",
                     layer_norm_eps=1e-3, type_vocab_size=3),
        "vision": dict(width_coefficient=0.5, depth_coefficient=0.6, depth_divisor=8,
                       in_channels=[32, 40], out_channels=[40, 36], kernel_sizes=[7, 1],
                       strides=[2, 1], num_block_repeats=[3, 2], expand_ratios=[2, 5],
                       hidden_act="relu", pooling_type="max", batch_norm_eps=0.05,
                       squeeze_expansion_ratio=0.5, hidden_dim=32),
        "projection": 24,
        "store": "f16",
        "processor": dict(size=dict(height=30, width=30), include_top=True),
        "form": "v5",
        "backend": "pil",
    },
    "one-stage": {
        "about": "one stage of blocks that widen nothing, squeezed to one channel; no batch norm momentum; "
        "normalised behind an offset, bfloat16; a context shorter than the padding",
        "text": dict(hidden_size=16, intermediate_size=40, num_hidden_layers=3,
                     num_attention_heads=1, max_position_embeddings=20, hidden_act="gelu_new"),
        "vision": dict(width_coefficient=0.25, depth_coefficient=2.0, depth_divisor=8,
                       in_channels=[32], out_channels=[64], kernel_sizes=[4], strides=[2],
                       num_block_repeats=[1], expand_ratios=[1], squeeze_expansion_ratio=0.01,
                       hidden_act="gelu", hidden_dim=40),
        "projection": 16,
        "store": "bf16",
        "processor": dict(size=dict(height=33, width=33), crop_size=dict(height=36, width=20),
                          do_center_crop=True, rescale_factor=1 / 200, rescale_offset=True,
                          image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.4, 0.3]),
        "form": "v4",
        "backend": "pil",
    },
}  # fmt: skip

PICTURES = ["rgb-200x150.png", "jpeg-420-q85-97x131.jpg", "extra-rgba.png"]

WORDS = ["a", "picture", "of", "cat", "the", "dog", "'", "s", "12", "hats", ",", "and", "what", "they",
         "ll", "cost", "two", "red", "circles", "!", "##s", "##l", "3", ".", "na", "##ive", "long", "text",
         "(", ")", "short"]  # fmt: skip


def write_tokenizer(folder, limit):
    """BERT's kind of tokenizer, as its fast class of transformers writes it."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    vocab = {}
    for token in special + WORDS + letters + ["##" + c for c in letters]:
        vocab.setdefault(token, len(vocab))
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens(special)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "cls_token": "[CLS]",
            "do_lower_case": True,
            "mask_token": "[MASK]",
            "model_max_length": limit,
            "pad_token": "[PAD]",
            "sep_token": "[SEP]",
            "tokenizer_class": "BertTokenizer",
            "unk_token": "[UNK]",
        },
    )
    return len(vocab)


def write_configs(case, folder, vocab_size):
    from transformers import AlignConfig

    text, vision = dict(case["text"], vocab_size=vocab_size), dict(case["vision"])
    value = {
        "architectures": ["AlignModel"],
        "model_type": "align",
        "projection_dim": case["projection"],
    }
    if case["form"] == "v4":
        text.update(
            attention_probs_dropout_prob=0.1,
            hidden_dropout_prob=0.1,
            initializer_range=0.02,
            model_type="align_text_model",
            position_embedding_type="absolute",
            use_cache=True,
        )
        value.update(
            initializer_range=0.02,
            temperature_init_value=1.0,
            text_config=text,
            torch_dtype={"f32": "float32", "bf16": "bfloat16"}[case["store"]],
            transformers_version="4.27.0.dev0",
            vision_config=dict(vision, model_type="align_vision_model"),
        )
    else:
        config = AlignConfig(text_config=text, vision_config=vision)
        value = dict(config.to_diff_dict(), **value)
    write_json(folder / "config.json", value)
    suffix = "Pil" if case["backend"] == "pil" else ""
    processor = {"image_processor_type": "EfficientNetImageProcessor" + suffix}
    processor.update(case["processor"])
    if case["form"] == "v4":
        write_json(folder / "preprocessor_config.json", processor)
    else:
        write_json(folder / "processor_config.json", {"image_processor": processor})


def random_weight(name, shape, case):
    """Values that leave no term without effect, running statistics as well."""
    g = rng("align", case, name)
    x = g.standard_normal(shape)
    if name == "temperature":
        return g.uniform(0.05, 0.3, shape)
    if name.endswith("running_var"):
        return g.uniform(0.4, 2.0, shape)
    if name.endswith("running_mean"):
        return 0.3 * x
    if any(part in name for part in ("LayerNorm", "_bn", "_norm", "batchnorm")):
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "embeddings.weight" in name:
        return 0.6 * x
    fan_in = int(np.prod(shape[1:]))
    sharp = "query" in name or "key" in name
    return (1.6 if sharp else 1.3) * x / np.sqrt(fan_in)


def write_weights(name, case, folder):
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import AlignConfig, AlignModel

    config = json.loads((folder / "config.json").read_text())
    model = AlignModel(AlignConfig(**config))
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if key.endswith(("position_ids", "token_type_ids")):
            continue
        if key.endswith("num_batches_tracked"):
            tensors[key] = torch.tensor(7, dtype=torch.int64)
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[key] = torch.tensor(data).to(dtype[case["store"]])
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def load_model(folder):
    torch = quiet_torch()
    from transformers import AlignModel

    model, info = AlignModel.from_pretrained(
        str(folder),
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
    )
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


def run_embed(model, inputs):
    """What `vlmc run` writes for the task `embed`, given the model's inputs."""
    torch = quiet_torch()
    given = {k: torch.from_numpy(v.astype(v.dtype if v.dtype != np.uint8 else np.int64))
             for k, v in inputs.items()}  # fmt: skip
    texts = {k: v for k, v in given.items() if k != "pixel_values"}
    out = {}
    with torch.no_grad():
        if "pixel_values" in given:
            got = model.get_image_features(pixel_values=given["pixel_values"])
            # Maps as rows of places.
            out["vision_features"] = got.last_hidden_state.flatten(2).transpose(1, 2)
            image = got.pooler_output
            out["image_embeds"] = image / image.norm(p=2, dim=-1, keepdim=True)
        if texts:
            got = model.get_text_features(**texts)
            out["text_features"] = got.last_hidden_state
            text = got.pooler_output
            out["text_embeds"] = text / text.norm(p=2, dim=-1, keepdim=True)
        if texts and "pixel_values" in given:
            out["logits_per_image"] = model(**given).logits_per_image
    return {k: v.contiguous().numpy() for k, v in out.items()}


def make_tensors(name, case, model, size, vocab_size, out):
    g = rng("align-inputs", name)
    kinds = case["text"].get("type_vocab_size", 2)
    inputs, golden, cases = {}, {}, []
    for what, (images, texts, length) in {
        "both": (2, 3, 9),
        "image": (3, 0, 0),
        "text": (0, 2, case["text"]["max_position_embeddings"]),
    }.items():
        one = {}
        if images:
            one["pixel_values"] = g.standard_normal((images, 3, *size)).astype(np.float32)
        if texts:
            one["input_ids"] = g.integers(0, vocab_size, (texts, length)).astype(np.int64)
            one["token_type_ids"] = g.integers(0, kinds, (texts, length)).astype(np.int64)
            mask = np.zeros((texts, length), np.uint8)
            for row in range(texts):
                mask[row, : int(g.integers(2, length))] = 1
            one["attention_mask"] = mask
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        golden.update({f"{what}.{k}": v for k, v in run_embed(model, one).items()})
        cases.append(
            {"name": what, "task": "embed", "tensors": "inputs.safetensors", "prefix": f"{what}."}
        )
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "align", "mode": "tensors", "cases": cases}
    )


def process(folder, backend, pictures):
    """The pixel values of some picture files."""
    from transformers import EfficientNetImageProcessor, EfficientNetImageProcessorPil
    from transformers.image_utils import load_image

    kind = EfficientNetImageProcessorPil if backend == "pil" else EfficientNetImageProcessor
    processor = kind.from_pretrained(str(folder))
    got = processor(images=[load_image(str(p)) for p in pictures], return_tensors="pt")
    return np.asarray(got["pixel_values"])


def process_alike(folder, backend, pictures):
    """The same; torchvision's are made in a process of their own, where torch has AVX2 (see
    clip_pixels.py)."""
    if backend == "pil":
        return process(folder, backend, pictures)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "pixels.npy"
        environment = {**os.environ, "VLMC_ORACLE_CPU": "avx2"}
        command = [sys.executable, __file__, str(folder), str(path), *map(str, pictures)]
        subprocess.run(command, env=environment, check=True)
        return np.load(path)


def make_files(case, model, out):
    """Pictures and texts, in the arithmetic of the case's backend."""
    from transformers import AlignProcessor, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(out / "model"))
    assert type(tokenizer).__name__ == "BertTokenizer"
    length = min(case["text"]["max_position_embeddings"], AlignProcessor.text_kwargs["max_length"])
    golden, cases = {}, []
    for what, (pictures, texts) in {"both": (PICTURES, TEXTS), "text": ([], TEXTS[:1])}.items():
        request = {"name": what, "task": "embed", "texts": texts}
        one = {}
        if pictures:
            request["images"] = [f"../../clip/pictures/{p}" for p in pictures]
            paths = [out / p for p in request["images"]]
            one["pixel_values"] = process_alike(out / "model", case["backend"], paths)
        words = tokenizer(
            texts, padding="max_length", truncation=True, max_length=length, return_tensors="np"
        )
        one["input_ids"] = words["input_ids"].astype(np.int64)
        one["attention_mask"] = words["attention_mask"].astype(np.uint8)
        golden.update({f"{what}.{k}": v for k, v in run_embed(model, one).items()})
        for key, value in one.items():
            if key == "pixel_values":  # to the bit, and large
                value = np.frombuffer(bytes.fromhex(sha256(value)), np.uint8)
                key += ".sha256"
            golden[f"{what}.{key}"] = value
        cases.append(request)
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "align", "mode": "files", "cases": cases})


def picture_size(case):
    size = case["processor"]["size"]
    if case["processor"].get("do_center_crop"):
        size = case["processor"]["crop_size"]
    return size["height"], size["width"]


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "model"
    folder.mkdir(parents=True)
    vocab_size = write_tokenizer(folder, case["text"]["max_position_embeddings"])
    write_configs(case, folder, vocab_size)
    write_weights(name, case, folder)
    model = load_model(folder)
    make_tensors(name, case, model, picture_size(case), vocab_size, out)
    make_files(case, model, out)
    return out


def make_all(root):
    for name in CASES:
        out = make_case(name, root)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"{name}: {size / 1024:.0f} KiB")


if __name__ == "__main__":
    assert quiet_torch().backends.cpu.get_cpu_capability() == "AVX2"
    np.save(sys.argv[2], process(sys.argv[1], "torchvision", sys.argv[3:]))
