"""Vocabularies of SigLIP's tokenizers: SentencePiece models and Gemma's kind."""

import json
from pathlib import Path

from common import write_json

BLANK = "\u2581"
SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]

# A handful of rules in place of the 240 KB of SentencePiece's own.
RULES = [("\u00a0", " "), ("\t", " "), ("\n", " "), ("\ufb01", "fi"), ("\u2126", "\u03c9"),
         ("e\u0301", "\u00e9"), ("\u00ad", ""), ("\u3000", " "), ("\u00bd", "1/2")]  # fmt: skip


def train_spiece(path, lines, size, normalizer=None, **options):
    """Learns a unigram model and writes it."""
    import sentencepiece

    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    rules = folder / "rules.tsv"
    if normalizer is None:
        rules.write_text(
            "".join(
                " ".join(f"{ord(c):X}" for c in a)
                + "\t"
                + " ".join(f"{ord(c):X}" for c in b)
                + "\n"
                for a, b in RULES
            )
        )
        options["normalization_rule_tsv"] = str(rules)
    else:
        options["normalization_rule_name"] = normalizer
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(Path(path).with_suffix("")),
        vocab_size=size,
        hard_vocab_limit=False,
        model_type="unigram",
        num_threads=1,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        max_sentence_length=100000,
        minloglevel=2,
        **options,
    )
    rules.unlink(missing_ok=True)
    Path(path).with_suffix(".vocab").unlink()
    forget_training(path)


def forget_training(path):
    """Takes the trainer's settings, which name files, out of the model."""
    from sentencepiece import sentencepiece_model_pb2 as pb

    model = pb.ModelProto.FromString(Path(path).read_bytes())
    kept = pb.TrainerSpec(
        model_type=model.trainer_spec.model_type,
        vocab_size=model.trainer_spec.vocab_size,
        byte_fallback=model.trainer_spec.byte_fallback,
        treat_whitespace_as_suffix=model.trainer_spec.treat_whitespace_as_suffix,
        unk_id=2, bos_id=-1, eos_id=1, pad_id=0,
    )  # fmt: skip
    model.trainer_spec.CopyFrom(kept)
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    model.ClearField("denormalizer_spec")
    Path(path).write_bytes(model.SerializeToString(deterministic=True))


def train_pairs(path, lines, size, prefix):
    """Learns byte pairs with bytes for what is not among them, and changes no blank."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(Path(path).with_suffix("")),
        vocab_size=size,
        hard_vocab_limit=False,
        model_type="bpe",
        num_threads=1,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=prefix,
        character_coverage=0.98,
        max_sentence_length=100000,
        minloglevel=2,
    )
    Path(path).with_suffix(".vocab").unlink()
    model = pb.ModelProto.FromString(Path(path).read_bytes())
    model.trainer_spec.CopyFrom(
        pb.TrainerSpec(
            model_type=pb.TrainerSpec.BPE, vocab_size=len(model.pieces), byte_fallback=True
        )
    )
    Path(path).write_bytes(model.SerializeToString(deterministic=True))


def spiece_size(path):
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(path)).get_piece_size()


def write_spiece_config(folder, **config):
    value = {"tokenizer_class": "SiglipTokenizer", "eos_token": "</s>", "pad_token": "</s>",
             "unk_token": "<unk>", "do_lower_case": True}  # fmt: skip
    write_json(Path(folder) / "tokenizer_config.json", dict(value, **config))


def learn_space_bpe(lines, size):
    """Vocabulary and merges over whole lines with visible blanks."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    first = SPECIALS + [f"<0x{b:02X}>" for b in range(256)]
    tokenizer = Tokenizer(models.BPE())
    # Blanks end words here, so that merges stay short; the tokenizer has none.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(BLANK, "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(first), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator([line.replace(" ", BLANK) for line in lines], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    learned = sorted(model["vocab"], key=model["vocab"].get)
    vocab = {t: i for i, t in enumerate(first + learned)}
    return vocab, [tuple(m) for m in model["merges"]]


def write_space_bpe(folder, lines, size, kind, **config):
    """tokenizer.json and tokenizer_config.json of that kind; returns the size."""
    from transformers import GemmaTokenizer, Siglip2Tokenizer

    vocab, merges = learn_space_bpe(lines, size)
    cls = {"gemma": GemmaTokenizer, "siglip2": Siglip2Tokenizer}[kind]
    # What surrounds a text comes from tokenizer.json, whatever the config says.
    ends = {k: v for k, v in config.items() if k.startswith("add_")}
    tokenizer = cls(vocab=vocab, merges=merges, **ends)
    tokenizer.save_pretrained(str(folder))
    path = Path(folder) / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")
    value = {"tokenizer_class": cls.__name__, "bos_token": "<bos>", "eos_token": "<eos>",
             "pad_token": "<pad>", "unk_token": "<unk>"}  # fmt: skip
    write_json(Path(folder) / "tokenizer_config.json", dict(value, **config))
    return len(vocab)
