"""Prints the graph of a small dual encoder (vision and text transformer, similarity), as the frontend would make it.

    dual_encoder.py --layers 2 [--tap]

With --tap the entries also give back their last hidden states.
"""

import argparse

D, HEADS, HIDDEN, OUT, PATCHES, VOCABULARY, CONTEXT = 64, 4, 128, 32, 16, 100, 16


class Entry:
    """One entry point while it is written: its lines and a counter of values."""

    def __init__(self, weights):
        self.weights, self.lines, self.count = weights, [], 0

    def emit(self, text):
        self.count += 1
        self.lines.append(f"  %{self.count} = {text}")
        return f"%{self.count}"

    def weight(self, name, *shape):
        kind = f"tensor<{'x'.join(map(str, shape))}xf32>"
        self.weights.setdefault(name, kind)
        return self.emit(f"vlm.get_weight @{name} : {kind}"), kind

    def linear(self, x, kind, name, inner, outer, bias=True):
        weight, weight_type = self.weight(f"{name}.weight", outer, inner)
        result = kind.replace(f"x{inner}x", f"x{outer}x")
        operands, types = f"{x}, {weight}", f"{kind}, {weight_type}"
        if bias:
            value, value_type = self.weight(f"{name}.bias", outer)
            operands, types = f"{operands} bias {value}", f"{types}, {value_type}"
        return self.emit(f'vlm.linear {operands} {{vlm.label = "{name}"}} : ({types}) -> {result}')

    def norm(self, x, kind, name):
        weight, weight_type = self.weight(f"{name}.weight", D)
        bias, _ = self.weight(f"{name}.bias", D)
        return self.emit(
            f'vlm.layer_norm {x}, {weight}, {bias} {{epsilon = 1.0e-05 : f64, vlm.label = "{name}"}}'
            f" : {kind}, {weight_type}, {weight_type}"
        )

    def add(self, x, y, kind, name, other=None):
        return self.emit(f'vlm.add {x}, {y} {{vlm.label = "{name}"}} : {kind}, {other or kind}')

    def block(self, x, kind, name, mask=""):
        y = self.norm(x, kind, f"{name}.norm1")
        roles = ("query", "key", "value")
        q, k, v = (self.linear(y, kind, f"{name}.attention.{role}", D, D) for role in roles)
        valid, causal, types = ("", "", "")
        if mask:
            valid, causal, types = f" key_valid {mask}", "causal, ", ", tensor<?x?xi64>"
        y = self.emit(
            f"vlm.attention {q}, {k}, {v}{valid} {{{causal}num_heads = {HEADS} : i64, num_kv_heads = {HEADS} : i64,"
            f' scale = 0.25 : f64, vlm.label = "{name}.attention"}}'
            f" : ({kind}, {kind}, {kind}{types}) -> {kind}"
        )
        y = self.linear(y, kind, f"{name}.attention.out", D, D)
        x = self.add(x, y, kind, f"{name}.residual1")
        y = self.norm(x, kind, f"{name}.norm2")
        hidden = kind.replace(f"x{D}x", f"x{HIDDEN}x")
        y = self.linear(y, kind, f"{name}.mlp.fc1", D, HIDDEN)
        label = f'{{vlm.label = "{name}.mlp.act"}}'
        y = self.emit(f"vlm.activation quick_gelu {y} {label} : {hidden}")
        y = self.linear(y, hidden, f"{name}.mlp.fc2", HIDDEN, D)
        return self.add(x, y, kind, f"{name}.residual2")

    def pool(self, x, kind, where, types, tower):
        one, row = f"tensor<?x1x{D}xf32>", f"tensor<?x{D}xf32>"
        label = f'{{vlm.label = "{tower}.pooled"}}'
        x = self.emit(f"vlm.take_tokens {x} {where} {label} : ({kind}{types}) -> {one}")
        return self.emit(f"vlm.squeeze {x} {label} : ({one}) -> {row}"), row

    def project(self, x, row, name):
        x = self.linear(x, row, f"{name}.projection", D, OUT, bias=False)
        out = f"tensor<?x{OUT}xf32>"
        return self.emit(f'vlm.l2_normalize {x} {{vlm.label = "{name}.embeds"}} : {out}'), out


def result(name, kind):
    return f'{kind} {{vlm.name = "{name}"}}'


def vision(weights, layers, tap):
    entry, kind = Entry(weights), f"tensor<?x{PATCHES + 1}x{D}xf32>"
    patches = f"tensor<?x{PATCHES}x{D}xf32>"
    weight, weight_type = entry.weight("vision.patches.weight", D, 3, 8, 8)
    x = entry.emit(
        f'vlm.patch_embed %pixels, {weight} {{vlm.label = "vision.patches"}}'
        f" : (tensor<?x3x32x32xf32>, {weight_type}) -> {patches}"
    )
    token, token_type = entry.weight("vision.class", 1, D)
    x = entry.emit(f"vlm.prepend_tokens {token}, {x} : ({token_type}, {patches}) -> {kind}")
    positions, positions_type = entry.weight("vision.positions", PATCHES + 1, D)
    x = entry.add(x, positions, kind, "vision.positions", positions_type)
    x = entry.norm(x, kind, "vision.pre_norm")
    for i in range(layers):
        x = entry.block(x, kind, f"vision.layers.{i}")
    pooled, row = entry.pool(x, kind, "at 0", "", "vision")
    embeds, out = entry.project(entry.norm(pooled, row, "vision.post_norm"), row, "vision")
    taps = [(x, kind, "vision_features")] if tap else []
    arguments = (
        '%pixels: tensor<?x3x32x32xf32> {vlm.name = "pixel_values", vlm.dims = ["B", "", "", ""]}'
    )
    symbols = '#vlm.symbol<"B", 1, 1, 64>'
    return function(
        "encode_image", arguments, symbols, entry, [(embeds, out, "image_embeds"), *taps]
    )


def text(weights, layers, tap):
    entry, kind = Entry(weights), f"tensor<?x?x{D}xf32>"
    table, table_type = entry.weight("text.tokens", VOCABULARY, D)
    x = entry.emit(f"vlm.embedding %ids, {table} : (tensor<?x?xi64>, {table_type}) -> {kind}")
    positions, positions_type = entry.weight("text.positions", CONTEXT, D)
    x = entry.add(x, positions, kind, "text.positions", positions_type)
    for i in range(layers):
        x = entry.block(x, kind, f"text.layers.{i}", "%mask")
    x = entry.norm(x, kind, "text.norm")
    index = entry.emit(
        'vlm.token_index first_equal %ids {id = 99 : i64, vlm.label = "text.end"}'
        " : (tensor<?x?xi64>) -> tensor<?x1xi32>"
    )
    pooled, row = entry.pool(x, kind, f"index {index}", ", tensor<?x1xi32>", "text")
    embeds, out = entry.project(pooled, row, "text")
    taps = [(x, kind, "text_features")] if tap else []
    arguments = (
        '%ids: tensor<?x?xi64> {vlm.name = "input_ids", vlm.dims = ["B", "T"],'
        f" vlm.range = array<i64: 0, {VOCABULARY - 1}>}},"
        ' %mask: tensor<?x?xi64> {vlm.name = "attention_mask", vlm.dims = ["B", "T"], vlm.fill = 1 : i64}'
    )
    symbols = f'#vlm.symbol<"B", 1, 1, 64>, #vlm.symbol<"T", 1, 8, {CONTEXT}>'
    return function("encode_text", arguments, symbols, entry, [(embeds, out, "text_embeds"), *taps])


def similarity(weights):
    entry = Entry(weights)
    scale, scale_type = entry.weight("logit_scale", 1)
    kind = f"tensor<?x{OUT}xf32>"
    logits = entry.emit(
        f'vlm.contrastive_logits %image, %text, {scale} {{vlm.label = "logits"}}'
        f" : ({kind}, {kind}, {scale_type}) -> tensor<?x?xf32>"
    )
    arguments = (
        f'%image: {kind} {{vlm.name = "image_embeds", vlm.dims = ["I", ""]}},'
        f' %text: {kind} {{vlm.name = "text_embeds", vlm.dims = ["N", ""]}}'
    )
    symbols = '#vlm.symbol<"I", 1, 1, 64>, #vlm.symbol<"N", 1, 8, 1024>'
    results = [(logits, "tensor<?x?xf32>", "logits_per_image")]
    return function("similarity", arguments, symbols, entry, results)


def function(name, arguments, symbols, entry, results):
    types = ", ".join(result(label, kind) for _, kind, label in results)
    head = f"func.func @{name}({arguments}) -> ({types})"
    values, kinds = ", ".join(r[0] for r in results), ", ".join(r[1] for r in results)
    body = [*entry.lines, f"  return {values} : {kinds}"]
    return "\n".join([f"{head} attributes {{vlm.entry, vlm.symbols = [{symbols}]}} {{", *body, "}"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--tap", action="store_true")
    options = parser.parse_args()
    weights = {}
    entries = [
        vision(weights, options.layers, options.tap),
        text(weights, options.layers, options.tap),
        similarity(weights),
    ]
    for name, kind in weights.items():
        print(f'vlm.weight @{name} : {kind} = #vlm.recipe<read "{name}" : {kind}>')
    print("\n".join(entries))


if __name__ == "__main__":
    main()
