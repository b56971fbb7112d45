"""A judge of whether a text describes a picture: an RNN encodes the words, a convolutional network the picture.

It is trained without a generator: true pairs against all other pairs of a batch, and against false pairs if the data
set has them (`label` 1 for true, 0 for false; without labels every pair is true).
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.config import above, at_least, multiples
from ganrnn.data import images as pictures
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
        multiples("task", self, height=(4, 16), width=(4, 16), dim=(2, 2))
        above("task", self, base_channels=0, max_tokens=0, embedding_dim=0, ema_half_life_steps=0, num_steps=0)
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
        """The only optimizer."""
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
        """Data set rows to images uint8 [N, 3, H, W], tokens int64 [N, T], lengths, meaning keys and labels [N]."""
        keys = [
            meaning_key(text, attributes) for text, attributes in zip(rows["text"], rows["attributes"], strict=True)
        ]
        labels = [label is None or bool(label) for label in rows["label"]]
        return self._pairs(rows["image"], rows["text"]) | {
            "keys": torch.tensor(keys),
            "is_true": torch.tensor(labels),
        }

    def _pairs(self, images: Sequence[Any], texts: Sequence[str]) -> dict[str, torch.Tensor]:
        size = (self.config.height, self.config.width)
        return {"images": pictures.to_tensor([image["bytes"] for image in images], size)} | self.encode_texts(texts)

    def encode_texts(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Texts to tokens int64 [N, T] and lengths int64 [N]."""
        tokens, lengths = self.vocabulary.encode(texts, self.config.max_tokens)
        return {"tokens": tokens, "lengths": lengths}

    def pair_logits(self, images: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits [N, N] of every picture float32 [N, 3, H, W], with gradients to them, and every text."""
        text_features = self.average.encode_texts(tokens[:, : lengths.max()], lengths)
        logits: torch.Tensor = self.average.all_pairs(self.average.encode_images(images), text_features)
        return logits

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update on a batch of `collate`."""
        config, network, is_true = self.config, self.network, batch["is_true"]
        self.player.begin(self.step_index, config.num_steps, 0.25 ** self.backoff.at(self.step_index))
        image_features = network.encode_images(pictures.to_float(batch["images"]))
        logits = network.all_pairs(
            image_features, network.encode_texts(batch["tokens"][:, : batch["lengths"].max()], batch["lengths"])
        )
        matching_logits = logits.diagonal()
        loss = F.binary_cross_entropy_with_logits(matching_logits, is_true.float())
        metrics = {"loss": loss.detach(), "right": ((matching_logits > 0) == is_true).float().mean()}
        if config.contrast_weight:
            contrast = contrast_loss(logits, batch["keys"], is_true)
            loss = loss + config.contrast_weight * contrast
            metrics["contrast"] = contrast.detach()
        loss.backward()
        metrics["gradient_norm"] = self.player.update()
        ema.update(self.average, network, self.step_index, config.ema_half_life_steps)
        self.step_index += 1
        return metrics

    @torch.no_grad()
    def logits(self, images: Sequence[Any], texts: Sequence[str]) -> torch.Tensor:
        """Logits float32 [N] of pictures, structs with `bytes`, and their texts; above 0 for pairs judged true."""
        batch = {name: tensor.to(self.average.offset.device) for name, tensor in self._pairs(images, texts).items()}
        image_features = self.average.encode_images(pictures.to_float(batch["images"]))
        logits: torch.Tensor = self.average(
            image_features, self.average.encode_texts(batch["tokens"], batch["lengths"])
        )
        return logits

    @torch.no_grad()
    def rank(self, images: torch.Tensor, texts: Sequence[str], candidates: torch.Tensor) -> torch.Tensor:
        """Logits [N, C] of pictures uint8 [N, 3, H, W] and their candidates, int64 [N, C] indices of K texts.

        One picture at a time, so that no logit depends on the other pictures.
        """
        device = self.average.offset.device
        tensors = {name: tensor.to(device) for name, tensor in self.encode_texts(texts).items()}
        text_features = self.average.encode_texts(tensors["tokens"], tensors["lengths"])
        rows = []
        for image, indices in zip(images.to(device), candidates.to(device), strict=True):
            image_features = self.average.encode_images(pictures.to_float(image[None]))
            rows.append(self.average(image_features, tuple(part[indices] for part in text_features)))
        return torch.stack(rows)

    def negative_log_likelihood(self, rows: Rows) -> tuple[float, int]:
        """The binary cross-entropy summed over rows, in nats, and the number of rows."""
        total, count = 0.0, len(rows["text"])
        for start in range(0, count, _MICRO_BATCH):
            part = slice(start, start + _MICRO_BATCH)
            labels = [label is None or bool(label) for label in rows["label"][part]]
            logits = self.logits(rows["image"][part], rows["text"][part]).cpu()
            total += float(F.binary_cross_entropy_with_logits(logits, torch.tensor(labels).float(), reduction="sum"))
        return total, count

    def diversity(self, rows: Rows) -> float:
        """1: a judge generates nothing."""
        return 1.0

    def sample(self, rows: Rows, keys: Keys) -> torch.Tensor:
        """The probability that `prompt` describes `source_image`, float32 [N]; deterministic."""
        return self.logits(rows["source_image"], rows["prompt"]).sigmoid()

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """For each text, how many of its words are not in the vocabulary."""
        return [self.vocabulary.count_unknown(text) for text in rows["prompt"]]


TASK = MatchJudge
