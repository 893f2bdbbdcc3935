"""Compares freshly made goldens with the committed ones, byte for byte.

    compare_goldens.py [--write] MADE COMMITTED

Prints each file that is new, gone or different (safetensors: the tensor that differs first). With --write the committed
folder becomes equal to MADE instead. Files named README.md are prose and left out. Exit status 1 on a difference.
"""

import argparse
import json
import pathlib
import shutil
import struct
import sys


def files_of(folder):
    """The files below a folder by relative path."""
    return {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "README.md"
    }


def tensors_of(data):
    """The tensors of a safetensors file: name to (dtype, shape, bytes)."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size :]
    return {
        name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }


def difference(name, made, committed):
    """Where two unequal files first differ, in words."""
    if name.endswith(".safetensors"):
        got, want = tensors_of(made), tensors_of(committed)
        for tensor in sorted(got.keys() | want.keys()):
            if tensor not in want:
                return f"tensor '{tensor}' is new"
            if tensor not in got:
                return f"tensor '{tensor}' is gone"
            if got[tensor] != want[tensor]:
                return f"tensor '{tensor}' differs"
        return "the header differs"
    first = next((i for i, (a, b) in enumerate(zip(made, committed, strict=False)) if a != b), None)
    return "the length differs" if first is None else f"byte {first} differs"


def compare(made, committed):
    """The differences, each as one line."""
    got, want = files_of(made), files_of(committed)
    lines = []
    for name in sorted(got.keys() | want.keys()):
        if name not in want:
            lines.append(f"{name}: made, but not committed")
        elif name not in got:
            lines.append(f"{name}: committed, but no script makes it")
        else:
            new, old = got[name].read_bytes(), want[name].read_bytes()
            if new != old:
                lines.append(f"{name}: {difference(name, new, old)}")
    return lines


def write(made, committed):
    got, want = files_of(made), files_of(committed)
    for name in want.keys() - got.keys():
        want[name].unlink()
    for name, path in got.items():
        (committed / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, committed / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed files")
    parser.add_argument("made", type=pathlib.Path)
    parser.add_argument("committed", type=pathlib.Path)
    args = parser.parse_args()
    lines = compare(args.made, args.committed)
    for line in lines:
        print(line)
    if args.write:
        write(args.made, args.committed)
        print(f"wrote {len(files_of(args.made))} files to {args.committed}, {len(lines)} changed")
        return 0
    print(f"{len(files_of(args.made))} files made, {len(lines)} differences")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
