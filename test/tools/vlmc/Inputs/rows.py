"""rows.py FILE WHOLE PART...: the rows of case WHOLE are those of the cases PART, bit by bit.

Looks at what came of the answers: the ids, as far as a part has some, and the logits that the last one was chosen from.
"""

import sys

import tensors


def rows_of(data, name):
    _, shape, values = data[name]
    size = len(values) // shape[0]
    return [values[i * size : (i + 1) * size] for i in range(shape[0])]


def main(file, whole, *parts):
    with open(file, "rb") as opened:
        data = tensors.read(opened.read())
    for name in ("generated_ids", "last_step_logits"):
        rows = rows_of(data, f"{whole}.{name}")
        assert len(rows) == len(parts), f"{name}: {len(rows)} rows"
        for row, part in zip(rows, parts):
            (alone,) = rows_of(data, f"{part}.{name}")
            same = row[: len(alone)] == alone and len(alone) > 0
            print(f"{part}.{name}: {'same' if same else 'other'}")


main(*sys.argv[1:])
