"""compare.py OUT.safetensors GOLDEN.safetensors: are the goldens met?

Every tensor of GOLDEN must be in OUT with the same shape. Floats are compared
by err = max|d| / std(reference); a reference that does not vary is measured by
its largest magnitude instead. Rows of `text_features` at padded positions are
left out, given `attention_mask` in OUT, GOLDEN or the file named by --inputs.
`X.sha256` in GOLDEN holds the SHA-256 of the bytes of tensor X in OUT. Goldens
of the task `tokenize` are packed (see README.md) and compared with the names
`ids.N` and so on that `vlmc run` writes. Exits 1 if anything differs.
"""

import argparse
import hashlib
import sys

import numpy as np
from safetensors.numpy import load_file

# fp32 with another order of summation stays under 1e-4 of the tensor's own
# spread; logits are scaled by exp(logit_scale) and get twice as much.
TOLERANCE = 1e-4
TOLERANCE_LOGITS = 2e-4
EXACT = ("pixel_values", "input_ids", "attention_mask")


def bits(array):
    """An array as unsigned integers, so that "exact" means every bit."""
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    return array.astype(np.int64)


def first_difference(got, want):
    return tuple(int(i) for i in np.argwhere(got != want)[0])


def compare_exact(got, want):
    if np.array_equal(bits(got), bits(want)):
        return 0.0, None
    at = first_difference(bits(got), bits(want))
    return float("inf"), f"first at {list(at)}: got {got[at]}, want {want[at]}"


def compare_float(got, want, keep, tolerance):
    got, want = got.astype(np.float64), want.astype(np.float64)
    kept = want[keep]
    scale = kept.std() if kept.size else 1.0
    if scale == 0:
        scale = abs(kept).max() or 1.0
    error = np.where(keep, abs(got - want), 0.0) / scale
    error[np.isnan(got) & keep] = np.inf
    worst = float(error.max()) if error.size else 0.0
    if worst <= tolerance:
        return worst, None
    at = tuple(int(i) for i in np.argwhere(error > tolerance)[0])
    return worst, f"first at {list(at)}: got {got[at]:.9g}, want {want[at]:.9g}"


def compare_one(key, out, golden, masks):
    """Returns tolerance, error and message (None: met) of one tensor."""
    want, case = golden[key], key.rsplit(".", 1)[0]
    if key.endswith(".sha256"):
        name = key.removesuffix(".sha256")
        if name not in out:
            return 0, float("inf"), "absent"
        data = np.ascontiguousarray(out[name]).tobytes()
        same = hashlib.sha256(data).digest() == want.tobytes()
        return 0, 0.0 if same else float("inf"), None if same else "other bytes"
    if key not in out:
        return 0, float("inf"), "absent"
    got, name = out[key], key.rsplit(".", 1)[1]
    if got.shape != want.shape:
        return 0, float("inf"), f"shape: got {got.shape}, want {want.shape}"
    if name in EXACT or want.dtype.kind != "f":
        return 0, *compare_exact(got, want)
    keep = np.ones(want.shape, bool)
    mask = masks.get(f"{case}.attention_mask")
    if name == "text_features" and mask is not None:
        keep &= mask.astype(bool)[..., None]
    tolerance = TOLERANCE_LOGITS if name.startswith("logits") else TOLERANCE
    return tolerance, *compare_float(got, want, keep, tolerance)


def unpack(golden):
    """Spells the packed goldens of `tokenize` out as `vlmc run` names them."""
    if "texts_offsets" not in golden:
        return golden
    result = {}
    text, text_at = golden["decoded"], golden["decoded_offsets"]
    for key in golden:
        if not key.endswith(".ids_trunc9"):
            continue
        case = key.rsplit(".", 1)[0]
        flat, at = golden[f"{case}.ids"], golden[f"{case}.ids_offsets"]
        for n, row in enumerate(golden[key]):
            ids = flat[at[n] : at[n + 1]]
            result[f"{key}.{n}"] = row
            result[f"{case}.ids.{n}"] = ids
            result[f"{case}.ids_plain.{n}"] = ids[1:-1]
            result[f"{case}.text.{n}"] = text[text_at[n] : text_at[n + 1]]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("golden")
    parser.add_argument("--inputs", help="inputs of mode `tensors`, for attention_mask")
    parser.add_argument("--quiet", action="store_true", help="print differences only")
    args = parser.parse_args()
    out, golden = load_file(args.out), unpack(load_file(args.golden))
    masks = {**(load_file(args.inputs) if args.inputs else {}), **out, **golden}
    failed = 0
    for key in sorted(golden):
        if key.endswith(".attention_mask") and key not in out:
            continue  # there for the comparison alone
        tolerance, error, message = compare_one(key, out, golden, masks)
        failed += message is not None
        if message or not args.quiet:
            state = f"FAIL {message}" if message else "ok"
            print(f"{key:40} err {error:<10.3g} tolerance {tolerance:<8g} {state}")
    print(f"{len(golden)} tensors, {failed} differ")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
