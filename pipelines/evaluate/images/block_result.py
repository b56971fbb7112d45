"""What an actor says of a block of images; the driver adds it up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ganrnn.metrics.images.conditional_diversity import ConditionSubset
from ganrnn.metrics.images.inception_score import InceptionSums
from ganrnn.metrics.images.seam import Seam
from pipelines.report.page import ReportPicture

Counts = dict[str, list[int]]  # by name of a question: how often the answer was right, how often it was asked


@dataclass(frozen=True, eq=False)
class ExtractedFeatures:
    """What one extractor sees in a block: of fewer rows than columns, features are smaller than their moments.

    values:   float32 [N, D]
    classes:  sums over the probabilities of its classes, where it has any
    """

    values: NDArray[np.float32]
    classes: InceptionSums | None


@dataclass(frozen=True)
class ReportPictures:
    """Pictures that the page may show: the first of a set, those that fit their prompts best, and worst."""

    first: list[ReportPicture] = field(default_factory=list)
    best: list[ReportPicture] = field(default_factory=list)
    worst: list[ReportPicture] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class BlockResult:
    """A scored block of the set `set_name`; `ids` is empty where no image came of it.

    features:      by extractor
    counts:        of all rows
    conditions:    by what is compared, an extractor's features or pixels: some rows of some conditions
    groups:        the group of each row, empty where it has none
    group_counts:  by group
    """

    set_name: str
    index: int
    ids: list[str]
    features: Mapping[str, ExtractedFeatures] = field(default_factory=dict)
    conditions: Mapping[str, ConditionSubset] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    group_counts: Mapping[str, Counts] = field(default_factory=dict)
    seam: Seam = field(default_factory=Seam)
    pictures: ReportPictures = field(default_factory=ReportPictures)
