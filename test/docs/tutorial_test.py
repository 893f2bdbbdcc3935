"""Runs the commands of docs/tutorial.md as its reader would, in order, and holds their output to what the page shows.

Blocks of the page: `sh` is run; `text` behind it is its output, in which numbers may differ and `...` stands for anything, as a
line of its own for any lines; a block with a file's name behind its language is that file.
"""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

# CMakeLists.txt sets these.
BUILD = pathlib.Path(os.environ["VLMC_BUILD"])
SOURCE = pathlib.Path(os.environ["VLMC_SOURCE"])
CMAKE = pathlib.Path(os.environ["VLMC_CMAKE"])
PAGE = SOURCE / "docs/tutorial.md"

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_END = "END_OF_FILE"


def script(blocks, outputs):
    """A shell script of all blocks; what command block N prints goes to the file outputs/N."""
    lines = ["set -euo pipefail"]
    for number, (language, name, text) in enumerate(blocks):
        if name:
            lines += [f"mkdir -p $(dirname {name})", f"cat > {name} <<'{FILE_END}'"]
            lines += [text + FILE_END]
        elif language == "sh":
            lines += [f"exec > {outputs}/{number}", text.rstrip("\n")]
    return "\n".join(lines) + "\n"


def pattern(text):
    """What output matches the text of the page: numbers and blanks may differ, `...` is anything."""
    parts = []
    for line in text.splitlines():
        if line == "...":
            parts.append(r"(?:.*\n)*?")
            continue
        pieces = re.split(r"(\.\.\.|\d[\d.,]*\d|\d|\s+)", line.strip())
        wild = {"...": r".*"}
        parts.append(
            r"\s*"
            + "".join(
                wild.get(piece)
                or (
                    r"\s+"
                    if piece.isspace()
                    else r"[\d.,]+"
                    if piece[:1].isdigit()
                    else re.escape(piece)
                )
                for piece in pieces
                if piece
            )
            + r"\s*\n"
        )
    return re.compile("".join(parts))


class TutorialTest(unittest.TestCase):
    def test_commands_print_what_the_page_shows(self):
        blocks = BLOCK.findall(PAGE.read_text())
        commands = [number for number, block in enumerate(blocks) if block[0] == "sh"]
        self.assertGreater(len(commands), 5)
        with tempfile.TemporaryDirectory(prefix="vlmc-tutorial.") as folder:
            work = pathlib.Path(folder)
            outputs = self.run_page(work, blocks)
            for number in commands:
                language, _, expected = (*blocks, ("", "", ""))[number + 1]
                if language != "text":
                    continue
                printed = (outputs / str(number)).read_text()
                with self.subTest(blocks[number][2]):
                    self.assertIsNotNone(
                        pattern(expected).fullmatch(printed),
                        f"printed\n{printed}\nexpected\n{expected}",
                    )

    def run_page(self, work, blocks):
        """Runs the page in a folder that looks like a clone, with a home folder of its own; the folder of its outputs."""
        (work / "clone/build").mkdir(parents=True)
        (work / "clone/models").symlink_to(SOURCE / "models")
        (work / "clone/build/release").symlink_to(BUILD)
        for name in ("home", "outputs"):
            (work / name).mkdir()
        environment = {
            "CC": os.environ["VLMC_CC"],
            "CXX": os.environ["VLMC_CXX"],
            "HOME": str(work / "home"),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{CMAKE.parent}:{os.environ['PATH']}",
        }
        done = subprocess.run(
            ["bash", "-c", script(blocks, work / "outputs")],
            cwd=work / "clone",
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        printed = "".join(
            path.read_text()
            for path in sorted((work / "outputs").iterdir(), key=lambda p: int(p.name))
        )
        self.assertEqual(done.returncode, 0, f"{printed}\n{done.stderr}")
        return work / "outputs"

    def test_a_pattern_tells_other_output(self):
        self.assertTrue(pattern("a 1.5 b\n...\nc...d\n").fullmatch("  a 20,000 b\nx\ny\nc-d\n"))
        for other in ("a 1 c\n", "a 1 b\nx\ncd e\n", "a b\nc d\n", ""):
            self.assertFalse(pattern("a 1.5 b\n...\nc...d\n").fullmatch(other), other)


if __name__ == "__main__":
    unittest.main()
