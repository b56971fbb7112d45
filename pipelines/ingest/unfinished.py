"""What an ingest that was cut short has left, removed file by file: nothing goes that ingest did not write.

A file is ingest's own by its name and by the columns that it has; a folder of yours may well have a prompts.parquet.
"""

import re
from collections.abc import Iterator

import pyarrow as pa

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.formats import schemas
from pipelines.ingest.row_filter import REJECTS
from pipelines.ingest.source_row import SPLITS
from pipelines.ingest.split_writer import PROMPTS

_SHARD = re.compile(r"\d{5,}\.parquet")
_KINDS = ("images", "texts", "pairs")
_SHARD_SCHEMAS = [schemas.dataset(kind, has_sources) for kind in _KINDS for has_sources in (False, True)]
_PROMPT_SCHEMAS = [schemas.prompts(kind, has_sources) for kind in _KINDS for has_sources in (False, True)]


def delete(dataset_uri: str, keep_rejects: bool = False) -> None:
    """Remove shards, prompts and rejects of a data set without manifest.

    Raises BadInput, before anything is removed, for a file in their places that ingest did not write.
    """
    files = list(_own_files(dataset_uri))
    for file in files:
        if not (keep_rejects and file == storage.join(dataset_uri, REJECTS)):
            storage.delete_file(file)
    for split in SPLITS:
        folder = storage.join(dataset_uri, split)
        storage.delete_unfinished(folder)
        if not storage.list_others(folder, []):
            storage.delete_folder(folder)


def _own_files(dataset_uri: str) -> Iterator[str]:
    for split in SPLITS:
        folder = storage.join(dataset_uri, split)
        for file in storage.list_files(folder):
            _require_own(file, _SHARD_SCHEMAS if _SHARD.fullmatch(storage.relative(file, folder)) else [])
            yield file
    for name, known in ((PROMPTS, _PROMPT_SCHEMAS), (REJECTS, [schemas.REJECTS])):
        file = storage.join(dataset_uri, name)
        if storage.exists(file):
            _require_own(file, known)
            yield file


def _require_own(file: str, known: list[pa.Schema]) -> None:
    """BadInput unless a file is Parquet of one of the schemas."""
    try:
        is_own = bool(known) and any(storage.open_parquet(file).schema_arrow.equals(schema) for schema in known)
    except BadInput:
        is_own = False
    if not is_own:
        raise BadInput(f"{file} was not written by ingest; give an ingest.dataset_uri of its own")
