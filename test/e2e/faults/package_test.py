"""Compiled models with one bit that differs: what comes of them is the right answer or a message, never a crash."""

import random
import shutil
import unittest

from support import CLIP, FaultTest

FLIPS = 150
SEED = 20261125


class PackageTest(FaultTest):
    def setUp(self):
        super().setUp()
        self.package = self.work / "model.vlm"
        self.vlmc("compile", CLIP / "v5-plain/model", "-o", self.package)
        self.output = self.work / "out.safetensors"
        self.assertEqual(self.embed(), 0)
        self.right = self.output.read_bytes()

    def run_to_end(self, *arguments):
        """The exit code, which must be that of a result or of a message."""
        process = self.start(*arguments)
        _, err = process.communicate(timeout=60)
        if process.returncode:
            self.assertEqual(process.returncode, 1, f"{arguments}: {err}")
            self.assertRegex(err, r"^vlmc: error: ", arguments)
        return process.returncode

    def embed(self):
        self.output.unlink(missing_ok=True)
        return self.run_to_end("embed", self.package, "--text", "a cat", "-o", self.output)

    def flips(self, file, last):
        """Flips one bit after another in the first `last` bytes of a file, each for one step of the loop."""
        whole = file.read_bytes()
        places = random.Random(f"{SEED} {file.name}")
        for _ in range(FLIPS):
            bit = places.randrange(8 * min(last, len(whole)))
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            file.write_bytes(damaged)
            with self.subTest(file=file.name, bit=bit):
                yield
        file.write_bytes(whole)

    def test_library(self):
        (library,) = self.package.glob("lib/*/lib*.so")
        for _ in self.flips(library, library.stat().st_size):
            self.assertEqual(self.embed(), 1)

    def test_header_of_weights(self):
        weights = self.package / "model.weights"
        last = 8 + int.from_bytes(weights.read_bytes()[:8], "little")
        for _ in self.flips(weights, last):
            self.assertEqual(self.embed(), 1)

    def test_weights(self):
        """Values are not read at load: --verify finds what differs, but for the gaps between tensors."""
        weights = self.package / "model.weights"
        found = 0
        for _ in self.flips(weights, weights.stat().st_size):
            code = self.embed()
            if self.run_to_end("inspect", self.package, "--verify"):
                found += 1
            else:
                self.assertEqual(code, 0)
                self.assertEqual(self.output.read_bytes(), self.right)
        self.assertGreater(found, FLIPS * 9 // 10)

    def test_what_is_not_loaded(self):
        for name in ("manifest.textproto", "model.h", "modelConfig.cmake"):
            for _ in self.flips(self.package / name, 1 << 20):
                self.run_to_end("inspect", self.package)
        shutil.rmtree(self.package / "lib")
        self.assertEqual(self.embed(), 1)


if __name__ == "__main__":
    unittest.main()
