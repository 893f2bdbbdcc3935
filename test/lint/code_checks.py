"""Checks on C++ and CMake: who includes whom, sorted lists, families named only at home."""

import posixpath
import re

from tree import Finding, line_of

# The include column of the house: folder to what it may include, beside itself. `frontend/spec` is open to all but
# runtime, `runtime/abi` to the writers of what the runtime reads; tools and test may include everything.
MAY_INCLUDE = {
    "ir": ["frontend/spec"],
    "frontend": ["ir", "runtime/abi"],
    "passes": ["ir", "frontend/spec"],
    "codegen": ["ir", "passes", "runtime/abi", "frontend/spec"],
    "runtime": [],
}
# Libraries that the compiled program must not need.
COMPILER_ONLY = ("mlir/", "llvm/", "lld/", "google/", "Halide", "CLI/", "nlohmann/")
TOP = ("ir", "frontend", "passes", "codegen", "runtime", "models", "tools", "test")
INCLUDE = re.compile(r'^[ \t]*#?[ \t]*include[ \t]+(["<])([^">]+)[">]', re.MULTILINE)


def include_column(tree):
    """a folder includes only what the house allows it, by the path from the root"""
    for path in tree.match("*.c", "*.cpp", "*.h", "*.td", "*.def"):
        folder = path.split("/")[0]
        for match in INCLUDE.finditer(tree.text(path)):
            if message := _judge_include(tree, path, folder, match[2], match[1] == '"'):
                yield Finding(path, line_of(tree.text(path), match.start(2)), message)


def _judge_include(tree, path, folder, name, quoted):
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
    if (
        quoted
        and not tree.exists(name)
        and tree.exists(beside)
        and not path.startswith("runtime/examples/")
    ):
        return f'include "{name}" from the root: "{beside}"'
    if folder not in MAY_INCLUDE:
        return None
    if folder == "runtime" and name.startswith(COMPILER_ONLY):
        return f"runtime/ includes '{name}'; it may use libc, libstdc++ and, for text and pictures, small C libraries"
    if folder == "ir" and name.startswith(("google/", "Halide", "lld/", "CLI/", "nlohmann/")):
        return f"ir/ includes '{name}'; expected MLIR and LLVM only"
    top = name.split("/")[0]
    if not quoted or top not in TOP or top == folder:
        return None
    allowed = MAY_INCLUDE[folder]
    if any(name.startswith(prefix + "/") for prefix in allowed):
        return None
    return f"{folder}/ includes '{name}'; expected {', '.join([folder, *allowed])} only"


CMAKE_COMMAND = re.compile(r"^[ \t]*([A-Za-z_]+)\(([^()]*)\)", re.MULTILINE)
SOURCE = re.compile(r"^[\w./${}-]+\.(?:c|cpp|h|td|proto|def|mlir)$")


def sorted_lists(tree):
    """the lines of a .def file and the source lists of CMake are sorted, so that two additions do not collide"""
    for path in tree.match("*.def"):
        entries = [
            (number, line) for number, line in tree.lines(path) if re.match(r"[A-Z]\w*\(", line)
        ]
        yield from _unsorted(path, entries)
    for path in tree.match("*CMakeLists.txt", "*.cmake"):
        text = re.sub(r"#[^\n]*", lambda match: " " * len(match[0]), tree.text(path))
        for match in CMAKE_COMMAND.finditer(text):
            for run in _source_runs(match[2]):
                start = line_of(text, match.start(2))
                yield from _unsorted(
                    path, [(start + match[2][:offset].count("\n"), word) for offset, word in run]
                )


def _source_runs(arguments):
    """Runs of source file names that follow each other in a CMake command; files of other folders are a run of their own."""
    run = []
    for match in re.finditer(r"\S+", arguments):
        word = match[0].strip('"')
        elsewhere = word.startswith("$")
        if run and (not SOURCE.match(word) or run[-1][1].startswith("$") != elsewhere):
            yield run
            run = []
        if SOURCE.match(word):
            run.append((match.start(), word))
    yield run


def _unsorted(path, entries):
    for (_, before), (number, entry) in zip(entries, entries[1:], strict=False):
        if entry.lower() < before.lower():
            yield Finding(
                path, number, f"'{entry.strip()}' stands after '{before.strip()}'; sort the list"
            )
        elif entry == before:
            yield Finding(path, number, f"'{entry.strip()}' stands twice")


COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/|\[\{.*?\}\]', re.DOTALL)


def _code(text):
    """C++ or TableGen without comments and descriptions, lines kept; prose may name a paper or a model as a source."""

    def blank(match):
        return match[0] if match[0].startswith('"') else re.sub(r"[^\n]", " ", match[0])

    return COMMENT.sub(blank, text)


def _families(tree):
    """The stems of the family files that Families.def lists."""
    if not tree.exists("frontend/families/Families.def"):
        return []
    listed = set(re.findall(r"\w+", _code(tree.text("frontend/families/Families.def"))))
    stems = {
        posixpath.basename(path)[: -len(".cpp")] for path in tree.match("frontend/families/*.cpp")
    }
    return sorted(stems & listed)


def family_names(tree):
    """code names a family only in frontend/families/; models, tests and prose may"""
    for family in _families(tree):
        lower = "[_-]?".join(re.findall(r"[A-Z0-9]+[a-z]*", family)).lower()
        pattern = re.compile(
            # the model type or class name as a whole string; the name as a word of an identifier
            rf'"{lower}(?:_\w+)?"|"{family.upper()}\w*"'
            rf"|\b\w*?(?:(?<![a-zA-Z]){family}|(?<=[a-z]){family}|(?<![A-Z]){family.upper()})(?![a-z])\w*"
        )
        for path in tree.match("*.c", "*.cpp", "*.h", "*.td", "*.def"):
            if path.startswith(("frontend/families/", "models/", "test/", "docs/")):
                continue
            for number, line in enumerate(_code(tree.text(path)).split("\n"), 1):
                if match := pattern.search(line):
                    message = f"{match[0]} names the family {family}; only frontend/families/ may"
                    yield Finding(path, number, message)


def header_opening(tree):
    """a header opens with a comment: what it is, when to use it"""
    for path in tree.match("*.h"):
        if not tree.text(path).startswith(("//", "/*")):
            yield Finding(
                path, 1, "expected a comment that says what the header is and when to use it"
            )


CHECKS = [include_column, sorted_lists, family_names, header_opening]
