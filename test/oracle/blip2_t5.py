"""Random BLIP-2 and InstructBLIP checkpoints with T5, an encoder-decoder, and their goldens.

The encoder reads the prompt with the pictures' features, the decoder begins with a token of
its own; answers are chosen greedily and searched for by beams. Two checkpoints with OPT and
Llama are searched as well. Inputs are ready-made.
"""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
from blip2_files import digest_of, load_images, prompts_of, requests, word_pieces, write_tokenizer
from blip2_models import config_of, load_model, plan_of, random_weight, to_torch
from clip_text import SCRIPTS
from common import quiet_torch, rng, write_json, write_safetensors
from sentence import train_spiece
from siglip_cases import LINES

NEW_TOKENS = 8


def vision(**other):
    return dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
                image_size=28, patch_size=14) | other  # fmt: skip


def qformer(**other):
    return dict(hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2,
                cross_attention_frequency=2, vocab_size=40, max_position_embeddings=90) | other  # fmt: skip


CASES = {
    "v1": {
        "about": "T5 1.0: ReLU, tied head behind a scale; half as many layers in the decoder",
        "class": "Blip2ForConditionalGeneration",
        "store": "f32",
        "text": dict(model_type="t5", d_model=24, d_kv=8, d_ff=40, num_layers=2,
                     num_decoder_layers=1, num_heads=3, vocab_size=97,
                     decoder_start_token_id=0, eos_token_id=[1, 20, 35, 50, 61, 74, 88]),
        "top": dict(num_query_tokens=5),
        "prompts": [[9], [31, 4]],
        "searches": [dict(num_beams=3), dict(num_beams=5, length_penalty=0.0, early_stopping=True),
                     dict(num_beams=2, length_penalty=-1.5, early_stopping="never")],
    },
    "v1-1": {
        "about": "T5 1.1 as in files of version 4: gated, a head of its own, no scale; few "
                 "buckets, so that distances are the same soon",
        "class": "Blip2ForConditionalGeneration",
        "store": "bf16",
        "vision": vision(qkv_bias=False),
        "text": dict(model_type="t5", d_model=28, d_kv=6, d_ff=36, num_layers=2, num_heads=5,
                     vocab_size=80, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
                     relative_attention_num_buckets=10, relative_attention_max_distance=12,
                     decoder_start_token_id=3, eos_token_id=[1, 7], dense_act_fn="gelu_new",
                     is_gated_act=True, n_positions=512, output_past=True,
                     classifier_dropout=0.0),
        "head": True,
        "copies": True,
        "top": dict(num_query_tokens=7, use_decoder_only_language_model=False),
        "prompts": [[70, 12]],
        "searches": [dict(num_beams=4, length_penalty=2.0)],
    },
    "unscaled": {
        "about": "as version 5 writes it: the scale by a key of its own, a tied head; gated "
                 "SiLU, odd buckets, no start but the begin of texts",
        "class": "Blip2ForConditionalGeneration",
        "store": "f16",
        "text": dict(model_type="t5", d_model=20, d_kv=16, d_ff=24, num_layers=3,
                     num_decoder_layers=2, num_heads=2, vocab_size=60,
                     feed_forward_proj="gated-silu", scale_decoder_outputs=False,
                     tie_word_embeddings=True, relative_attention_num_buckets=21,
                     relative_attention_max_distance=40, layer_norm_epsilon=1e-5,
                     bos_token_id=5),
        "top": dict(num_query_tokens=1),
        "prompts": [[50]],
        "searches": [dict(num_beams=3, early_stopping="never", length_penalty=0.7)],
    },
    "instruct-v1": {
        "about": "InstructBLIP with T5 1.0 of one layer each, and the defaults of buckets",
        "class": "InstructBlipForConditionalGeneration",
        "store": "bf16",
        "text": dict(model_type="t5", d_model=16, d_kv=4, d_ff=30, num_layers=1, num_heads=4,
                     vocab_size=70, decoder_start_token_id=0),
        "top": dict(num_query_tokens=3),
        "prompts": [[20], [4, 9]],
        "searches": [dict(num_beams=2)],
    },
    "instruct-flan": {
        "about": "InstructBLIP with T5 1.1, as FlanT5's, whose file says another GELU than its "
                 "form; a prompt beyond the last bucket",
        "class": "InstructBlipForConditionalGeneration",
        "store": "f32",
        "text": dict(model_type="t5", d_model=24, d_kv=5, d_ff=28, num_layers=2,
                     num_decoder_layers=2, num_heads=3, vocab_size=64,
                     feed_forward_proj="gated-gelu", dense_act_fn="gelu",
                     tie_word_embeddings=False, decoder_start_token_id=0),
        "head": True,
        "top": dict(num_query_tokens=4),
        "prompts": [[150]],
        "searches": [dict(num_beams=5, early_stopping=True)],
    },
    "instruct-plain": {
        "about": "InstructBLIP with T5 whose feed-forward layers have the erf GELU, no gate; "
                 "one head, four buckets",
        "class": "InstructBlipForConditionalGeneration",
        "store": "f16",
        "text": dict(model_type="t5", d_model=18, d_kv=12, d_ff=22, num_layers=3,
                     num_decoder_layers=2, num_heads=1, vocab_size=55, feed_forward_proj="gelu",
                     relative_attention_num_buckets=4, relative_attention_max_distance=30,
                     decoder_start_token_id=2),
        "top": dict(num_query_tokens=2),
        "prompts": [[11, 40]],
        "searches": [dict(num_beams=3, length_penalty=-0.5)],
    },
    "opt": {
        "about": "beams of a decoder alone",
        "class": "Blip2ForConditionalGeneration",
        "store": "f32",
        "text": dict(model_type="opt", hidden_size=20, ffn_dim=30, num_hidden_layers=1,
                     num_attention_heads=2, vocab_size=60, max_position_embeddings=100,
                     word_embed_proj_dim=20),
        "top": dict(num_query_tokens=3),
        "prompts": [[9, 5]],
        "searches": [dict(num_beams=4), dict(num_beams=2, length_penalty=0.0)],
    },
}  # fmt: skip

# From words and pictures.
SEARCHES = [
    dict(num_beams=3),
    dict(num_beams=4, length_penalty=2.0, early_stopping=True),
    dict(num_beams=2, length_penalty=-1.0, early_stopping="never"),
]
FILES = {
    "files": {
        "about": "captions by FlanT5's kind; the end token behind the words, padding at the right",
        "class": "Blip2ForConditionalGeneration",
        "store": "bf16",
        "text": dict(model_type="t5", d_model=24, d_kv=5, d_ff=28, num_layers=2, num_heads=3,
                     feed_forward_proj="gated-gelu", tie_word_embeddings=False,
                     decoder_start_token_id=0),
        "head": True,
        "top": dict(num_query_tokens=6),
    },
    "files-instruct": {
        "about": "InstructBLIP: the prompt in word pieces beside the queries, and in T5's tokens",
        "class": "InstructBlipForConditionalGeneration",
        "store": "bf16",
        "text": dict(model_type="t5", d_model=20, d_kv=6, d_ff=30, num_layers=1, num_heads=2,
                     decoder_start_token_id=0),
        "top": dict(num_query_tokens=4),
    },
}  # fmt: skip


def write_model(name, case, folder):
    torch = quiet_torch()
    import transformers
    from safetensors.torch import save_file

    config = config_of(case)
    write_json(folder / "config.json", config)
    side = case["vision"]["image_size"]
    write_json(
        folder / "preprocessor_config.json",
        {"image_processor_type": "BlipImageProcessor", "size": {"height": side, "width": side}},
    )
    family = "InstructBlip" if config["model_type"] == "instructblip" else "Blip2"
    with torch.device("meta"):
        settings = getattr(transformers, family + "Config")(**config)
        model = getattr(transformers, case["class"])(settings)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[case["store"]]
    tensors = {}
    for key, value in model.state_dict().items():
        if "lm_head" in key and not case.get("head"):
            continue
        source = key
        if key.startswith("language_model.") and key.split(".")[2] == "embed_tokens":
            if not case.get("copies"):
                continue
            source = "language_model.shared.weight"
        data = random_weight(source, tuple(value.shape), "t5-" + name)
        if source.endswith(("shared.weight", "decoder.embed_tokens.weight")):
            # Small where they are the head too: else each token is the likeliest behind itself.
            size = 1 if case.get("head") else 0.3
            data = size * rng("blip2", "t5-" + name, source).standard_normal(value.shape)
        tensors[key] = torch.tensor(data.astype(np.float32)).to(dtype)
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})


def generate(model, given, **options):
    """The answer without what stands before it."""
    torch = quiet_torch()
    with torch.no_grad():
        chosen = model.generate(**given, do_sample=False, max_new_tokens=NEW_TOKENS, **options)
    width = given["input_ids"].shape[1]
    if model.language_model.config.is_encoder_decoder:
        return chosen[:, 1:]
    return chosen[:, width:] if chosen.shape[1] > width else chosen


def run_generate(model, inputs):
    """What `vlmc run` writes for the task `generate`, given the inputs."""
    torch = quiet_torch()
    given = to_torch(inputs)
    ids, queries = given["input_ids"], model.config.num_query_tokens
    out = {"generated_ids": generate(model, given)}
    if not model.language_model.config.is_encoder_decoder:
        return {k: v.numpy() for k, v in out.items()}
    text = model.config.text_config
    start = getattr(text, "decoder_start_token_id", None)
    start = text.bos_token_id if start is None else start
    with torch.no_grad():
        got = model(**given, decoder_input_ids=torch.full((len(ids), 1), start))
        features = got.qformer_outputs.last_hidden_state[:, :queries]
        out |= {
            "vision_features": got.vision_outputs.last_hidden_state,
            "qformer_features": features,
            "image_features": model.language_projection(features),
            "encoder_features": got.language_model_outputs.encoder_last_hidden_state,
            "logits": got.logits,
        }
    embeds = model.get_input_embeddings()(ids)
    image = ids == model.config.image_token_index
    out["inputs_embeds"] = embeds.masked_scatter(image[..., None], out["image_features"])
    return {k: v.detach().contiguous().numpy() for k, v in out.items()}


def make_case(name, root):
    case, out = CASES[name], Path(root) / name
    case = {"vision": vision(), "qformer": qformer()} | case
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    write_model(name, case, out / "model")
    model = load_model(out / "model")
    inputs, golden, cases = {}, {}, []

    def request(what, source, **options):
        cases.append({"name": what, "task": "generate", "tensors": "inputs.safetensors",
                      "prefix": f"{source}.", "max_new_tokens": NEW_TOKENS, **options})  # fmt: skip

    for what, _, one in plan_of("t5-" + name, case):
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        golden.update({f"{what}.{k}": v for k, v in run_generate(model, one).items()})
        request(what, what)
        for i, options in enumerate(case["searches"]):
            search = f"{what}-search{i}"
            ids = generate(model, to_torch(one), **options)
            golden[f"{search}.generated_ids"] = ids.contiguous().numpy()
            request(search, what, **options)
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json", {"family": "blip-2", "mode": "tensors", "cases": cases}
    )


def write_t5_tokenizer(folder):
    """T5's: pieces of SentencePiece, sentinels, and the token of pictures. Returns its size."""
    import transformers
    from sentencepiece import sentencepiece_model_pb2 as pb

    path = folder / "spiece.model"
    train_spiece(path, LINES + SCRIPTS[:9], 400)
    model = pb.ModelProto.FromString(path.read_bytes())
    path.unlink()
    tokenizer = transformers.T5Tokenizer(
        vocab=[(piece.piece, piece.score) for piece in model.pieces],
        _spm_precompiled_charsmap=model.normalizer_spec.precompiled_charsmap,
        extra_ids=4,
    )
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.save_pretrained(str(folder))
    return len(tokenizer)


def write_files_model(name, folder):
    case = {"vision": vision(), "qformer": qformer()} | copy.deepcopy(FILES[name])
    instructs = case["class"].startswith("Instruct")
    size = write_t5_tokenizer(folder)
    if instructs:
        case["qformer"]["vocab_size"] = write_tokenizer(folder / "qformer_tokenizer", word_pieces())
        case["qformer"]["max_position_embeddings"] = 100
    case["text"]["vocab_size"] = size + 13
    write_model(name, case, folder)
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, "image_token_index": size - 1})
    kind = "InstructBlipProcessor" if instructs else "Blip2Processor"
    queries = case["top"]["num_query_tokens"]
    write_json(
        folder / "processor_config.json", {"processor_class": kind, "num_query_tokens": queries}
    )


def run_files(model, processor, case, root, **options):
    torch = quiet_torch()
    prompts = prompts_of(case)
    given = processor(text=list(prompts), images=load_images(case, root), return_tensors="pt",
                      padding=len(prompts) > 1)  # fmt: skip
    new = generate(model, given, **options)
    with torch.no_grad():
        start = torch.full((len(prompts), 1), model.config.text_config.decoder_start_token_id)
        got = model(**given, decoder_input_ids=start)
    texts = processor.batch_decode(new, skip_special_tokens=True)
    as_bytes = [np.frombuffer("\0".join(t).encode(), np.uint8) for t in (texts, prompts)]
    out = {
        "input_ids": given["input_ids"].numpy(),
        "attention_mask": given["attention_mask"].numpy().astype(np.uint8),
        "pixel_values.sha256": digest_of(given["pixel_values"]),
        "generated_ids": new.numpy(),
        "logits": got.logits.numpy(),
        "encoder_features": got.language_model_outputs.encoder_last_hidden_state.numpy(),
    }
    if "qformer_input_ids" in given:
        out["qformer_input_ids"] = given["qformer_input_ids"].numpy()
    return out | {k: v for k, v in zip(("text", "prompt"), as_bytes) if len(v)}


def make_files_case(name, root):
    import transformers

    out = Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    write_files_model(name, out / "model")
    model = load_model(out / "model")
    kind = "InstructBlip" if FILES[name]["class"].startswith("Instruct") else "Blip2"
    processor = getattr(transformers, kind + "Processor").from_pretrained(str(out / "model"))
    pil = transformers.BlipImageProcessorPil.from_pretrained(str(out / "model"))
    processor.image_processor = pil
    golden, cases = {}, []
    asked = [(case, {}) for case in requests("files-opt")]
    asked += [
        ({**asked[0][0], "name": f"search{i}"}, options) for i, options in enumerate(SEARCHES)
    ]
    for case, options in asked:
        for key, value in run_files(model, processor, case, out, **options).items():
            golden[f"{case['name']}.{key}"] = value
        cases.append({"task": "generate", **case, "max_new_tokens": NEW_TOKENS, **options})
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(out / "requests-files.json", {"family": "blip-2", "mode": "files", "cases": cases})


def make_all(root):
    for name in [*CASES, *FILES]:
        (make_case if name in CASES else make_files_case)(name, root)
        out = Path(root) / name
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"blip2-t5/{name}: {size / 1024:.0f} KiB", flush=True)
