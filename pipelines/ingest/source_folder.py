"""A folder of pictures with captions as a source: CSV, JSON lines, JSON, Parquet."""

import os
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ganrnn.errors import BadInput, TryAgain
from pipelines import storage
from pipelines.config.ingest import IngestConfig
from pipelines.ingest import caption_lists
from pipelines.ingest.caption_lists import caption_rows
from pipelines.ingest.source_row import FILE_NAME, RawRow, TableRow, raw_row

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


def folder_rows(config: IngestConfig, uri: str) -> Iterator[RawRow]:
    """The captioned images in the order of their lists, then the images that no list names."""
    captioned = set[str]()
    for captions in caption_files(config, uri):
        folder = _folder_of(config, uri, captions)
        for row in caption_rows(config, captions):
            yield _captioned_row(config, uri, folder, row, captioned)
    for file in picture_files(uri):
        if storage.relative(file, uri) in captioned:
            continue
        if leads_nowhere(file):
            yield RawRow(file, problem="is a link to a file that does not exist")
        else:
            yield RawRow(file, has_caption=False)


def _captioned_row(config: IngestConfig, uri: str, folder: str, row: TableRow, captioned: set[str]) -> RawRow:
    """A row of a list with its pictures, whose names are added to `captioned`."""
    pictures, problem = [], row.problem
    for column in filter(None, (FILE_NAME, config.source_image_column)):
        if column != FILE_NAME and not row.values.get(column):
            continue
        try:
            name = _name_inside(folder, row.values.get(column), column)
            captioned.add(name)
            if not problem:
                pictures.append(_picture(storage.join(uri, name)))
        except TryAgain:
            raise
        except BadInput as error:
            problem = problem or str(error)
    if row.problem:
        return RawRow(row.place, problem=row.problem)
    data, source = (*pictures, None, None)[:2]
    return raw_row(config, row.place, row.values, data, source, problem)


def _picture(file: str) -> bytes:
    path = storage.local_path(file)
    if path and path.exists() and not path.is_file():
        raise BadInput(f"{file} is a folder, a pipe or a device; allowed is a file")
    return storage.read_bytes(file, if_missing="check the list of captions and the folder")


def leads_nowhere(file: str) -> bool:
    """Whether a file is a link whose target does not exist."""
    path = storage.local_path(file)
    return path is not None and not os.path.exists(path)


def caption_files(config: IngestConfig, uri: str) -> list[str]:
    """The list named by the config, or every metadata file below the folder."""
    if config.captions_file:
        if not config.captions_file.lower().endswith(caption_lists.ENDINGS):
            allowed = ", ".join(caption_lists.ENDINGS)
            raise BadInput(f"ingest.captions_file is {config.captions_file}; allowed are {allowed} files")
        return [storage.join(uri, config.captions_file)]
    files = [file for file in storage.list_files(uri) if posixpath.basename(file).lower() in _METADATA]
    if not files:
        allowed = " or ".join(_METADATA)
        raise BadInput(f"{uri} holds no {allowed}; give an existing folder with one, or ingest.captions_file")
    return files


def picture_files(uri: str) -> list[str]:
    """The images at or below a folder."""
    return [file for file in storage.list_files(uri) if file.lower().endswith(_PICTURES)]


def pictures_read(config: IngestConfig, uri: str) -> list[str]:
    """The images at or below a folder, then what else its lists name: files with other endings, or hidden ones."""
    pictures, present, named = picture_files(uri), set(storage.list_files(uri)), set[str]()
    for captions in caption_files(config, uri):
        folder = _folder_of(config, uri, captions)
        for row in caption_rows(config, captions):
            for column in filter(None, (FILE_NAME, config.source_image_column)):
                with suppress(BadInput):  # a reject
                    named.add(storage.join(uri, _name_inside(folder, row.values.get(column), column)))
    others = sorted(named - set(pictures))
    return pictures + [file for file in others if file in present or storage.list_files(file) == [file]]


def _folder_of(config: IngestConfig, uri: str, captions: str) -> str:
    """Hugging Face: file names are relative to the metadata file; those of a list named by hand, to the folder."""
    return "" if config.captions_file else posixpath.dirname(storage.relative(captions, uri))


def _name_inside(folder: str, name: Any, column: str) -> str:
    """The path below the source; a name that leads out of it is BadInput."""
    if not isinstance(name, str) or not name or "\0" in name or not _is_unicode(name):
        raise BadInput(f"{column} is {name!r:.200}; allowed is a path inside the folder")
    if name.startswith("/"):
        raise BadInput(f"{column} {name!r} is an absolute path; allowed are paths inside the folder, from where it is")
    path = posixpath.normpath(posixpath.join(folder, name))
    if path.startswith("../") or path in ("..", "."):
        raise BadInput(f"{column} {name!r} leads out of the folder; allowed are paths inside it")
    return path


def _is_unicode(name: str) -> bool:
    """Whether a name has no half of a surrogate pair, which JSON may hold and no file system takes."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
