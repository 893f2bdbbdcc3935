"""Random Idefics3 and SmolVLM checkpoints, and their goldens.

Requests of mode `files` give words and pictures that become squares, those of mode
`tensors` squares and ids; the values on the way and greedily chosen tokens come out.
"""

import copy
import shutil
from pathlib import Path

import numpy as np
from common import quiet_torch, rng, write_json, write_safetensors
from idefics2_models import (
    FAKE,
    NEW_TOKENS,
    TEXT,
    paths_of,
    rows_of,
    run,
    run_tensors,
    write_image,
    write_requests,
    write_tokenizer,
    write_weights,
)
from llava_models import load_model

PICTURES = ["rgb-200x150.png", "jpeg-420-q85-97x131.jpg", "jpeg-422-q90-65x47.jpg"]
GLOBAL = "<global-img>"
# As SmolVLM's checkpoints have it.
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)

# As in idefics2_models; `places` are tokens that the tokenizer has for squares.
CASES = {
    "llama": {
        "about": "published layout; lines of squares; words for the squares' places",
        "family": "Idefics3",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                       num_attention_heads=3, image_size=28, patch_size=7),
        "text": dict(model_type="llama", hidden_size=32, intermediate_size=60,
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     max_position_embeddings=1024, rms_norm_eps=1e-4, rope_theta=500000.0),
        "top": dict(tie_word_embeddings=False, scale_factor=2),
        "tokenizer": "bytes",
        "places": False,
        "image": dict(do_image_splitting=True, size={"longest_edge": 84}, resample=1,
                      max_image_size={"longest_edge": 28}),
    },
    "whole": {
        "about": "what transformers 5 writes; one square a picture, of another side than the table's; tied",
        "family": "Idefics3",
        "layout": "v5",
        "store": "f16",
        "vision": dict(hidden_size=20, intermediate_size=28, num_hidden_layers=3,
                       num_attention_heads=2, image_size=42, patch_size=6, hidden_act="gelu",
                       layer_norm_eps=1e-5),
        "text": dict(model_type="mistral", hidden_size=30, intermediate_size=44,
                     num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1,
                     head_dim=12, max_position_embeddings=512, rms_norm_eps=1e-6,
                     sliding_window=None),
        "top": dict(tie_word_embeddings=True, scale_factor=3),
        "tokenizer": "prepend",
        "places": True,
        "image": dict(do_image_splitting=False, size={"height": 61, "width": 40}, resample=3,
                      max_image_size={"longest_edge": 36}, image_std=[0.26, 0.27, 0.25]),
    },
    "smolvlm": {
        "about": "SmolVLM 2; squares of 4 tokens each; surplus keys of published files",
        "family": "SmolVLM",
        "layout": "v4",
        "store": "bf16",
        "vision": dict(hidden_size=24, intermediate_size=30, num_hidden_layers=2,
                       num_attention_heads=2, image_size=32, patch_size=4,
                       max_image_size={"longest_edge": 32}, size={"longest_edge": 64}),
        "text": dict(model_type="llama", hidden_size=36, intermediate_size=50,
                     num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3,
                     max_position_embeddings=1024, rms_norm_eps=1e-5, head_dim=12,
                     _flash_attn_2_enabled=True, is_llama_config=True, neftune_noise_alpha=0.0,
                     perceiver_config={"resampler_depth": 6}, pixel_shuffle_factor=4,
                     qk_layer_norms=False, rope_interleaved=False, use_resampler=False,
                     rope_theta=100000.0, pretraining_tp=1),
        "top": dict(tie_word_embeddings=False, scale_factor=4, use_reentrant_checkpointing=False),
        "tokenizer": "bytes",
        "places": True,
        "image": dict(do_image_splitting=True, size={"longest_edge": 64}, resample=1,
                      max_image_size={"longest_edge": 32}),
    },
    "tensors": {
        "about": "squares as they are; next to no keys; f32",
        "family": "Idefics3",
        "layout": "v4",
        "store": "f32",
        "vision": dict(hidden_size=16, num_hidden_layers=1, intermediate_size=24, image_size=32,
                       patch_size=8),
        "text": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                     num_attention_heads=2, vocab_size=70, max_position_embeddings=256),
        "top": dict(),
    },
}  # fmt: skip


def write_model(name, case, folder, vocabulary, ids):
    text = {**case["text"], "vocab_size": vocabulary}
    if ids:
        text.update(eos_token_id=ids["eos"], pad_token_id=ids["pad"], bos_token_id=None)
    family = case["family"]
    config = {
        "architectures": [family + "ForConditionalGeneration"],
        "model_type": family.lower(),
        "image_token_id": ids["image"] if ids else vocabulary - 1,
        "text_config": text,
        "vision_config": {"model_type": family.lower(), **case["vision"]},
        **case["top"],
    }
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": ids["eos"] if ids else 2, "pad_token_id": ids["pad"] if ids else 0,
         "max_new_tokens": NEW_TOKENS},
    )  # fmt: skip
    write_weights(name, case, folder, config)


def requests(case):
    pictures = paths_of(PICTURES)
    chat = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": TEXT}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
        {"role": "user", "content": [{"type": "text", "text": "And <this>? "}, {"type": "image"}]},
    ]
    return [
        {"name": "ask", "text": f"User:<image>{TEXT}<end_of_utterance>\nAssistant:", "images": pictures[:1]},
        {"name": "words", "text": f"{TEXT} {FAKE}{FAKE}around", "max_new_tokens": 3},
        {"name": "between", "interleaved": ["a ", {"image": pictures[1]}, {"image": pictures[2]},
                                            " and 12 dogs"]},
        {"name": "batch", "batch": ["<image>short", "a longer prompt: <image>\n" + TEXT],
         "images": pictures[1:]},
        {"name": "chat", "messages": chat, "images": pictures[:2]},
    ]  # fmt: skip


def processors(family):
    """The classes of transformers: processor and Pillow's image processor."""
    # SmolVLM's processor asks for a package that it needs for videos alone.
    if family == "SmolVLM":
        import transformers.models.smolvlm.processing_smolvlm as smol
        from transformers.models.smolvlm.image_processing_pil_smolvlm import (
            SmolVLMImageProcessorPil,
        )

        smol.num2words = smol.num2words or str
        return smol.SmolVLMProcessor, SmolVLMImageProcessorPil
    from transformers import Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    return Idefics3Processor, Idefics3ImageProcessorPil


def make_files_case(name, out):
    from transformers import AutoTokenizer

    case, folder = copy.deepcopy(CASES[name]), out / "model"
    more = [FAKE, "<end_of_utterance>"]
    if case["places"]:
        more += [GLOBAL, *(f"<row_{i}_col_{j}>" for i in (1, 2) for j in (1, 2))]
    case["template"] = TEMPLATE
    vocabulary, ids, config = write_tokenizer(case, folder, more)
    roles = {
        "eos": ids[config["eos_token"]],
        "pad": ids[config["pad_token"]],
        "image": ids["<image>"],
    }
    side = case["image"]["max_image_size"]["longest_edge"] // case["vision"]["patch_size"]
    tokens = (side // case["top"]["scale_factor"]) ** 2
    family = case["family"]
    write_image(case, folder, {"processor_class": family + "Processor", "image_seq_len": tokens},
                family + "ImageProcessor")  # fmt: skip
    write_model(name, case, folder, vocabulary, roles)
    model = load_model(folder)
    made, image = processors(family)
    image = image.from_pretrained(str(folder))
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    videos = []
    if family == "SmolVLM":
        from transformers import SmolVLMVideoProcessor

        videos = [SmolVLMVideoProcessor()]
    processor = made(image, tokenizer, *videos, image_seq_len=tokens, chat_template=TEMPLATE)
    golden, cases = {}, []
    for request in requests(case):
        for key, value in run(model, processor, request, out).items():
            golden[f"{request['name']}.{key}"] = value
        cases.append({"task": "generate", **request})
    write_requests(out, family.lower(), golden, cases, "files")


def make_tensors_case(name, out):
    case, folder = copy.deepcopy(CASES[name]), out / "model"
    vocabulary = case["text"]["vocab_size"]
    write_model(name, case, folder, vocabulary, None)
    quiet_torch()
    model = load_model(folder)
    side = case["vision"]["image_size"]
    tokens = model.model.image_seq_len
    g = rng("idefics3-inputs", name)
    inputs, golden, cases = {}, {}, []
    for what, (counts, words) in {"one": ([1], [11]), "rows": ([2, 1], [9, 20])}.items():
        ids, mask = rows_of(g, counts, words, vocabulary - 1, tokens)
        pixels = np.zeros((len(counts), max(counts), 3, side, side), np.float32)
        for i, count in enumerate(counts):
            pixels[i, :count] = g.standard_normal((count, 3, side, side))
        one = {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels}
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        golden.update({f"{what}.{k}": v for k, v in run_tensors(model, one).items()})
        cases.append({"name": what, "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"{what}.", "max_new_tokens": NEW_TOKENS})  # fmt: skip
    write_safetensors(out / "inputs.safetensors", inputs)
    write_requests(out, "idefics3", golden, cases, "tensors")


def make_all(root):
    for name in CASES:
        out = Path(root) / name
        shutil.rmtree(out, ignore_errors=True)
        (out / "model").mkdir(parents=True)
        (make_files_case if "image" in CASES[name] else make_tensors_case)(name, out)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"idefics3/{name}: {size / 1024:.0f} KiB", flush=True)
