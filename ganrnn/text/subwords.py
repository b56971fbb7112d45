"""Subwords by byte pair encoding, with the library `tokenizers`; a word includes the blank before it.

Sennrich et al., "Neural machine translation of rare words with subword units" (ACL 2016).
"""

import json
from collections.abc import Mapping, Sequence

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

Merges = tuple[tuple[str, str], ...]
_MAX_CHARACTERS = 32  # of a subword


def train(
    texts: Sequence[str], alphabet: Sequence[str], special_tokens: Sequence[str], max_size: int
) -> tuple[tuple[str, ...], Merges]:
    """Tokens, special ones first, and merges in order; the order of the texts does not change them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _words()
    trainer = trainers.BpeTrainer(
        vocab_size=max_size,
        special_tokens=list(special_tokens),
        initial_alphabet=sorted(alphabet),
        limit_alphabet=len(alphabet),
        max_token_length=_MAX_CHARACTERS,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = tuple(sorted(model["vocab"], key=model["vocab"].__getitem__))
    return tokens, tuple((first, second) for first, second in model["merges"])


def tokenizer_of(ids: Mapping[str, int], merges: Merges, unknown: str) -> Tokenizer:
    """The tokenizer of these subwords; a character without a subword becomes `unknown`."""
    tokenizer = Tokenizer(models.BPE(vocab=dict(ids), merges=list(merges), unk_token=unknown))
    tokenizer.pre_tokenizer = _words()
    return tokenizer


def _words() -> pre_tokenizers.PreTokenizer:
    words = pre_tokenizers.Split(" ", "merged_with_next")
    return pre_tokenizers.Sequence([words, pre_tokenizers.Punctuation("isolated")])
