"""What a GAN of pictures is made of and trained by, and which combinations make no sense."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ganrnn.errors import BadInput
from ganrnn.networks.images.pyramid import check_image_size
from ganrnn.networks.texts.text_encoder import Cell, TextEncoder
from ganrnn.objectives.adversarial import ObjectiveName
from ganrnn.objectives.penalties import USUAL_WEIGHTS, PenaltyName
from ganrnn.text.captions import Level
from ganrnn.training.optimizer import PlayerConfig

Architecture = Literal["style", "residual", "dcgan"]


@dataclass(frozen=True)
class AugmentationConfig:
    """Differentiable augmentation of all that the discriminator sees.

    `adaptive` moves the probability, from `probability` on, so that the discriminator puts the real picture ahead of
    its generated partner `(1 + target) / 2` of the time; from 0 to 1 it takes `ramp_images` pictures at least.
    """

    kind: Literal["none", "fixed", "adaptive"] = "none"
    probability: float = 0.0
    target: float = 0.6
    ramp_images: int = 500_000

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise BadInput(f"task.augmentation.probability is {self.probability}; allowed are values from 0 to 1")
        if not -1 < self.target < 1:
            raise BadInput(f"task.augmentation.target is {self.target}; allowed are values between -1 and 1")
        if self.ramp_images < 1:
            raise BadInput(f"task.augmentation.ramp_images is {self.ramp_images}; allowed are values from 1 up")


@dataclass(frozen=True)
class GanConfig:
    """Pictures, networks, objective and optimisation. Sizes in pixels, features or steps.

    `penalty_weight` of None is the usual one of the penalty. With `discriminator_steps` and `num_accumulated` the rows
    of a step are cut into as many parts of equal size: one for each discriminator update, and each of these into pieces
    whose gradients are added up, which takes less memory.
    """

    name: str = ""
    height: int = 32
    width: int = 32
    wrap_horizontally: bool = False
    architecture: Architecture = "style"
    z_dim: int = 32
    style_dim: int = 128
    feature_dim: int = 128
    base_channels: int = 32
    spectral_norm: bool = False
    objective: ObjectiveName = "relativistic"
    penalty: PenaltyName = "r1_r2"
    penalty_weight: float | None = None
    penalty_every_steps: int = 8
    matching_weight: float = 0.0
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    generator: PlayerConfig = field(default_factory=PlayerConfig)
    discriminator: PlayerConfig = field(default_factory=PlayerConfig)
    discriminator_steps: int = 1
    num_accumulated: int = 1
    num_steps: int = 2_000
    ema_half_life_steps: float = 150.0
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        check_image_size(self.height, self.width, "task.")
        for name in ("num_steps", "penalty_every_steps", "ema_half_life_steps", "discriminator_steps", "z_dim"):
            if getattr(self, name) <= 0:
                raise BadInput(f"task.{name} is {getattr(self, name)}; allowed are values above 0")
        if self.num_accumulated < 1:
            raise BadInput(f"task.num_accumulated is {self.num_accumulated}; allowed are values from 1 up")
        self.generator.check("task.generator")
        self.discriminator.check("task.discriminator")
        for problem in self._contradictions():
            raise BadInput(problem)

    def _contradictions(self) -> Iterator[str]:
        """Combinations that would train nothing, and why."""
        if self.objective == "wasserstein" and self.penalty == "none" and not self.spectral_norm:
            yield (
                "task.objective is wasserstein and nothing bounds the critic's slope; set task.penalty to clip, "
                "gradient or one_sided_gradient, or task.spectral_norm"
            )
        if self.penalty == "clip" and self.objective != "wasserstein":
            yield (
                f"task.penalty is clip, which bounds a Wasserstein critic; with task.objective {self.objective} use "
                "r1, r1_r2, dragan or none"
            )
        if self.penalises_slopes and self.architecture == "dcgan":
            yield (
                f"task.penalty is {self.penalty} and task.architecture dcgan, whose batch normalisation ties a row's "
                "logit to its neighbours, so that it has no slope of its own; use none or clip, or another architecture"
            )
        if self.spectral_norm and self.penalty == "clip":
            yield "task.spectral_norm and task.penalty clip both bound the weights; use one of them"
        if self.penalty_weight is not None and self.penalty == "none":
            yield f"task.penalty_weight is {self.penalty_weight}, but task.penalty is none"
        if self.penalty_weight is not None and self.penalty_weight <= 0:
            yield f"task.penalty_weight is {self.penalty_weight}; allowed are values above 0"

    @property
    def weight_of_penalty(self) -> float:
        """`penalty_weight`, or the usual one."""
        return USUAL_WEIGHTS[self.penalty] if self.penalty_weight is None else self.penalty_weight

    @property
    def penalises_slopes(self) -> bool:
        """Whether the penalty is one of the discriminator's slope."""
        return self.penalty not in ("none", "clip")


@dataclass(frozen=True)
class TextGanConfig(GanConfig):
    """The RNN that reads text, beside all that makes a GAN. Sizes in tokens or features."""

    vocabulary: Level = "word"
    max_tokens: int = 24
    cell: Cell = "gru"
    bidirectional: bool = False
    embedding_dim: int = 64
    hidden_dim: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_tokens <= 0:
            raise BadInput(f"task.max_tokens is {self.max_tokens}; allowed are values above 0")

    def text_encoder(self, num_tokens: int) -> TextEncoder:
        """A new one, for a vocabulary of so many tokens."""
        return TextEncoder(num_tokens, self.embedding_dim, self.hidden_dim, self.cell, self.bidirectional)
