"""Writing on: an RNN that has read many texts, poems, prose or molecules, and gives one more, or ends one begun.

Rows are texts of their own, read whole (full back-propagation through time), or with `stream` one long text in lanes,
read `num_tokens` at a time, the state being carried from each step to the next (truncated back-propagation).
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from ganrnn import averages, distributed
from ganrnn.errors import BadInput
from ganrnn.networks.language_network import ExactLanguageNetwork, LanguageNetwork
from ganrnn.networks.recurrent import Cell
from ganrnn.objectives.sequences import cross_entropies
from ganrnn.optimisation import Caution, Player, PlayerConfig
from ganrnn.sampling import noise
from ganrnn.sampling.decode import Line, Written, write
from ganrnn.sampling.decoding import decodings
from ganrnn.sampling.exact import MOST_TOKENS
from ganrnn.sampling.row_constraints import RowConstraints
from ganrnn.task import Batch, Keys, Rows
from ganrnn.text_batches import RowBatches, StreamBatches
from ganrnn.text_vocabulary import PAD, Kind, TextVocabulary

_VALIDATION_LANES = 16


@dataclass(frozen=True)
class LanguageModelConfig:
    """Sizes in tokens, features or steps. A step reads train.global_batch_size x `num_tokens` tokens at most.

    Rows longer than `num_tokens` lose their end. `dropout` is of inputs, between layers and of outputs.
    """

    name: Literal["language_model"] = "language_model"
    vocabulary: Kind = "character"
    max_vocabulary: int = 20_000
    stream: bool = False
    num_tokens: int = 128
    cell: Cell = "lstm"
    embedding_dim: int = 128
    hidden_dim: int = 256
    num_layers: int = 1
    tied: bool = False
    layer_norm: bool = False
    dropout: float = 0.0
    variational: bool = False
    weight_drop: float = 0.0
    label_smoothing: float = 0.0
    optimiser: PlayerConfig = field(
        default_factory=lambda: PlayerConfig(
            learning_rate=2e-3, schedule="cosine", warmup_steps=100, beta1=0.9, beta2=0.99, max_gradient_norm=1.0
        )
    )
    ema_half_life_steps: int = 200
    num_steps: int = 2_000

    def __post_init__(self) -> None:
        for name in ("num_tokens", "embedding_dim", "hidden_dim", "num_layers", "ema_half_life_steps", "num_steps"):
            if getattr(self, name) < 1:
                raise BadInput(f"task.{name} is {getattr(self, name)}; allowed are values from 1 up")
        for name in ("dropout", "weight_drop", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"task.{name} is {getattr(self, name)}; allowed are values from 0 to below 1")
        if self.max_vocabulary > MOST_TOKENS:
            raise BadInput(f"task.max_vocabulary is {self.max_vocabulary}; allowed are values up to {MOST_TOKENS}")
        self.optimiser.check("task.optimiser")


class LanguageModel:
    """The task."""

    config_type = LanguageModelConfig
    vocabulary_type = TextVocabulary
    kind = "texts"
    headline = ("loss",)
    input_columns = ("text",)
    prompt_columns = ()
    optional_columns = ("prompt",)

    def __init__(self, config: LanguageModelConfig, vocabulary: TextVocabulary, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.config, self.vocabulary = config, vocabulary
        self.network = LanguageNetwork(
            len(vocabulary),
            config.cell,
            config.embedding_dim,
            config.hidden_dim,
            config.num_layers,
            tied=config.tied,
            dropout=config.dropout,
            variational=config.variational,
            weight_drop=config.weight_drop,
            layer_norm=config.layer_norm,
        )
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.networks: dict[str, nn.Module] = {"network": self.network, "network_ema": self.average}
        self.constraints = RowConstraints(vocabulary)
        self.player = Player(config.optimiser, self.network.parameters())
        self.carried: dict[str, torch.Tensor] = {}
        self.caution = Caution()
        self.step_index = 0

    @property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """The only one."""
        return {"network": self.player.optimiser}

    @staticmethod
    def vocabulary_columns(config: LanguageModelConfig) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        return ("text",)

    @staticmethod
    def build_vocabulary(config: LanguageModelConfig, rows: Iterable[tuple[Any, ...]]) -> TextVocabulary:
        """The tokens of the training rows."""
        return TextVocabulary.build(config.vocabulary, (text for (text,) in rows), config.max_vocabulary)

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
        """One update on a batch of `ganrnn/text_batches.py`."""
        config, tokens = self.config, batch["tokens"]
        self.player.begin(self.step_index, config.num_steps, 0.25 ** self.caution.at(self.step_index))
        logits, state = self.network(tokens[:, :-1], self._state(batch))
        loss, smoothed = cross_entropies(logits, tokens[:, 1:], config.label_smoothing)
        # The mean over workers of these is the mean over the targets of all of them.
        share = distributed.world_size() / batch["num_targets"]
        (smoothed * share).backward()
        metrics = {"loss": loss.detach() * share, "gradient_norm": self.player.update()}
        metrics["tokens"] = batch["num_targets"].float()
        if config.stream:
            self.carried = {"state": state.detach()}
        averages.follow(self.average, self.network, self.step_index, config.ema_half_life_steps)
        self.step_index += 1
        return metrics

    def _state(self, batch: Batch) -> torch.Tensor:
        if self.config.stream and not batch["begins"]:
            return self.carried["state"]
        return self.network.stack.begin(len(batch["tokens"]))

    @torch.no_grad()
    def negative_log_likelihood(self, rows: Rows) -> tuple[float, int]:
        """Of rows as the averaged network reads them, in nats, and the number of tokens that this is the sum over."""
        device = next(self.average.parameters()).device
        encoded = [self.vocabulary.encode(text) for text in rows["text"]]
        total, count, state = 0.0, 0, None
        for tokens in self._read_once(encoded):
            if state is None or not self.config.stream:
                state = self.average.stack.begin(len(tokens))
            logits, state = self.average(tokens[:, :-1].to(device), state)
            total += float(cross_entropies(logits, tokens[:, 1:].to(device))[0])
            count += int((tokens[:, 1:] != PAD).sum())
        return total, count

    def _read_once(self, encoded: Sequence[Sequence[int]]) -> Iterable[torch.Tensor]:
        """Rows of about one length together; of a stream so many lanes, window after window."""
        num_tokens = self.config.num_tokens
        if not self.config.stream:
            yield from RowBatches(encoded, num_rows=_VALIDATION_LANES, num_tokens=num_tokens, seed=0).once()
            return
        stream = torch.tensor([token for row in encoded for token in row])
        num_lanes = max(1, min(_VALIDATION_LANES, len(stream) // num_tokens))
        lanes = stream[: len(stream) // num_lanes * num_lanes].view(num_lanes, -1)
        for start in range(0, lanes.shape[1] - 1, num_tokens):
            yield lanes[:, start : start + num_tokens + 1]

    @torch.no_grad()
    def sample(self, rows: Rows, keys: Keys) -> list[Written]:
        """Texts that begin with the prompts of rows [N], or freely; `decoding` holds the rules of each."""
        writer = ExactLanguageNetwork(self.average, self.vocabulary)
        lines = [
            Line(
                rules,
                self.vocabulary.encode(prompt),
                noise.uniform(rules.max_tokens + 1, *key),
                self.constraints.of(rules),
            )
            for prompt, key, rules in zip(_prompts(rows, len(keys)), keys, decodings(rows, len(keys)), strict=True)
        ]
        return write(writer, writer.begin(len(lines)), lines)

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """Of each prompt, how many tokens the model was never taught."""
        return [self.vocabulary.count_unknown(text) for text in _prompts(rows, len(rows["prompt_id"]))]


def _prompts(rows: Rows, num_rows: int) -> list[str]:
    return [text or "" for text in rows.get("prompt", [""] * num_rows)]


TASK = LanguageModel
