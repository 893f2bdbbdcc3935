"""The files a check looks at: of the repository, or of a sample held in memory."""

import fnmatch
import pathlib
import re
import subprocess

# Data, not prose or code: made by scripts, compared byte for byte.
DATA_FOLDERS = ("models/demo-clip/", "models/demo-llava/", "test/e2e/goldens/")
TEXT_SUFFIXES = (
    ".c .cfg .cmake .cpp .def .h .in .json .ll .md .mlir .proto .py .sh .td .test .textproto .toml .txt .yaml .yml"
).split()


class Finding:
    """One fault: where it is, what was found and expected."""

    def __init__(self, path, line, message):
        self.path, self.line, self.message = path, line, message

    def __str__(self):
        return (
            f"{self.path}:{self.line}: {self.message}"
            if self.line
            else f"{self.path}: {self.message}"
        )


class Tree:
    """Paths (relative, with slashes) and their contents."""

    def __init__(self, paths, read, size):
        self.paths = sorted(paths)
        self._known = set(self.paths)
        self._read, self._size, self._texts = read, size, {}

    @classmethod
    def of_folder(cls, root):
        """The files git knows or would add; without git, all outside build/ and dot folders but .ci."""
        root = pathlib.Path(root)
        command = [
            "git",
            "-C",
            str(root),
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]
        try:
            listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()
            paths = {path for path in listed.split("\0") if path and (root / path).is_file()}
        except (OSError, subprocess.CalledProcessError):
            paths = {
                path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
            }
            paths = {
                path
                for path in paths
                if not re.search(r"^build/|__pycache__|^\.(?!ci/|clang-|gitignore)", path)
            }
        return cls(
            paths,
            lambda path: (root / path).read_bytes(),
            lambda path: (root / path).stat().st_size,
        )

    @classmethod
    def of_sample(cls, files):
        """A tree in memory: path to text."""
        return cls(files, lambda path: files[path].encode(), lambda path: len(files[path]))

    def exists(self, path):
        """Whether a file or a folder of that name is there."""
        return path in self._known or any(
            known.startswith(path.rstrip("/") + "/") for known in self.paths
        )

    def size(self, path):
        return self._size(path)

    def text(self, path):
        if path not in self._texts:
            self._texts[path] = self._read(path).decode(errors="replace")
        return self._texts[path]

    def lines(self, path):
        """Numbered lines, from 1."""
        return list(enumerate(self.text(path).split("\n"), 1))

    def match(self, *patterns, data=False):
        """The paths that match one of the patterns (`*` crosses folders), without data files unless asked for."""
        return [
            path
            for path in self.paths
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
            and (data or not path.startswith(DATA_FOLDERS))
        ]

    def text_paths(self, data=False):
        """Source, prose and settings; the licence is not ours to judge."""
        return [
            path
            for path in self.match("*", data=data)
            if path != "LICENSE"
            and (pathlib.PurePath(path).suffix in TEXT_SUFFIXES or self._is_script(path))
        ]

    def _is_script(self, path):
        return not pathlib.PurePath(path).suffix and self.text(path).startswith("#!")

    def top_folders(self):
        """The folders at the root that do not begin with a dot."""
        return sorted(
            {path.split("/")[0] for path in self.paths if "/" in path and not path.startswith(".")}
        )


def line_of(text, offset):
    """The number of the line at an offset."""
    return text.count("\n", 0, offset) + 1
