"""Image GANs: unconditional, by class label, or by attributes.

Step and sampling are in ganrnn/training/gan_step.py. The encoder is one linear layer over labels and attribute values;
it learns with the discriminator, like the text encoder of text_to_image.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ganrnn.config import at_least
from ganrnn.data import images as pictures
from ganrnn.data.conditions import Conditions, check_numeric
from ganrnn.errors import BadInput
from ganrnn.networks.images.condition_encoder import ConditionEncoder
from ganrnn.networks.images.palette_generator import STYLE_GENERATORS
from ganrnn.task import Batch, Rows
from ganrnn.text.captions import meaning_key
from ganrnn.training.gan_config import GanConfig
from ganrnn.training.gan_step import Gan


@dataclass(frozen=True)
class ImageGanConfig(GanConfig):
    """What images are generated from."""

    name: Literal["image_gan"] = "image_gan"  #: Name of the task.
    condition: Literal["none", "label", "attributes"] = "none"  #: Column that images are generated from, besides noise.
    numeric_attributes: tuple[str, ...] = ()  #: Names of the attributes that are numbers; all others are categories.
    condition_dim: int = 64  #: Number of features into which the condition is encoded.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("task", self, condition_dim=1)
        if self.condition == "none" and self.matching_weight:
            raise BadInput(
                f"task.matching_weight is {self.matching_weight} and task.condition none: there is nothing to match"
            )
        check_numeric(self.condition, self.numeric_attributes)

    @property
    def is_truncatable(self) -> bool:
        """Not where noise alone gives a style that is scaled to one length: there its own length is lost."""
        generator = STYLE_GENERATORS.get(self.architecture)
        return self.condition != "none" or not (generator and generator.scales_style)


class ImageGan(Gan):
    """The task."""

    config_type = ImageGanConfig
    vocabulary_type = Conditions
    encoder_inputs = ("values",)
    config: ImageGanConfig

    def __init__(self, config: ImageGanConfig, vocabulary: Conditions, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.vocabulary = vocabulary
        self.input_columns = ("image", *_columns(config))
        self.prompt_columns = _columns(config)
        super().__init__(config, ConditionEncoder(len(vocabulary), config.condition_dim))

    @staticmethod
    def vocabulary_columns(config: ImageGanConfig) -> Sequence[str]:
        """The data set's columns that `build_vocabulary` reads."""
        return _columns(config)

    @staticmethod
    def build_vocabulary(config: ImageGanConfig, rows: Iterable[tuple[Any, ...]]) -> Conditions:
        """The labels or attributes of the training rows."""
        if config.condition == "label":
            return Conditions.of_labels(label for (label,) in rows)
        if config.condition == "attributes":
            return Conditions.of_attributes((attributes for (attributes,) in rows), config.numeric_attributes)
        return Conditions(0, {}, {})

    def collate(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Data set rows to images uint8 [N, 3, H, W], condition values float32 [N, V], meaning keys int64 [N]."""
        size = (self.config.height, self.config.width)
        images = pictures.to_tensor([image["bytes"] for image in rows["image"]], size)
        conditions = zip(*self._conditions(rows, len(images)), strict=True)
        keys = [meaning_key(str(label), attributes) for label, attributes in conditions]
        return {"images": images, "values": self._encode(rows, len(images)), "keys": torch.tensor(keys)}

    def encode_prompts(self, rows: Rows) -> Batch:
        """`label` or `attributes` of prompts to condition values float32 [N, V]."""
        return {"values": self._encode(rows, len(rows["prompt_id"]))}

    def count_unknown(self, rows: Mapping[str, Sequence[Any]]) -> list[int]:
        """For each prompt, how many of its labels or attributes the model does not know."""
        return [
            self.vocabulary.count_unknown(*row)
            for row in zip(*self._conditions(rows, len(rows["prompt_id"])), strict=True)
        ]

    def _encode(self, rows: Rows, num_rows: int) -> torch.Tensor:
        return self.vocabulary.encode(*self._conditions(rows, num_rows))

    def _conditions(self, rows: Rows, num_rows: int) -> tuple[Sequence[Any], Sequence[Any]]:
        missing = [None] * num_rows
        return rows.get("label", missing), rows.get("attributes", missing)


def _columns(config: ImageGanConfig) -> tuple[str, ...]:
    return () if config.condition == "none" else (config.condition,)


TASK = ImageGan
