"""Random InternVL checkpoints in Hugging Face form, and their goldens.

Requests of mode `tensors` give the pixels of tiles and ids, those of mode `files`
words and pictures; logits of the prompt and greedily chosen tokens come out.
"""

import copy
import json
import shutil
from pathlib import Path

import llava_files
import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_models import load_model, stored_name

NEW_TOKENS = 10

# `layout` and `store` as in llava_models; `prompts` are (tiles, words) of each
# picture's row.
CASES = {
    "qwen2": {
        "about": "Qwen2 with tied embeddings, squares of 2, published layout",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=36, num_hidden_layers=2,
                       num_attention_heads=2, image_size=[28, 28], patch_size=[7, 7]),
        "text": dict(model_type="qwen2", hidden_size=40, intermediate_size=70,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     vocab_size=120, max_position_embeddings=512, rms_norm_eps=1e-6),
        "top": dict(tie_word_embeddings=True),
        "prompts": [(1, 40), (5, 70)],
    },
    "llama-norms": {
        "about": "Llama; RMSNorm in the tower, norms of query and key, biases; squares of 4",
        "layout": "v5",
        "store": "f32",
        "vision": dict(hidden_size=20, intermediate_size=44, num_hidden_layers=3,
                       num_attention_heads=4, image_size=32, patch_size=4, attention_bias=True,
                       use_qk_norm=True, norm_type="rms_norm", layer_norm_eps=1e-5,
                       hidden_act="quick_gelu"),
        "text": dict(model_type="llama", hidden_size=36, intermediate_size=52,
                     num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
                     head_dim=10, vocab_size=100, max_position_embeddings=512, rms_norm_eps=1e-5),
        "top": dict(tie_word_embeddings=False, downsample_ratio=0.25,
                    projector_hidden_act="silu"),
        "prompts": [(3, 90)],
    },
    "earlier-layer": {
        "about": "an earlier state of a tower with a norm at its end, no squares, no positions; f16",
        "layout": "v5",
        "store": "f16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=3,
                       num_attention_heads=1, image_size=28, patch_size=14,
                       use_mean_pooling=False, use_absolute_position_embeddings=False),
        "text": dict(model_type="qwen2", hidden_size=32, intermediate_size=60,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                     vocab_size=90, max_position_embeddings=256, rms_norm_eps=1e-6),
        "top": dict(tie_word_embeddings=False, vision_feature_layer=-2, downsample_ratio=1.0),
        "prompts": [(2, 18)],
    },
    "last-norm": {
        "about": "the norm at the tower's end counts; published layout",
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=7, use_mean_pooling=False),
        "text": dict(model_type="llama", hidden_size=24, intermediate_size=40,
                     num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                     vocab_size=80, max_position_embeddings=256, rms_norm_eps=1e-5),
        "top": dict(tie_word_embeddings=False),
        "prompts": [(1, 15)],
    },
    "files-qwen2": {
        "about": "words and pictures in tiles",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=2, image_size=[28, 28], patch_size=[7, 7]),
        "text": dict(model_type="qwen2", hidden_size=32, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                     max_position_embeddings=512, rms_norm_eps=1e-6),
        "top": dict(tie_word_embeddings=True),
        "patches": dict(min_patches=1, max_patches=12),
    },
    "files-llama": {
        "about": "words and pictures in two to six tiles; what transformers 5 writes",
        "layout": "v5",
        "store": "f16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=2, image_size=[24, 24], patch_size=[6, 6]),
        "text": dict(model_type="llama", hidden_size=24, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
                     head_dim=14, max_position_embeddings=512, rms_norm_eps=1e-6),
        "top": dict(tie_word_embeddings=False),
        "patches": dict(min_patches=2, max_patches=6),
    },
}  # fmt: skip

TEXT = "What's in it? 3 cats,\tnaïve – 猫\n and more"


def random_weight(name, shape, case):
    g = rng("internvl", case, name)
    x = g.standard_normal(shape)
    if "lambda" in name:
        return 0.5 + 0.3 * x
    if "norm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "embeddings" in name and "patch" not in name:
        return 0.6 * x
    if "embed_tokens" in name:
        return x
    gain = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
    return gain * x / np.sqrt(int(np.prod(shape[1:])))


def stored_as(name, layout):
    name = stored_name(name, layout)
    return name.replace("vision_tower.vision_model.", "vision_tower.")


def write_model(name, case, folder):
    torch = quiet_torch()
    import transformers
    from safetensors.torch import save_file

    text = {"eos_token_id": 2, "bos_token_id": None, **case["text"]}
    config = {
        "architectures": ["InternVLForConditionalGeneration"],
        "model_type": "internvl",
        "image_token_id": text["vocab_size"] - 1,
        "vision_config": {"model_type": "internvl_vision", **case["vision"]},
        "text_config": text,
        **case["top"],
    }
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": 2, "pad_token_id": 0, "max_new_tokens": NEW_TOKENS},
    )
    with torch.device("meta"):
        settings = transformers.InternVLConfig(**copy.deepcopy(config))
        model = transformers.InternVLForConditionalGeneration(settings)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if key.startswith("lm_head") and case["top"]["tie_word_embeddings"]:
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[stored_as(key, case["layout"])] = torch.tensor(data).to(dtype[case["store"]])
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    side = case["vision"]["image_size"]
    side = side[0] if isinstance(side, list) else side
    write_json(
        folder / "preprocessor_config.json",
        {
            "crop_to_patches": False,
            "do_convert_rgb": True,
            "image_mean": [0.485, 0.456, 0.406],
            "image_processor_type": "GotOcr2ImageProcessorFast",
            "image_std": [0.229, 0.224, 0.225],
            "processor_class": "InternVLProcessor",
            "resample": 3,
            "size": {"height": side, "width": side},
            **case.get("patches", {}),
        },
    )


def tokens_of(config):
    side = config.vision_config.image_size[0] // config.vision_config.patch_size[0]
    return int((side * round(config.downsample_ratio * side) / side) ** 2)


def run(model, inputs):
    torch = quiet_torch()
    given = {k: torch.from_numpy(v.astype(np.int64) if v.dtype == np.uint8 else v)
             for k, v in inputs.items()}  # fmt: skip
    ids = given["input_ids"]
    with torch.no_grad():
        got = model(**given, output_hidden_states=True)
        chosen = model.generate(**given, do_sample=False, max_new_tokens=NEW_TOKENS)
        features = model.model.get_image_features(
            pixel_values=given["pixel_values"],
            vision_feature_layer=model.config.vision_feature_layer,
            vision_feature_select_strategy="default",
        )
    out = {
        "logits": got.logits,
        "inputs_embeds": got.hidden_states[0],
        "hidden_states": got.hidden_states[-1],
        "generated_ids": chosen[:, ids.shape[1] :],
        "image_features": features.pooler_output,
    }
    return {k: v.detach().contiguous().numpy() for k, v in out.items()}


def make_tensor_case(name, case, out):
    model = load_model(out / "model")
    tokens, vocabulary = tokens_of(model.config), case["text"]["vocab_size"]
    g = rng("internvl-inputs", name)
    inputs, golden, cases = {}, {}, []
    for i, (tiles, words) in enumerate(case["prompts"]):
        what, at = f"prompt{i}", words // 3
        text = g.integers(4, vocabulary - 2, words)
        line = np.concatenate([text[:at], np.full(tiles * tokens, vocabulary - 1), text[at:]])
        side = model.config.vision_config.image_size
        pixels = g.standard_normal((tiles, 3, *side)).astype(np.float32)
        one = {"input_ids": line[None].astype(np.int64), "pixel_values": pixels,
               "attention_mask": np.ones((1, len(line)), np.uint8)}  # fmt: skip
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        golden.update({f"{what}.{k}": v for k, v in run(model, one).items()})
        cases.append({"name": what, "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"{what}.", "max_new_tokens": NEW_TOKENS})  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "internvl", "mode": "tensors", "cases": cases}
    )


# ---- Words and pictures ----------------------------------------------------


def write_checkpoint(name, folder):
    case = copy.deepcopy(CASES[name])
    data, config, size = llava_files.byte_tokenizer()
    own = ["<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
    data["added_tokens"] += [llava_files.added(size + i, t) for i, t in enumerate(own)]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    kinds = ["start_image_token", "end_image_token", "context_image_token", "video_token"]
    config["extra_special_tokens"] = dict(zip(kinds, own))
    write_json(folder / "tokenizer_config.json", config)
    ids = {t["content"]: t["id"] for t in data["added_tokens"]}
    case["text"].update(vocab_size=size + len(own), eos_token_id=ids[config["eos_token"]])
    write_model(name, case, folder)
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    settings["image_token_id"] = ids["<IMG_CONTEXT>"]
    write_json(path, settings)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": ids[config["eos_token"]], "pad_token_id": ids[config["pad_token"]],
         "max_new_tokens": NEW_TOKENS},
    )  # fmt: skip
    path = folder / "preprocessor_config.json"
    if case["layout"] == "v5":
        image = json.loads(path.read_text())
        path.unlink()
        write_json(folder / "processor_config.json",
                   {"image_processor": image, "processor_class": "InternVLProcessor",
                    "video_processor": {"video_processor_type": "InternVLVideoProcessor",
                                        "size": image["size"], "image_std": [0.3, 0.4, 0.5]}})  # fmt: skip


def requests(films=True):
    pictures = [f"../../clip/pictures/{p}" for p in llava_files.PICTURES]
    frames = [f"../../llava-onevision/frames/f{i}.png" for i in (7, 8, 9, 10)]
    plan = [
        {"name": "film", "text": "<video>\nWhat?", "videos": [frames[:3]]},
        {"name": "both", "text": "<video> <IMG_CONTEXT>\n<video>", "images": pictures[1:],
         "videos": [frames[:2], frames[2:]]},
        {"name": "mixed", "interleaved": [{"image": pictures[1]}, " or ", {"video": frames[3:]}]},
    ]  # fmt: skip
    return plan * films + [
        {"name": "ask", "text": f"<IMG_CONTEXT>\n{TEXT}", "images": pictures[:1]},
        {"name": "between", "interleaved": ["a ", {"image": pictures[1]}, " and 12 dogs", {"image": pictures[0]}]},
        {"name": "batch", "batch": ["<IMG_CONTEXT> short", "a longer prompt: <IMG_CONTEXT>\n" + TEXT],
         "images": pictures},
    ]  # fmt: skip


def prompts_of(case):
    if "interleaved" in case:
        parts = case["interleaved"]
        words = [p if isinstance(p, str) else "<IMG_CONTEXT>" if "image" in p else "<video>"
                 for p in parts]  # fmt: skip
        return ["".join(words)]
    return case.get("batch") or [case["text"]]


def run_files(model, processor, case, root):
    torch = quiet_torch()
    from transformers.image_utils import load_image

    prompts = prompts_of(case)
    parts = [p for p in case.get("interleaved", []) if isinstance(p, dict)]
    paths = case.get("images") or [p["image"] for p in parts if "image" in p]
    films = case.get("videos") or [p["video"] for p in parts if "video" in p]
    images = [load_image(str(root / p)) for p in paths]
    videos = [[load_image(str(root / p)) for p in film] for film in films]
    inputs = processor(text=list(prompts), images=images or None, videos=videos or None,
                       return_tensors="pt", padding=len(prompts) > 1)  # fmt: skip
    mask = inputs["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**inputs, position_ids=position, output_hidden_states=True)
        answer = model.generate(**inputs, do_sample=False, max_new_tokens=NEW_TOKENS,
                                output_logits=True, return_dict_in_generate=True)  # fmt: skip
    new = answer.sequences[:, inputs["input_ids"].shape[1] :]
    texts = processor.batch_decode(new, skip_special_tokens=True)
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": mask.numpy().astype(np.uint8),
        "generated_ids": new.numpy(),
    }
    if case["name"] == "ask":
        out["last_step_logits"] = answer.logits[-1].numpy()
        out["hidden_states"] = got.hidden_states[-1].numpy()
    answers = np.frombuffer("\0".join(texts).encode(), np.uint8)
    if len(answers):
        out["text"] = answers
    digest = bytes.fromhex(sha256(inputs["pixel_values"].numpy()))
    out["pixel_values.sha256"] = np.frombuffer(digest, np.uint8)
    return out


def make_files_case(name, out, films=True):
    from transformers import AutoTokenizer, InternVLProcessor, InternVLVideoProcessor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
        GotOcr2ImageProcessorPil,
    )

    model = load_model(out / "model")
    folder = str(out / "model")
    image = GotOcr2ImageProcessorPil.from_pretrained(folder)
    processor = InternVLProcessor(image, AutoTokenizer.from_pretrained(folder),
                                  InternVLVideoProcessor.from_pretrained(folder), image_seq_length=tokens_of(model.config))  # fmt: skip
    golden, cases = {}, []
    for case in requests(films):
        for key, value in run_files(model, processor, case, out).items():
            golden[f"{case['name']}.{key}"] = value
        cases.append({"task": "generate", **case})
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "internvl", "mode": "files", "cases": cases})


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    if "patches" in case:
        write_checkpoint(name, out / "model")
        make_files_case(name, out)
    else:
        write_model(name, case, out / "model")
        make_tensor_case(name, case, out)


def make_all(root):
    for name in CASES:
        make_case(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"internvl/{name}: {size / 1024:.0f} KiB", flush=True)
