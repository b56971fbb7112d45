"""Does the picture show what the text says? An RNN reads the words, a convolutional network sees the picture.

A discriminator on its own: it learns from true pairs, told apart from all others of a batch, and from false ones where
the data set has them (`label` 1 for true, 0 for false; without labels every pair is true).
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.config import above, at_least
from ganrnn.data import images as pictures
from ganrnn.errors import BadInput
from ganrnn.networks.images.pyramid import check_image_size
from ganrnn.networks.judge_network import JudgeNetwork
from ganrnn.networks.texts.recurrent import Cell
from ganrnn.objectives.matching import contrast_loss
from ganrnn.task import BackoffState, Batch, Keys, Rows
from ganrnn.text.captions import Level, Vocabulary, meaning_key
from ganrnn.training import ema
from ganrnn.training.optimizer import Player, PlayerConfig

_MICRO_BATCH = 64


@dataclass(frozen=True)
class MatchJudgeConfig:
    """The networks that read image and text, and their optimisation."""

    name: Literal["match_judge"] = "match_judge"  #: Name of the task.
    height: int = 32  #: Height of the images in pixels, as in the dataset: a multiple of 4 from 16 up.
    width: int = 32  #: Width of the images in pixels, as in the dataset: a multiple of 4 from 16 up.
    base_channels: int = 16  #: Channels of the layer next to the image; deeper layers have up to eight times as many.
    vocabulary: Level = "word"  #: What a token is.
    max_tokens: int = 32  #: Number of tokens of a text that are read.
    cell: Cell = "gru"  #: Recurrent cell of the text encoder.
    embedding_dim: int = 64  #: Number of features of a token.
    dim: int = 128  #: Number of features of an image and of a text.
    #: Weight of the loss over all pairs of a batch; 0 where a text may be true of other images too.
    contrast_weight: float = 1.0
    #: Adam of the network.
    optimiser: PlayerConfig = field(
        default_factory=lambda: PlayerConfig(
            learning_rate=2e-3, schedule="cosine", warmup_steps=50, beta1=0.9, beta2=0.99, max_gradient_norm=1.0
        )
    )
    ema_half_life_steps: float = 100.0  #: Steps after which old weights count half in the EMA that scores.
    num_steps: int = 2_000  #: Number of training steps.

    def __post_init__(self) -> None:
        check_image_size(self.height, self.width, "task.")
        above("task", self, base_channels=0, max_tokens=0, embedding_dim=0, dim=0, ema_half_life_steps=0, num_steps=0)
        if self.dim % 2:
            raise BadInput(f"task.dim is {self.dim}; each of 2 directions has half of it: make it even")
        at_least("task", self, contrast_weight=0)
        self.optimiser.check("task.optimiser")


class MatchJudge:
    """The task."""

    dataset_kind = "images"
    output_modality = "scores"
    headline = ("loss", "right")
    config_type = MatchJudgeConfig
    vocabulary_type = Vocabulary
    input_columns = ("image", "text", "label", "attributes")
    prompt_columns = ("prompt", "source_image")
    optional_columns: Sequence[str] = ()

    def __init__(self, config: MatchJudgeConfig, vocabulary: Vocabulary, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.config, self.vocabulary = config, vocabulary
        sizes = (config.embedding_dim, config.dim, config.base_channels)
        self.network = JudgeNetwork(config.height, config.width, len(vocabulary), config.cell, *sizes)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.networks: dict[str, nn.Module] = {"network": self.network, "network_ema": self.average}
        self.player = Player(config.optimiser, self.network.parameters())
        self.backoff = BackoffState()
        self.carried: dict[str, torch.Tensor] = {}
        self.step_index = 0

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The only one."""
        return {"network": self.player.optimizer}

    @staticmethod
    def vocabulary_columns(config: MatchJudgeConfig) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        return ("text",)

    @staticmethod
    def build_vocabulary(config: MatchJudgeConfig, rows: Iterable[tuple[Any, ...]]) -> Vocabulary:
        """The words or characters of the training texts."""
        return Vocabulary.build((text for (text,) in rows), config.vocabulary)

    def collate(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Data set rows to images uint8 [N, 3, H, W], tokens int64 [N, T], lengths, keys of meaning, labels, [N]."""
        keys = [
            meaning_key(text, attributes) for text, attributes in zip(rows["text"], rows["attributes"], strict=True)
        ]
        labels = [label is None or bool(label) for label in rows["label"]]
        return self._pairs(rows["image"], rows["text"]) | {
            "keys": torch.tensor(keys),
            "is_true": torch.tensor(labels),
        }

    def _pairs(self, images: Sequence[Any], texts: Sequence[str]) -> dict[str, torch.Tensor]:
        return {"images": pictures.to_tensor([image["bytes"] for image in images])} | self.read_texts(texts)

    def read_texts(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Tokens int64 [N, T] and lengths int64 [N]."""
        tokens, lengths = self.vocabulary.encode(texts, self.config.max_tokens)
        return {"tokens": tokens, "lengths": lengths}

    def judged(self, images: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pictures float32 [N, 3, H, W], with their graph, each against every text: logits [N, N]."""
        read = self.average.read(tokens[:, : lengths.max()], lengths)
        logits: torch.Tensor = self.average.all_pairs(self.average.see(images), read)
        return logits

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update on what `collate` gave."""
        config, network, is_true = self.config, self.network, batch["is_true"]
        self.player.begin(self.step_index, config.num_steps, 0.25 ** self.backoff.at(self.step_index))
        seen = network.see(pictures.to_float(batch["images"]))
        logits = network.all_pairs(seen, network.read(batch["tokens"][:, : batch["lengths"].max()], batch["lengths"]))
        own = logits.diagonal()
        loss = F.binary_cross_entropy_with_logits(own, is_true.float())
        metrics = {"loss": loss.detach(), "right": ((own > 0) == is_true).float().mean()}
        if config.contrast_weight:
            contrast = contrast_loss(logits, batch["keys"], is_true)
            loss = loss + config.contrast_weight * contrast
            metrics["contrast"] = contrast.detach()
        loss.backward()
        metrics["gradient_norm"] = self.player.update()
        ema.follow(self.average, network, self.step_index, config.ema_half_life_steps)
        self.step_index += 1
        return metrics

    @torch.no_grad()
    def logits(self, images: Sequence[Any], texts: Sequence[str]) -> torch.Tensor:
        """Of pictures, structs with their `bytes`, each with its text: float32 [N], above 0 where it seems true."""
        held = {name: tensor.to(self.average.offset.device) for name, tensor in self._pairs(images, texts).items()}
        seen = self.average.see(pictures.to_float(held["images"]))
        found: torch.Tensor = self.average(seen, self.average.read(held["tokens"], held["lengths"]))
        return found

    @torch.no_grad()
    def rank(self, images: torch.Tensor, texts: Sequence[str], candidates: torch.Tensor) -> torch.Tensor:
        """Pictures uint8 [N, 3, H, W] against some of K texts each, int64 [N, C] of 0 to K - 1: logits [N, C].

        One picture at a time, so that no logit depends on the other pictures.
        """
        device = self.average.offset.device
        held = {name: tensor.to(device) for name, tensor in self.read_texts(texts).items()}
        read = self.average.read(held["tokens"], held["lengths"])
        rows = []
        for image, chosen in zip(images.to(device), candidates.to(device), strict=True):
            seen = self.average.see(pictures.to_float(image[None]))
            rows.append(self.average(seen, tuple(part[chosen] for part in read)))
        return torch.stack(rows)

    def negative_log_likelihood(self, rows: Rows) -> tuple[float, int]:
        """Of what is true and what is not, in nats, and the number of pairs that this is the sum over."""
        total, count = 0.0, len(rows["text"])
        for start in range(0, count, _MICRO_BATCH):
            part = slice(start, start + _MICRO_BATCH)
            labels = [label is None or bool(label) for label in rows["label"][part]]
            found = self.logits(rows["image"][part], rows["text"][part]).cpu()
            total += float(F.binary_cross_entropy_with_logits(found, torch.tensor(labels).float(), reduction="sum"))
        return total, count

    def diversity(self, rows: Rows) -> float:
        """1: nothing is made."""
        return 1.0

    def sample(self, rows: Rows, keys: Keys) -> torch.Tensor:
        """How likely it is that the picture `source_image` shows what `prompt` says, float32 [N]; no noise in it."""
        return self.logits(rows["source_image"], rows["prompt"]).sigmoid()

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """How many words of each text the vocabulary does not hold."""
        return [self.vocabulary.count_unknown(text) for text in rows["prompt"]]


TASK = MatchJudge
