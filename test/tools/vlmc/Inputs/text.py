"""Prints a tensor of bytes as text, with a line end behind: text.py FILE NAME."""

import json
import struct
import sys
from pathlib import Path

data = Path(sys.argv[1]).read_bytes()
(size,) = struct.unpack_from("<Q", data)
begin, end = json.loads(data[8 : 8 + size])[sys.argv[2]]["data_offsets"]
sys.stdout.buffer.write(data[8 + size + begin : 8 + size + end] + b"\n")
