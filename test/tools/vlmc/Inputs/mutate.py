"""mutate.py SRC DST FILE ACTION ARGUMENT...: a copy with one fault.

Copies the file or folder SRC to DST and changes FILE in it ('.': DST itself):

    remove                       is not there
    keep N                       ends after N bytes, or -N bytes early
    flip N                       one bit of byte N differs; -N counts from the end
    text TEXT                    holds TEXT
    copy OTHER                   holds what the file OTHER holds
    set KEY/KEY... JSON          JSON: a value differs
    unset KEY/KEY...             JSON: a key is missing
    header KEY/KEY... JSON       safetensors: a value of the header differs
    header-text TEXT             safetensors: the header is TEXT
    header-bytes N               safetensors: the header says that it has N bytes, and the file is long enough (sparse)
    add-tensor NAME DTYPE N      safetensors: a tensor of N zeros more; DTYPE has 32 or 64 bits
    drop-tensor NAME             safetensors: a tensor less
    ones NAME DTYPE SHAPE        safetensors: a tensor is of this shape, "2,3", and holds ones
    strip PREFIX                 safetensors: only the tensors whose names begin with PREFIX, without it
    png-sides W H                PNG: the header gives these sides
    jpeg-sides W H               JPEG: the header gives these sides
"""

import json
import math
import os
import pathlib
import shutil
import struct
import sys
import zlib

import tensors


def change_json(text, keys, change):
    """JSON where `change` was applied to the object that holds the last of the keys, and to that key."""
    value = holder = json.loads(text)
    *path, last = [int(key) if key.isdecimal() else key for key in keys.split("/")]
    for key in path:
        holder = holder[key]
    change(holder, last)
    return json.dumps(value, indent=2).encode()


def setter(value):
    return lambda holder, key: holder.__setitem__(key, json.loads(value))


def flip(data, at):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def header(data, keys, value):
    text, body = tensors.split(data)
    return tensors.join(change_json(text, keys, setter(value)), body)


def add_tensor(data, name, dtype, count):
    size = 4 if dtype.endswith("32") else 8
    return tensors.write(tensors.read(data) | {name: (dtype, [count], bytes(count * size))})


def ones(data, name, dtype, shape):
    shape = [int(size) for size in shape.split(",")]
    one = {"F32": struct.pack("<f", 1), "I64": struct.pack("<q", 1), "U8": b"\1"}[dtype]
    return tensors.write(tensors.read(data) | {name: (dtype, shape, one * math.prod(shape))})


def drop_tensor(data, name):
    return tensors.write({key: value for key, value in tensors.read(data).items() if key != name})


def strip(data, prefix):
    kept = {name: value for name, value in tensors.read(data).items() if name.startswith(prefix)}
    return tensors.write({name.removeprefix(prefix): value for name, value in kept.items()})


def png_sides(data, width, height):
    chunk = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def jpeg_sides(data, width, height):
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


ACTIONS = {
    "keep": lambda data, count: data[: int(count)],
    "flip": lambda data, at: flip(data, int(at)),
    "text": lambda data, text: text.encode(),
    "copy": lambda data, other: pathlib.Path(other).read_bytes(),
    "set": lambda data, keys, value: change_json(data, keys, setter(value)),
    "unset": lambda data, keys: change_json(data, keys, lambda holder, key: holder.pop(key)),
    "header": header,
    "header-text": lambda data, text: tensors.join(text.encode(), tensors.split(data)[1]),
    "header-bytes": lambda data, count: struct.pack("<Q", int(count)) + data[8:],
    "add-tensor": lambda data, name, dtype, count: add_tensor(data, name, dtype, int(count)),
    "drop-tensor": drop_tensor,
    "ones": ones,
    "strip": strip,
    "png-sides": lambda data, *sides: png_sides(data, *map(int, sides)),
    "jpeg-sides": lambda data, *sides: jpeg_sides(data, *map(int, sides)),
}


def main(source, target, name, action, *arguments):
    source, target = pathlib.Path(source), pathlib.Path(target)
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copyfile(source, target)
    file = target / name
    if action == "remove":
        return shutil.rmtree(file) if file.is_dir() else file.unlink()
    file.write_bytes(ACTIONS[action](file.read_bytes() if file.exists() else b"", *arguments))
    if action == "header-bytes":
        os.truncate(file, 8 + int(arguments[0]))


main(*sys.argv[1:])
