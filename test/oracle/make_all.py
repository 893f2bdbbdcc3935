"""Makes every committed golden again: `make_all.py --out test/e2e/goldens`.

`--only PART` makes one part: pictures, models, pixels, tokens, siglip, llava, blip2. The result is the same
bit for bit with the packages of requirements.txt.
"""

import argparse
from pathlib import Path

import common  # noqa: F401  (first: sets the environment that torch reads)

PARTS = [
    "pictures",
    "models",
    "pixels",
    "tokens",
    "siglip",
    "pieces",
    "llava",
    "onevision",
    "blip2",
    "flamingo",
    "mllama",
    "open_clip",
    "paligemma",
    "fuyu",
    "chameleon",
    "internvl",
    "idefics2",
    "align",
    "gemma3",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, help="the goldens folder")
    parser.add_argument("--only", choices=PARTS)
    args = parser.parse_args()
    root = Path(args.out) / "clip"
    root.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if args.only not in (None, part):
            continue
        if part == "pieces":
            import piece_tokens

            piece_tokens.make_all(Path(args.out) / "pieces")
            continue
        if part == "siglip":
            import naflex_models
            import siglip_models
            import siglip_tokens

            siglip_models.make_all(Path(args.out) / "siglip")
            siglip_tokens.make_all(Path(args.out) / "siglip")
            naflex_models.make_all(Path(args.out) / "siglip2")
            continue
        if part == "llava":
            import llava_files
            import llava_models
            import llava_next
            import llava_original

            llava_models.make_all(Path(args.out) / "llava")
            llava_files.make_all(Path(args.out) / "llava")
            llava_next.make_all(Path(args.out) / "llava")
            llava_original.make_all(Path(args.out) / "llava")
            continue
        if part == "onevision":
            import onevision_models

            onevision_models.make_all(Path(args.out) / "llava-onevision")
            continue
        if part == "gemma3":
            import gemma3_models

            gemma3_models.make_all(Path(args.out) / "gemma3")
            continue
        if part == "blip2":
            import blip2_files
            import blip2_models
            import blip2_t5

            blip2_models.make_all(Path(args.out) / "blip2")
            blip2_files.make_all(Path(args.out) / "blip2")
            blip2_t5.make_all(Path(args.out) / "blip2-t5")
            continue
        if part == "flamingo":
            import idefics_models
            import open_flamingo

            idefics_models.make_all(Path(args.out) / "idefics")
            open_flamingo.make_all(Path(args.out) / "open-flamingo")
            continue
        if part == "mllama":
            import mllama_models

            mllama_models.make_all(Path(args.out) / "mllama")
            continue
        if part == "open_clip":
            import open_clip_models

            open_clip_models.make_all(Path(args.out) / "open_clip")
            continue
        if part == "paligemma":
            import paligemma_models

            paligemma_models.make_all(Path(args.out) / "paligemma")
            continue
        if part == "chameleon":
            import chameleon_models

            chameleon_models.make_all(Path(args.out) / "chameleon")
            continue
        if part == "fuyu":
            import fuyu_models

            fuyu_models.make_all(Path(args.out) / "fuyu")
            continue
        if part == "internvl":
            import internvl_chat
            import internvl_models

            internvl_models.make_all(Path(args.out) / "internvl")
            internvl_chat.make_all(Path(args.out) / "internvl")
            continue
        if part == "idefics2":
            import idefics2_models
            import idefics3_models

            idefics2_models.make_all(Path(args.out) / "idefics2")
            idefics3_models.make_all(Path(args.out) / "idefics3")
            continue
        if part == "align":
            import align_models

            align_models.make_all(Path(args.out) / "align")
            continue
        if part == "pictures":
            import pictures as module
        elif part == "models":
            import clip_models as module
        elif part == "pixels":
            import clip_pixels as module
        else:
            import clip_tokens as module
        module.make_all(root)


if __name__ == "__main__":
    main()
