"""fails.py CODE [--writes NAME] COMMAND...: runs a command that must fail, and cleanly.

It must end with exit code CODE, print nothing to standard output and leave nothing behind: no new or changed file in the
current folder (except NAME), nothing in the folder for temporary files, nothing half-written in the cache. Prints its
standard error, for FileCheck.
"""

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile


def snapshot(folder):
    """What is in a folder: path to what changes when it is written."""
    files = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        status = path.lstat()
        files[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return files


def half_written(cache):
    return [path for path in pathlib.Path(cache).rglob(".*")] if cache else []


def main(code, command):
    written = None
    if command[0] == "--writes":
        written, command = command[1], command[2:]
    before = snapshot(".")
    with tempfile.TemporaryDirectory() as temporary:
        environment = {**os.environ, "TMPDIR": temporary}
        done = subprocess.run(command, capture_output=True, env=environment)
        left = list(snapshot(temporary))
    after = snapshot(".")
    left += [path for path in after if after[path] != before.get(path) and path != written]
    left += [path for path in before if path not in after]
    left += half_written(os.environ.get("VLMC_CACHE_DIR"))
    print(done.stderr.decode(errors="backslashreplace"), end="", flush=True)
    faults = [f"made, changed or removed: {path}" for path in left]
    if done.returncode != code:
        faults.append(f"expected exit code {code}, found {done.returncode}")
    if done.stdout:
        faults.append(f"expected nothing on standard output, found {done.stdout!r}")
    for fault in faults:
        print(f"fails.py: {shlex.join(command)}: {fault}", file=sys.stderr)
    return 1 if faults else 0


sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
