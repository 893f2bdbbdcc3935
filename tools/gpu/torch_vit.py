"""The time of CLIP's ViT-L/14 in PyTorch, compiled with max-autotune: the peer.

Prints one line of JSON: {"ms": ...}, or {"missing": why}.
"""

import json
import sys
import time


def build(torch, width, layers, heads, patch, side):
    class Tower(torch.nn.Module):
        def __init__(self):
            super().__init__()
            tokens = (side // patch) ** 2 + 1
            self.patches = torch.nn.Conv2d(3, width, patch, patch, bias=False)
            self.first = torch.nn.Parameter(torch.randn(1, 1, width))
            self.places = torch.nn.Parameter(torch.randn(1, tokens, width))
            self.before = torch.nn.LayerNorm(width)
            self.layers = torch.nn.ModuleList(Layer() for _ in range(layers))
            self.after = torch.nn.LayerNorm(width)

        def forward(self, pixels):
            x = self.patches(pixels).flatten(2).transpose(1, 2)
            x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.places
            x = self.before(x)
            for layer in self.layers:
                x = layer(x)
            return self.after(x[:, 0])

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
            self.qkv = torch.nn.Linear(width, 3 * width)
            self.out = torch.nn.Linear(width, width)
            self.up = torch.nn.Linear(width, 4 * width)
            self.down = torch.nn.Linear(4 * width, width)

        def forward(self, x):
            batch, tokens, _ = x.shape
            q, k, v = (
                self.qkv(self.norm1(x))
                .view(batch, tokens, 3, heads, width // heads)
                .permute(2, 0, 3, 1, 4)
            )
            a = torch.nn.functional.scaled_dot_product_attention(q, k, v)
            x = x + self.out(a.transpose(1, 2).reshape(batch, tokens, width))
            y = self.up(self.norm2(x))
            return x + self.down(y * torch.sigmoid(1.702 * y))

    return Tower()


def main():
    batch = int(sys.argv[1])
    try:
        import torch
    except ImportError as error:
        return {"missing": str(error)}
    if not torch.cuda.is_available():
        return {"missing": "PyTorch finds no GPU"}
    tower = build(torch, 1024, 24, 16, 14, 224).cuda().half().eval()
    tower = torch.compile(tower, mode="max-autotune")
    pixels = torch.randn(batch, 3, 224, 224, device="cuda", dtype=torch.half)
    with torch.inference_mode():
        for _ in range(5):
            tower(pixels)
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(20):
            tower(pixels)
        torch.cuda.synchronize()
    return {"ms": (time.perf_counter() - begin) / 20 * 1e3, "torch": torch.__version__}


if __name__ == "__main__":
    print(json.dumps(main()))
