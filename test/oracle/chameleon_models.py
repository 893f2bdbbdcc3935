"""Random Chameleon checkpoints, and what transformers makes of them.

Cases of mode `tensors` give pixels and ids; those of mode `files` prompts with
pictures, which become ids of the vocabulary by a codebook. The codes' ids are
in no order and have gaps.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_files import PICTURES, TEXT, added, sentence_tokenizer

NEW_TOKENS = 16
START, END, SEP, IMAGE = "<racm3:break>", "<eoss>", "reserved08706", "<image>"

# named: the tokenizer names the tokens around pictures itself.
CASES = {
    "plain": {
        "about": "flat config of version 4, bfloat16, attention in the middle alone, as facebook/chameleon-7b",
        "store": "bf16",
        "codes": 24,
        "vq": dict(resolution=16, base_channels=32, channel_multiplier=[1, 1, 1], num_res_blocks=1,
                   latent_channels=12, embed_dim=10),
        "text": dict(hidden_size=32, intermediate_size=60, num_hidden_layers=2,
                     num_attention_heads=4, num_key_value_heads=4, rope_theta=10000.0,
                     rms_norm_eps=1e-5, max_position_embeddings=512),
    },
    "swin": {
        "about": "norms behind attention and MLP, shared key heads, attention at the last resolution too, "
        "rope_parameters, float16, tokens of pictures named by the tokenizer",
        "store": "f16",
        "named": True,
        "codes": 40,
        "vq": dict(resolution=12, base_channels=32, channel_multiplier=[1, 1], num_res_blocks=2,
                   latent_channels=7, embed_dim=9, attn_resolutions=[6]),
        "text": dict(hidden_size=36, intermediate_size=50, num_hidden_layers=3,
                     num_attention_heads=6, num_key_value_heads=2, swin_norm=True,
                     rms_norm_eps=1e-4, max_position_embeddings=300, hidden_act="gelu",
                     rope_parameters=dict(rope_theta=5000.0, rope_type="linear", factor=2.0)),
    },
    "wide": {
        "about": "channels that grow and shrink, no attention among places, biases everywhere, tied embeddings, "
        "an odd side, bfloat16, other means",
        "store": "bf16",
        "codes": 17,
        "vq": dict(resolution=9, base_channels=32, channel_multiplier=[2, 1], num_res_blocks=1,
                   latent_channels=8, embed_dim=8, attn_type="none", attn_resolutions=[9]),
        "text": dict(hidden_size=40, intermediate_size=52, num_hidden_layers=2,
                     num_attention_heads=5, num_key_value_heads=5, attention_bias=True,
                     mlp_bias=True, tie_word_embeddings=True, max_position_embeddings=256),
        "image": dict(rescale_factor=0.00392156862745098, image_mean=[0.4, 0.5, 0.6],
                      image_std=[0.3, 0.25, 0.2], resample=3),
    },
}  # fmt: skip


def places(case):
    side = case["vq"]["resolution"]
    for _ in case["vq"]["channel_multiplier"][1:]:
        side //= 2
    return side * side


def code_name(code):
    return "IMGIMG" + "".join(chr(ord("A") + int(d)) for d in str(code)) + "Z"


def write_tokenizer(name, case, folder):
    """Returns the vocabulary's size and the map of the config."""
    data, config, size = sentence_tokenizer("metaspace")
    config["sep_token"] = SEP
    for token in (START, END, SEP):
        data["added_tokens"].append(added(size, token))
        size += 1
    # Ids of codes in any order, with a gap in their middle.
    ids = size + rng("chameleon-ids", name).permutation(case["codes"])
    ids = np.where(ids >= size + case["codes"] // 2, ids + 3, ids)
    size += case["codes"] + 3
    if case.get("named"):
        config.update(image_token=IMAGE, boi_token=END, eoi_token=START)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    known = {t["content"]: t["id"] for t in data["added_tokens"]}
    names = {code_name(code): int(id_) for code, id_ in enumerate(ids)}
    return size, {"<s>": 1, **{t: known[t] for t in (IMAGE, START, END, SEP)}, **names}


def write_processor(case, folder):
    side = case["vq"]["resolution"]
    image = {
        "image_processor_type": "ChameleonImageProcessor",
        "do_convert_rgb": True,
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
        **case.get("image", {}),
    }
    write_json(folder / "preprocessor_config.json", image)
    write_json(
        folder / "processor_config.json",
        {"processor_class": "ChameleonProcessor", "image_seq_length": places(case),
         "image_token": IMAGE},
    )  # fmt: skip


def random_weight(name, shape, case):
    """Values that leave no term without effect: biases and norms as well."""
    g = rng("chameleon", case, name)
    x = g.standard_normal(shape)
    if "norm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "quantize" in name or "embed_tokens" in name:
        return x
    return 1.3 * x / np.sqrt(int(np.prod(shape[1:])))


def write_model(name, case, folder, vocab_size, vocabulary):
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import ChameleonConfig, ChameleonForConditionalGeneration

    config = {
        "architectures": ["ChameleonForConditionalGeneration"],
        "model_type": "chameleon",
        "vocab_size": vocab_size,
        "vocabulary_map": vocabulary,
        "vq_config": {"model_type": "chameleon_vqgan", "num_embeddings": case["codes"],
                      **case["vq"]},
        **case["text"],
    }  # fmt: skip
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"bos_token_id": 1, "eos_token_id": 2, "max_new_tokens": NEW_TOKENS, "pad_token_id": 0},
    )
    with torch.device("meta"):
        model = ChameleonForConditionalGeneration(ChameleonConfig(**config))
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16}[case["store"]]
    tensors = {}
    for key, value in model.state_dict().items():
        if key == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[key] = torch.tensor(data).to(dtype)
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def load_model(folder):
    torch = quiet_torch()
    from transformers import ChameleonForConditionalGeneration

    model, info = ChameleonForConditionalGeneration.from_pretrained(
        str(folder), dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        raise SystemExit(f"{folder}: does not load: {info}")
    return model.eval()


def run(model, inputs):
    torch = quiet_torch()
    given = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in inputs.items()}
    if "attention_mask" in given:
        given["attention_mask"] = given["attention_mask"].to(torch.int64)
    with torch.no_grad():
        got = model(**given, output_hidden_states=True)
        answer = model.generate(**given, do_sample=False, max_new_tokens=NEW_TOKENS)
        out = {
            "logits": got.logits.numpy(),
            "hidden_states": got.hidden_states[-1].numpy(),
            "inputs_embeds": got.hidden_states[0].numpy(),
            "generated_ids": answer[:, given["input_ids"].shape[1] :].numpy(),
        }
        if "pixel_values" in given:
            pixels = given["pixel_values"]
            out["image_features"] = model.get_image_features(pixels).pooler_output.numpy()
            out["image_token_ids"] = model.get_image_tokens(pixels).to(torch.int64).numpy()
    return out


def make_tensors(name, case, model, vocab_size, image, out):
    g = rng("chameleon-inputs", name)
    side, inputs, golden, cases = case["vq"]["resolution"], {}, {}, []
    for what, pictures in {"one": 1, "two": 2, "words": 0}.items():
        ids = [1]
        for _ in range(pictures):
            ids += [*g.integers(3, 200, 3), *[image] * places(case)]
        ids += [*g.integers(3, 200, 5)]
        one = {"input_ids": np.array([ids], np.int64)}
        if pictures:
            pixels = g.uniform(-1, 1, (pictures, 3, side, side))
            one["pixel_values"] = pixels.astype(np.float32)
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        inputs[f"{what}.attention_mask"] = np.ones_like(one["input_ids"], np.uint8)
        for key, value in run(model, one).items():
            if what == "one" or key not in ("hidden_states", "inputs_embeds", "image_features"):
                golden[f"{what}.{key}"] = value
        cases.append({"name": what, "tensors": "inputs.safetensors", "prefix": f"{what}.",
                      "max_new_tokens": NEW_TOKENS})  # fmt: skip
    # Logits of long prompts take much room: the last rows tell.
    del golden["two.logits"]
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "chameleon", "mode": "tensors", "cases": cases}
    )


def make_files(model, out):
    from transformers import AutoTokenizer, ChameleonImageProcessorPil, ChameleonProcessor
    from transformers.image_utils import load_image

    folder = str(out / "model")
    settings = json.loads((out / "model" / "processor_config.json").read_text())
    processor = ChameleonProcessor(
        ChameleonImageProcessorPil.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        image_seq_length=settings["image_seq_length"],
        image_token=settings["image_token"],
    )
    golden, cases = {}, []
    plan = [
        ("ask", PICTURES[:1], f"{IMAGE}{TEXT}"),
        ("two", PICTURES[::-1], f"This {IMAGE} and\n{IMAGE}, are they alike? "),
        ("words", [], TEXT),
    ]
    for what, pictures, text in plan:
        request = {"name": what, "text": text}
        if pictures:
            request["images"] = [f"../../clip/pictures/{p}" for p in pictures]
        images = [load_image(str(out / p)) for p in request.get("images", [])]
        got = processor(text=text, images=images or None, return_tensors="pt")
        inputs = {k: v.numpy() for k, v in got.items()}
        answer = run(model, inputs)
        words = processor.decode(answer["generated_ids"][0], skip_special_tokens=True)
        kept = {"input_ids": inputs["input_ids"], "generated_ids": answer["generated_ids"]}
        kept["attention_mask"] = np.ones_like(inputs["input_ids"], np.uint8)
        if words:
            kept["text"] = np.frombuffer(words.encode(), np.uint8)
        if pictures:
            digest = bytes.fromhex(sha256(inputs["pixel_values"]))
            kept["pixel_values.sha256"] = np.frombuffer(digest, np.uint8)
            kept["image_token_ids"] = answer["image_token_ids"]
        golden.update({f"{what}.{k}": v for k, v in kept.items()})
        cases.append(request)
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(
        out / "requests-files.json", {"family": "chameleon", "mode": "files", "cases": cases}
    )


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "model"
    folder.mkdir(parents=True)
    vocab_size, vocabulary = write_tokenizer(name, case, folder)
    write_processor(case, folder)
    write_model(name, case, folder, vocab_size, vocabulary)
    model = load_model(folder)
    make_tensors(name, case, model, vocab_size, vocabulary[IMAGE], out)
    make_files(model, out)
    return out


def make_all(root):
    for name in CASES:
        out = make_case(name, root)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"chameleon/{name}: {size / 1024:.0f} KiB", flush=True)
