"""The statistics of a data set's own images: computed once, stored next to the data set under a digest."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images.block_result import ReportPictures
from pipelines.evaluate.images.blocks import Block, blocks_of_files, condition_of
from pipelines.evaluate.images.collector import Collector
from pipelines.evaluate.images.protocol import Protocol
from pipelines.evaluate.images.set_statistics import SetStatistics
from pipelines.formats.dataset import shard_uris
from pipelines.formats.manifest import Manifest
from pipelines.report.page import ReportPicture

SPLITS = {"reference": "val", "real": "test", "training": "train"}  # by set
# Of the statistics of a given image. tests/pipelines/evaluate/test_reference_cache.py pins scores for each version.
_VERSION = 4


class ReferenceCache:
    """The statistics of the splits, from an earlier evaluation or still to be computed, from the blocks `missing`.

    With `evaluate.features_uri` set, the cache is ignored so that features can be written.
    """

    def __init__(
        self,
        recipe: Recipe,
        manifest: Manifest,
        network_digest: str,
        protocol: Protocol,
        judge_digest: str | None,
    ) -> None:
        dataset = manifest.dataset_digest
        parts = [_VERSION, asdict(protocol), condition_of(recipe.task), network_digest, judge_digest, dataset]
        identity = json.dumps(parts, sort_keys=True)
        folder = f"scores-{storage.sha256(identity.encode())[:12]}"
        self.uri = storage.join(recipe.ingest.dataset_uri, folder, "sets.parquet")
        self.missing: list[Block] = []
        self.is_known = storage.exists(self.uri) and not recipe.evaluate.features_uri
        if not self.is_known:
            for name, split in SPLITS.items():
                self.missing += blocks_of_files(name, shard_uris(recipe.ingest.dataset_uri, manifest, split))

    def complete(self, collector: Collector) -> None:
        """Load the stored statistics into the collector, or store those that it has computed."""
        if self.is_known:
            for row in storage.read_table([self.uri]).to_pylist():
                collector.sets[row["set"]] = SetStatistics.from_row(row)
                first = [ReportPicture(**picture | {"correct": _from_json(picture)}) for picture in row["first"]]
                collector.pictures[row["set"]] = ReportPictures(first=first)
        else:
            rows = [
                {
                    "set": name,
                    "first": [asdict(picture) | {"correct": _as_json(picture)} for picture in pictures.first],
                    **collector.sets[name].to_row(),
                }
                for name in SPLITS
                for pictures in [collector.pictures[name]]
            ]
            storage.commit_table(self.uri, pa.Table.from_pylist(rows))


def _as_json(picture: ReportPicture) -> str | None:
    return None if picture.correct is None else json.dumps(picture.correct)


def _from_json(picture: Mapping[str, Any]) -> dict[str, bool] | None:
    return json.loads(picture["correct"]) if picture["correct"] else None
