"""Plain text files as a source."""

from collections.abc import Iterator

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.ingest.source_row import SPLITS, RawRow, source_files


def text_rows(config: IngestConfig, uri: str) -> Iterator[RawRow]:
    """The pieces of text files in order; the last `holdout_share` of each file is set aside, half of it for test."""
    for file in source_files(uri, ".txt"):
        try:
            text = storage.read_bytes(file).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadInput(f"{file} is not UTF-8 ({error})") from error
        held_out = 0.0 if config.holdout_uri else config.holdout_share
        ends = {"train": int(len(text) * (1 - held_out)), "val": int(len(text) * (1 - held_out / 2)), "test": len(text)}
        start = 0
        for split in SPLITS:
            for begin in range(start, ends[split], config.piece_characters):
                piece = text[begin : min(begin + config.piece_characters, ends[split])]
                name = f"{storage.relative(file, uri)}-{begin:010d}"
                yield RawRow(
                    f"{file} character {begin}", text=piece, id=name, split=None if config.holdout_uri else split
                )
            start = ends[split]
