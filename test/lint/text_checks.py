"""Checks on any text: white space, leftovers, paths, links, sizes, names."""

import pathlib
import posixpath
import re

from tree import Finding

MAX_BYTES = 6_000_000
MAX_LINES = 1000
LONG_REASON = re.compile(r"\blong because\b", re.IGNORECASE)


def whitespace(tree):
    """no tabs, trailing blanks or carriage returns; a newline ends the file"""
    for path in tree.text_paths():
        for number, line in tree.lines(path):
            if "\t" in line:
                yield Finding(path, number, "a tab; expected blanks")
            if line != line.rstrip():
                yield Finding(path, number, "white space at the end of the line")
        text = tree.text(path)
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            yield Finding(path, 0, "expected exactly one newline at the end of the file")


def leftovers(tree):
    """no notes to self: work that is left belongs in an issue"""
    words = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    for path in tree.text_paths():
        for number, line in tree.lines(path):
            if match := words.search(line):
                yield Finding(path, number, f"'{match[1]}' is left; do it, or write an issue")


def machine_paths(tree):
    """no absolute path of one machine"""
    pattern = re.compile(
        r"(?<![\w.})~/-])/(?:home|mnt|root|Users|work)/[\w.-]+|\b[A-Z]:\\\\?[\w]+|(?<![\w}-])/tmp/\w+"
    )
    for path in tree.text_paths(data=True):
        for number, line in tree.lines(path):
            if match := pattern.search(line):
                yield Finding(
                    path,
                    number,
                    f"'{match[0]}' exists on one machine only; take a relative or given path",
                )


def large_files(tree):
    """no file over 6 MB"""
    for path in tree.paths:
        if (size := tree.size(path)) > MAX_BYTES:
            yield Finding(path, 0, f"{size} bytes; expected at most {MAX_BYTES}")


def long_files(tree):
    """a source file over 1,000 lines says `long because ...` in its first 25"""
    for path in tree.match(
        "*.c", "*.cpp", "*.h", "*.py", "*.sh", "*.td", "*.cmake", "*CMakeLists.txt"
    ):
        lines = tree.text(path).split("\n")
        if len(lines) > MAX_LINES and not LONG_REASON.search("\n".join(lines[:25])):
            yield Finding(
                path, 0, f"{len(lines)} lines; split it by idea, or say at its top why it is long"
            )


def folder_readme(tree):
    """each top folder has a README.md: what it does, the order data passes through it, how to add one"""
    for folder in tree.top_folders():
        path = f"{folder}/README.md"
        if not tree.exists(path):
            yield Finding(
                path,
                0,
                "missing; say what the folder does, the order data passes through it, how to add one",
            )
        elif len(tree.text(path).split("\n")) < 5:
            yield Finding(path, 0, "too short to say what the folder does and how to add to it")


def file_names(tree):
    """C++ CamelCase (a tool's main, C and the C interface excepted), Python snake_case, tests and specs kebab-case"""
    rules = [
        (("*.py",), re.compile(r"[a-z][a-z0-9_]*|__init__"), "snake_case"),
        (
            ("*.mlir", "*.test", "*.textproto"),
            # A dot stands between the digits of a version or a size: llava-1.5-7b.
            re.compile(r"[a-z0-9]+((-|(?<=[0-9])\.(?=[0-9]))[a-z0-9]+)*(\.spec)?"),
            "kebab-case",
        ),
        (
            ("codegen/*.cpp", "frontend/*.cpp", "ir/*.cpp", "passes/*.cpp", "runtime/*.cpp"),
            re.compile(r"[A-Z][A-Za-z0-9]*"),
            "CamelCase",
        ),
    ]
    for patterns, rule, name in rules:
        for path in tree.match(*patterns):
            stem = pathlib.PurePath(path).stem
            if (
                path.startswith("runtime/examples/")
                or rule.fullmatch(stem)
                or stem in ("lit.cfg", "lit.site.cfg")
            ):
                continue
            yield Finding(path, 0, f"expected a name in {name}")


def _slug(heading):
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _prose(text):
    """The text with fenced blocks and inline code blanked."""
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])  # noqa: E731
    return re.sub(
        r"`[^`\n]*`", blank, re.sub(r"^```.*?^```", blank, text, flags=re.DOTALL | re.MULTILINE)
    )


def doc_links(tree):
    """links in .md files lead to a file of the tree, and to a heading in it"""
    for path in tree.match("*.md", data=True):
        for number, line in enumerate(_prose(tree.text(path)).split("\n"), 1):
            for target in re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", line):
                if re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                name, _, anchor = target.partition("#")
                goal = (
                    posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
                    if name
                    else path
                )
                if goal != "." and not tree.exists(goal):
                    yield Finding(path, number, f"the link '{target}' leads nowhere")
                elif anchor and goal.endswith(".md"):
                    headings = re.findall(r"^#+ (.*)$", tree.text(goal), re.MULTILINE)
                    if anchor not in map(_slug, headings):
                        yield Finding(path, number, f"'{goal}' has no heading for '#{anchor}'")


# A name that stands for others, and what a build or vlmc makes.
_STANDS_FOR = re.compile(
    r"(?<![A-Za-z])([A-Z]{3,}|Foo|foo|FoldThis|fold-this)(?![A-Za-z])|[<>$~%]|^build/|\.vlm/"
)
_SOURCE_NAME = re.compile(r"[\w-]+\.(c|cpp|def|h|md|mlir|proto|py|sh|td|test|textproto)")


def _braces(text):
    """`a.{h,cpp}` as `a.h` and `a.cpp`."""
    match = re.search(r"\{([^{}]*)\}", text)
    if not match:
        return [text]
    return [
        path
        for choice in match[1].split(",")
        for path in _braces(text[: match.start()] + choice + text[match.end() :])
    ]


def _is_there(tree, page, name):
    """Whether a name in a page is a path from the root, from the page's folder, or a folder's file; None: it is no path."""
    folder = posixpath.dirname(page)
    goals = [posixpath.normpath(name), posixpath.normpath(posixpath.join(folder, name))]
    if any(tree.match(goal, data=True) or tree.exists(goal) for goal in goals):
        return True
    if "/" not in name:
        return bool(tree.match(f"*/{name}", data=True)) if _SOURCE_NAME.fullmatch(name) else None
    first = name.split("/")[0]
    if tree.exists(first) or (folder and tree.exists(f"{folder}/{first}")):
        return False
    return bool(tree.match(f"*/{name}", data=True)) if _SOURCE_NAME.search(name) else None


def doc_paths(tree):
    """paths and file names that docs and README.md files name in `code` are those of the tree"""
    for page in tree.match("docs/*.md", "*README.md"):
        fenced = re.sub(
            r"^```.*?^```",
            lambda match: re.sub(r"[^\n]", " ", match[0]),
            tree.text(page),
            flags=re.DOTALL | re.MULTILINE,
        )
        for number, line in enumerate(fenced.split("\n"), 1):
            for code in re.findall(r"`([\w./*{},-]*\w[\w./*{},-]*)`", line):
                for name in _braces(code):
                    if not _STANDS_FOR.search(name) and _is_there(tree, page, name) is False:
                        yield Finding(page, number, f"there is no '{name}'")


CHECKS = [
    whitespace,
    leftovers,
    machine_paths,
    large_files,
    long_files,
    folder_readme,
    file_names,
    doc_links,
    doc_paths,
]
