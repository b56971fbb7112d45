"""Writing on: an RNN that has read many texts, poems, prose or molecules, and gives one more, or ends one begun.

Rows are texts of their own, read whole (full back-propagation through time), or with `stream` one long text in lanes,
read `num_tokens` at a time, the state being carried from each step to the next (truncated back-propagation).
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
        """What each step reads of the training rows; `num_rows` is train.global_batch_size."""
        kind = StreamBatches if self.config.stream else RowBatches
        return kind(
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
        begun: torch.Tensor = self.network.stack.begin(len(batch["tokens"]))
        return begun

    @torch.no_grad()
    def negative_log_likelihood(self, rows: Rows) -> tuple[float, int]:
        """Of rows as the averaged network reads them, in nats, and the number of tokens that this is the sum over."""
        encoded = [self.vocabulary.encode(text) for text in rows["text"]]
        total, count, state = 0.0, 0, None
        for tokens in self._read_once(encoded):
            if state is None or not self.config.stream:
                state = self.average.stack.begin(len(tokens))
            tokens = tokens.to(self.device)
            features, state = self.average(tokens[:, :-1], state)
            total += float(self._losses(self.average, features, tokens)[0])
            count += int((tokens[:, 1:] != PAD).sum())
        return total, count

    def _read_once(self, encoded: Sequence[Sequence[int]]) -> Iterable[torch.Tensor]:
        """Rows of about one length together; of a stream so many lanes, window after window."""
        num_tokens = self.config.num_tokens
        if not self.config.stream:
            batches = RowBatches(encoded, num_rows=_VALIDATION_LANES, num_tokens=num_tokens, seed=0)
            yield from (batch["tokens"] for batch in batches.once())
            return
        stream = torch.tensor([token for row in encoded for token in row])
        num_lanes = max(1, min(_VALIDATION_LANES, len(stream) // num_tokens))
        lanes = stream[: len(stream) // num_lanes * num_lanes].view(num_lanes, -1)
        for start in range(0, lanes.shape[1] - 1, num_tokens):
            yield lanes[:, start : start + num_tokens + 1]

    @torch.no_grad()
    def sample(self, rows: Rows, keys: Keys) -> list[GeneratedText]:
        """Texts that begin with the prompts of rows [N], or freely; `decoding` holds the rules of each."""
        writer = ExactLanguageNetwork(self.average, self.vocabulary)
        lines = self.decoding_requests(rows, keys, optional_texts(rows, "prompt", len(keys)))
        return generate(writer, writer.begin(len(lines)), lines)

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """Of each prompt, how many tokens the model was never taught."""
        return [self.vocabulary.count_unknown(text) for text in optional_texts(rows, "prompt", len(rows["prompt_id"]))]


TASK = LanguageModel
