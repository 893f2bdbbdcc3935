"""What the tests of faults share: vlmc as a program, small checkpoints, folders that go away."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

# CMakeLists.txt sets these.
VLMC = os.environ["VLMC_PROGRAM"]
SOURCE = pathlib.Path(os.environ["VLMC_SOURCE"])
CLIP = SOURCE / "test/e2e/goldens/clip"


class FaultTest(unittest.TestCase):
    """A test with a folder and a cache of its own."""

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="vlmc-faults."))
        self.addCleanup(shutil.rmtree, self.work)
        self.cache = self.work / "cache"
        self.environment = {**os.environ, "VLMC_CACHE_DIR": str(self.cache)}
        self.environment.pop("VLMC_CACHE_SIZE", None)

    def start(self, *arguments, **options):
        return subprocess.Popen(
            [VLMC, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**self.environment, **options.pop("env", {})},
            **options,
        )

    def finish(self, process, code=0):
        """What a program printed to its two streams; it must end with `code`."""
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, code, f"{process.args}\n{out}{err}")
        return out, err

    def vlmc(self, *arguments, code=0, **options):
        return self.finish(self.start(*arguments, **options), code)
