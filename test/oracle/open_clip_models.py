"""Random checkpoints in OpenCLIP's own layout, and what open_clip makes of them.

`<case>/model` holds open_clip_config.json, open_clip_model.safetensors and the
files of a tokenizer; requests and goldens are as in clip_models.py. Texts are
always as long as the context, with pads of id 0, and there is no mask.
"""

import shutil
from pathlib import Path

import numpy as np
from clip_cases import TEXTS
from clip_models import FILE_PICTURES, WHOLE_PIXELS, pixel_input, write_tokenizer
from common import quiet_torch, rng, sha256, write_json, write_safetensors

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]

# vision, text: vision_cfg and text_cfg; top: what else model_cfg says.
CASES = {
    "resnet": {
        "about": "stages of 1, 2, 1 and 1 bottlenecks, a last map of 2 x 2, erf gelu",
        "vision": dict(image_size=64, layers=[1, 2, 1, 1], width=2, head_width=16, patch_size=None),
        "text": dict(context_length=12, width=24, heads=3, layers=2),
        "embed_dim": 20,
        "store": "f32",
        "merges": 20,
        "preprocess": dict(
            size=64,
            mode="RGB",
            mean=MEAN,
            std=STD,
            interpolation="bicubic",
            resize_mode="shortest",
            fill_color=0,
        ),
    },
    "resnet-quick": {
        "about": "quick_gelu, as OpenAI's own; 16 heads of 8, a last map of 3 x 3, float16, "
        "longest side with a border, bilinear",
        "vision": dict(image_size=96, layers=[2, 1, 1, 1], width=4, head_width=8),
        "text": dict(context_length=9, width=15, heads=5, layers=1),
        "top": dict(quick_gelu=True),
        "embed_dim": 33,
        "store": "f16",
        "merges": 0,
        "preprocess": dict(size=96, interpolation="bilinear", resize_mode="longest"),
    },
    "resnet-one-place": {
        "about": "a last map of one pixel, widths that are no power of two, bfloat16, squashed pictures, "
        "a module of its own for the texts",
        "vision": dict(image_size=32, layers=[1, 1, 2, 1], width=6, head_width=48),
        "text": dict(context_length=77, width=16, heads=2, layers=1, mlp_ratio=2.5),
        "top": dict(custom_text=True),
        "embed_dim": 17,
        "store": "bf16",
        "merges": 10,
        "preprocess": dict(size=[32, 32], resize_mode="squash", mean=[0.5] * 3, std=[0.5] * 3),
    },
    "vit": {
        "about": "a vision transformer with quick_gelu, heads of 8, float16",
        "vision": dict(image_size=32, layers=2, width=32, head_width=8, patch_size=8),
        "text": dict(context_length=16, width=24, heads=4, layers=2),
        "top": dict(quick_gelu=True),
        "embed_dim": 40,
        "store": "f16",
        "merges": 60,
        "preprocess": dict(size=32, mean=MEAN, std=STD),
    },
    "vit-custom": {
        "about": "tanh gelu, epsilons, no norm in front, a learned bias, texts that see both ways, pooled "
        "at the end token, a projection with a bias; float16",
        "vision": dict(
            image_size=56,
            layers=3,
            width=30,
            head_width=10,
            patch_size=14,
            mlp_ratio=2.7,
            no_ln_pre=True,
            act_kwargs={"approximate": "tanh"},
            norm_kwargs={"eps": 1e-3},
        ),
        "text": dict(
            context_length=11,
            width=20,
            heads=2,
            layers=2,
            no_causal_mask=True,
            proj_bias=True,
            pool_type="eos",
            act_kwargs={"approximate": "tanh"},
            norm_kwargs={"eps": 1e-6},
        ),
        "top": dict(init_logit_bias=-10.0, init_logit_scale=2.3, custom_text=True),
        "embed_dim": 21,
        "store": "f16",
        "merges": 25,
        "preprocess": dict(size=56, resize_mode="squash", mean=0.5, std=0.25),
    },
    "vit-defaults": {
        "about": "keys left out: head_width 64, mlp_ratio 4, a context of 77, quick_gelu off; the last token "
        "pooled, bfloat16",
        "vision": dict(image_size=48, layers=1, width=64, patch_size=16),
        "text": dict(width=16, heads=4, layers=1, pool_type="last"),
        "embed_dim": 12,
        "store": "bf16",
        "merges": 5,
        "preprocess": None,
    },
}


def random_weight(name, shape, case):
    """Values that leave no term without effect: biases and norms as well."""
    g = rng("open_clip", case, name)
    x = g.standard_normal(shape)
    norm = ".bn" in name or ".ln_" in name or name.startswith("ln_") or "downsample.1" in name
    if name == "logit_scale":
        return np.asarray(g.uniform(1.0, 3.0))
    if name == "logit_bias":
        return np.asarray(g.uniform(-9.0, -3.0))
    if name.endswith("running_var"):
        return g.uniform(0.4, 2.0, shape)
    if name.endswith("running_mean"):
        return 0.3 * x
    if norm:
        return 1 + 0.25 * x if name.endswith("weight") else 0.2 * x
    if name.endswith("bias"):
        return 0.15 * x
    if name.endswith(("embedding", "embedding.weight")):
        return 0.6 * x
    # Matrices that are multiplied from the right have their inputs in front.
    right = name.endswith(("proj", "text_projection"))
    fan_in = int(np.prod(shape[:1] if right else shape[1:]))
    sharp = "q_proj" in name or "k_proj" in name or "in_proj" in name
    return (1.6 if sharp else 1.1) * x / np.sqrt(fan_in)


def make_model(case, config):
    """The model of the config, with the random weights rounded as they are stored."""
    torch = quiet_torch()
    import open_clip
    from safetensors.torch import save_file

    config = dict(config)
    custom = config.pop("custom_text", False)
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    state, stored = model.state_dict(), {}
    for key, value in state.items():
        if key.endswith("num_batches_tracked"):
            stored[key] = value
            continue
        data = random_weight(key, tuple(value.shape), case["name"]).astype(np.float32)
        stored[key] = torch.tensor(data).to(dtype[case["store"]])
        state[key] = stored[key].to(torch.float32)
    model.load_state_dict(state)
    save_file(stored, str(case["folder"] / "open_clip_model.safetensors"), {"format": "pt"})
    return model.eval()


def run_embed(model, inputs):
    """What `vlmc run` writes for the task `embed`, given the model's inputs."""
    torch = quiet_torch()
    text_tower = getattr(model, "text", model)
    kept, out = {}, {}

    def keep(name):
        return lambda module, args, result: kept.__setitem__(name, result)

    visual = model.visual
    last = visual.layer4 if hasattr(visual, "layer4") else visual.transformer
    hooks = [
        last.register_forward_hook(keep("vision_features")),
        text_tower.ln_final.register_forward_hook(keep("text_features")),
    ]
    with torch.no_grad():
        if "pixel_values" in inputs:
            image = model.encode_image(torch.from_numpy(inputs["pixel_values"]), normalize=True)
            out["image_embeds"] = image
            features = kept["vision_features"]
            if features.ndim == 4:  # a map with channels in front
                features = features.flatten(2).transpose(1, 2)
            out["vision_features"] = features
        if "input_ids" in inputs:
            text = model.encode_text(torch.from_numpy(inputs["input_ids"]), normalize=True)
            out["text_embeds"] = text
            out["text_features"] = kept["text_features"]
        if len(inputs) == 2:
            logits = model.logit_scale.exp() * image @ text.T
            if model.logit_bias is not None:
                logits = logits + model.logit_bias
            got = model.get_logits(
                torch.from_numpy(inputs["pixel_values"]), torch.from_numpy(inputs["input_ids"])
            )
            assert torch.equal(got[0], logits)
            out["logits_per_image"] = logits
    for hook in hooks:
        hook.remove()
    result = {k: v.contiguous().numpy() for k, v in out.items()}
    for key, value in inputs.items():
        if key == "pixel_values" and value.shape[-1] > WHOLE_PIXELS:
            result["pixel_values.sha256"] = np.frombuffer(bytes.fromhex(sha256(value)), np.uint8)
        else:
            result[key] = value
    return result


def random_ids(g, rows, context, vocab_size, bos, eos):
    """Texts as open_clip makes them: pads of id 0 behind the end token."""
    ids = np.zeros((rows, context), np.int64)
    for r in range(rows):
        n = context if r == 0 else int(g.integers(2, context + 1))
        ids[r, :n] = g.integers(1, vocab_size - 2, n)
        ids[r, 0], ids[r, n - 1] = bos, eos
    return ids


def make_tensors(case, model, side, context, out):
    """Requests, inputs and goldens of mode `tensors`."""
    g = rng("open_clip-inputs", case["name"])
    plan = {"both": (2, 3), "image": (3, 0), "text": (0, 1)}
    if side > 40:  # larger pictures come by mode `files`, to keep this small
        plan = {"both": (1, 2), "text": (0, 3)}
    inputs, golden, cases = {}, {}, []
    for what, (images, texts) in plan.items():
        one = {}
        if images:
            one["pixel_values"] = pixel_input(g, images, side)
        if texts:
            one["input_ids"] = random_ids(g, texts, context, *case["ids"])
        inputs.update({f"{what}.{k}": v for k, v in one.items()})
        if texts:
            inputs[f"{what}.attention_mask"] = np.ones_like(one["input_ids"], np.uint8)
        for key, value in run_embed(model, one).items():
            if key not in one and not key.startswith("pixel_values"):
                golden[f"{what}.{key}"] = value
        cases.append(
            {"name": what, "task": "embed", "tensors": "inputs.safetensors", "prefix": f"{what}."}
        )
    write_safetensors(out / "inputs.safetensors", inputs)
    write_safetensors(out / "golden-tensors.safetensors", golden)
    write_json(
        out / "requests-tensors.json",
        {"family": "open_clip", "mode": "tensors", "cases": cases},
    )


def make_files(case, model, side, context, out):
    """Requests and goldens of mode `files`: pictures and texts."""
    import open_clip
    from transformers import AutoTokenizer
    from transformers.image_utils import load_image

    settings = dict(case["preprocess"] or {})
    settings.pop("size", None)
    settings.pop("mode", None)
    transform = open_clip.transform.image_transform(side, is_train=False, **settings)
    tokenizer = AutoTokenizer.from_pretrained(str(out / "model"))
    plan = {
        "both": (FILE_PICTURES, TEXTS),
        "image": (FILE_PICTURES[1:], []),
        "text": ([], TEXTS[:1]),
    }
    golden, cases = {}, []
    for what, (pictures, texts) in plan.items():
        request, one = {"name": what, "task": "embed"}, {}
        if pictures:
            request["images"] = [f"../../clip/pictures/{p}" for p in pictures]
            loaded = [load_image(str(out / p)) for p in request["images"]]
            one["pixel_values"] = np.stack([transform(picture).numpy() for picture in loaded])
        if texts:
            request["texts"] = texts
            ids = np.zeros((len(texts), context), np.int64)
            for row, text in zip(ids, texts):
                got = tokenizer(text, truncation=True, max_length=context)["input_ids"]
                row[: len(got)] = got
            one["input_ids"] = ids
        for key, value in run_embed(model, one).items():
            if key != "pixel_values" or what == "both":
                golden[f"{what}.{key}"] = value
        if texts:
            golden[f"{what}.attention_mask"] = np.ones_like(one["input_ids"], np.uint8)
        cases.append(request)
    write_safetensors(out / "golden-files.safetensors", golden)
    write_json(
        out / "requests-files.json",
        {"family": "open_clip", "mode": "files", "cases": cases},
    )


def make_case(name, root):
    out = Path(root) / name
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "model"
    folder.mkdir(parents=True)
    case = dict(CASES[name], name=name, folder=folder)
    context = case["text"].get("context_length", 77)
    tokens = {
        "tokenizer": "json",
        "merges": case["merges"],
        "text": {"max_position_embeddings": context},
    }
    vocab_size, bos, eos, _ = write_tokenizer(name, tokens, folder)
    case["ids"] = vocab_size, bos, eos
    text = dict(case["text"], vocab_size=vocab_size)
    if text.get("pool_type") == "eos":
        text["eos_id"] = eos
    vision = case["vision"]
    config = dict(
        case.get("top", {}), embed_dim=case["embed_dim"], vision_cfg=vision, text_cfg=text
    )
    written = {"model_cfg": config}
    if case["preprocess"] is not None:
        written["preprocess_cfg"] = case["preprocess"]
    write_json(folder / "open_clip_config.json", written)
    model = make_model(case, config)
    side = vision["image_size"]
    side = side if isinstance(side, int) else side[0]
    make_tensors(case, model, side, context, out)
    make_files(case, model, side, context, out)
    return out


def make_all(root):
    for name in CASES:
        out = make_case(name, root)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(f"open_clip/{name}: {size / 1024:.0f} KiB", flush=True)
