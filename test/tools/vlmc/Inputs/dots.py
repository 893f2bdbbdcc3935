"""Writes pictures at the edge, and broken texts, into the working folder."""

import struct
import zlib


def png(name, height, width):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x40\x80\xc0" * width) * height
    with open(name, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))
        file.write(chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


png("dot.png", 1, 1)
png("tall.png", 5000, 1)
png("line.png", 30000, 1)
with open("broken.txt", "wb") as file:
    file.write(b"a \xff\xfe\n\xc3\n")
with open("broken.json", "wb") as file:
    file.write(b'{"mode": "files", "cases": [{"name": "a", "text": "a \xff"}]}')
with open("good.json", "w") as file:
    file.write('{"mode": "files", "cases": [{"name": "a", "text": "a"}]}')
with open("long.txt", "w") as file:
    file.write("word " * 60 + "\n<image> <image>\nhi\n")
