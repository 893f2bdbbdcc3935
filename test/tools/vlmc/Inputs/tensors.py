"""Safetensors files: read(data) gives their tensors, write(tensors) their bytes."""

import json
import struct


def split(data):
    """The header's text and the data behind it."""
    (length,) = struct.unpack("<Q", data[:8])
    return data[8 : 8 + length], data[8 + length :]


def join(header, body):
    return struct.pack("<Q", len(header)) + header + body


def read(data):
    """The tensors by name: (dtype, shape, bytes)."""
    header, body = split(data)
    return {
        name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])])
        for name, entry in json.loads(header).items()
        if name != "__metadata__"
    }


def write(tensors):
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        body += data
    return join(json.dumps(header).encode(), body)
