"""Random Gemma 3 checkpoints, and what transformers makes of them.

Two checkpoints take words and pictures (mode `files`), in crops too, the others
ready-made tensors, in which pictures are longer than the window.
"""

import copy
import json
import shutil
from pathlib import Path

import llava_files
import numpy as np
from clip_tokens import training_lines
from common import quiet_torch, rng, sha256, write_json, write_safetensors
from llava_models import load_model, stored_name
from sentence import write_space_bpe

NEW_TOKENS = 16
TEXT = "What's in it? 3 cats,\tnaïve – 猫\n and more"
TEMPLATE = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\n'}}
{%- endif -%}
"""

CASES = {
    "files-v4": {
        "about": "published layout: a linear scaling of full layers, a pattern of three",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=2, image_size=28, patch_size=7, vision_use_head=False),
        "text": dict(model_type="gemma3_text", hidden_size=32, intermediate_size=44,
                     num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
                     head_dim=12, max_position_embeddings=1024, query_pre_attn_scalar=10,
                     sliding_window=7, sliding_window_pattern=3, rope_theta=20000.0,
                     rope_local_base_freq=300.0, rope_scaling=dict(rope_type="linear", factor=8.0)),
        "top": dict(mm_tokens_per_image=4),
        "mode": "files",
    },
    "files-v5": {
        "about": "what transformers 5 writes; kinds of layers by name; a row of patches left over",
        "layout": "v5",
        "store": "f16",
        "vision": dict(hidden_size=24, intermediate_size=36, num_hidden_layers=2,
                       num_attention_heads=3, image_size=42, patch_size=6),
        "text": dict(model_type="gemma3_text", hidden_size=36, intermediate_size=40,
                     num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1,
                     head_dim=20, max_position_embeddings=1024, query_pre_attn_scalar=24,
                     sliding_window=40, rms_norm_eps=1e-5,
                     layer_types=["full_attention", "sliding_attention", "sliding_attention"],
                     rope_parameters=dict(
                         full_attention=dict(rope_type="default", rope_theta=70000.0),
                         sliding_attention=dict(rope_type="default", rope_theta=500.0))),
        "top": dict(mm_tokens_per_image=9),
        "mode": "files",
    },
    "tensors": {
        "about": "pictures of 16 tokens and a window of 5; biases; a head of its own",
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=20, intermediate_size=28, num_hidden_layers=2,
                       num_attention_heads=4, image_size=24, patch_size=3),
        "text": dict(model_type="gemma3_text", hidden_size=28, intermediate_size=36,
                     num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
                     head_dim=8, max_position_embeddings=512, vocab_size=110,
                     query_pre_attn_scalar=8, sliding_window=5, sliding_window_pattern=2,
                     attention_bias=True, final_logit_softcapping=3.0, eos_token_id=1),
        "top": dict(mm_tokens_per_image=16, tie_word_embeddings=False),
        "mode": "tensors",
    },
    "tensors-full": {
        "about": "no layer with a window, the token of pictures beyond the vocabulary; v5 layout",
        "layout": "v5",
        "store": "bf16",
        "vision": dict(hidden_size=16, intermediate_size=20, num_hidden_layers=1,
                       num_attention_heads=1, image_size=12, patch_size=4),
        "text": dict(model_type="gemma3_text", hidden_size=24, intermediate_size=30,
                     num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
                     head_dim=8, max_position_embeddings=512, vocab_size=80,
                     query_pre_attn_scalar=8, layer_types=["full_attention"] * 2, eos_token_id=1),
        "top": dict(mm_tokens_per_image=9, image_token_index=85),
        "mode": "tensors",
    },
}  # fmt: skip


# ---- Checkpoints -------------------------------------------------------------


def random_weight(name, shape, case):
    g = rng("gemma3", case, name)
    x = g.standard_normal(shape)
    if ("language_model" in name and "norm" in name) or "mm_soft_emb_norm" in name:
        return 0.25 * x
    if "norm" in name:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if "position_embedding" in name:
        return 0.6 * x
    if "embed_tokens" in name:
        return 0.3 * x
    if "mm_input_projection" in name:
        return x / np.sqrt(shape[0])
    gain = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
    return gain * x / np.sqrt(int(np.prod(shape[1:])))


def write_tokenizer(folder):
    """Gemma's kind of tokenizer with its tokens of pictures and turns."""
    size = write_space_bpe(folder, training_lines(), 420, "gemma", add_bos_token=True,
                           add_eos_token=False, model_max_length=1024)  # fmt: skip
    names = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
             "<image_soft_token>"]  # fmt: skip
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["added_tokens"] += [llava_files.added(size + i, n) for i, n in enumerate(names)]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["extra_special_tokens"] = {"boi_token": names[2], "eoi_token": names[3],
                                      "image_token": names[4]}  # fmt: skip
    config["padding_side"] = "left"
    write_json(path, config)
    return size + len(names), {n: size + i for i, n in enumerate(names)}


def write_processor(case, folder):
    side = case["vision"]["image_size"]
    tokens = case["top"]["mm_tokens_per_image"]
    image = {
        "do_pan_and_scan": None,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "Gemma3ImageProcessor",
        "image_seq_length": tokens,
        "image_std": [0.5, 0.5, 0.5],
        "pan_and_scan_max_num_crops": None,
        "size": {"height": side, "width": side},
    }
    processor = {"image_seq_length": tokens, "processor_class": "Gemma3Processor"}
    if case["layout"] == "v5":
        processor["image_processor"] = image
        (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    else:
        write_json(folder / "preprocessor_config.json", image)
        write_json(folder / "chat_template.json", {"chat_template": TEMPLATE})
    write_json(folder / "processor_config.json", processor)


def write_checkpoint(name, case, folder):
    torch = quiet_torch()
    from safetensors.torch import save_file
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    case = copy.deepcopy(case)
    end = 1
    if case["mode"] == "files":
        size, ids = write_tokenizer(folder)
        case["text"]["vocab_size"] = size + 3
        case["top"].update(image_token_index=ids["<image_soft_token>"],
                           boi_token_index=ids["<start_of_image>"],
                           eoi_token_index=ids["<end_of_image>"])  # fmt: skip
        end = [1, ids["<end_of_turn>"]]
    case["top"].setdefault("image_token_index", case["text"]["vocab_size"] - 1)
    write_processor(case, folder)
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "vision_config": {"model_type": "siglip_vision_model", **case["vision"]},
        "text_config": case["text"],
        **case["top"],
    }
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": end, "pad_token_id": 0, "max_new_tokens": NEW_TOKENS},
    )
    with torch.device("meta"):
        settings = Gemma3Config(**copy.deepcopy(config))
        model = Gemma3ForConditionalGeneration(settings)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {}
    for key, value in model.state_dict().items():
        if key.startswith("lm_head") and case["top"].get("tie_word_embeddings", True):
            continue
        data = random_weight(key, tuple(value.shape), name).astype(np.float32)
        tensors[stored_name(key, case["layout"])] = torch.tensor(data).to(dtype[case["store"]])
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def run(model, inputs, new_tokens=NEW_TOKENS):
    torch = quiet_torch()
    mask = inputs["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got = model(**inputs, position_ids=position, output_hidden_states=True)
        chosen = model.generate(**inputs, do_sample=False, max_new_tokens=new_tokens)
    return got, chosen[:, inputs["input_ids"].shape[1] :]


# ---- Tensors -----------------------------------------------------------------


def prompt(g, config, rows):
    """Left-padded rows of numbers of words between pictures."""
    tokens, image = config.mm_tokens_per_image, config.image_token_id
    words = min(config.text_config.vocab_size - 2, 80)
    lines = []
    for counts in rows:
        line = []
        for i, count in enumerate(counts):
            line += [image] * (tokens if i else 0) + list(g.integers(4, words, count))
        lines.append(line)
    width = max(len(line) for line in lines)
    ids = np.zeros((len(lines), width), np.int64)
    mask = np.zeros_like(ids)
    for row, line in zip(ids, lines, strict=True):
        row[width - len(line) :] = line
    for row, line in zip(mask, lines, strict=True):
        row[width - len(line) :] = 1
    return ids, mask, (ids == image).astype(np.int64)


def make_tensors(name, out, model):
    torch = quiet_torch()
    g = rng("gemma3-inputs", name)
    side = model.config.vision_config.image_size
    inputs, golden, cases = {}, {}, []
    plan = {"one": [[7, 9]], "first": [[0, 20]], "two": [[3, 4, 12]], "adjoining": [[2, 0, 5]],
            "batch": [[5, 11], [1, 3]], "words": [[30]], "untyped": [[6, 8]]}  # fmt: skip
    for what, rows in plan.items():
        ids, mask, types = prompt(g, model.config, rows)
        one = {"input_ids": ids, "attention_mask": mask}
        if what != "untyped":
            one["token_type_ids"] = types
        pictures = sum(len(counts) - 1 for counts in rows)
        if pictures:
            one["pixel_values"] = g.standard_normal((pictures, 3, side, side)).astype(np.float32)
        given = {k: torch.from_numpy(v) for k, v in one.items()}
        got, new = run(model, given)
        golden[f"{what}.generated_ids"] = new.numpy()
        golden[f"{what}.hidden_states"] = got.hidden_states[-1].numpy()
        if what in ("one", "batch"):
            golden[f"{what}.logits"] = got.logits.numpy()
        if pictures:
            with torch.no_grad():
                features = model.model.get_image_features(given["pixel_values"])
            golden[f"{what}.image_features"] = features.pooler_output.numpy()
            if what == "one":
                golden[f"{what}.vision_features"] = features.last_hidden_state.numpy()
        one["attention_mask"] = mask.astype(np.uint8)
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        cases.append({"name": what, "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"{what}.", "max_new_tokens": NEW_TOKENS})  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "gemma3", "mode": "tensors", "cases": cases}
    )


# ---- Words and pictures ------------------------------------------------------


def requests():
    pictures = [f"../../clip/pictures/{p}" for p in
                ("rgb-200x150.png", "jpeg-420-q85-97x131.jpg", "grey-1000x5.png",
                 "jpeg-422-q80-700x9.jpg", "grey-301x99.png")]  # fmt: skip
    text = lambda words: {"type": "text", "text": words}  # noqa: E731
    chat = [
        {"role": "system", "content": [text("Be short.")]},
        {"role": "user", "content": [{"type": "image"}, text(TEXT)]},
        {"role": "assistant", "content": [text("A cat.")]},
        {"role": "user", "content": [text("And this? "), {"type": "image"}, {"type": "image"}]},
    ]
    pans = {"do_pan_and_scan": True}
    small = {"pan_and_scan_min_crop_size": 40, "pan_and_scan_max_num_crops": 3}
    return [
        {"name": "ask", "text": f"<start_of_image> {TEXT}", "images": pictures[:1]},
        {"name": "words", "text": TEXT, "max_new_tokens": 4},
        {"name": "chat", "messages": chat, "images": pictures[:3]},
        {"name": "plain", "messages": [{"role": "user", "content": "Hello there"}]},
        {"name": "between", "interleaved": ["a ", {"image": pictures[1]}, {"image": pictures[3]}, " b"]},
        {"name": "batch", "batch": ["<start_of_image> short", "longer <start_of_image>:\n" + TEXT],
         "images": pictures[:2]},
        {"name": "pan", "text": "<start_of_image> and <start_of_image>!",
         "images": [pictures[4], pictures[1]], "processor_kwargs": {"images_kwargs": {**pans, **small}}},
        {"name": "unpanned", "text": "<start_of_image> x", "images": pictures[3:4],
         "processor_kwargs": pans},
        {"name": "pan-ratio", "text": "<start_of_image> x", "images": pictures[:1],
         "processor_kwargs": {**pans, **small, "pan_and_scan_min_ratio_to_activate": 1.5}},
    ]  # fmt: skip


def prompts_of(processor, case):
    if "interleaved" in case:
        return ["".join(p if isinstance(p, str) else "<start_of_image>"
                        for p in case["interleaved"])]  # fmt: skip
    return llava_files.prompts_of(processor, case)


def run_files(model, processor, case, root):
    from transformers.image_utils import load_image

    prompts = prompts_of(processor, case)
    paths = case.get("images") or [
        p["image"] for p in case.get("interleaved", []) if isinstance(p, dict)
    ]
    images = [load_image(str(root / p)) for p in paths]
    given = [[i] for i in images] if len(prompts) > 1 else [images]
    extra = dict(case.get("processor_kwargs", {}))
    if "messages" in case:
        extra["add_special_tokens"] = False
    inputs = processor(text=list(prompts), images=given if images else None, return_tensors="pt",
                       padding=len(prompts) > 1, **extra)  # fmt: skip
    got, new = run(model, inputs, case.get("max_new_tokens", NEW_TOKENS))
    texts = processor.batch_decode(new, skip_special_tokens=True)
    as_bytes = [np.frombuffer("\0".join(t).encode(), np.uint8) for t in (texts, prompts)]
    out = {
        "input_ids": inputs["input_ids"].numpy(),
        "attention_mask": inputs["attention_mask"].numpy().astype(np.uint8),
        "token_type_ids": inputs["token_type_ids"].numpy(),
        "generated_ids": new.numpy(),
        "prompt": as_bytes[1],
    }
    if len(as_bytes[0]):
        out["text"] = as_bytes[0]
    if case["name"] in ("ask", "words", "plain", "pan"):
        out["hidden_states"] = got.hidden_states[-1].numpy()
    if case["name"] == "plain":
        out["logits"] = got.logits.numpy()
    if images:
        digest = bytes.fromhex(sha256(inputs["pixel_values"].numpy()))
        out["pixel_values.sha256"] = np.frombuffer(digest, np.uint8)
    return out


def make_files(name, out, model):
    from transformers import AutoTokenizer, Gemma3ImageProcessorPil, Gemma3Processor

    folder = str(out / "model")
    image = Gemma3ImageProcessorPil.from_pretrained(folder)
    processor = Gemma3Processor.from_pretrained(folder)
    processor = Gemma3Processor(image, AutoTokenizer.from_pretrained(folder),
                                chat_template=processor.chat_template,
                                image_seq_length=processor.image_seq_length)  # fmt: skip
    golden, cases = {}, []
    for case in requests():
        for key, value in run_files(model, processor, case, out).items():
            golden[f"{case['name']}.{key}"] = value
        cases.append({"task": "generate", **case})
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "gemma3", "mode": "files", "cases": cases})


def make_all(root):
    for name, case in CASES.items():
        out = Path(root) / name
        shutil.rmtree(out, ignore_errors=True)
        (out / "model").mkdir(parents=True)
        write_checkpoint(name, case, out / "model")
        model = load_model(out / "model")
        (make_files if case["mode"] == "files" else make_tensors)(name, out, model)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"gemma3/{name}: {size / 1024:.0f} KiB", flush=True)
