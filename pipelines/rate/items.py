"""What raters see: pictures or texts of several sources, drawn once and made alike in form.

    medium, items = read_items({"samples": uri, "reference": uri}, recipe.rate, recipe.seed)

Every picture is decoded, brought to the size of the generated ones and encoded again as PNG, so that neither size nor
file format tells where it comes from; texts lose the space around them.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ganrnn import noise
from ganrnn.data import images
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.rate import REFERENCE, SAMPLES, RateConfig
from pipelines.formats.manifest import MANIFEST

Medium = Literal["image", "text"]
Row = dict[str, Any]

# What holds an item, what names it, what asked for it: the first of these columns that a file has.
_CONTENT = ("image", "text", "target")
_KEYS = ("prompt_id", "id", "sample_id")
_PROMPTS = ("prompt", "text")

# With `matched`: real texts that are looked at for each generated one, and what share of its length two may differ by.
_CANDIDATES = 10
_NEAR = 0.1


@dataclass(frozen=True)
class Item:
    """One picture (PNG) or text (UTF-8) and where it comes from."""

    source: str
    key: str
    prompt: str
    content: bytes

    @property
    def digest(self) -> str:
        """sha256 of what raters see."""
        return storage.sha256(self.content)


def read_items(sources: Mapping[str, str], rate: RateConfig, seed: int) -> tuple[Medium, list[Item]]:
    """The items of all sources; for `preference` those of one prompt stand at equal places of every source.

    Raises BadInput for a source that has none of the columns, or not the medium of the first.
    """
    opened = {name: _Source(name, uri, rate.split) for name, uri in sources.items()}
    first = opened[SAMPLES]
    for other in opened.values():
        if other.medium != first.medium:
            raise BadInput(
                f"{first.uri} holds {first.medium}s, {other.uri} {other.medium}s; both have to hold the same"
            )
    if rate.task == "fit" and first.medium != "image":
        raise BadInput(f"rate.task is 'fit', which is asked about pictures; {first.uri} holds texts")
    if rate.task == "preference":
        rows = _paired(opened, rate.num_pool, seed)
    else:
        rows = {name: source.drawn(rate.num_pool, seed) for name, source in opened.items()}
    if rate.text_length == "matched" and first.medium == "text" and rate.task == "turing":
        real = opened[REFERENCE]
        rows = _matched(first, rows[SAMPLES], real, real.drawn(_CANDIDATES * rate.num_pool, seed))
    size = _size(first, rows[SAMPLES]) if first.medium == "image" else None
    items = [opened[name].item(row, size) for name, drawn in rows.items() for row in drawn]
    return first.medium, items


def source_digest(uri: str) -> str:
    """A digest that changes with the source, without reading its rows."""
    manifest = storage.join(uri, MANIFEST)
    if storage.exists(manifest):
        return storage.file_digest(manifest)
    files = {storage.relative(name, uri): stat.num_bytes for name, stat in storage.stat_files(uri, ".parquet").items()}
    return storage.sha256(repr(sorted(files.items())).encode())


def model_digest(uri: str) -> str | None:
    """The digest of the model that samples come from, where their manifest names it."""
    manifest = storage.join(uri, MANIFEST)
    return storage.read_json(manifest).get("model_digest") if storage.exists(manifest) else None


class _Source:
    """The Parquet files of a data set's split, of a folder of samples or of any folder, and a file by itself."""

    def __init__(self, name: str, uri: str, split: str) -> None:
        self.name, self.uri = name, uri
        self._uris = _files(uri, split)
        self._files = [storage.open_parquet(file) for file in self._uris]
        if not sum(file.metadata.num_rows for file in self._files):
            raise BadInput(f"{uri} holds no row of Parquet; give a folder of samples, a data set or a Parquet file")
        names = self._files[0].schema_arrow.names
        self._content = _first(_CONTENT, names, uri)
        self._key = _first(_KEYS, names, uri)
        self._prompt = next((column for column in _PROMPTS if column in names and column != self._content), None)
        self.medium: Medium = "image" if self._content == "image" else "text"
        for file_uri, file in zip(self._uris, self._files, strict=True):
            storage.require_columns(file_uri, file.schema_arrow, self._columns)

    @property
    def _columns(self) -> list[str]:
        return list(dict.fromkeys(name for name in (self._key, self._content, self._prompt) if name))

    def drawn(self, num_rows: int, seed: int) -> list[Row]:
        """Up to `num_rows` rows in random order."""
        total = sum(file.metadata.num_rows for file in self._files)
        return self.at(noise.permutation(total, "rate pool", self.name, seed)[:num_rows].tolist())

    def keys(self) -> list[str]:
        """The name of every row."""
        return storage.read_table(self._uris, [self._key]).column(self._key).to_pylist()

    def at(self, indices: Sequence[int]) -> list[Row]:
        """Rows by their index among all rows of all files; row groups without one are not read."""
        order = sorted(indices)
        rows_by_index: dict[int, Row] = {}
        start = 0
        for uri, file in zip(self._uris, self._files, strict=True):
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                in_group = order[bisect_left(order, start) : bisect_left(order, stop)]
                if in_group:
                    with storage.reading_parquet(uri):
                        rows = file.read_row_group(group, columns=self._columns)
                    taken = rows.take([index - start for index in in_group]).to_pylist()
                    rows_by_index |= dict(zip(in_group, taken, strict=True))
                start = stop
        return [rows_by_index[index] for index in indices]

    def picture(self, row: Row) -> bytes:
        """The encoded picture of a row."""
        image = row[self._content]
        return bytes(image["bytes"] if isinstance(image, dict) else image)

    def text(self, row: Row) -> str:
        """The text of a row, without the space around it."""
        return str(row[self._content] or "").strip()

    def item(self, row: Row, size: tuple[int, int] | None) -> Item:
        """What raters see of a row."""
        key, prompt = str(row[self._key]), str(row[self._prompt] or "") if self._prompt else ""
        if size is None:
            return Item(self.name, key, prompt, self.text(row).encode())
        try:
            return Item(self.name, key, prompt, images.encode_png(images.scaled(self.picture(row), *size)))
        except (BadInput, TypeError) as error:
            raise BadInput(f"{self.uri}: {self._key} {key!r}: {error}") from error


def _files(uri: str, split: str) -> list[str]:
    """The split of a finished data set, all shards of finished samples, all Parquet files of any other folder."""
    manifest = storage.join(uri, MANIFEST)
    if not uri.endswith(".parquet") and storage.exists(manifest):
        shards = storage.read_json(manifest)["shards"]
        return [storage.join(uri, shard["uri"]) for shard in shards if shard.get("split", split) == split]
    return [file for file in storage.list_files(uri, ".parquet") if not file.endswith("/rejects.parquet")]


def _first(wanted: Sequence[str], names: Sequence[str], uri: str) -> str:
    for name in wanted:
        if name in names:
            return name
    raise BadInput(f"{uri} has none of the columns {', '.join(wanted)}; it has {', '.join(names)}")


def _size(source: _Source, rows: Sequence[Row]) -> tuple[int, int]:
    """Height and width of the first generated picture."""
    try:
        width, height = images.decode(source.picture(rows[0])).size
    except (BadInput, TypeError) as error:
        raise BadInput(f"{source.uri}: the first picture drawn: {error}") from error
    return height, width


def _paired(opened: Mapping[str, _Source], num_rows: int, seed: int) -> dict[str, list[Row]]:
    """The first row of each prompt that all sources have, the same prompts in the same order."""
    first_rows: dict[str, dict[str, int]] = {}
    for name, source in opened.items():
        first_row = first_rows.setdefault(name, {})
        for index, key in enumerate(source.keys()):
            first_row.setdefault(str(key), index)
    common = sorted(set.intersection(*(set(first_row) for first_row in first_rows.values())))
    if not common:
        uris = " and ".join(source.uri for source in opened.values())
        raise BadInput(f"{uris} have no prompt_id in common; pairs need samples for the same prompts")
    picked = [common[i] for i in noise.permutation(len(common), "rate pairs", seed)[:num_rows]]
    return {name: source.at([first_rows[name][key] for key in picked]) for name, source in opened.items()}


def _matched(
    generated: _Source, samples: Sequence[Row], real: _Source, candidates: Sequence[Row]
) -> dict[str, list[Row]]:
    """Each generated text with the unused real text of nearest length; a text without a near one is left out."""
    free = sorted((len(real.text(row)), index) for index, row in enumerate(candidates))
    pairs = []
    for row in samples:
        length = len(generated.text(row))
        after = bisect_left(free, (length, -1))
        nearest = min(
            free[max(after - 1, 0) : after + 1], key=lambda candidate: abs(candidate[0] - length), default=None
        )
        if nearest and abs(nearest[0] - length) <= max(1, _NEAR * length):
            free.remove(nearest)
            pairs.append((row, candidates[nearest[1]]))
    return {SAMPLES: [row for row, _ in pairs], REFERENCE: [row for _, row in pairs]}
