"""Decides from reported metrics whether training has gone wrong; it never changes the training itself.

It detects metrics that are not finite, gradient norms far above their usual size, samples that have collapsed or become
far worse, samples of one condition that have become alike, a loss that drowns the others, and a discriminator that is
always right while the samples do not improve.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from ganrnn.config import above, at_least, within


@dataclass(frozen=True)
class Quality:
    """The `distance` of the samples' features from real ones, and the samples' `diversity` divided by the real one.

    `diversity_given_condition` is that of samples of one condition in pixels, `spread_given_condition` that in the
    features of `distance`; None where real pictures of none differ.
    """

    distance: float
    diversity: float
    diversity_given_condition: float | None = None
    spread_given_condition: float | None = None


_NORMS = ("gradient_norm_d", "gradient_norm_g", "gradient_norm")
_DISTANCES = ("first_distance", "best_distance", "last_distance")
_FEWEST_WINDOWS = 5
_REMEMBERED = 50
_ALWAYS = 0.999  # share of the pairs of a window
_LEARNT = 0.25  # share of the distance before training
_VARIED, _ALIKE = 0.5, 0.2  # diversity given the condition: once reached, and then trouble
_HARDLY = 0.25  # diversity given the condition below which a training ends with a warning
_DROWNED = 0.95  # share of the generator's gradients that one loss has
_MOST_DROWNED_WINDOWS = 10
_UNUSUAL = {
    "was_varied": False,
    "num_drowned_windows": 0,
    "last_given_condition": None,
}  # left out of checkpoints, where tasks of texts have none


@dataclass(frozen=True)
class Verdict:
    """Why training has gone wrong.

    is_transient:  the cause may never come again, such as a bad batch or a flipped bit
    """

    reason: str
    is_transient: bool = False


@dataclass(frozen=True)
class GuardConfig:
    """When training is checked, and what is trouble."""

    enabled: bool = True  #: Whether training is watched, and rolled back to the best checkpoint after trouble.
    check_every_steps: int = 50  #: Steps between two checks of the metrics; samples are checked before each checkpoint.
    num_samples: int = 256  #: Number of samples that are compared with real images before a checkpoint.
    max_interventions: int = 3  #: Number of rollbacks before training is given up.
    most_gradient_ratio: float = 100.0  #: Gradient norm that is trouble, as a multiple of its median so far.
    #: Distance of samples from real images that is trouble, as a multiple of the smallest so far.
    most_distance_ratio: float = 3.0
    #: Diversity, as a share of that of real images; once reached, less than half of it is trouble.
    least_diversity: float = 0.5

    def __post_init__(self) -> None:
        at_least("train.guard", self, check_every_steps=1, max_interventions=1, num_samples=16)
        above("train.guard", self, most_gradient_ratio=1, most_distance_ratio=1)
        within("train.guard", self, least_diversity=(0, 1))


@dataclass
class GuardState:
    """The history of a training that the guard needs; plain values, which are stored in the checkpoint.

    Distances are those of samples from real pictures: before the first step, at the best checkpoint (`best_step`), and
    at the newest. `always_right` is whether the discriminator was always right in every window since the last check of
    samples. `was_varied` is whether samples of one condition ever differed, `num_drowned_windows` how many windows in a
    row one loss had almost all of the generator's gradients, `last_given_condition` the newest diversity of samples of
    one condition.
    """

    norms: dict[str, list[float]] = field(default_factory=dict)
    first_distance: float = math.inf
    best_distance: float = math.inf
    best_step: int | None = None
    last_distance: float = math.inf
    was_diverse: bool = False
    always_right: bool = True
    was_varied: bool = False
    num_drowned_windows: int = 0
    last_given_condition: float | None = None

    @property
    def warning(self) -> str:
        """What to say of a training that ends in this state; empty where samples of one condition differ."""
        given = self.last_given_condition
        if given is None or given >= _HARDLY:
            return ""
        return f"samples of one condition hardly differ: their diversity is {given:.2f} of that of real pictures"

    @property
    def has_learnt(self) -> bool:
        """Whether samples ever came near real pictures; true if samples are not checked."""
        return self.first_distance == math.inf or self.best_distance < _LEARNT * self.first_distance

    def is_stale(self, step: int, most_steps: int) -> bool:
        """Whether the best checkpoint is at least `most_steps` old."""
        return self.best_step is not None and step - self.best_step >= most_steps

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with None for infinity."""
        values = {name: value for name, value in asdict(self).items() if value != _UNUSUAL.get(name)}
        return values | {name: None for name in _DISTANCES if values[name] == math.inf}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GuardState":
        """Inverse of `as_dict`."""
        return cls(**dict(values) | {name: math.inf for name in _DISTANCES if values[name] is None})


class Guard:
    """Judges consecutive windows of steps."""

    def __init__(self, config: GuardConfig, state: GuardState | None = None) -> None:
        self.config, self.state = config, state or GuardState()

    def judge(
        self, step: int, means: Mapping[str, float], largest: Mapping[str, float], quality: Quality | None = None
    ) -> Verdict | None:
        """What is wrong, or None, by mean and largest metrics since the last check and, if given, the samples' quality.

        Metrics of a window with trouble are not added to the state.
        """
        verdict = self._not_finite(largest) or self._too_steep(largest) or self._drowned(means)
        if quality and not verdict:
            verdict = self._worse(means, quality)
        if not verdict:
            self._remember(step, means, largest, quality)
        return verdict

    def _not_finite(self, largest: Mapping[str, float]) -> Verdict | None:
        broken = sorted(name for name, value in largest.items() if not math.isfinite(value))
        return Verdict(f"{broken[0]} is {largest[broken[0]]}", is_transient=True) if broken else None

    def _too_steep(self, largest: Mapping[str, float]) -> Verdict | None:
        for name in _NORMS:
            recent_norms = self.state.norms.get(name, [])
            if name in largest and len(recent_norms) >= _FEWEST_WINDOWS:
                usual = median(recent_norms)
                if largest[name] > self.config.most_gradient_ratio * usual:
                    return Verdict(f"{name} is {largest[name]:.3g}, usual are {usual:.3g}")
        return None

    def _drowned(self, means: Mapping[str, float]) -> Verdict | None:
        if _is_drowned(means) and self.state.num_drowned_windows >= _MOST_DROWNED_WINDOWS:
            share = f"{means['matching_share']:.3f}"
            return Verdict(
                f"the matching loss has {share} of the generator's gradients; task.matching_weight is too high"
            )
        return None

    def _worse(self, means: Mapping[str, float], quality: Quality) -> Verdict | None:
        state, best, share = self.state, self.state.best_distance, f"{quality.diversity:.2f}"
        if state.was_diverse and quality.diversity < self.config.least_diversity / 2:
            return Verdict(f"the samples have collapsed: their diversity is {share} of that of real pictures")
        given = quality.diversity_given_condition
        if state.was_varied and given is not None and given < _ALIKE:
            return Verdict(
                f"samples of one condition have become alike: their diversity is {given:.2f} of that of real pictures"
            )
        if quality.distance > self.config.most_distance_ratio * best:
            ratio = quality.distance / best
            return Verdict(f"the samples are {ratio:.1f} times as far from real pictures as they were")
        sinking = quality.distance > max(state.last_distance, 1.2 * best)
        if sinking and state.always_right and _is_right(means):
            return Verdict("the discriminator is always right and the samples get worse")
        return None

    def _remember(
        self, step: int, means: Mapping[str, float], largest: Mapping[str, float], quality: Quality | None
    ) -> None:
        state = self.state
        for name in _NORMS:
            if name in largest:
                state.norms[name] = [*state.norms.get(name, []), largest[name]][-_REMEMBERED:]
        state.always_right &= _is_right(means)
        if "matching_share" in means:
            state.num_drowned_windows = state.num_drowned_windows + 1 if _is_drowned(means) else 0
        if quality:
            if quality.distance < state.best_distance:
                state.best_distance, state.best_step = quality.distance, step
            state.last_distance, state.always_right = quality.distance, True
            state.was_diverse |= quality.diversity >= self.config.least_diversity
            state.last_given_condition = quality.diversity_given_condition
            # Untrained networks differ too, and the energy score begins without repulsion.
            state.was_varied |= state.has_learnt and (quality.diversity_given_condition or 0.0) >= _VARIED


def _is_right(means: Mapping[str, float]) -> bool:
    return means.get("real_ahead", 0.0) > _ALWAYS


def _is_drowned(means: Mapping[str, float]) -> bool:
    return means.get("matching_share", 0.0) > _DROWNED
