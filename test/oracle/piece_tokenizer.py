"""InternLM2's tokenizer, which is not in transformers: SentencePiece between the added tokens of its configuration.

Written after the description of its class (tokenization_internlm2.py of the checkpoints) as far as ids and text of
single texts go; the cutting of texts at added tokens is that of transformers.
"""

import json
from pathlib import Path

import sentencepiece
from transformers import AddedToken, PreTrainedTokenizer


class PieceTokenizer(PreTrainedTokenizer):
    model_input_names = ["input_ids", "attention_mask"]

    def __init__(self, folder):
        config = json.loads((Path(folder) / "tokenizer_config.json").read_text())
        config.pop("tokenizer_class")
        self.begins = config.pop("add_bos_token", True)
        self.ends = config.pop("add_eos_token", False)
        self.pieces = sentencepiece.SentencePieceProcessor(
            model_file=str(Path(folder) / "tokenizer.model")
        )
        decoder = {int(i): AddedToken(**t) for i, t in config.pop("added_tokens_decoder").items()}
        super().__init__(added_tokens_decoder=decoder, **config)

    @property
    def vocab_size(self):
        return self.pieces.get_piece_size()

    def get_vocab(self):
        own = {self.pieces.id_to_piece(i): i for i in range(self.vocab_size)}
        return own | self.added_tokens_encoder

    def _tokenize(self, text):
        return self.pieces.encode(text, out_type=str)

    def _convert_token_to_id(self, token):
        return self.pieces.piece_to_id(token)

    def _convert_id_to_token(self, index):
        return self.pieces.id_to_piece(index)

    def convert_tokens_to_string(self, tokens):
        text, waiting, after_special = "", [], False
        for token in tokens:
            if token in self.all_special_tokens:
                text += ("" if after_special else " ") + self.pieces.decode(waiting) + token
                waiting, after_special = [], True
            else:
                waiting.append(token)
                after_special = False
        return text + self.pieces.decode(waiting)

    def build_inputs_with_special_tokens(self, ids, other=None):
        return [self.bos_token_id] * self.begins + ids + [self.eos_token_id] * self.ends
