"""Are the samples what their manifest says, and does the model make them again?

Every file is hashed; a share of the shards, chosen by their digests, is sampled anew and compared row by row.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from ganrnn.data import images
from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.cluster import errors, pool, session
from pipelines.config import Recipe
from pipelines.formats.manifest import MANIFEST
from pipelines.formats.prompts import ShardReader
from pipelines.generate.plan import Output, Work, plan, prompt_files
from pipelines.generate.receipts import receipt
from pipelines.sampling.samples import draw, samples_table
from pipelines.storage.folder_identity import require_same


def verify(recipe: Recipe) -> dict[str, int]:
    """Check the finished samples of a recipe; returns what was counted. Writes nothing.

    Raises BadInput for the first file that is missing, damaged or not in its manifest, and where a shard made again is
    another. A picture may differ by one grey level: another kind of CPU or GPU rounds in another way. With
    `incremental`, files made by another model than today's are hashed only.
    """
    config = recipe.generate
    sets = {uri: files for uri, files in prompt_files(recipe).items() if storage.exists(storage.join(uri, MANIFEST))}
    if not sets:
        raise BadInput(f"{config.samples_uri} holds no {MANIFEST}; generate has not finished here, run it first")
    work = plan(recipe, sets)
    items = []
    for number, output in enumerate(work.outputs):
        held = storage.read_json(storage.join(output.uri, MANIFEST))
        if not config.incremental:
            require_same(output.uri, held["inputs"], output.plan, "give the recipe that made it")
        _check_names(output, held)
        is_same = held["inputs"]["model_digest"] == output.model_digest
        items += [
            {"output": number, "index": index, **shard, "again": is_same and _chosen(shard, config.verify_share)}
            for index, shard in enumerate(held["shards"])
        ]
    counts = {"shards": 0, "rows": 0, "shards_made_again": 0, "rows_made_again": 0, "rows_rounded": 0}
    with session.session():
        for row in _checked(work, items):
            for name in counts:
                counts[name] += row[name]
    return counts


def _check_names(output: Output, held: Mapping[str, Any]) -> None:
    """The folder's samples are those of the manifest, no more and no less."""
    named = {shard["uri"] for shard in held["shards"]} | {"rejects.parquet"}
    there = {storage.relative(uri, output.uri) for uri in storage.list_files(output.uri, ".parquet")}
    for problem, names in (("lacks", named - there), ("has, beside its manifest,", there - named)):
        if names:
            raise BadInput(f"{output.uri} {problem} {min(names)}; run generate again or remove it")


def _chosen(shard: Mapping[str, Any], share: float) -> bool:
    """A digest is as good as a die, and the same for everyone."""
    return int(shard["sha256"][:8], 16) < share * 2**32


def _checked(work: Work, items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    most = min(work.sampling.num_workers, len(items))
    dataset = ray.data.from_items(items, override_num_blocks=min(len(items), 64 * most)).map(
        ShardChecker,  # type: ignore[arg-type]  # an actor class, whose instances are the function
        fn_constructor_args=[work],
        compute=ray.data.ActorPoolStrategy(size=most),
        num_cpus=work.sampling.cpus_per_worker,
        num_gpus=work.sampling.gpus_per_worker,
    )
    return pool.rows(dataset)


class ShardChecker:
    """An actor that hashes shards and makes some of them again."""

    def __init__(self, work: Work) -> None:
        self.outputs = work.outputs
        self.sampler = work.sampler()
        self.reader = ShardReader()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return errors.answered(lambda: self._check(row))

    def _check(self, row: Mapping[str, Any]) -> dict[str, Any]:
        output = self.outputs[row["output"]]
        uri = storage.join(output.uri, row["uri"])
        found = receipt(uri)
        for name in ("rows", "bytes", "sha256"):
            if found[name] != row[name]:
                raise BadInput(
                    f"{uri} has {name} {found[name]}, its manifest says {row[name]}; the file is damaged: delete it "
                    f"and {MANIFEST}, and run generate again"
                )
        num_again = num_rounded = 0
        if row["again"]:
            rows = self.reader.read(output.prompt_set.shard(row["index"]))
            made = samples_table(self.sampler, draw(self.sampler, rows, output.seed, found["rejects"]))
            num_again, num_rounded = made.num_rows, _num_rounded(uri, storage.read_table([uri]), made)
        return {
            "shards": 1,
            "rows": found["rows"],
            "shards_made_again": int(row["again"]),
            "rows_made_again": num_again,
            "rows_rounded": num_rounded,
        }


def _num_rounded(uri: str, there: pa.Table, made: pa.Table) -> int:
    """Rows whose picture differs by one grey level at most; BadInput where anything differs by more."""
    if there.equals(made):
        return 0
    if "image" in made.column_names and there.drop_columns(["image"]).equals(made.drop_columns(["image"])):
        pairs = zip(there.column("image").to_pylist(), made.column("image").to_pylist(), strict=True)
        different = [(a["bytes"], b["bytes"]) for a, b in pairs if a != b]
        if all(np.abs(_pixels(a) - _pixels(b)).max() <= 1 for a, b in different):
            return len(different)
    raise BadInput(f"{uri} is not what this model makes of its prompts; it was changed, or made by other code")


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(images.decode(png), dtype=np.int16)
