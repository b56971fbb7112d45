"""Readers of the sources: the built-in scenes, a folder of pictures with captions, Parquet files, plain text files.

Each yields raw rows, unchecked and in a fixed order; a row that cannot be read comes with its problem, so that one bad
row does not stop the others. A file that is missing, truncated or without a column is BadInput at once.

    for row in raw_rows(recipe.ingest, recipe.ingest.source_uri, recipe.seed): ...
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.ingest.source_folder import caption_files, folder_rows, leads_nowhere, pictures_read
from pipelines.ingest.source_parquet import common_numbers, parquet_columns, parquet_rows
from pipelines.ingest.source_row import RawRow, source_files, storable
from pipelines.ingest.source_scenes import scene_rows
from pipelines.ingest.source_texts import text_rows


def raw_rows(config: IngestConfig, uri: str | None, seed: int) -> Iterator[RawRow]:
    """The rows of a source in order; `uri` is the folder or file, None for scenes."""
    if uri is None:
        return scene_rows(config, seed)
    read = {"image_folder": folder_rows, "parquet": parquet_rows, "text_files": text_rows}[config.source]
    return read(config, uri)


def describe(config: IngestConfig, uri: str | None, seed: int) -> dict[str, Any]:
    """What a manifest says of a source, sha256 digests included; raises BadInput for files that ingest cannot read.

    Columns are checked before anything is hashed. Each table has its own digest, the images of a folder share one.
    """
    if uri is None:
        drawing = {"scenes": asdict(config.scenes), "seed": seed, "height": config.height, "width": config.width}
        plain = json.dumps(drawing, sort_keys=True)
        return {**json.loads(plain), "sha256": storage.sha256(plain.encode())}
    if config.source == "text_files":
        return {"uri": uri, "files": _digests(uri, source_files(uri, ".txt"))}
    if config.source == "parquet":
        files = source_files(uri, ".parquet")
        for file in files:
            parquet_columns(config, file)
        common_numbers(config, files)
        return {"uri": uri, "files": _digests(uri, files)}
    captions, pictures = caption_files(config, uri), pictures_read(config, uri)
    combined = storage.sha256(json.dumps(_digests(uri, pictures, missing="")).encode())
    return {
        "uri": uri,
        "files": _digests(uri, captions),
        "images": {"num_files": len(pictures), "sha256": combined},
    }


def passed_over(config: IngestConfig, uri: str) -> list[str]:
    """What lies in a source and is not read: hidden files, other endings, pipes, unless a caption names them."""
    if config.source == "image_folder":
        return storage.list_others(uri, [*caption_files(config, uri), *pictures_read(config, uri)])
    return storage.list_others(uri, source_files(uri, ".txt" if config.source == "text_files" else ".parquet"))


def _digests(uri: str, files: Sequence[str], missing: str | None = None) -> list[dict[str, str]]:
    """The digest of each file; `missing` where a link leads nowhere, which is BadInput without it."""
    digests = []
    for name in files:
        digest = missing if missing is not None and leads_nowhere(name) else storage.file_digest(name)
        digests.append({"uri": storable(storage.relative(name, uri)), "sha256": digest})
    return digests
