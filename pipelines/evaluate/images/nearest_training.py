"""The pictures of a page that lie nearest to a training picture, with that picture beside: was it learnt by heart?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganrnn.metrics.images.kid import FeatureSubset
from ganrnn.metrics.statistics.neighbours import nearest
from pipelines import storage
from pipelines.report.page import ReportPicture

NUM_SHOWN = 8


@dataclass(frozen=True)
class Neighbour:
    """A generated picture, the training picture nearest to it, and how far, in units of that one's own nearest."""

    sample: ReportPicture
    training_id: str
    ratio: float


def nearest_training(
    pictures: Sequence[ReportPicture], samples: FeatureSubset, training: FeatureSubset, number: int = NUM_SHOWN
) -> list[Neighbour]:
    """Of the pictures whose features are kept, those with the smallest ratios, smallest first."""
    position = {name: row for row, name in enumerate(samples.sample_ids)}
    known = list({picture.sample_id: picture for picture in pictures if picture.sample_id in position}.values())
    if not known or len(training.features) < 2:
        return []
    x, t = samples.features[[position[picture.sample_id] for picture in known]], training.features
    squares, found = nearest(x, t, 1)
    rows = found[:, 0]
    unit, _ = nearest(t[rows], t, 2)  # of which the nearest is the picture itself
    ratios = np.sqrt(squares[:, 0] / np.maximum(unit[:, 1], np.finfo(np.float64).tiny))
    order = np.argsort(ratios, kind="stable")[:number]
    return [Neighbour(known[i], training.sample_ids[rows[i]], float(ratios[i])) for i in order]


def pictures_of(uris: Sequence[str], ids: set[str]) -> dict[str, Mapping[str, Any]]:
    """Rows of a split by id: id, text and image; of the files no more is read than the row groups that have one."""
    found: dict[str, Mapping[str, Any]] = {}
    for uri in uris:
        file = storage.open_parquet(uri)
        for group in range(file.num_row_groups):
            held = file.read_row_group(group, columns=["id"]).column("id").to_pylist()
            if not ids.isdisjoint(held):
                rows = file.read_row_group(group, columns=["id", "text", "image"]).to_pylist()
                found |= {row["id"]: row for row in rows if row["id"] in ids}
    return found
