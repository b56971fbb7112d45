"""A recurrent language model of texts, poems or molecules, which generates new texts or continues prompts.

Rows are separate texts (full backpropagation through time), or with `stream` one long text in lanes, read `num_tokens`
at a time with the state carried from step to step (truncated backpropagation).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ganrnn.config import at_least
from ganrnn.decoding.decode import GeneratedText, generate
from ganrnn.networks.texts.language_network import ExactLanguageNetwork, LanguageNetwork
from ganrnn.objectives.sequences import linear_cross_entropies
from ganrnn.task import Batch, Keys, Rows
from ganrnn.text.batches import RowBatches, StreamBatches
from ganrnn.text.reading import Reading, read_stream
from ganrnn.text.vocabulary import PAD, TextVocabulary
from ganrnn.training.text_step import OneTextTask, TextTaskConfig, optional_texts

_VALIDATION_LANES = 16


@dataclass(frozen=True)
class LanguageModelConfig(TextTaskConfig):
    """A step reads at most train.global_batch_size x `num_tokens` tokens."""

    name: Literal["language_model"] = "language_model"  #: Name of the task.
    stream: bool = False  #: Whether training rows are one long text, read in windows with the state carried over.
    num_tokens: int = 128  #: Number of tokens of a row, or window, per step; longer rows are cut.
    num_layers: int = 1  #: Number of recurrent layers.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("task", self, num_tokens=1, num_layers=1)


class LanguageModel(OneTextTask):
    """The task."""

    config_type = LanguageModelConfig
    input_columns = ("text",)
    optional_columns = ("prompt",)

    def __init__(self, config: LanguageModelConfig, vocabulary: TextVocabulary, seed: int = 0) -> None:
        torch.manual_seed(seed)
        network = LanguageNetwork(
            len(vocabulary),
            config.cell,
            config.embedding_dim,
            config.hidden_dim,
            config.num_layers,
            tied=config.tied,
            **config.rules,
        )
        super().__init__(config, network, vocabulary)

    def batches(
        self, rows: Rows, num_rows: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> RowBatches | StreamBatches:
        """The batches of the training rows; `num_rows` is train.global_batch_size."""
        batches_type = StreamBatches if self.config.stream else RowBatches
        return batches_type(
            [self.vocabulary.encode(text) for text in rows["text"]],
            num_rows=num_rows,
            num_tokens=self.config.num_tokens,
            seed=seed,
            rank=rank,
            world_size=world_size,
        )

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update on a batch of `ganrnn/text/batches.py`."""
        tokens = batch["tokens"]
        features, state = self.network(tokens[:, :-1], self._state(batch))
        losses = self._losses(self.network, features, tokens, self.config.label_smoothing)
        metrics = self.learn(*losses, batch["num_targets"])
        if self.config.stream:
            self.carried = {"state": state.detach()}
        return metrics

    @staticmethod
    def _losses(
        network: Any, features: torch.Tensor, tokens: torch.Tensor, smoothing: float = 0.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return linear_cross_entropies(features, network.logit_weight, network.bias, tokens[:, 1:], smoothing)

    def _state(self, batch: Batch) -> torch.Tensor:
        if self.config.stream and not batch["begins"]:
            return self.carried["state"]
        initial: torch.Tensor = self.network.stack.begin(len(batch["tokens"]))
        return initial

    @torch.no_grad()
    def negative_log_likelihood(self, rows: Rows, cut_rows_end: bool = True) -> tuple[float, int]:
        """The negative log-likelihood of rows under the EMA network, in nats, and the number of tokens.

        Rows that are cut count END where they were cut, as in training, or not.
        """
        encoded = [self.vocabulary.encode(text) for text in rows["text"]]
        total, count, state = 0.0, 0, None
        for tokens in self._read_once(encoded, cut_rows_end):
            if state is None or not self.config.stream:
                state = self.average.stack.begin(len(tokens))
            tokens = tokens.to(self.device)
            features, state = self.average(tokens[:, :-1], state)
            total += float(self._losses(self.average, features, tokens)[0])
            count += int((tokens[:, 1:] != PAD).sum())
        return total, count

    def reading(self, rows: Rows) -> Reading:
        """What `negative_log_likelihood` reads of rows, or of the lanes of a stream."""
        if not self.config.stream:
            return super().reading(rows)
        num_tokens = sum(len(self.vocabulary.encode(text)) for text in rows["text"])
        return read_stream(self.vocabulary, rows["text"], self._num_lanes(num_tokens))

    def _num_lanes(self, num_tokens: int) -> int:
        """Of a stream of so many tokens."""
        return max(1, min(_VALIDATION_LANES, num_tokens // self.config.num_tokens))

    def _read_once(self, encoded: Sequence[Sequence[int]], cut_rows_end: bool) -> Iterable[torch.Tensor]:
        """Batches of tokens: rows of similar length, or the windows of a stream's lanes in order."""
        num_tokens = self.config.num_tokens
        if not self.config.stream:
            batches = RowBatches(encoded, num_rows=_VALIDATION_LANES, num_tokens=num_tokens, seed=0)
            yield from (batch["tokens"] for batch in batches.once(cut_rows_end))
            return
        stream = torch.tensor([token for row in encoded for token in row])
        num_lanes = self._num_lanes(len(stream))
        lanes = stream[: len(stream) // num_lanes * num_lanes].view(num_lanes, -1)
        for start in range(0, lanes.shape[1] - 1, num_tokens):
            yield lanes[:, start : start + num_tokens + 1]

    @torch.no_grad()
    def sample(self, rows: Rows, keys: Keys) -> list[GeneratedText]:
        """Texts for rows [N], which begin with their prompts, by the rules in their column `decoding`."""
        network = ExactLanguageNetwork(self.average, self.vocabulary)
        requests = self.decoding_requests(rows, keys, optional_texts(rows, "prompt", len(keys)))
        return generate(network, network.begin(len(requests)), requests)

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """For each prompt, how many of its tokens are unknown."""
        return [self.vocabulary.count_unknown(text) for text in optional_texts(rows, "prompt", len(rows["prompt_id"]))]


TASK = LanguageModel
