"""Do pictures of one condition differ as real ones of it do? Diversity and coverage given the condition.

`ConditionSubset.from_features` per block, `OrderedMerge`, then `conditional_scores` of two.

A condition is what a picture is asked to be: a meaning, a label, attributes. Diversity is the mean distance between
samples of one condition over that between real pictures of it. Distance alone can be had by changing what real pictures
of the condition have in common; coverage, the share of real pictures that have a sample of their condition nearer than
their nearest real neighbour of it, cannot. It follows Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for
Generative Models", with one neighbour, within conditions. `spreads` compares single properties in the same way.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch.nn import functional as F

from ganrnn.metrics.statistics.intervals import Interval
from ganrnn.metrics.statistics.mergeable import arrays_from_bytes
from ganrnn.metrics.statistics.neighbours import checked, require_same_width

_NUM_RESAMPLES = 1_000
_MOST_PIXELS = 32  # a side


@dataclass(frozen=True, eq=False)
class ConditionSubset:
    """Features of the rows with the smallest id hashes, of each of the conditions with the smallest hashes.

    Two subsets of as many conditions hold the same ones as far as both sets have them; no order of blocks changes one.

    limits:      maximum number of conditions, and of rows of each
    conditions:  [M] the condition of each row
    ids:         [M] in the order of conditions and rows by their hashes
    features:    [M, D] float32
    """

    limits: tuple[int, int]
    conditions: tuple[str, ...]
    ids: tuple[str, ...]
    features: NDArray[np.float32]

    @classmethod
    def from_features(
        cls, features: NDArray[Any], conditions: Sequence[str], ids: Sequence[str], limits: tuple[int, int]
    ) -> Self:
        """Subset of one block of pictures.

        features:    [N, D] of any real dtype
        conditions:  [N]
        ids:         [N] ids, each of them unique over all blocks

        Raises BadInput for features that are not finite.
        """
        assert min(limits) >= 1 and len(features) == len(conditions) == len(ids), (limits, features.shape)
        x = checked(features, "condition subset", 0).astype(np.float32)
        return cls(limits, tuple(conditions), tuple(ids), x)._limited()

    def merge(self, other: Self) -> Self:
        """Subset of the union of two disjoint sets; commutative and associative to the last bit."""
        assert self.limits == other.limits
        require_same_width(self.features, other.features, "condition subset")
        features = np.concatenate((self.features, other.features))
        both = (self.conditions + other.conditions, self.ids + other.ids, features)
        return type(self)(self.limits, *both)._limited()

    def to_bytes(self) -> bytes:
        """Exact safetensors form; equal subsets give equal bytes."""
        names = {name: _packed(values) for name, values in (("conditions", self.conditions), ("ids", self.ids))}
        return save({"limits": np.array(self.limits, np.int64), "features": self.features, **names})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Inverse of `to_bytes`, exact to the last bit. Raises BadInput for bytes of anything else."""
        arrays = arrays_from_bytes(data, ("limits", "conditions", "ids", "features"), "condition subset")
        most_conditions, most_rows = arrays["limits"].tolist()
        conditions, ids = (tuple(json.loads(arrays[name].tobytes())) for name in ("conditions", "ids"))
        return cls((most_conditions, most_rows), conditions, ids, arrays["features"])

    def by_condition(self) -> dict[str, NDArray[np.float64]]:
        """Features [n, D] of each condition."""
        condition_of_row = np.array(self.conditions)
        x = self.features.astype(np.float64)
        return {name: x[condition_of_row == name] for name in dict.fromkeys(self.conditions)}

    def _limited(self) -> Self:
        ranked = sorted(range(len(self.ids)), key=lambda row: (*_hashed(self.conditions[row]), *_hashed(self.ids[row])))
        most_conditions, most_rows = self.limits
        rows_of: dict[str, list[int]] = {}
        for row in ranked:
            if self.conditions[row] in rows_of or len(rows_of) < most_conditions:
                rows_of.setdefault(self.conditions[row], []).append(row)
        rows = [row for of_condition in rows_of.values() for row in of_condition[:most_rows]]
        conditions, ids = (tuple(names[row] for row in rows) for names in (self.conditions, self.ids))
        return type(self)(self.limits, conditions, ids, self.features[rows])


def pixel_features(images: torch.Tensor) -> NDArray[np.float32]:
    """Pictures uint8 [N, 3, H, W] as features [N, D]: grey levels, averaged over areas where a side is above 32 pixels.

    What varies from pixel to pixel alone is no difference between two pictures.
    """
    height, width = (min(side, _MOST_PIXELS) for side in images.shape[2:])
    features: NDArray[np.float32] = F.adaptive_avg_pool2d(images.float(), (height, width)).flatten(1).numpy()
    return features


def _packed(names: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(names).encode(), np.uint8)


def _hashed(text: str) -> tuple[bytes, str]:
    return blake2b(text.encode(), digest_size=16, person=b"condition").digest(), text


@dataclass(frozen=True)
class Ratio:
    """A sum over conditions relative to another, with its 95 % interval: that of a bootstrap over conditions."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class ConditionalScores:
    """Diversity and coverage given the condition."""

    diversity: Ratio
    coverage: Ratio


def conditional_scores(samples: ConditionSubset, real: ConditionSubset, seed: int) -> ConditionalScores | None:
    """Scores over the conditions that have at least two of both; of both, as many rows count as the smaller has.

    None where there is no such condition, or where real pictures of no condition differ.
    """
    parts = np.array([_of_condition(x, y) for x, y in _pairs(samples, real)]).reshape(-1, 4)
    diversity, coverage = _ratio(parts[:, 0], parts[:, 1], seed), _ratio(parts[:, 2], parts[:, 3], seed)
    return ConditionalScores(diversity, coverage) if diversity and coverage else None


def spreads(
    samples: ConditionSubset, real: ConditionSubset, columns: Mapping[str, Sequence[int]], seed: int
) -> dict[str, Ratio]:
    """By name, the standard deviation of some columns among samples of one condition, over that among real ones.

    columns:  by name, which features count together: of several, the root of the sum of their variances

    As in `conditional_scores`; a name is left out where real pictures of no condition differ in its columns.
    """
    deviations = np.array([(x.var(0, ddof=1), y.var(0, ddof=1)) for x, y in _pairs(samples, real)])  # [C, 2, D]
    by_name = {}
    for name, chosen in columns.items() if len(deviations) else ():
        of_samples, of_real = np.sqrt(deviations[:, :, list(chosen)].sum(2)).T
        if ratio := _ratio(of_samples, of_real, seed):
            by_name[name] = ratio
    return by_name


def _ratio(numerators: NDArray[np.float64], denominators: NDArray[np.float64], seed: int) -> Ratio | None:
    """The ratio of the sums over conditions [C]; None where the denominators are 0."""
    if not denominators.any():
        return None
    count = len(denominators)
    draws = np.random.default_rng(seed % 2**64).integers(0, count, (_NUM_RESAMPLES, count))
    above, below = numerators[draws].sum(1), denominators[draws].sum(1)
    low, high = np.percentile(above[below > 0] / below[below > 0], (2.5, 97.5))
    return Ratio(float(numerators.sum() / denominators.sum()), (float(low), float(high)))


def _pairs(
    samples: ConditionSubset, real: ConditionSubset
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """By condition, as many rows of samples as of real pictures, where there are at least two."""
    require_same_width(samples.features, real.features, "diversity given the condition")
    reals = real.by_condition()
    for name, x in samples.by_condition().items():
        count = min(len(x), len(reals.get(name, ())))
        if count >= 2:
            yield x[:count], reals[name][:count]


def _of_condition(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, int, int]:
    """Mean distance of two samples, of two real pictures, how many real ones are covered, of how many."""
    between = _distances(y, y)
    nearest_real = np.where(np.eye(len(y), dtype=bool), np.inf, between).min(1)
    num_covered = int((_distances(y, x).min(1) < nearest_real).sum())
    return _mean_of_pairs(_distances(x, x)), _mean_of_pairs(between), num_covered, len(y)


def _distances(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distances [n, m] of rows; of few rows, so that differences rather than products are affordable."""
    distances: NDArray[np.float64] = np.stack([np.sqrt(np.square(y - row).sum(1)) for row in x])
    return distances


def _mean_of_pairs(distances: NDArray[np.float64]) -> float:
    count = len(distances)
    return float(distances.sum() / (count * (count - 1)))
