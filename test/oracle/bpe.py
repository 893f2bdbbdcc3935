"""CLIP vocabularies: the byte alphabet, merges learned from a text, files."""

import heapq
import json
from collections import Counter, defaultdict
from pathlib import Path

BOS = "<|startoftext|>"
EOS = "<|endoftext|>"


def byte_alphabet():
    """The 256 characters that stand for bytes, in the order of CLIP's vocabulary.

    Printable Latin-1 bytes stand for themselves; the other 68 take the code
    points from 256 on, and come last.
    """
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in keep]
    return [chr(b) for b in keep] + [chr(256 + i) for i in range(len(rest))]


def words_of(lines):
    """Counts the byte-level words that CLIP's normaliser and splitter yield."""
    from transformers import CLIPTokenizer

    backend = CLIPTokenizer()._tokenizer
    counts = Counter()
    for line in lines:
        text = backend.normalizer.normalize_str(line)
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(text):
            counts[word] += 1
    return counts


def learn_merges(lines, count):
    """Learns `count` merges; ties go to the pair that sorts first."""
    words, weights = [], []
    for word, n in sorted(words_of(lines).items()):
        words.append([*word[:-1], word[-1] + "</w>"])
        weights.append(n)
    pairs, where = Counter(), defaultdict(set)
    for i, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pairs[pair] += weights[i]
            where[pair].add(i)
    heap = [(-n, pair) for pair, n in pairs.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < count:
        n, pair = heapq.heappop(heap)
        if pairs[pair] != -n:
            if pairs[pair] > 0:
                heapq.heappush(heap, (-pairs[pair], pair))
            continue
        if -n < 2:
            break
        merges.append(pair)
        changed = set()
        for i in sorted(where.pop(pair)):
            changed |= _merge_word(words, weights, i, pair, pairs, where)
        for other in sorted(changed):
            if pairs[other] > 0:
                heapq.heappush(heap, (-pairs[other], other))
    return merges


def _merge_word(words, weights, i, pair, pairs, where):
    word, out, j = words[i], [], 0
    while j < len(word):
        if j + 1 < len(word) and (word[j], word[j + 1]) == pair:
            out.append(word[j] + word[j + 1])
            j += 2
        else:
            out.append(word[j])
            j += 1
    changed = set()
    for old in zip(word, word[1:]):
        pairs[old] -= weights[i]
        changed.add(old)
    for new in zip(out, out[1:]):
        pairs[new] += weights[i]
        where[new].add(i)
        changed.add(new)
    words[i] = out
    return changed


def build_vocab(merges):
    """Token to id: bytes, bytes that end a word, merges, then bos and eos."""
    tokens = byte_alphabet()
    tokens = tokens + [t + "</w>" for t in tokens]
    tokens += ["".join(m) for m in merges]
    tokens = list(dict.fromkeys(tokens)) + [BOS, EOS]
    return {t: i for i, t in enumerate(tokens)}


def write_vocab_files(folder, vocab, merges):
    """The two files of the slow tokenizer, as OpenAI published them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(vocab, ensure_ascii=False)
    (folder / "vocab.json").write_text(text, encoding="utf-8")
    lines = ["#version: 0.2"] + [" ".join(m) for m in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_tokenizer_json(folder, vocab, merges, pad, max_length):
    """tokenizer.json and tokenizer_config.json as CLIPTokenizer saves them."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer(
        vocab=vocab, merges=list(merges), pad_token=pad, model_max_length=max_length
    )
    tokenizer.save_pretrained(str(folder))
    # Saved with an indent of one token a line: stored compactly instead.
    path = Path(folder) / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def write_v4_tokenizer_config(folder, pad, max_length):
    """What transformers 4 wrote beside vocab.json and merges.txt."""

    def added(text):
        return {
            "__type": "AddedToken",
            "content": text,
            "lstrip": False,
            "normalized": True,
            "rstrip": False,
            "single_word": False,
        }

    value = {
        "unk_token": added(EOS),
        "bos_token": added(BOS),
        "eos_token": added(EOS),
        "pad_token": pad,
        "add_prefix_space": False,
        "errors": "replace",
        "do_lower_case": True,
        "model_max_length": max_length,
        "tokenizer_class": "CLIPTokenizer",
    }
    path = Path(folder) / "tokenizer_config.json"
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
