"""Picture towers of OpenCLIP's residual networks beside ONNX Runtime and OpenVINO.

    towers.py [--model RN50] [--threads 2] [--rounds 15] [--folder DIR]

Makes a random model with open_clip, exports its picture tower to ONNX (which
OpenVINO reads as well), and compiles the checkpoint with vlmc. Each system is
a process of its own; they run in turns of about `--block-ms` milliseconds.
Prints the best and the median time of each, and the largest difference from
torch by the norm of its embedding.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]


# -- Models


def make_model(name, folder):
    """Writes model/ (OpenCLIP's layout), model.onnx, inputs and torch's embedding."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(7)
    config = open_clip.get_model_config(name)
    model = open_clip.CLIP(**config).eval()
    for module in model.modules():  # running statistics of their own, as after training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            if float(module.weight.detach().abs().max()) == 0:  # of a block's last norm
                torch.nn.init.constant_(module.weight, 0.5)
    checkpoint = folder / "model"
    checkpoint.mkdir(parents=True, exist_ok=True)
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()},
        checkpoint / "open_clip_model.safetensors",
    )
    settings = {"model_cfg": config, "preprocess_cfg": {}}
    (checkpoint / "open_clip_config.json").write_text(json.dumps(settings))
    (checkpoint / "tokenizer.json").write_text(make_tokenizer())
    side = config["vision_cfg"]["image_size"]
    pixels = torch.randn(1, 3, side, side)
    with torch.no_grad():
        embedding = model.visual(pixels)
    torch.onnx.export(
        model.visual, (pixels,), folder / "model.onnx", input_names=["pixel_values"], dynamo=True
    )
    save_file({"pixel_values": pixels.contiguous()}, folder / "inputs.safetensors")
    np.save(folder / "torch.npy", embedding.numpy())


def make_tokenizer():
    """A tokenizer of bytes: the text tower is compiled, but not run."""
    from open_clip.tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = letters + [letter + "</w>" for letter in letters] + ["<|startoftext|>", "<|endoftext|>"]
    ids = {word: number for number, word in enumerate(words)}
    added = [
        {
            "id": ids[word],
            "content": word,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for word in words[-2:]
    ]
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": {
                "type": "ByteLevel",
                "add_prefix_space": False,
                "trim_offsets": True,
                "use_regex": True,
            },
            "post_processor": None,
            "decoder": {
                "type": "ByteLevel",
                "add_prefix_space": True,
                "trim_offsets": True,
                "use_regex": True,
            },
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "<|endoftext|>",
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "</w>",
                "fuse_unk": False,
                "byte_fallback": False,
                "vocab": ids,
                "merges": [],
            },
        }
    )


# -- A peer as a process that obeys `run K`, as tools/bench/peer does


def serve(system, folder, threads):
    from safetensors.numpy import load_file

    pixels = load_file(folder / "inputs.safetensors")["pixel_values"]
    if system == "ort":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, ["CPUExecutionProvider"]
        )
        run = lambda: session.run(None, {"pixel_values": pixels})[0]  # noqa: E731
    else:
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        core = openvino.Core()
        request = core.compile_model(
            core.read_model(folder / "model.onnx"), "CPU", settings
        ).create_infer_request()
        run = lambda: request.infer([pixels], share_inputs=True, share_outputs=True)[0]  # noqa: E731
    np.save(folder / f"{system}.npy", run())
    print(json.dumps({"event": "ready"}), flush=True)
    for line in sys.stdin:
        if line.strip() == "quit":
            return
        for _ in range(int(line.split()[1])):
            start = time.perf_counter()
            run()
            report = {"event": "rep", "metrics": {"ms": (time.perf_counter() - start) * 1e3}}
            print(json.dumps(report), flush=True)
        print(json.dumps({"event": "done"}), flush=True)


class Peer:
    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.best = []
        self.repetitions = 1
        self.read("ready")

    def read(self, last):
        """The times told until the event `last`."""
        times = []
        for line in self.process.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "rep":
                times.append(event["metrics"]["ms"])
            if event.get("event") == last:
                return times
        raise SystemExit(
            f"towers.py: {self.name} ended with status {self.process.wait()}; see what it said above"
        )

    def turn(self, block_ms):
        self.process.stdin.write(f"run {self.repetitions}\n")
        self.process.stdin.flush()
        times = self.read("done")
        self.best.append(min(times))
        self.repetitions = max(1, round(block_ms / statistics.median(times)))

    def quit(self):
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        self.process.wait()


def vlmc_command(name, folder, threads):
    common = [str(ROOT / "tools/bench/peer"), "--case", f"clip-{name.lower()}-image-bs1"]
    common += [
        "--checkpoint",
        str(folder / "model"),
        "--work",
        str(folder),
        "--threads",
        str(threads),
    ]
    common += [
        "--inputs",
        str(folder / "inputs.safetensors"),
        "--outputs",
        str(folder / "vlmc.safetensors"),
    ]
    subprocess.run(common + ["--prepare"], check=True, stdout=subprocess.DEVNULL)
    return common


def difference(folder, system):
    want = np.load(folder / "torch.npy")
    if system == "vlmc":
        from safetensors.numpy import load_file

        got = load_file(folder / "vlmc.safetensors")["embedding"]
    else:
        got = np.load(folder / f"{system}.npy")
    return np.abs(got.reshape(want.shape) - want).max() / np.linalg.norm(want)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="RN50", help="a residual network that open_clip knows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--block-ms", type=float, default=400)
    parser.add_argument(
        "--folder", type=Path, help="where models are kept (default: below the cache)"
    )
    parser.add_argument("--serve", choices=["ort", "openvino"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    cache = Path(os.environ.get("VLMC_CACHE", Path.home() / ".cache/vlmc"))
    folder = args.folder or cache / "towers" / args.model
    if args.serve:
        return serve(args.serve, folder, args.threads)
    if not (folder / "torch.npy").exists():
        make_model(args.model, folder)
    own = [
        sys.executable,
        __file__,
        "--model",
        args.model,
        "--folder",
        str(folder),
        "--threads",
        str(args.threads),
    ]
    commands = {"vlmc": vlmc_command(args.model, folder, args.threads)}
    commands |= {system: own + ["--serve", system] for system in ("openvino", "ort")}
    peers = [Peer(name, command) for name, command in commands.items()]
    for _ in range(args.rounds):
        for peer in peers:
            peer.turn(args.block_ms)
    print(f"{args.model}, picture tower, one picture, {args.threads} threads, f32")
    print(f"{'':10}{'min ms':>10}{'median':>10}{'by vlmc':>10}{'max|d|':>10}")
    for peer in peers:
        least = min(peer.best)
        print(
            f"{peer.name:10}{least:10.2f}{statistics.median(peer.best):10.2f}{least / min(peers[0].best):10.2f}"
            f"{difference(folder, peer.name):10.1e}"
        )
        peer.quit()


if __name__ == "__main__":
    main()
