"""The report of a check: Markdown for people, of the same figures as the JSON."""


def number(value, digits=3):
    if value is None:
        return "-"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def rows(table):
    head, *rest = table
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(number(cell) for cell in line) + " |" for line in rest]


def kernels(part):
    if "not_run" in part:
        return [f"Not run: {part['not_run']}."]
    results = part["cases"]
    ran = [r for r in results if "skipped" not in r]
    failed = [r for r in ran if not r["passed"]]
    lines = [
        f"{len(ran) - len(failed)} of {len(ran)} cases passed, {len(results) - len(ran)} left out"
        " (code for another chip)."
    ]
    worst = sorted((r for r in ran if "error" in r), key=lambda r: -r["error"] / r["tolerance"])
    if worst:
        table = [["nearest to its tolerance", "error", "tolerance"]]
        lines += ["", *rows(table + [[r["name"], r["error"], r["tolerance"]] for r in worst[:5]])]
    for one in failed:
        what = one.get("fault") or f"error {number(one['error'])}, at most {one['tolerance']}"
        lines.append(f"- **failed** {one['name']}: {what}")
    return lines


def goldens(part):
    if "not_run" in part:
        return [f"Not run: {part['not_run']}."]
    lines = [f"{part['passed']} passed, {part['failed']} failed."]
    return lines + [f"- **failed** {name}" for name in part["failures"]]


def rates(part):
    if "not_run" in part:
        return [f"Not run: {part['not_run']}."]
    table = [["what", "figure", "unit"]]
    copy, gap = part.get("copy"), part.get("gap")
    if copy:
        table.append(["copies within the GPU's memory", copy["gigabytes_a_second"], "GB/s"])
    for product in part.get("products", []):
        name = f"own product {'x'.join(map(str, product['shape']))} ({product['chip']})"
        table.append([name, product["teraflops"], "TFLOP/s"])
    if part.get("cublas_teraflops"):
        table.append(["cuBLASLt's product of that size", part["cublas_teraflops"], "TFLOP/s"])
    if part.get("peak_teraflops"):
        table.append(["measured peak of products", part["peak_teraflops"], "TFLOP/s"])
    if gap:
        table.append(["from one plain launch to the next", gap["plain_us"], "us"])
        table.append(["the same in a graph", gap["graph_us"], "us"])
    lines = rows(table)
    if "cublas_missing" in part:
        lines += ["", f"cuBLASLt failed: {part['cublas_missing']}."]
    return lines


def tower(part):
    if "not_run" in part:
        return [f"Not run: {part['not_run']}."]
    table = [
        [
            "batch",
            "ms",
            "TFLOP/s",
            "of the peak",
            "pictures/s",
            "load s",
            "first run s",
            "torch ms",
            "ratio",
        ]
    ]
    table.append(
        [
            part.get("batch"),
            part.get("ms"),
            part.get("teraflops"),
            part.get("of_peak"),
            part.get("pictures_a_second"),
            part.get("load_s"),
            part.get("first_s"),
            part.get("torch_ms"),
            part.get("torch_ratio"),
        ]
    )
    lines = [
        f"`{part['isa']}` on {part['device']}; times with copies of pictures and features.",
        "",
    ]
    lines += rows(table)
    if "torch_missing" in part:
        lines += ["", f"No peer: {part['torch_missing']}."]
    return lines


def decoder(part):
    if "not_run" in part:
        return [f"Not run: {part['not_run']}."]
    table = [["prompt", "first token ms", "again", "ms a token", "weights GB", "GB/s", "of copies"]]
    table.append(
        [
            part.get("prompt"),
            part.get("first_token_ms"),
            part.get("first_token_again_ms"),
            part.get("token_ms"),
            part["weight_bytes"] / 1e9 if part.get("weight_bytes") else None,
            part.get("gigabytes_a_second"),
            part.get("of_copies"),
        ]
    )
    return [f"`{part['isa']}` on {part['device']}.", "", *rows(table)]


def markdown(report):
    device = report["device"]
    lines = ["# GPU check", ""]
    if device["is_emulated"]:
        lines += [
            "**This is not a device**: the stand-in for the driver executed the kernels' LLVM IR on the CPU."
            " Results count, times do not.",
            "",
        ]
    lines += [
        f"{device['name']}, compute capability {device['capability']}, driver {device['driver']};"
        f" vlmc at {report['commit']}, {report['date']}.",
        "",
    ]
    parts = [
        ("Kernels, as the emulator ran them", "kernels", kernels),
        ("Goldens", "goldens", goldens),
        ("The machine", "rates", rates),
        ("CLIP ViT-L/14", "tower", tower),
        ("LLaVA-7B's decoder", "decoder", decoder),
    ]
    for title, name, write in parts:
        lines += [f"## {title}", "", *write(report[name]), ""]
    return "\n".join(lines)
