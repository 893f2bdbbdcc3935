"""The pages made from the .td files hold every op, attribute, interface and pass, with what is said of it; cli.md every command."""

import os
import pathlib
import re
import unittest

# CMakeLists.txt sets these.
SOURCE = pathlib.Path(os.environ["VLMC_SOURCE"])
PAGES = pathlib.Path(os.environ["VLMC_BUILD"]) / "docs"


def declared(path, pattern):
    """What a .td file declares: what `pattern` catches in each `def`, and the summary behind it."""
    found = re.findall(
        r"^def " + pattern + r'.*?\blet summary = "(.*?)";',
        (SOURCE / path).read_text(),
        re.MULTILINE | re.DOTALL,
    )
    # The number of all `def` of that kind, found by their first lines alone: none may be overlooked.
    lines = re.findall(r"^def " + pattern, (SOURCE / path).read_text(), re.MULTILINE)
    assert len(lines) == len(found) > 0, (lines, found)
    return found


class PagesTest(unittest.TestCase):
    def expect_section(self, page, heading, text):
        """A section with that heading, and the text before the next section of its kind."""
        parts = re.split(r"^### ", (PAGES / page).read_text(), flags=re.MULTILINE)
        sections = [part for part in parts if re.match(heading, part)]
        self.assertEqual(len(sections), 1, f"{page}: {heading}")
        self.assertIn(text.replace("\\", "").lower(), sections[0].lower(), f"{page}: {heading}")

    def test_every_op(self):
        for name, summary in declared("ir/Vlm/VlmOps.td", r'Vlm_\w+Op\b\s*:\s*Vlm_\w*Op<"(\w+)"'):
            self.expect_section("ops.md", rf"`vlm\.{name}` ", summary)

    def test_every_attribute(self):
        for name, summary in declared(
            "ir/Vlm/VlmDialect.td", r'Vlm_\w+Attr\s*:\s*Vlm_Attr<"(\w+)"'
        ):
            self.expect_section("ops.md", rf"{name}Attr\n", summary)

    def test_every_pass(self):
        for flag, summary in declared("passes/Passes.td", r'\w+Pass\s*:\s*\w*Pass<"([\w-]+)"'):
            self.expect_section("passes.md", rf"`-{flag}`\n", summary)

    def test_every_command(self):
        commands = re.findall(
            r"^COMMAND\((\w+)\)", (SOURCE / "tools/vlmc/Commands.def").read_text(), re.MULTILINE
        )
        headings = re.findall(r"^## (.*)$", (SOURCE / "docs/cli.md").read_text(), re.MULTILINE)
        self.assertTrue(commands)
        self.assertEqual(
            sorted(name for heading in headings for name in heading.split(", ")),
            sorted(command.lower() for command in commands),
        )

    def test_every_interface(self):
        text = (SOURCE / "ir/Vlm/VlmInterfaces.td").read_text()
        names = re.findall(r'^def \w+\s*:\s*OpInterface<"(\w+)"', text, re.MULTILINE)
        self.assertTrue(names)
        for name in names:
            self.assertIn(f"## {name} ", (PAGES / "interfaces.md").read_text())


if __name__ == "__main__":
    unittest.main()
