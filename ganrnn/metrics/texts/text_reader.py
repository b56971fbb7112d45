"""A small language model trained on some texts that scores others: their likelihood, and features of them.

Trained on real texts, its likelihood of generated texts measures their quality; trained on generated texts, its
likelihood of real texts measures their diversity: forward and reverse perplexity (Cífka et al., "Eval all, trust a few,
do wrong to none", 2018; Zhao et al., ARAE, 2018). The Fréchet distance of its features follows Semeniuta, Severyn &
Gelly, "On accurate evaluation of GANs for language generation" (2018).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ganrnn.config import at_least
from ganrnn.tasks.language_model import LanguageModel, LanguageModelConfig
from ganrnn.text.batches import RowBatches
from ganrnn.text.vocabulary import PAD, TextVocabulary
from ganrnn.training.optimizer import PlayerConfig

_NUM_ROWS = 32


@dataclass(frozen=True)
class ReaderConfig:
    """Sizes in features, characters or steps; texts are cut to `num_characters`."""

    hidden_dim: int = 128  #: Number of features of the recurrent network.
    num_characters: int = 128  #: Number of characters that are read of a text.
    num_steps: int = 400  #: Number of training steps.

    def __post_init__(self) -> None:
        at_least("evaluate.sweep.reader", self, hidden_dim=1, num_characters=1, num_steps=1)


class TextReader:
    """A character language model of `texts`; `vocabulary` may come from more texts."""

    def __init__(self, texts: Sequence[str], vocabulary: TextVocabulary, config: ReaderConfig, seed: int) -> None:
        self.num_characters = config.num_characters
        player = PlayerConfig(learning_rate=5e-3, schedule="cosine", warmup_steps=20, beta2=0.99, max_gradient_norm=1.0)
        self.task = LanguageModel(
            LanguageModelConfig(
                cell="gru",
                embedding_dim=config.hidden_dim // 2 + 1,
                hidden_dim=config.hidden_dim,
                num_tokens=config.num_characters,
                optimiser=player,
                ema_half_life_steps=20,
                num_steps=config.num_steps,
            ),
            vocabulary,
            seed,
        )
        batches = self.task.batches({"text": texts}, _NUM_ROWS, seed)
        for step in range(config.num_steps):
            self.task.step(batches.at(step))

    def nats(self, texts: Sequence[str]) -> float:
        """The mean negative log-likelihood per character of texts in nats, their ends included."""
        total, num_characters = self.task.negative_log_likelihood({"text": texts})
        return total / num_characters

    @torch.no_grad()
    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The mean state over the characters of each text, [N, hidden_dim], in the order of batches, not of texts."""
        means = []
        for tokens in self._read(texts):
            states, _ = self.task.average(tokens[:, :-1], self.task.average.stack.begin(len(tokens)))
            is_token = (tokens[:, 1:] != PAD)[:, :, None]
            means.append((states * is_token).sum(1) / is_token.sum(1))
        features: NDArray[np.float32] = torch.cat(means).numpy()
        return features

    def _read(self, texts: Sequence[str]) -> Iterator[torch.Tensor]:
        encoded = [self.task.vocabulary.encode(text) for text in texts]
        batches = RowBatches(encoded, num_rows=_NUM_ROWS, num_tokens=self.num_characters, seed=0)
        return (batch["tokens"] for batch in batches.once())
