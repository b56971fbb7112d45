"""The statistics of a set of pictures' features that scores need: `FeatureStatistics`, mergeable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import NDArray

from ganrnn.metrics.images.inception_score import InceptionSums
from ganrnn.metrics.images.kid import FeatureSubset
from ganrnn.metrics.statistics.moments import Moments


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Statistics of features [N, D] and class probabilities [N, K]; `classes` is None if the extractor has none."""

    moments: Moments
    subset: FeatureSubset
    classes: InceptionSums | None

    @classmethod
    def of(
        cls, features: NDArray[Any], sample_ids: Sequence[str], num_kept: int, classes: InceptionSums | None
    ) -> Self:
        """Statistics of one block.

        features:    [N, D] of any real dtype
        sample_ids:  [N] ids, each of them unique over all blocks
        num_kept:    size of the feature subset over all blocks together
        classes:     sums of the class probabilities of the same samples

        Raises BadInput for features that are not finite and for ids that occur twice.
        """
        subset = FeatureSubset.from_features(features, sample_ids, num_kept)
        return cls(Moments.from_features(features), subset, classes)

    def merge(self, other: Self) -> Self:
        """Statistics of the union of two disjoint sets of samples."""
        assert (self.classes is None) == (other.classes is None)
        classes = self.classes.merge(other.classes) if self.classes and other.classes else None
        return type(self)(self.moments.merge(other.moments), self.subset.merge(other.subset), classes)

    def to_parts(self) -> dict[str, bytes]:
        """Exact serialised form by part: moments, subset and, if there are any, classes."""
        parts = {"moments": self.moments.to_bytes(), "subset": self.subset.to_bytes()}
        return parts | ({"classes": self.classes.to_bytes()} if self.classes else {})

    @classmethod
    def from_parts(cls, parts: Mapping[str, bytes]) -> Self:
        """Inverse of `to_parts`, exact to the last bit. Raises BadInput for any other bytes."""
        classes = InceptionSums.from_bytes(parts["classes"]) if "classes" in parts else None
        return cls(Moments.from_bytes(parts["moments"]), FeatureSubset.from_bytes(parts["subset"]), classes)
