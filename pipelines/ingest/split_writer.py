"""The shards of a split, and the prompts of the test split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ganrnn.data.scenes import Split
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.formats import schemas
from pipelines.formats.manifest import ManifestShard
from pipelines.ingest.prepare import PreparedRow

PROMPTS = "prompts.parquet"


@dataclass
class SplitWriter:
    """Collects the rows of a split and commits a file for every `shard_rows` of them.

    repaired:  of a finished data set, the sha256 of the files to write again by name; others are left alone, and so is
               one that comes out with another sha256
    """

    config: IngestConfig
    split: Split
    repaired: Mapping[str, str] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    shards: list[ManifestShard] = field(default_factory=list)
    prompts: list[pa.Table] = field(default_factory=list)

    def add(self, row: PreparedRow) -> None:
        """Take a row, and write a shard once it is full."""
        self.rows.append(row.columns)
        if len(self.rows) == self.config.shard_rows:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are left as the last shard."""
        if not self.rows:
            return
        table = pa.Table.from_pylist(self.rows, schema=schemas.dataset(self.config.kind, self.config.has_sources))
        name = f"{self.split}/{len(self.shards):05d}.parquet"
        data = storage.parquet_bytes(table, self.config.row_group_rows)
        digest = storage.sha256(data)
        if self.repaired is None or self.repaired.get(name) == digest:
            storage.commit_bytes(storage.join(self.config.dataset_uri, name), data)
        self.shards.append(ManifestShard(name, len(self.rows), digest, self.split))
        if self.split == "test":
            self.prompts.append(prompts_of(table, self.config))
        self.rows = []


def prompts_of(rows: pa.Table, config: IngestConfig) -> pa.Table:
    """Rows of the test split as prompts, without what a model is to generate."""
    schema = schemas.prompts(config.kind, config.has_sources)
    if config.kind == "images":
        return rows.drop_columns(["image"]).rename_columns(schema.names).cast(schema)
    texts = rows.column("text" if config.kind == "texts" else "source")
    beginnings = pc.utf8_slice_codeunits(texts, 0, config.prompt_characters) if config.kind == "texts" else texts
    reference = texts if config.kind == "texts" else rows.column("target")
    columns = [rows.column("id"), beginnings, reference, rows.column("label"), rows.column("attributes")]
    return pa.table(columns, schema=schema)
