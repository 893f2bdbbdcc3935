"""Tests of tools/scripts/compare_goldens.py: what `tools/dev oracle` says of goldens that differ."""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

COMPARE = pathlib.Path(__file__).resolve().parents[3] / "tools/scripts/compare_goldens.py"


def safetensors(**tensors):
    """A safetensors file of U8 vectors."""
    header, body = {}, b""
    for name, data in tensors.items():
        header[name] = {
            "dtype": "U8",
            "shape": [len(data)],
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


class CompareGoldensTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.made, self.committed = (
            pathlib.Path(folder.name) / name for name in ("made", "committed")
        )

    def write(self, folder, files):
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    def compare(self, made, committed, *options):
        self.write(self.made, made)
        self.write(self.committed, committed)
        command = [sys.executable, str(COMPARE), *options, str(self.made), str(self.committed)]
        result = subprocess.run(command, capture_output=True, text=True)
        return result.stdout.split("\n"), result.returncode

    def test_equal(self):
        files = {"a/b.json": b"{}", "c.safetensors": safetensors(x=b"12")}
        lines, status = self.compare(files, {**files, "README.md": b"prose"})
        self.assertIn("2 files made, 0 differences", lines)
        self.assertEqual(status, 0)

    def test_new_gone_and_different(self):
        made = {"a/new": b"", "text": b"abc", "x.safetensors": safetensors(p=b"1", q=b"2")}
        committed = {"a/old": b"", "text": b"abd", "x.safetensors": safetensors(p=b"1", q=b"3")}
        lines, status = self.compare(made, committed)
        self.assertIn("a/new: made, but not committed", lines)
        self.assertIn("a/old: committed, but no script makes it", lines)
        self.assertIn("text: byte 2 differs", lines)
        self.assertIn("x.safetensors: tensor 'q' differs", lines)
        self.assertEqual(status, 1)

    def test_write(self):
        _, status = self.compare({"a/new": b"1", "b": b"2"}, {"b": b"3", "old": b""}, "--write")
        self.assertEqual(status, 0)
        self.assertEqual((self.committed / "a/new").read_bytes(), b"1")
        self.assertEqual((self.committed / "b").read_bytes(), b"2")
        self.assertFalse((self.committed / "old").exists())


if __name__ == "__main__":
    unittest.main()
