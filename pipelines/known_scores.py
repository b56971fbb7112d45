"""What evaluate finds out once for a data set: partials of its own pictures, kept beside it by digest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from pipelines import storage
from pipelines.config import Recipe
from pipelines.dataset import shard_uris
from pipelines.scoring import Block, Protocol, blocks_of_files

_VERSION = 1  # of what BlockScorer makes of a picture of the data set; to be raised when that changes


class KnownScores:
    """The rows of `BlockScorer` for the sets of the data set: those of an earlier evaluation, or none yet."""

    SETS = ("reference", "real", "training")

    def __init__(
        self,
        recipe: Recipe,
        manifest: Mapping[str, Any],
        network_digest: str,
        protocol: Protocol,
        judge_digest: str | None,
    ) -> None:
        dataset = manifest["totals"]["dataset_digest"]
        identity = json.dumps([_VERSION, asdict(protocol), network_digest, judge_digest, dataset], sort_keys=True)
        folder = f"scores-{storage.sha256(identity.encode())[:12]}"
        self.uri = storage.join(recipe.ingest.dataset_uri, folder, "partials.parquet")
        self.rows: list[dict[str, Any]] = []
        self.missing: list[Block] = []
        if storage.exists(self.uri):
            self.rows = storage.read_table([self.uri]).to_pylist()
            return
        for set_name, split in zip(self.SETS, ("val", "test", "train"), strict=True):
            self.missing += blocks_of_files(set_name, shard_uris(recipe.ingest.dataset_uri, dict(manifest), split))

    def completed(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of all sets, of which those of the data set are kept from now on; sorted by block."""
        own = [row for row in rows if row["rows"] and row["block"].split("/")[0] in self.SETS]
        if own:
            storage.commit_table(self.uri, pa.Table.from_pylist(own))
        return sorted([*self.rows, *rows], key=lambda row: str(row["block"]))
