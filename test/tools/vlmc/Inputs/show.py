"""show.py FILE [PREFIX]: the tensors of a safetensors file, those that begin with PREFIX, without it.

A line each, sorted: name, dtype, shape and a digest of the bytes; equal lines are equal tensors.
"""

import hashlib
import pathlib
import sys

import tensors


def main(file, prefix=""):
    for name, (dtype, shape, data) in sorted(tensors.read(pathlib.Path(file).read_bytes()).items()):
        if name.startswith(prefix):
            digest = hashlib.sha256(data).hexdigest()[:16]
            print(name.removeprefix(prefix), dtype, shape, digest)


main(*sys.argv[1:])
