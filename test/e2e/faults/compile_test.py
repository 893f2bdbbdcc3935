"""Compiling that is killed or finds no room: what stood at the output before stays whole."""

import os
import pathlib
import random
import re
import resource
import signal
import subprocess
import time
import unittest

from support import CLIP, VLMC, FaultTest

OLD = CLIP / "v5-plain/model"
NEW = CLIP / "relu-silu/model"
KILLS = 50


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file()
    }


class CompileTest(FaultTest):
    def setUp(self):
        super().setUp()
        self.temporary = self.work / "temporary"
        self.temporary.mkdir()
        self.environment["TMPDIR"] = str(self.temporary)
        self.output = self.work / "model.vlm"
        self.compile(OLD)
        self.old = contents(self.output)
        elsewhere = self.work / "elsewhere/model.vlm"
        elsewhere.parent.mkdir()
        start = time.monotonic()
        self.compile(NEW, output=elsewhere)
        self.seconds = time.monotonic() - start
        self.new = contents(elsewhere)
        self.assertNotEqual(self.old, self.new)

    def compile(self, model, output=None, **options):
        arguments = ("compile", model, "--reference", "-o", output or self.output)
        return self.vlmc(*arguments, **options)

    def test_killed_at_any_moment(self):
        """The output is the old package or the new one, and the next compilation removes what the killed ones left."""
        seed = 20261125
        moments = random.Random(seed)
        killed = replaced = left = 0
        for _ in range(KILLS):
            process = self.start("compile", NEW, "--reference", "-o", self.output)
            time.sleep(moments.uniform(0, 1.6 * self.seconds))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += process.returncode == -signal.SIGKILL
            left += bool(os.listdir(self.temporary))
            found = contents(self.output)
            self.assertIn(found, (self.old, self.new), f"seed {seed}")
            if found == self.new:
                replaced += 1
                self.compile(OLD)
        print(
            f"{KILLS} compilations, {killed} killed, {replaced} had written the package, {left} left temporary files"
        )
        self.assertGreater(killed, KILLS // 4)
        self.assertGreater(left, 0)
        self.vlmc("inspect", self.output, "--verify")
        self.compile(OLD)
        self.assertEqual(contents(self.output), self.old)
        self.assertEqual(sorted(os.listdir(self.work)), ["elsewhere", "model.vlm", "temporary"])
        self.assertEqual(os.listdir(self.temporary), [])

    def test_leaves_alone_what_another_one_is_writing(self):
        programs = [
            self.start("compile", model, "--reference", "-o", self.output)
            for model in (OLD, NEW, OLD, NEW)
        ]
        for program in programs:
            self.finish(program)
        self.assertIn(contents(self.output), (self.old, self.new))
        self.assertEqual(sorted(os.listdir(self.work)), ["elsewhere", "model.vlm", "temporary"])

    def test_file_that_may_not_grow(self):
        """RLIMIT_FSIZE stands for a disk that is full before the package is."""
        for limit in (300_000, 50_000):
            done = subprocess.run(
                [VLMC, "compile", NEW, "--reference", "-o", self.output],
                capture_output=True,
                text=True,
                env=self.environment,
                preexec_fn=lambda limit=limit: (
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                ),
                check=False,
            )
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, r"^vlmc: error: .*File too large")
            self.assertEqual(contents(self.output), self.old)
            self.assertEqual(sorted(os.listdir(self.work)), ["elsewhere", "model.vlm", "temporary"])

    def test_full_disk(self):
        """A file system too small for the package, where one can be mounted."""
        disk = self.work / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "tmpfs", disk, "-o"]
        if subprocess.run([*mount, "size=16k"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no right to mount a file system")
        try:
            # From no room for the weights to room for all but the library: writing that must not end the process.
            code, kib, refused = 1, 16, set()
            pattern = (
                r"^vlmc: error: cannot reserve \d+ bytes for '.*(\.\w+)': No space left on device"
            )
            while code:
                self.assertLess(kib, 4096)
                subprocess.run([*mount, f"remount,size={kib}k"], check=True)
                compilation = self.start("compile", NEW, "--reference", "-o", disk / "model.vlm")
                _, err = compilation.communicate(timeout=300)
                code = compilation.returncode
                if code:
                    self.assertEqual(code, 1, err)
                    self.assertRegex(err, pattern)
                    refused.add(re.match(pattern, err)[1])
                    self.assertEqual(os.listdir(disk), [])
                kib += 48
            self.assertEqual(refused, {".weights", ".o", ".so"})
            self.vlmc("inspect", disk / "model.vlm", "--verify")
        finally:
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    unittest.main()
