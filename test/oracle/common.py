"""Shared pieces of the oracle: reproducible arithmetic, random numbers, files.

Import this module before torch: it pins the instruction sets that torch's
libraries may choose, so the float goldens do not depend on the machine.
"""

import os

# torchvision's goldens need AVX2 and run in a process of their own.
os.environ["ATEN_CPU_CAPABILITY"] = os.environ.get("VLMC_ORACLE_CPU", "default")
os.environ["MKL_CBWR"] = "COMPATIBLE"
os.environ["ONEDNN_MAX_CPU_ISA"] = "SSE41"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import hashlib  # noqa: E402
import json  # noqa: E402
import zlib  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402


def rng(*key):
    """A counter-based generator seeded by the words of `key`."""
    seed = zlib.crc32("/".join(str(k) for k in key).encode())
    return np.random.Generator(np.random.Philox(seed))


def write_json(path, value, indent=2):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_safetensors(path, tensors):
    """Writes numpy arrays in name order, without metadata."""
    from safetensors.numpy import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {k: np.ascontiguousarray(tensors[k]) for k in sorted(tensors)}
    save_file(arrays, str(path))


def sha256(data):
    """SHA-256 of bytes or of an array's bytes, as 64 hexadecimal digits."""
    if isinstance(data, np.ndarray):
        data = np.ascontiguousarray(data).tobytes()
    return hashlib.sha256(data).hexdigest()


def quiet_torch():
    """Imports torch and transformers set up for reproducible results."""
    import torch
    import transformers

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return torch
