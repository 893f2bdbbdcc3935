"""What the tests of programs that use compiled models share: building, compiling, the answers of transformers."""

import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

# CMakeLists.txt sets these.
BUILD = pathlib.Path(os.environ["VLMC_BUILD"])
SOURCE = pathlib.Path(os.environ["VLMC_SOURCE"])
CMAKE = os.environ["VLMC_CMAKE"]
CC = os.environ["VLMC_CC"]
CXX = os.environ["VLMC_CXX"]

GOLDENS = SOURCE / "test/e2e/goldens/clip"
# Of the libraries of the compiler and of Python none may reach a program that runs models.
FOREIGN = re.compile(r"LLVM|MLIR|protobuf|Halide|python", re.IGNORECASE)
# The programs resize pictures as the checkpoint's processor does, the goldens as Pillow does; two models differ by tens.
GOLDEN_TOLERANCE = 0.5


def run(*command, expect=0, **options):
    """Runs a command; its standard output. With another exit code than expected the test fails with all it printed."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    if done.returncode != expect:
        raise AssertionError(
            f"{' '.join(map(str, command))}\nended with {done.returncode}, expected {expect}\n"
            f"{done.stdout}{done.stderr}"
        )
    return done.stdout


def compile_model(checkpoint, package, *options, vlmc=None):
    run(vlmc or BUILD / "bin/vlmc", "compile", checkpoint, "-o", package, *options)
    return package


def build_program(project, folder, *options):
    """Configures and builds a CMake project as a user of his own would."""
    compilers = (f"-DCMAKE_C_COMPILER={CC}", f"-DCMAKE_CXX_COMPILER={CXX}")
    run(CMAKE, "-S", project, "-B", folder, *compilers, *options)
    run(CMAKE, "--build", folder)


def read_bytes(path, name):
    """A tensor of a safetensors file: its header and its bytes."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    tensor = json.loads(data[8 : 8 + length])[name]
    begin, end = tensor["data_offsets"]
    return tensor, data[8 + length + begin : 8 + length + end]


def read_tensor(path, name):
    """A tensor of a safetensors file as rows of floats."""
    tensor, data = read_bytes(path, name)
    assert tensor["dtype"] == "F32", tensor
    rows, columns = tensor["shape"]
    values = struct.unpack(f"<{rows * columns}f", data)
    return [values[row * columns : (row + 1) * columns] for row in range(rows)]


def read_text(path, name):
    """A tensor of a safetensors file that holds UTF-8."""
    tensor, data = read_bytes(path, name)
    assert tensor["dtype"] == "U8", tensor
    return data.decode()


class Golden:
    """The request `both` of a golden: pictures, texts and what transformers makes of them."""

    tolerance = GOLDEN_TOLERANCE

    def __init__(self, name):
        folder = GOLDENS / name
        self.checkpoint = folder / "model"
        requests = json.loads((folder / "requests-files.json").read_text())
        (request,) = (case for case in requests["cases"] if case["name"] == "both")
        self.pictures = [(folder / picture).resolve() for picture in request["images"]]
        self.texts = request["texts"]
        logits = read_tensor(folder / "golden-files.safetensors", "both.logits_per_image")
        self.percents = [self._softmax(row) for row in logits]

    @staticmethod
    def _softmax(row):
        powers = [math.exp(logit - max(row)) for logit in row]
        return [100 * power / sum(powers) for power in powers]


class Demo:
    """The demo checkpoint: its pictures and what transformers makes of them."""

    def __init__(self):
        self.checkpoint = SOURCE / "models/demo-clip"
        expected = json.loads((self.checkpoint / "expected.json").read_text())
        self.texts = [expected["template"].format(label) for label in expected["labels"]]
        self.tolerance = 100 * expected["tolerance"]
        self.pictures = [self.checkpoint / picture["file"] for picture in expected["pictures"]]
        self.percents = [
            [100 * probability for probability in picture["probabilities"]]
            for picture in expected["pictures"]
        ]

    def pngs(self):
        return [i for i, path in enumerate(self.pictures) if path.suffix == ".png"]


def loaded_libraries(program):
    """The names of the shared libraries that a program or library loads."""
    lines = run("ldd", program).splitlines()
    missing = [line for line in lines if "not found" in line]
    assert not missing, f"{program}: {missing}"
    return [line.split()[0] for line in lines]


class ConsumerTest(unittest.TestCase):
    """A test with a folder of its own."""

    @classmethod
    def setUpClass(cls):
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="vlmc-consumers."))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work)

    def expect_no_foreign_library(self, *files):
        for file in files:
            for name in loaded_libraries(file):
                self.assertNotRegex(name, FOREIGN, f"{file} loads it")

    def expect_percents(self, printed, golden, picture):
        """Checks the lines `12.345 %  LABEL` that a program printed; a label may hold line breaks."""
        found = [float(number) for number in re.findall(r"^ *([0-9.]+) %  ", printed, re.MULTILINE)]
        expected = golden.percents[picture]
        self.assertEqual(len(found), len(expected), printed)
        for number, wanted in zip(found, expected):
            self.assertAlmostEqual(number, wanted, delta=golden.tolerance)
