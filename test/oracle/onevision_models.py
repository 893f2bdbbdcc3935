"""Random LLaVA-OneVision checkpoints, and what transformers makes of them.

Pictures alone in a prompt are cut into tiles, whose map is resampled where it is
large; several are one tile each; videos are frames, pooled. Two checkpoints take
words and files (mode `files`), the others ready-made tensors.
"""

import copy
import json
import shutil
from pathlib import Path

import llava_files
import llava_models
import numpy as np
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from pictures import content

NEW_TOKENS = 16
FRAMES = 5
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{# Images first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}"
    "{{ '<video>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + content['text'] }}{% endfor %}{{'<|im_end|>'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def grid(side, down, across):
    return [[side * i, side * j] for i in range(1, down + 1) for j in range(1, across + 1)]


CASES = {
    "files-v4": {
        "about": "layout of published files; maps of more than two tiles resampled; tied head",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(model_type="siglip_vision_model", hidden_size=20, intermediate_size=36,
                       num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=7,
                       vision_use_head=False),
        "text": dict(model_type="qwen2", hidden_size=36, intermediate_size=52,
                     num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
                     max_position_embeddings=1024, tie_word_embeddings=True),
        "top": dict(vision_aspect_ratio="anyres_max_2", image_grid_pinpoints=grid(28, 4, 4)),
        "image": dict(do_pad=True),
        "video": dict(image_mean=[0.4, 0.5, 0.45], image_std=[0.3, 0.25, 0.28]),
        "mode": "files",
    },
    "files-v5": {
        "about": "what transformers 5 writes; an odd side; one tile's features at most; two layers",
        "layout": "v5",
        "store": "f16",
        "vision": dict(model_type="siglip_vision_model", hidden_size=16, intermediate_size=30,
                       num_hidden_layers=3, num_attention_heads=4, image_size=30, patch_size=10),
        "text": dict(model_type="qwen2", hidden_size=32, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
                     max_position_embeddings=1024, tie_word_embeddings=False,
                     rope_parameters=dict(rope_type="default", rope_theta=5000.0)),
        "top": dict(vision_aspect_ratio="anyres_max_1", image_grid_pinpoints=grid(30, 3, 3),
                    vision_feature_layer=[-1, 1], projector_hidden_act="gelu_pytorch_tanh"),
        "image": dict(image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5], resample=3),
        "video": {},
        "mode": "files",
    },
    "tensors": {
        "about": "pictures of many sizes, alone and in groups, and videos; no biases in the projector",
        "layout": "v4",
        "store": "f16",
        "vision": dict(model_type="siglip_vision_model", hidden_size=24, intermediate_size=40,
                       num_hidden_layers=2, num_attention_heads=3, image_size=15, patch_size=3),
        "text": dict(model_type="qwen2", hidden_size=30, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=5,
                     max_position_embeddings=2048, vocab_size=160),
        "top": dict(vision_aspect_ratio="anyres_max_2", image_grid_pinpoints=grid(15, 4, 5),
                    multimodal_projector_bias=False, vision_feature_layer=-2),
        "mode": "tensors",
        "plan": [("alone", [[61, 60]], 0), ("wide", [[31, 300]], 0), ("large", [[500, 480]], 0),
                 ("tall", [[200, 133]], 0), ("small", [[1, 1]], 0),
                 ("group", [[40, 90], [70, 20], [33, 33]], 0), ("video", [], 3),
                 ("mixed", [[100, 64]], 2)],
    },
    "tensors-clip": {
        "about": "a CLIP tower without its class token, Llama's decoder; two videos; f32",
        "layout": "v5",
        "store": "f32",
        "vision": dict(model_type="clip_vision_model", hidden_size=16, intermediate_size=28,
                       num_hidden_layers=2, num_attention_heads=2, image_size=12, patch_size=4),
        "text": dict(model_type="llama", hidden_size=24, intermediate_size=30, num_hidden_layers=1,
                     num_attention_heads=2, num_key_value_heads=2, vocab_size=90,
                     max_position_embeddings=1024),
        "top": dict(vision_feature_select_strategy="default", tie_word_embeddings=True,
                    image_grid_pinpoints=grid(12, 6, 6), vision_aspect_ratio="anyres_max_12"),
        "mode": "tensors",
        "plan": [("alone", [[800, 1200]], 0), ("square", [[90, 90]], 0), ("video", [], 2)],
    },
}  # fmt: skip


# ---- Checkpoints -------------------------------------------------------------


def write_tokenizer(folder):
    """Qwen2's kind of tokenizer with a token for videos; its size and ids."""
    data, config, size = llava_files.byte_tokenizer()
    data["added_tokens"].append(llava_files.added(size, "<video>"))
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config)
    ids = {t["content"]: t["id"] for t in data["added_tokens"]}
    return size + 1, ids


def write_files(case, folder):
    size, ids = write_tokenizer(folder)
    case["text"].update(vocab_size=size + 5, eos_token_id=ids["<|im_end|>"], bos_token_id=None,
                        pad_token_id=ids["<|endoftext|>"])  # fmt: skip
    case["top"].update(image_token_index=ids["<image>"], video_token_index=ids["<video>"])
    side = case["vision"]["image_size"]
    image = {"image_grid_pinpoints": case["top"]["image_grid_pinpoints"],
             "image_processor_type": "LlavaOnevisionImageProcessor",
             "size": {"height": side, "width": side}, **case["image"]}  # fmt: skip
    video = {"video_processor_type": "LlavaOnevisionVideoProcessor",
             "size": {"height": side, "width": side}, **case["video"]}  # fmt: skip
    processor = {
        "processor_class": "LlavaOnevisionProcessor",
        "num_image_tokens": (side // case["vision"]["patch_size"]) ** 2,
        "vision_feature_select_strategy": "full",
        "vision_aspect_ratio": case["top"]["vision_aspect_ratio"],
    }
    if case["layout"] == "v5":
        processor.update(image_processor=image, video_processor=video)
        (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    else:
        write_json(folder / "preprocessor_config.json", image)
        write_json(folder / "video_preprocessor_config.json", video)
        write_json(folder / "chat_template.json", {"chat_template": TEMPLATE})
    write_json(folder / "processor_config.json", processor)
    return ids


def write_checkpoint(name, case, folder):
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

    case = copy.deepcopy(case)
    end, pad = 2, 0
    if case["mode"] == "files":
        ids = write_files(case, folder)
        end, pad = ids["<|im_end|>"], ids["<|endoftext|>"]
    else:
        words = case["text"]["vocab_size"]
        case["top"].update(image_token_index=words - 1, video_token_index=words - 2)
        side = case["vision"]["image_size"]
        write_json(
            folder / "preprocessor_config.json",
            {
                "image_processor_type": "LlavaOnevisionImageProcessor",
                "size": {"height": side, "width": side},
                "image_grid_pinpoints": case["top"].get("image_grid_pinpoints"),
            },
        )
    config = {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "model_type": "llava_onevision",
        "vision_config": case["vision"],
        "text_config": case["text"],
        **case["top"],
    }
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": end, "pad_token_id": pad, "max_new_tokens": NEW_TOKENS},
    )
    with torch.device("meta"):
        settings = LlavaOnevisionConfig(**copy.deepcopy(config))
        model = LlavaOnevisionForConditionalGeneration(settings)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if key.startswith("lm_head") and settings.tie_word_embeddings:
            continue
        if key.endswith("image_newline"):
            data = rng("onevision", name, key).standard_normal(tuple(value.shape))
        else:
            data = llava_models.random_weight(key, tuple(value.shape), "onevision-" + name)
        data = torch.tensor(np.asarray(data).astype(np.float32)).to(dtype[case["store"]])
        tensors[llava_models.stored_name(key, case["layout"])] = data
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def run(model, inputs, new_tokens=NEW_TOKENS):
    torch = quiet_torch()
    mask = inputs["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**inputs, position_ids=position, output_hidden_states=True)
        chosen = model.generate(**inputs, do_sample=False, max_new_tokens=new_tokens)
    return got, chosen[:, inputs["input_ids"].shape[1] :]


# ---- Words and files ---------------------------------------------------------


def write_frames(root):
    from PIL import Image

    folder = Path(root) / "frames"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = []
    for i in range(FRAMES):
        image = Image.fromarray(content(f"onevision-frame-{i}", 41, 33, 3, False))
        names.append(f"../frames/f{i + 7}.png")
        image.save(folder / f"f{i + 7}.png", compress_level=9)
    return names


def requests(frames):
    pictures = [f"../../clip/pictures/{p}" for p in
                ("rgb-200x150.png", "jpeg-420-q85-97x131.jpg", "rgb-3x400.png", "rgb-31x33.png",
                 "grey-1000x5.png", "rgb-1x1.png")]  # fmt: skip
    text = lambda words: {"type": "text", "text": words}  # noqa: E731
    chat = [
        {"role": "user", "content": [{"type": "image"}, text("What? ")]},
        {"role": "assistant", "content": [text("A cat.")]},
        {"role": "user", "content": [text("And this? "), {"type": "image"}]},
    ]
    film = [{"role": "user", "content": [{"type": "video"}, text("What happens?")]}]
    both = [{"role": "user", "content": [{"type": "video"}, text("One?"), {"type": "image"}]}]
    plan = [{"name": f"one{i}", "text": "user <image>\nWhat?", "images": [p], "max_new_tokens": 4}
            for i, p in enumerate(pictures)]  # fmt: skip
    return [case for case in plan if case["name"] != "one5"] + [
        {"name": "words", "text": "no pictures at all", "max_new_tokens": 4},
        {"name": "ask", "messages": chat[:1], "images": pictures[:1]},
        {"name": "chat", "messages": chat, "images": pictures[:2]},
        {"name": "two", "text": "a <image> and <image> b", "images": pictures[1:3]},
        {"name": "batch", "batch": ["<image> x", "a longer <image> y z"], "images": pictures[:2]},
        {"name": "film", "messages": film, "videos": [frames]},
        {"name": "films", "text": "<video> or <video>", "videos": [frames[:2], frames[3:]]},
        {"name": "both", "messages": both, "images": pictures[:1], "videos": [frames[1:4]]},
        {"name": "between", "interleaved": ["a ", {"video": frames[:1]}, " b ", {"image": pictures[3]}]},
    ]  # fmt: skip


def prompts_of(processor, case):
    if "interleaved" in case:
        words = [p if isinstance(p, str) else "<image>" if "image" in p else "<video>"
                 for p in case["interleaved"]]  # fmt: skip
        return ["".join(words)]
    return llava_files.prompts_of(processor, case)


def run_files(model, processor, case, root):
    from transformers.image_utils import load_image

    prompts = prompts_of(processor, case)
    parts = [p for p in case.get("interleaved", []) if isinstance(p, dict)]
    paths = case.get("images") or [p["image"] for p in parts if "image" in p]
    films = case.get("videos") or [p["video"] for p in parts if "video" in p]
    images = [load_image(str(root / p)) for p in paths]
    videos = [[load_image(str(root / p)) for p in film] for film in films]
    given = [[i] for i in images] if len(prompts) > 1 else [images]
    inputs = processor(text=list(prompts), images=given if images else None,
                       videos=videos or None, return_tensors="pt", padding=len(prompts) > 1)  # fmt: skip
    got, new = run(model, inputs, case.get("max_new_tokens", NEW_TOKENS))
    texts = processor.batch_decode(new, skip_special_tokens=True)
    as_bytes = [np.frombuffer("\0".join(t).encode(), np.uint8) for t in (texts, prompts)]
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": inputs["attention_mask"].numpy().astype(np.uint8),
        "generated_ids": new.numpy(),
        "prompt": as_bytes[1],
    }
    if len(as_bytes[0]):
        out["text"] = as_bytes[0]
    if case["name"] in ("one3", "two", "film", "both", "between"):
        out["hidden_states"] = got.hidden_states[-1].numpy()
    if case["name"] == "one3":
        out["logits"] = got.logits.numpy()
    for key in ("image_sizes", "batch_num_images"):
        if key in inputs:
            out[key] = np.asarray(inputs[key])
    for key in ("pixel_values", "pixel_values_videos"):
        if key in inputs:
            digest = bytes.fromhex(sha256(inputs[key].numpy()))
            out[key + ".sha256"] = np.frombuffer(digest, np.uint8)
    return out


def make_files(name, out, model, frames):
    from transformers import LlavaOnevisionImageProcessorPil, LlavaOnevisionProcessor

    processor = LlavaOnevisionProcessor.from_pretrained(str(out / "model"))
    processor.image_processor = LlavaOnevisionImageProcessorPil.from_pretrained(str(out / "model"))
    golden, cases = {}, []
    for case in requests(frames):
        for key, value in run_files(model, processor, case, out).items():
            golden[f"{case['name']}.{key}"] = value
        cases.append({"task": "generate", **case})
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(
        out / "requests-files.json", {"family": "llava_onevision", "mode": "files", "cases": cases}
    )


# ---- Tensors -----------------------------------------------------------------


def tensors_of(model, g, sizes, frames):
    """Pixels of pictures and of videos, and their features in the prompt's order."""
    torch = quiet_torch()
    from transformers.models.llava_onevision.modeling_llava_onevision import (
        image_size_to_num_patches,
    )

    config = model.config
    side = config.vision_config.image_size
    one, words, features = {}, [torch.tensor(g.integers(4, 80, 4))], {}
    noise = lambda *shape: torch.tensor(g.standard_normal(shape).astype(np.float32))  # noqa: E731
    if sizes:
        tiles = [1 if len(sizes) > 1 else
                 image_size_to_num_patches(size, config.image_grid_pinpoints, side)
                 for size in sizes]  # fmt: skip
        one["pixel_values"] = noise(len(sizes), max(tiles), 3, side, side)
        one["image_sizes"] = torch.tensor(sizes)
        one["batch_num_images"] = torch.tensor([len(sizes)])
        with torch.no_grad():
            made = model.model.get_image_features(**one).pooler_output
        for picture in made:
            words.append(torch.full((len(picture),), config.image_token_id))
            words.append(torch.tensor(g.integers(4, 80, 2)))
        features["image_features"] = torch.cat(tuple(made))
    if frames:
        videos = 1 if sizes else 2
        one["pixel_values_videos"] = noise(videos, frames, 3, side, side)
        with torch.no_grad():
            made = model.model.get_video_features(one["pixel_values_videos"]).pooler_output
        for video in made:
            words.append(torch.full((len(video),), config.video_token_id))
            words.append(torch.tensor(g.integers(4, 80, 2)))
        features["video_features"] = made.flatten(0, 1)
    one["input_ids"] = torch.cat(words)[None]
    one["attention_mask"] = torch.ones_like(one["input_ids"])
    return one, features


def make_tensors(name, out, model):
    g = rng("onevision-inputs", name)
    inputs, golden, cases = {}, {}, []
    for what, sizes, frames in CASES[name]["plan"]:
        one, features = tensors_of(model, g, sizes, frames)
        got, new = run(model, one)
        inputs.update({f"{what}.{k}": v.numpy() for k, v in one.items()})
        if what not in ("large", "tall", "alone"):
            golden.update({f"{what}.{k}": v.numpy() for k, v in features.items()})
        golden[f"{what}.generated_ids"] = new.numpy()
        if what not in ("large", "alone"):
            golden[f"{what}.hidden_states"] = got.hidden_states[-1].numpy()
        if what in ("small", "group", "square"):
            golden[f"{what}.logits"] = got.logits.numpy()
        cases.append({"name": what, "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"{what}.", "max_new_tokens": NEW_TOKENS})  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json",
        {"family": "llava_onevision", "mode": "tensors", "cases": cases},
    )


def make_all(root):
    frames = write_frames(root)
    for name, case in CASES.items():
        out = Path(root) / name
        shutil.rmtree(out, ignore_errors=True)
        (out / "model").mkdir(parents=True)
        write_checkpoint(name, case, out / "model")
        model = llava_models.load_model(out / "model")
        if case["mode"] == "files":
            make_files(name, out, model, frames)
        else:
            make_tensors(name, out, model)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"llava-onevision/{name}: {size / 1024:.0f} KiB", flush=True)
