"""The images of a page that are nearest to a training image, each with that image: has the model memorised it?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganrnn.metrics.images.kid import FeatureSubset
from ganrnn.metrics.statistics.neighbours import nearest
from pipelines import storage
from pipelines.report.page import ReportPicture

NUM_SHOWN = 8


@dataclass(frozen=True)
class Neighbour:
    """A generated image and the training image nearest to it.

    ratio:  their distance over that from the training image to its own nearest neighbour in the training set
    """

    sample: ReportPicture
    training_id: str
    ratio: float


def nearest_training(
    pictures: Sequence[ReportPicture], samples: FeatureSubset, training: FeatureSubset, number: int = NUM_SHOWN
) -> list[Neighbour]:
    """The neighbours of images whose features are in `samples`, by ratio, the `number` smallest."""
    position = {name: row for row, name in enumerate(samples.sample_ids)}
    known = list({picture.sample_id: picture for picture in pictures if picture.sample_id in position}.values())
    if not known or len(training.features) < 2:
        return []
    x, t = samples.features[[position[picture.sample_id] for picture in known]], training.features
    squares, indices = nearest(x, t, 1)
    rows = indices[:, 0]
    unit, _ = nearest(t[rows], t, 2)  # the nearest of the two is the image itself
    ratios = np.sqrt(squares[:, 0] / np.maximum(unit[:, 1], np.finfo(np.float64).tiny))
    order = np.argsort(ratios, kind="stable")[:number]
    return [Neighbour(known[i], training.sample_ids[rows[i]], float(ratios[i])) for i in order]


def training_pictures(uris: Sequence[str], ids: set[str]) -> dict[str, ReportPicture]:
    """Images of a split by id; only the row groups that have one of them are read."""
    pictures: dict[str, ReportPicture] = {}
    for uri in uris:
        groups = storage.RowGroups(uri)
        for index in range(len(groups.sizes)):
            if ids.isdisjoint(groups.read(index, ["id"]).column("id").to_pylist()):
                continue
            for row in groups.read(index, ["id", "text", "image"]).to_pylist():
                if row["id"] in ids:
                    pictures[row["id"]] = ReportPicture(row["id"], row["text"], row["image"]["bytes"], math.nan, None)
    return pictures
