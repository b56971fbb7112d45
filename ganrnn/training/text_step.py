"""Shared by all tasks that generate texts: a recurrent network, its EMA, the update, decoding requests."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from ganrnn import distributed, noise
from ganrnn.config import at_least, below, within
from ganrnn.decoding.decode import DecodingRequest
from ganrnn.decoding.row_constraints import RowConstraints
from ganrnn.decoding.rules import decodings
from ganrnn.exact import MAX_TOKENS
from ganrnn.networks.texts.recurrent import Cell
from ganrnn.task import BackoffState, Keys, Rows
from ganrnn.text.reading import Reading, read_rows
from ganrnn.text.vocabulary import SPECIAL_TOKENS, Kind, TextVocabulary
from ganrnn.training import ema
from ganrnn.training.optimizer import Player, PlayerConfig


@dataclass(frozen=True)
class TextTaskConfig:
    """Vocabulary, network and optimisation of a task that writes texts."""

    name: str = ""  #: Name of the task.
    vocabulary: Kind = "character"  #: What a token is.
    max_vocabulary: int = 20_000  #: Largest number of tokens of the vocabulary, the most frequent ones.
    cell: Cell = "lstm"  #: Recurrent cell.
    embedding_dim: int = 128  #: Number of features of a token.
    hidden_dim: int = 256  #: Number of features of the recurrent state.
    tied: bool = False  #: Whether tokens have the same weights as input and as output.
    layer_norm: bool = False  #: Whether the outputs of recurrent layers are normalised.
    dropout: float = 0.0  #: Probability with which inputs, features between layers, and outputs are dropped.
    #: Whether dropout drops the same features at all steps of a sequence (Gal & Ghahramani 2016).
    variational: bool = False
    #: Probability with which a recurrent weight is 0 for a whole sequence (Merity et al. 2018).
    weight_drop: float = 0.0
    label_smoothing: float = 0.0  #: Share of the target probability that is spread over all tokens.
    #: Adam of the network.
    optimiser: PlayerConfig = field(
        default_factory=lambda: PlayerConfig(
            learning_rate=2e-3, schedule="cosine", warmup_steps=100, beta1=0.9, beta2=0.99, max_gradient_norm=1.0
        )
    )
    ema_half_life_steps: int = 200  #: Steps after which old weights count half in the EMA that samples.
    num_steps: int = 2_000  #: Number of training steps.

    def __post_init__(self) -> None:
        at_least("task", self, embedding_dim=1, hidden_dim=1, ema_half_life_steps=1, num_steps=1)
        below("task", self, dropout=1, weight_drop=1, label_smoothing=1)
        within("task", self, max_vocabulary=(len(SPECIAL_TOKENS) + 1, MAX_TOKENS))
        self.optimiser.check("task.optimiser")

    @property
    def rules(self) -> dict[str, Any]:
        """The settings of all recurrent layers of a network, for `RecurrentStack`."""
        return {name: getattr(self, name) for name in ("dropout", "variational", "weight_drop", "layer_norm")}


class TextTask:
    """A task whose network learns to predict the next token, from `output_vocabulary`."""

    dataset_kind: Literal["images", "texts", "pairs"]
    output_modality = "texts"
    headline = ("loss",)
    likelihood_given = "nothing"  # besides the source of a pair

    def __init__(self, config: Any, network: nn.Module, output_vocabulary: TextVocabulary) -> None:
        self.config, self.output_vocabulary = config, output_vocabulary
        self.network: Any = network
        self.average: Any = copy.deepcopy(network).requires_grad_(False).eval()
        self.networks: dict[str, nn.Module] = {"network": self.network, "network_ema": self.average}
        self.constraints = RowConstraints(output_vocabulary)
        self.player = Player(config.optimiser, network.parameters())
        self.carried: dict[str, torch.Tensor] = {}
        self.backoff = BackoffState()
        self.step_index = 0
        self.num_likelihood_steps: int = config.num_steps  # for which `learn` plans the learning rate

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The only optimizer."""
        return {"network": self.player.optimizer}

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        device: torch.device = next(self.average.parameters()).device
        return device

    def learn(self, loss: torch.Tensor, objective: torch.Tensor, num_targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """One update by `objective`, which is like `loss` a sum over the worker's part of `num_targets` targets."""
        config = self.config
        self.player.begin(self.step_index, self.num_likelihood_steps, 0.25 ** self.backoff.at(self.step_index))
        # Averaged over the workers, these are means over the targets of all workers.
        share = distributed.world_size() / num_targets
        (objective * share).backward()
        metrics = {"loss": loss.detach() * share, "gradient_norm": self.player.update(), "tokens": num_targets.float()}
        ema.update(self.average, self.network, self.step_index, config.ema_half_life_steps)
        self.step_index += 1
        return metrics

    def decoding_requests(self, rows: Rows, keys: Keys, prefixes: Sequence[str]) -> list[DecodingRequest]:
        """The decoding requests of rows [N], by their column `decoding`; each text begins with its prefix."""
        return [
            DecodingRequest(
                rules,
                self.output_vocabulary.encode(prefix),
                noise.uniform(rules.max_tokens + 1, *key),
                self.constraints.of(rules),
            )
            for prefix, key, rules in zip(prefixes, keys, decodings(rows, len(keys)), strict=True)
        ]

    def diversity(self, rows: Rows) -> float:
        """Diversity of samples from noise divided by that of rows of the data set; 1 for tasks without noise."""
        return 1.0


class OneTextTask(TextTask):
    """A text task whose rows are single texts."""

    vocabulary_type = TextVocabulary
    dataset_kind = "texts"
    prompt_columns: Sequence[str] = ()

    def __init__(self, config: Any, network: nn.Module, vocabulary: TextVocabulary) -> None:
        super().__init__(config, network, vocabulary)
        self.vocabulary = vocabulary

    @staticmethod
    def vocabulary_columns(config: Any) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        return ("text",)

    @staticmethod
    def build_vocabulary(config: Any, rows: Iterable[tuple[Any, ...]]) -> TextVocabulary:
        """The vocabulary of the training rows."""
        return TextVocabulary.build(config.vocabulary, (row[0] for row in rows), config.max_vocabulary)

    def reading(self, rows: Rows) -> Reading:
        """What `negative_log_likelihood` reads of rows."""
        return read_rows(self.vocabulary, rows["text"], self.config.num_tokens)


def optional_texts(rows: Rows, name: str, num_rows: int) -> list[str]:
    """A column of prompts; a missing column or value becomes an empty text."""
    return [text or "" for text in rows.get(name, [""] * num_rows)]
