"""Compiling a checkpoint larger than memory: what vlmc holds stays below the largest tensor and 256 MiB.

    memory_test.py [--gib N]

The checkpoint is a sparse file of zeros, so it takes no room on disk; the compiled weights are not sparse and do. What is
measured is the peak of the resident set as the kernel counts it (VmHWM): anonymous memory and the pages of mapped files.
Some 220 MiB of it are there before any weight is read: pages of libLLVM and libMLIR, and the heap of the passes.
"""

import argparse
import json
import os
import pathlib
import shutil
import struct
import sys
import tempfile
import time

VLMC = os.environ["VLMC_PROGRAM"]
SOURCE = pathlib.Path(os.environ["VLMC_SOURCE"])
MIB = 1 << 20


def make_checkpoint(folder, layers, width, vocabulary):
    """A CLIP whose text tower has most of the weights, from the golden v5-plain."""
    small = SOURCE / "test/e2e/goldens/clip/v5-plain/model"
    folder.mkdir()
    config = json.loads((small / "config.json").read_text())
    text = config["text_config"]
    text.update(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers)
    text.update(num_attention_heads=width // 64, vocab_size=vocabulary)
    text.update(bos_token_id=0, eos_token_id=1, pad_token_id=1)
    (folder / "config.json").write_text(json.dumps(config))
    with (small / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        tensors = json.loads(file.read(length))
    shapes = {
        name: tensor["shape"]
        for name, tensor in tensors.items()
        if name != "__metadata__" and not name.startswith("text_model.")
    }
    shapes.update(text_shapes(text))
    shapes["text_projection.weight"] = [config["projection_dim"], width]
    return write_zeros(folder / "model.safetensors", shapes)


def text_shapes(text):
    width, inner = text["hidden_size"], text["intermediate_size"]
    shapes = {
        "text_model.embeddings.token_embedding.weight": [text["vocab_size"], width],
        "text_model.embeddings.position_embedding.weight": [text["max_position_embeddings"], width],
        "text_model.final_layer_norm.weight": [width],
        "text_model.final_layer_norm.bias": [width],
    }
    for layer in range(text["num_hidden_layers"]):
        prefix = f"text_model.encoder.layers.{layer}."
        linear = {f"self_attn.{name}_proj": [width, width] for name in ("q", "k", "v", "out")}
        linear |= {"mlp.fc1": [inner, width], "mlp.fc2": [width, inner]}
        for name, shape in linear.items():
            shapes[f"{prefix}{name}.weight"] = shape
            shapes[f"{prefix}{name}.bias"] = shape[:1]
        for norm in ("layer_norm1", "layer_norm2"):
            shapes[f"{prefix}{norm}.weight"] = shapes[f"{prefix}{norm}.bias"] = [width]
    return shapes


def write_zeros(path, shapes):
    """A safetensors file of zeros that takes no room; the bytes of all tensors and of the largest."""
    header, offset, largest = {}, 0, 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
        largest = max(largest, size)
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    return offset, largest


def compile_and_measure(model, package):
    """Compiles and returns the peak of the resident set in bytes."""
    # Of a process of its own, so that the peak is that of this program alone.
    process = os.posix_spawn(VLMC, [VLMC, "compile", model, "-o", package], os.environ)
    _, status, usage = os.wait4(process, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"compiling {model} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--gib", type=float, default=1.5, help="size of the checkpoint (default 1.5)"
    )
    arguments = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="vlmc-memory."))
    try:
        width = 1024 if arguments.gib < 4 else 2048
        embedding = 65536 * width * 4
        layer = 4 * 12 * width * width
        layers = max(1, round((arguments.gib * 1024 * MIB - embedding) / layer))
        total, largest = make_checkpoint(work / "large", layers, width, 65536)
        start = time.monotonic()
        peak = compile_and_measure(work / "large", work / "large.vlm")
        seconds = time.monotonic() - start
        written = (work / "large.vlm/large.weights").stat().st_size
    finally:
        shutil.rmtree(work)
    limit = largest + 256 * MIB
    print(
        f"checkpoint {total / MIB:.0f} MiB, largest tensor {largest / MIB:.0f} MiB, written {written / MIB:.0f} MiB in "
        f"{seconds:.0f} s: peak {peak / MIB:.0f} MiB, limit {limit / MIB:.0f} MiB"
    )
    if total < arguments.gib * 1000 * MIB * 0.9 or written < total:
        sys.exit("the checkpoint is smaller than it should be")
    if peak > limit:
        sys.exit("the peak is above the limit")


if __name__ == "__main__":
    main()
