"""Image-to-image translation: edits by text, style transfer, paired or unpaired data.

Step and sampling are in ganrnn/training/gan_step.py; the generator edits the source picture.

`paired` data has the target picture of each source: the generator has a pixelwise loss against it, and the
discriminator judges a picture given its source and the condition (Isola et al., "Image-to-image translation with
conditional adversarial networks", CVPR 2017). `unpaired` data has pictures of several domains: one generator translates
between all of them, with an identity loss and a cycle loss (Zhu et al., "Unpaired image-to-image translation using
cycle-consistent adversarial networks", ICCV 2017; one generator for all domains as in Choi et al., "StarGAN", CVPR
2018).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from ganrnn.config import above
from ganrnn.data import images as pictures
from ganrnn.data.conditions import Conditions, check_numeric
from ganrnn.errors import BadInput
from ganrnn.networks.images.condition_encoder import ConditionEncoder
from ganrnn.networks.images.convolution import SLOPE
from ganrnn.networks.images.palette_generator import STYLE_GENERATORS
from ganrnn.networks.images.projection_discriminator import ImageEncoder
from ganrnn.networks.images.translator import Translator
from ganrnn.task import Batch, Rows
from ganrnn.text.captions import SPECIAL_TOKENS, Vocabulary, meaning_key
from ganrnn.training.gan_config import TextGanConfig
from ganrnn.training.gan_step import Gan, MicroBatch


@dataclass(frozen=True)
class ImageToImageConfig(TextGanConfig):
    """What is asked of a source image, and how closely the result is compared."""

    name: Literal["image_to_image"] = "image_to_image"  #: Name of the task.
    #: Whether a row has a source image and the wanted one, or an image of one of several kinds.
    pairing: Literal["paired", "unpaired"] = "paired"
    #: Column that says how the source image is to change.
    condition: Literal["none", "label", "attributes", "text"] = "text"
    numeric_attributes: tuple[str, ...] = ()  #: Names of the attributes that are numbers; all others are categories.
    condition_dim: int = 64  #: Number of features into which a label or attributes are encoded.
    #: Weight of the mean absolute difference from the wanted, or the reconstructed, image in -1 to 1.
    reconstruction_weight: float = 10.0
    energy_weight: float = 0.0  #: Weight of the energy score, for paired data with several right answers to a source.

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numeric(self.condition, self.numeric_attributes)
        above("task", self, condition_dim=0, reconstruction_weight=0)
        if self.pairing == "unpaired" and self.condition == "none":
            raise BadInput(
                "task.pairing is unpaired and task.condition none: nothing says what a picture is to become; use "
                "label, attributes or text"
            )
        if self.pairing == "unpaired" and self.energy_weight:
            raise BadInput(
                f"task.energy_weight is {self.energy_weight} and task.pairing unpaired: the energy score compares "
                "samples with the wanted image, which unpaired data lacks; use 0"
            )
        if self.architecture not in STYLE_GENERATORS:
            raise BadInput(
                f"task.architecture is {self.architecture}; only {' and '.join(STYLE_GENERATORS)} paint over pictures"
            )


@dataclass(frozen=True)
class EditVocabulary:
    """The vocabulary of edit conditions: words, or labels and attributes."""

    words: Vocabulary
    conditions: Conditions


class EditEncoder(nn.Module):
    """Encodes the condition and, for paired data, the source picture as one vector."""

    def __init__(self, condition_encoder: nn.Module, source: ImageEncoder | None, feature_dim: int) -> None:
        super().__init__()
        self.asked, self.source = condition_encoder, source  # names of checkpoints
        self.out_dim: int = condition_encoder.out_dim  # type: ignore[assignment]
        if source is not None:
            # What an instruction leaves unchanged depends on both together.
            self.both = nn.Sequential(
                nn.Linear(self.out_dim + feature_dim, feature_dim),
                nn.LeakyReLU(SLOPE),
                nn.Linear(feature_dim, feature_dim),
            )
            self.out_dim = feature_dim

    def forward(self, sources: torch.Tensor, *condition_inputs: torch.Tensor) -> torch.Tensor:
        """Sources uint8 [N, 3, H, W] and the tensors of the condition to float32 [N, out_dim]."""
        condition: torch.Tensor = self.asked(*condition_inputs)
        if self.source is None:
            return condition
        features = self.source.read(pictures.to_float(sources))
        both: torch.Tensor = self.both(torch.cat([condition, features], dim=1))
        return both


class ImageToImage(Gan):
    """The task."""

    config_type = ImageToImageConfig
    vocabulary_type = EditVocabulary
    config: ImageToImageConfig

    def __init__(self, config: ImageToImageConfig, vocabulary: EditVocabulary, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.vocabulary = vocabulary
        is_paired, reads_text = config.pairing == "paired", config.condition == "text"
        self.condition_inputs = ("tokens", "lengths") if reads_text else ("values",)
        self.encoder_inputs = ("sources", *self.condition_inputs)
        condition_columns = () if config.condition == "none" else (config.condition,)
        source_column = {"source_image"} if is_paired else set()
        self.input_columns = ("image", *sorted({*source_column, "text", "attributes", *condition_columns}))
        self.prompt_columns = ("source_image", *(("prompt",) if reads_text else condition_columns))
        size, channels, wrap = (config.height, config.width), config.base_channels, config.wrap_horizontally
        condition_encoder: nn.Module
        if reads_text:
            condition_encoder = config.text_encoder(len(vocabulary.words))
        else:
            condition_encoder = ConditionEncoder(len(vocabulary.conditions), config.condition_dim)
        source = ImageEncoder(*size, config.feature_dim, channels, wrap) if is_paired else None
        encoder = EditEncoder(condition_encoder, source, config.feature_dim)
        generator = Translator(
            *size, config.z_dim, encoder.out_dim, config.style_dim, channels, wrap, config.architecture
        )
        super().__init__(config, encoder, generator)

    @staticmethod
    def vocabulary_columns(config: ImageToImageConfig) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        return () if config.condition == "none" else (config.condition,)

    @staticmethod
    def build_vocabulary(config: ImageToImageConfig, rows: Iterable[tuple[Any, ...]]) -> EditVocabulary:
        """The words, or the labels or attributes, of the training rows."""
        words, conditions = Vocabulary(config.vocabulary, SPECIAL_TOKENS), Conditions(0, {}, {})
        if config.condition == "text":
            words = Vocabulary.build((text for (text,) in rows), config.vocabulary)
        elif config.condition == "label":
            conditions = Conditions.of_labels(label for (label,) in rows)
        elif config.condition == "attributes":
            conditions = Conditions.of_attributes((attributes for (attributes,) in rows), config.numeric_attributes)
        return EditVocabulary(words, conditions)

    def collate(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Data set rows to images and sources uint8 [N, 3, H, W], conditions [N, ...], meaning keys int64 [N].

        The source of an unpaired row is the next picture of the batch; `own_` tensors are the source's own condition.
        """
        size = (self.config.height, self.config.width)
        images = pictures.to_tensor([image["bytes"] for image in rows["image"]], size)
        condition = self._condition_tensors(rows, "text", len(images))
        meanings = [self._meaning(*row) for row in zip(*self._columns(rows, "text", len(images)), strict=True)]
        if self.config.pairing == "unpaired":
            batch = {"images": images, "sources": images.roll(-1, 0), **condition}
            batch |= {f"own_{name}": tensor.roll(-1, 0) for name, tensor in condition.items()}
            return batch | {"keys": torch.tensor([meaning_key(*meaning) for meaning in meanings])}
        if None in rows["source_image"]:
            raise BadInput("a training row has no source_image, which task.pairing paired needs; use unpaired")
        encoded = [image["bytes"] for image in rows["source_image"]]
        # The same instruction means another target for another source.
        keys = [
            meaning_key(text, [*dict(attributes or {}).items(), ("source", hashlib.sha256(data).hexdigest())])
            for (text, attributes), data in zip(meanings, encoded, strict=True)
        ]
        return {"images": images, "sources": pictures.to_tensor(encoded, size), **condition, "keys": torch.tensor(keys)}

    def encode_prompts(self, rows: Rows) -> Batch:
        """`source_image` of any size to sources uint8 [N, 3, H, W], and the condition."""
        size = (self.config.height, self.config.width)
        sources = pictures.to_scaled_tensor([image["bytes"] for image in rows["source_image"]], size)
        return {"sources": sources, **self._condition_tensors(rows, "prompt", len(sources))}

    def generator_inputs(self, batch: Batch, encoder: nn.Module) -> tuple[torch.Tensor, ...]:
        """The source pictures."""
        return (pictures.to_float(batch["sources"]),)

    def auxiliary_losses(self, micro_batch: MicroBatch, fake: torch.Tensor) -> Mapping[str, tuple[float, torch.Tensor]]:
        """The pixelwise loss against targets, or the cycle and identity losses."""
        weight = self.config.reconstruction_weight
        if self.config.pairing == "paired":
            return {"reconstruction": (weight, F.l1_loss(fake, micro_batch.real))}
        (source,) = self.generator_inputs(micro_batch.batch, self.generator_encoder)
        with torch.no_grad():
            inputs = ("sources", *(f"own_{name}" for name in self.condition_inputs))
            source_condition = self.generator_encoder(*(micro_batch.batch[name] for name in inputs))
        reconstructed = self.generated(
            micro_batch.z.repeat(2, 1), source_condition.repeat(2, 1), torch.cat([fake, source])
        )
        return {"reconstruction": (weight, F.l1_loss(reconstructed, source.repeat(2, 1, 1, 1)))}

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """For each prompt, how many of its words, labels or attributes the model does not know."""
        num_rows = len(rows["source_image"])
        if self.config.condition == "text":
            return [self.vocabulary.words.count_unknown(text) for text in rows["prompt"]]
        _, labels, attributes = self._columns(rows, "prompt", num_rows)
        return [self.vocabulary.conditions.count_unknown(*row) for row in zip(labels, attributes, strict=True)]

    def _condition_tensors(self, rows: Rows, text_column: str, num_rows: int) -> dict[str, torch.Tensor]:
        """The condition's tensors by name."""
        if self.config.condition == "text":
            tokens, lengths = self.vocabulary.words.encode(rows[text_column], self.config.max_tokens)
            return {"tokens": tokens, "lengths": lengths}
        _, labels, attributes = self._columns(rows, text_column, num_rows)
        return {"values": self.vocabulary.conditions.encode(labels, attributes)}

    def _columns(self, rows: Rows, text_column: str, num_rows: int) -> tuple[Sequence[Any], ...]:
        missing = [None] * num_rows
        return rows.get(text_column, missing), rows.get("label", missing), rows.get("attributes", missing)

    def _meaning(self, text: str, label: int | None, attributes: Any) -> tuple[str, Any]:
        """What `meaning_key` takes: two pictures of one label mean the same, whatever else they show."""
        return (str(label), None) if self.config.condition == "label" else (text, attributes)


TASK = ImageToImage
