"""Plain text files as a source."""

import codecs
import re
from collections.abc import Iterator

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.ingest.source_row import SPLITS, RawRow, source_files, storable

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")


def text_rows(config: IngestConfig, uri: str) -> Iterator[RawRow]:
    """The pieces of text files in order; the last `holdout_share` of each file is set aside, half of it for test."""
    for file in source_files(uri, ".txt"):
        data = storage.read_bytes(file)
        if data.startswith(_UTF_16):
            raise BadInput(f"{file} is UTF-16; save it as UTF-8")
        # What is not UTF-8 becomes half a surrogate pair, so that it costs the piece that it stands in alone.
        text = data.decode("utf-8-sig", errors="surrogateescape")
        held_out = 0.0 if config.holdout_uri else config.holdout_share
        ends = {"train": int(len(text) * (1 - held_out)), "val": int(len(text) * (1 - held_out / 2)), "test": len(text)}
        start = 0
        for split in SPLITS:
            for begin in range(start, ends[split], config.piece_characters):
                piece = text[begin : min(begin + config.piece_characters, ends[split])]
                yield RawRow(
                    f"{file} character {begin}",
                    text=piece,
                    id=f"{storable(storage.relative(file, uri))}-{begin:010d}",
                    split=None if config.holdout_uri else split,
                    problem="is not UTF-8" if _NOT_UTF_8.search(piece) else None,
                )
            start = ends[split]
