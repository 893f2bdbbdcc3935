"""Kernels that the emulator has run, on a device: the same inputs, and results
as near to the interpreter's as the test asks.

A folder holds cases as test/codegen/cuda/KernelRecord.h describes them.
"""

import json
import math
import pathlib
import struct


def values_of(form, data):
    """The numbers in bytes of "f16", "bf16", "f32", "i32" or "i64"."""
    if form == "bf16":
        halves = struct.unpack(f"<{len(data) // 2}H", data)
        return struct.unpack(
            f"<{len(halves)}f", b"".join(struct.pack("<I", h << 16) for h in halves)
        )
    code, size = {"f16": ("e", 2), "f32": ("f", 4), "i32": ("i", 4), "i64": ("q", 8)}[form]
    return struct.unpack(f"<{len(data) // size}{code}", data)


class Case:
    def __init__(self, path):
        self.about = json.loads(path.read_text())
        self.folder = path.parent
        self.name = self.about["name"]

    def part(self, name):
        return (self.folder / self.about[name]).read_bytes()

    def needs(self):
        """The compute capability that its code is for, and whether only that."""
        number = self.about["chip"].removeprefix("sm_")
        exact = number.endswith("a")
        number = int(number.rstrip("a"))
        return (number // 10, number % 10), exact

    def run(self, driver):
        """The largest error, in the root of the mean square."""
        blob = self.part("data")
        module = driver.load(self.part("ptx"), self.part("bitcode"))
        blocks = []
        try:
            at = 0
            for size in self.about["buffers"]:
                blocks.append(driver.allocate(size))
                driver.upload(blocks[-1], blob[at : at + size])
                at += size
            expected = struct.unpack_from(f"<{self.about['count']}f", blob, at)
            result = blocks[-1]
            for size in self.about["temps"]:
                blocks.append(driver.allocate(size))
            for launch in self.about["launches"]:
                self.launch(driver, module, launch, blocks)
            driver.wait()
            got = values_of(self.about["form"], driver.download(result, self.about["buffers"][-1]))
        finally:
            for block in blocks:
                driver.free(block)
            driver.unload(module)
        worst, root = 0.0, self.about["root"]
        for x, y in zip(got, expected, strict=True):
            error = abs(x - y) / max(root, abs(y))
            worst = max(worst, math.inf if math.isnan(error) else error)
        return worst

    def launch(self, driver, module, launch, blocks):
        maps = [
            driver.tensor_map(
                blocks[m["buffer"]] + 2 * m["offset"],
                m["columns"],
                m["rows"],
                m["stride"],
                m["box"],
                m["brain"],
            )
            for m in launch["maps"]
        ]
        function = driver.function(module, launch["function"], launch["shared"])
        driver.launch(
            function,
            launch["grid"],
            launch["threads"],
            launch["shared"],
            [*maps, *blocks, *self.about["dims"]],
        )


def replay(folder, driver, limit=None):
    """A list of {"name", "error", "tolerance", "passed"} or {"name", "skipped"};
    of some cases spread over all where there is a limit."""
    paths = sorted(pathlib.Path(folder).glob("*.json"))
    if limit and len(paths) > limit:
        paths = [paths[i * len(paths) // limit] for i in range(limit)]
    have = driver.capability()
    results = []
    for path in paths:
        case = Case(path)
        need, exact = case.needs()
        if have != need if exact else have < need:
            results.append({"name": case.name, "skipped": f"its code is for {case.about['chip']}"})
            continue
        one = {"name": case.name, "tolerance": case.about["tolerance"]}
        try:
            one["error"] = case.run(driver)
            one["passed"] = one["error"] <= one["tolerance"]
        except Exception as error:  # noqa: BLE001
            one["fault"] = str(error)
            one["passed"] = False
        results.append(one)
        if "fault" in one:
            # A device that has failed once answers nothing any more.
            break
    return results
