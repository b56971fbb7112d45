"""Rows that a data set leaves out, with the reason of each."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
from tqdm import tqdm

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.formats import schemas
from pipelines.ingest.prepare import PreparedRow, prepare
from pipelines.ingest.source_row import RawRow, storable

REJECTS = "rejects.parquet"


@dataclass
class RowFilter:
    """Lets each row through once and counts the others: rejects, repeats, pictures without a caption.

    needs_source: whether a row without a source picture is a reject, because the task learns from pairs
    """

    config: IngestConfig
    needs_source: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    rejects: list[dict[str, str | None]] = field(default_factory=list)
    contents: set[bytes] = field(default_factory=set)
    ids: set[bytes] = field(default_factory=set)

    def passed(self, rows: Iterator[RawRow]) -> Iterator[PreparedRow]:
        """The rows that belong to the data set, in order."""
        for row in tqdm(rows, desc="ingest", unit="row", mininterval=0.5):
            if not row.has_caption:
                self.counts["images_without_caption"] += 1
                continue
            self.counts["read"] += 1
            prepared = prepare(row, self.config, self.needs_source)
            if isinstance(prepared, str):
                self._reject(row, prepared)
                continue
            # Drawn rows may repeat: their number is part of the config, and chance is part of the distribution.
            if prepared.split is None and prepared.content in self.contents:
                self.counts["duplicates"] += 1
                continue
            row_id = hashlib.blake2b(prepared.id.encode(), digest_size=16).digest()
            if row_id in self.ids:
                allowed = "allowed are unique ids, or ingest.id_column '' to make them from the rows"
                self._reject(row, f"id {prepared.id!r} stands twice, on different rows; {allowed}")
                continue
            self.contents.add(prepared.content)
            self.ids.add(row_id)
            yield prepared

    def _reject(self, row: RawRow, reason: str) -> None:
        row_id = None if row.id is None else str(row.id).encode(errors="replace").decode()
        self.rejects.append({"place": storable(row.place), "id": row_id, "reason": storable(reason)})

    def write_rejects(self) -> None:
        """Write the rejects file. Raises BadInput when there are more rejects than the config allows."""
        uri = storage.join(self.config.dataset_uri, REJECTS)
        storage.commit_table(uri, pa.Table.from_pylist(self.rejects, schema=schemas.REJECTS))
        num_rejects, num_read = len(self.rejects), self.counts["read"]
        if num_rejects > self.config.max_reject_share * num_read:
            raise BadInput(
                f"{self.config.source_uri}: {num_rejects} of {num_read} rows ({num_rejects / num_read:.1%}) are "
                f"rejected, ingest.max_reject_share allows {self.config.max_reject_share:.1%}; the first: "
                f"{self.rejects[0]['place']}: {self.rejects[0]['reason']} (all are in {uri})"
            )
