"""Configuration of GANs of pictures, with checks of contradictory settings."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ganrnn.config import above, at_least, below, between, multiples, within
from ganrnn.errors import BadInput
from ganrnn.networks.texts.text_encoder import Cell, TextEncoder
from ganrnn.objectives.adversarial import ObjectiveName
from ganrnn.objectives.penalties import USUAL_WEIGHTS, PenaltyName
from ganrnn.text.captions import Level
from ganrnn.training.optimizer import PlayerConfig

Architecture = Literal["style_palette", "style", "residual", "dcgan"]


@dataclass(frozen=True)
class AugmentationConfig:
    """Differentiable augmentation of all that the discriminator sees."""

    #: Whether images are augmented with the given probability, or with one that adapts to the discriminator.
    kind: Literal["none", "fixed", "adaptive"] = "none"
    probability: float = 0.0  #: Probability of each transformation; of kind adaptive, the one to start from.
    #: Of kind adaptive: the discriminator is to prefer the real image (1 + target) / 2 of the time.
    target: float = 0.6
    ramp_images: int = 500_000  #: Least number of images during which an adaptive probability goes from 0 to 1.

    def __post_init__(self) -> None:
        within("task.augmentation", self, probability=(0, 1))
        between("task.augmentation", self, target=(-1, 1))
        at_least("task.augmentation", self, ramp_images=1)


@dataclass(frozen=True)
class MatrixRates:
    """Largest learning rates of Muon for the matrices of style generators and of discriminators of the same kind."""

    generator: float = 0.05  #: Learning rate of the generator's matrices; 0 leaves them to Adam.
    discriminator: float = 0.02  #: Learning rate of the discriminator's matrices; 0 leaves them to Adam.

    def __post_init__(self) -> None:
        at_least("task.matrix_learning_rate", self, generator=0, discriminator=0)


@dataclass(frozen=True)
class GanConfig:
    """Images, networks, objective and optimisation of a GAN."""

    name: str = ""  #: Name of the task.
    height: int = 32  #: Height of the images in pixels, as in the dataset: a multiple of 4 from 16 up.
    width: int = 32  #: Width of the images in pixels, as in the dataset: a multiple of 4 from 16 up.
    wrap_horizontally: bool = False  #: Whether the left edge continues at the right one, as in a panorama.
    #: Networks: modulated convolutions (style_palette mixes pixels from a palette), residual blocks, or DCGAN.
    architecture: Architecture = "style_palette"
    z_dim: int = 32  #: Number of noise values per sample.
    style_dim: int = 128  #: Number of features of the style by which layers are modulated.
    feature_dim: int = 128  #: Number of features by which the discriminator compares an image with its condition.
    base_channels: int = 32  #: Channels of the layer next to the image; deeper layers have up to eight times as many.
    spectral_norm: bool = False  #: Whether the discriminator's weights are divided by their spectral norm.
    objective: ObjectiveName = "relativistic"  #: Adversarial loss of both players.
    penalty: PenaltyName = "r1_r2"  #: Gradient penalty on the discriminator.
    penalty_weight: float | None = None  #: Weight of the penalty; null takes the usual weight of its paper.
    penalty_every_steps: int = 8  #: Steps between two penalties, whose weight is multiplied by this number.
    matching_weight: float = 0.0  #: Weight of the loss that asks whether an image shows its condition.
    #: Weight of the energy score, which asks whether two samples of a condition differ as much as real images of it do.
    energy_weight: float = 20.0
    #: Share of the steps, the first ones, in which the generator learns without the discriminator.
    energy_share: float = 0.0
    #: Differentiable augmentation of all images that the discriminator sees.
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    generator: PlayerConfig = field(default_factory=PlayerConfig)  #: Adam of the generator.
    discriminator: PlayerConfig = field(default_factory=PlayerConfig)  #: Adam of the discriminator.
    matrix_learning_rate: MatrixRates = field(default_factory=MatrixRates)  #: Muon of both players.
    discriminator_steps: int = 1  #: Discriminator updates per step, each on an equal part of its rows.
    #: Pieces into which the rows of an update are cut to save memory; their gradients are summed.
    num_accumulated: int = 1
    num_steps: int = 2_000  #: Number of training steps.
    ema_half_life_steps: float = 150.0  #: Steps after which old weights count half in the EMA that samples.
    precision: Literal["float32", "bfloat16"] = "float32"  #: Number format of everything but penalties.
    channels_last: bool = False  #: Whether convolutions use the memory format channels_last.
    compile: bool = False  #: Whether the generator is compiled by torch.compile.

    def __post_init__(self) -> None:
        multiples("task", self, height=(4, 16), width=(4, 16))
        above("task", self, num_steps=0, penalty_every_steps=0, ema_half_life_steps=0, discriminator_steps=0, z_dim=0)
        at_least("task", self, num_accumulated=1, style_dim=1, feature_dim=1, base_channels=1)
        at_least("task", self, matching_weight=0, energy_weight=0)
        below("task", self, energy_share=1)
        self.generator.check("task.generator")
        self.discriminator.check("task.discriminator")
        for problem in self._contradictions():
            raise BadInput(problem)
        if self.penalty_weight is not None:
            above("task", self, penalty_weight=0)

    def _contradictions(self) -> Iterator[str]:
        """Messages for combinations that cannot train."""
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
        if self.energy_share and not self.energy_weight:
            yield f"task.energy_share is {self.energy_share} and task.energy_weight 0: nothing would be learnt"
        if self.spectral_norm and self.penalty == "clip":
            yield "task.spectral_norm and task.penalty clip both bound the weights; use one of them"
        if self.penalty_weight is not None and self.penalty == "none":
            yield f"task.penalty_weight is {self.penalty_weight}, but task.penalty is none"

    @property
    def num_energy_steps(self) -> int:
        """Number of first steps, in which the generator learns without the discriminator."""
        return round(self.energy_share * self.num_steps)

    def repulsion_at(self, step: int) -> float:
        """Share of the distance between two samples that the energy score counts; it grows in the first steps."""
        return min(1.0, step / self.num_energy_steps) if self.num_energy_steps else 1.0

    def rows_per_piece(self, num_rows: int) -> int:
        """Rows of each piece of a worker's rows at a step; BadInput where these cannot be cut into equal pieces."""
        num_pieces = self.discriminator_steps * self.num_accumulated
        if num_rows % num_pieces:
            raise BadInput(
                f"a worker has {num_rows} rows a step, which cannot be cut into task.discriminator_steps x "
                f"task.num_accumulated = {num_pieces} equal parts; change train.global_batch_size"
            )
        return num_rows // num_pieces

    @property
    def weight_of_penalty(self) -> float:
        """`penalty_weight`, or the usual weight of the penalty."""
        return USUAL_WEIGHTS[self.penalty] if self.penalty_weight is None else self.penalty_weight

    @property
    def is_truncatable(self) -> bool:
        """Whether samples change with the length of their noise."""
        return True

    @property
    def penalises_slopes(self) -> bool:
        """Whether the penalty is a gradient penalty."""
        return self.penalty not in ("none", "clip")


@dataclass(frozen=True)
class TextGanConfig(GanConfig):
    """A GAN with an RNN that reads text."""

    vocabulary: Level = "word"  #: What a token is.
    max_tokens: int = 24  #: Number of tokens of a text that are read.
    cell: Cell = "gru"  #: Recurrent cell of the text encoder.
    bidirectional: bool = False  #: Whether the text is read in both directions.
    embedding_dim: int = 64  #: Number of features of a token.
    hidden_dim: int = 64  #: Number of features of the recurrent state.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("task", self, max_tokens=1, embedding_dim=1, hidden_dim=1)

    def text_encoder(self, num_tokens: int) -> TextEncoder:
        """A new text encoder for a vocabulary of `num_tokens`."""
        return TextEncoder(num_tokens, self.embedding_dim, self.hidden_dim, self.cell, self.bidirectional)
