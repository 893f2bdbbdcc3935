"""What a GPU does, and what compiled models do on it.

Every function gives a dictionary of figures for the report. Times are of the
wall: a run is over when its outputs are in the caller's memory.
"""

import array
import json
import pathlib
import statistics
import struct
import time

from library import Model, floats, integers


def copy_rate(driver, size):
    """Bytes read and written a second, by copies within the GPU's memory."""
    a, b = driver.allocate(size), driver.allocate(size)
    try:
        seconds = min(driver.time(lambda: driver.copy(b, a, size), 10) for _ in range(3))
    finally:
        driver.free(a)
        driver.free(b)
    return {"bytes": size, "gigabytes_a_second": 2 * size / seconds / 1e9}


def launch_gap(driver, folder, count):
    """Microseconds from one launch of next to nothing to the next: plain, and
    in a graph. `folder` holds the function `nothing`."""
    module = driver.load(
        (folder / "nothing.ptx").read_bytes(), (folder / "nothing.ll").read_bytes()
    )
    function = driver.function(module, "nothing")
    block = driver.allocate(64)

    def launch_all():
        for _ in range(count):
            driver.launch(function, (1, 1, 1), 32, 0, [block])

    plain = driver.time(launch_all, 3) / count
    graph = driver.record(launch_all)
    recorded = driver.time(lambda: driver.launch_graph(graph), 3) / count
    driver.free(block)
    driver.unload(module)
    return {"launches": count, "plain_us": plain * 1e6, "graph_us": recorded * 1e6}


def own_product(driver, folder, size):
    """The rate of the own kernel for a large product of f16."""
    about = json.loads((folder / "product.json").read_text())
    have, need = driver.capability(), tuple(about["capability"])
    if have != need if about["exact"] else have < need:
        return None
    module = driver.load(
        (folder / "product.ptx").read_bytes(), (folder / "product.bc").read_bytes()
    )
    depth, columns = about["depth"], about["columns"]
    blocks = [driver.allocate(2 * n) for n in (size * depth, columns * depth, size * columns)]
    some = floats((4096,), scale=0.5).data.raw[: 4096 * 4]
    halves = b"".join(some[i : i + 2] for i in range(2, len(some), 4))
    # The upper halves of floats are bf16; as f16 they are finite too.
    for block, n in zip(blocks[:2], (size * depth, columns * depth), strict=True):
        driver.upload(block, (halves * (2 * n // len(halves) + 1))[: 2 * n])
    maps = []
    if about["maps"]:
        rows = about["tile"]
        maps = [
            driver.tensor_map(blocks[0], depth, size, depth, (64, rows[0]), False),
            driver.tensor_map(blocks[1], depth, columns, depth, (64, rows[1]), False),
        ]
    function = driver.function(module, about["function"], about["shared"])
    grid = (-(-size // about["tile"][0]), -(-columns // about["tile"][1]), 1)

    def work():
        driver.launch(function, grid, about["threads"], about["shared"], [*maps, *blocks, size])

    seconds = driver.time(work, 1 if driver.is_emulated else 20)
    for block in blocks:
        driver.free(block)
    driver.unload(module)
    flops = 2 * size * columns * depth
    return {
        "shape": [size, columns, depth],
        "chip": about["chip"],
        "ms": seconds * 1e3,
        "teraflops": flops / seconds / 1e12,
    }


def tower_flops(shape, batch):
    """Of a vision transformer's products and attention, two a multiply-add."""
    width, layers, mlp, tokens, patch = (
        shape[k] for k in ("width", "layers", "mlp", "tokens", "patch")
    )
    layer = 2 * tokens * (4 * width * width + 2 * width * mlp) + 4 * tokens * tokens * width
    return batch * (layers * layer + 2 * (tokens - 1) * width * 3 * patch * patch)


def times_of(work, warmup, repeats):
    for _ in range(warmup):
        work()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def vision_tower(options, about, batch, repeats):
    """encode_image of a package on random pictures."""
    begin = time.perf_counter()
    model = Model(options.libvlm, options.folder / about["package"], about["isa"], options.driver)
    load = time.perf_counter() - begin
    pixels = floats((batch, 3, about["side"], about["side"]))
    inputs = {"pixel_values": pixels}

    def work():
        return model.run("encode_image", inputs, {about["output"]})

    begin = time.perf_counter()
    work()
    first = time.perf_counter() - begin
    seconds = times_of(work, 2, repeats)
    device = model.device()
    model.close()
    flops = tower_flops(about["shape"], batch)
    return {
        "batch": batch,
        "isa": about["isa"],
        "device": device,
        "load_s": load,
        "first_s": first,
        "ms": seconds * 1e3,
        "input_bytes": len(pixels.data),
        "teraflops": flops / seconds / 1e12,
        "pictures_a_second": batch / seconds,
    }


def decoder(options, about, prompt, tokens):
    """A prompt with a picture's features, then one token after the other."""
    begin = time.perf_counter()
    model = Model(options.libvlm, options.folder / about["package"], about["isa"], options.driver)
    load = time.perf_counter() - begin
    given = model.describe("decode")
    cache = model.make_cache(prompt + tokens)
    width = given["features"][1][-1] if "features" in given else 0
    pictures = about["picture_tokens"] if width else 0
    no_features = floats((1, width)) if width else None

    def step(first, count):
        ids = [about["token"] + i % 7 for i in range(count)]
        inputs = {
            "input_ids": integers(ids, "i64"),
            "sequence": integers([0] * count, "i32"),
            "position": integers(range(first, first + count), "i32"),
            "rows": integers([count - 1], "i32"),
        }
        if width:
            begins = first == 0
            rows = [i if begins and i < pictures else -1 for i in range(count)]
            inputs["feature_row"] = integers(rows, "i32")
            inputs["features"] = floats((pictures, width)) if begins else no_features
        model.resize(cache, first + count)
        model.run("decode", inputs, {"logits"}, cache)

    begin = time.perf_counter()
    step(0, prompt)
    first = time.perf_counter() - begin
    model.resize(cache, 0)
    begin = time.perf_counter()
    step(0, prompt)
    again = time.perf_counter() - begin
    taken = []
    for i in range(tokens):
        begin = time.perf_counter()
        step(prompt + i, 1)
        taken.append(time.perf_counter() - begin)
    device = model.device()
    model.vlm.vlm_cache_destroy(cache)
    model.close()
    middle = statistics.median(taken[tokens // 4 :])
    read = weight_bytes(options.folder / about["package"], about.get("read", ""))
    return {
        "isa": about["isa"],
        "device": device,
        "prompt": prompt,
        "load_s": load,
        "first_token_ms": first * 1e3,
        "first_token_again_ms": again * 1e3,
        "token_ms": middle * 1e3,
        "weight_bytes": read,
        "gigabytes_a_second": read / middle / 1e9,
    }


def weight_bytes(package, prefix):
    """Bytes of the 16-bit matrices that a decoding step reads: all of the parts
    whose names begin so, but for tables of embeddings."""
    path = next(pathlib.Path(package).glob("*.weights"))
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        if name == "__metadata__" or not name.startswith(prefix) or "embed" in name:
            continue
        begin, end = tensor["data_offsets"]
        total += (end - begin) if tensor["dtype"] in ("F16", "BF16") else 0
    return total


NUMBERS = {"F16": ("e", 2), "F32": ("f", 4)}


def pattern(dtype):
    """A stretch of small random numbers."""
    some = array.array("f", floats((1 << 16,), scale=0.02).data.raw[: 4 << 16])
    if dtype == "BF16":
        raw = some.tobytes()
        return b"".join(raw[i + 2 : i + 4] for i in range(0, len(raw), 4))
    code = NUMBERS[dtype][0]
    return struct.pack(f"<{len(some)}{code}", *some)


def leave_out(package):
    """Cuts the weights' numbers off a package, so that it is small to carry."""
    package = pathlib.Path(package)
    path = next(package.glob("*.weights"))
    size = path.stat().st_size
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        file.truncate(8 + length)
    (package / "weights-left-out").write_text(str(size))


def expand(package):
    """Fills the weights of a package that travelled without them: small random
    numbers, which do for times. Nothing is done where they are all there."""
    package = pathlib.Path(package)
    note = package / "weights-left-out"
    if not note.exists():
        return
    path = next(package.glob("*.weights"))
    patterns = {dtype: pattern(dtype) for dtype in ("F16", "BF16", "F32")}
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        file.truncate(int(note.read_text()))
        for name, tensor in header.items():
            if name == "__metadata__" or tensor["dtype"] not in patterns:
                continue
            begin, end = tensor["data_offsets"]
            some = patterns[tensor["dtype"]]
            file.seek(8 + length + begin)
            for at in range(begin, end, len(some)):
                file.write(some[: end - at])
    note.unlink()
