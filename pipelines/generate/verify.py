"""Are the samples what their manifest says, and does the model make them again?

Every file is hashed; a share of the shards, chosen by their digests, is sampled anew and compared row by row.
"""

from dataclasses import dataclass, fields, replace
from functools import partial

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.cluster.session import session
from pipelines.config.recipe import Recipe
from pipelines.formats import manifest as manifests
from pipelines.formats.content_check import other_digest
from pipelines.formats.manifest import MANIFEST, Manifest, ManifestShard
from pipelines.formats.prompts import ShardReader
from pipelines.generate.plan import Output, Work, plan, prompt_files
from pipelines.generate.receipts import receipt_of
from pipelines.sampling.rhymes import with_rhymes
from pipelines.sampling.samples import draw, samples_table
from pipelines.storage.folder_identity import require_same


def verify(recipe: Recipe) -> dict[str, int]:
    """Check the finished samples of a recipe; returns what was counted. Writes nothing.

    Raises BadInput that names all files that are missing, damaged or not in their manifest, and all shards that come
    out otherwise when they are made again. With a share above 0, at least one shard is. A picture may differ by one
    grey level: another kind of CPU or GPU rounds in another way. With `incremental`, files made by another model than
    today's are hashed only.
    """
    config = recipe.generate
    sets = {uri: files for uri, files in prompt_files(recipe).items() if storage.exists(storage.join(uri, MANIFEST))}
    if not sets:
        raise BadInput(f"{config.samples_uri} holds no {MANIFEST}; generate has not finished here, run it first")
    work = plan(with_rhymes(recipe), sets)
    shards = []
    for number, output in enumerate(work.outputs):
        manifest = manifests.read(output.uri, "generate")
        if not config.incremental:
            require_same(output.uri, manifest.inputs, output.plan, "give the recipe that made it")
        _check_names(output, manifest)
        is_same_model = manifest.model_digest == output.model_digest
        shards += [
            StatedShard(
                number,
                index,
                shard,
                is_same_model,
                sample_again=is_same_model and _is_drawn(shard.sha256, config.verify_share),
            )
            for index, shard in enumerate(manifest.shards)
        ]
    with session() as runner:
        drawn = _with_one_drawn(shards, config.verify_share)
        results = list(runner.map(partial(ShardChecker, work), drawn, work.workers))
    if problems := [result for result in results if isinstance(result, str)]:
        raise BadInput(f"{', '.join(sorted(problems))}; run generate again, which makes damaged shards again")
    checked = [result for result in results if isinstance(result, Checked)]
    return {field.name: sum(getattr(shard, field.name) for shard in checked) for field in fields(Checked)}


@dataclass(frozen=True)
class StatedShard:
    """A shard as the manifest of output number `output` states it, and whether it can be and is made again."""

    output: int
    index: int
    stated: ManifestShard
    is_same_model: bool
    sample_again: bool


@dataclass(frozen=True)
class Checked:
    """Counts over checked shards: all, and those that were made again, with rows that differ by rounding alone."""

    shards: int
    rows: int
    shards_made_again: int
    rows_made_again: int
    rows_rounded: int


def _check_names(output: Output, manifest: Manifest) -> None:
    """The folder's samples are those of the manifest, no more and no less."""
    named = {shard.uri for shard in manifest.shards} | {"rejects.parquet"}
    present = {storage.relative(uri, output.uri) for uri in storage.list_files(output.uri, ".parquet")}
    for problem, names, advice in (
        ("lacks", named - present, "run generate again, which makes them again"),
        ("has, beside its manifest,", present - named, "remove them"),
    ):
        if names:
            raise BadInput(f"{output.uri} {problem} {', '.join(sorted(names))}; {advice}")


def _is_drawn(digest: str, share: float) -> bool:
    """Whether a shard belongs to the share that is made again: a digest is as good as a die, the same for everyone."""
    return int(digest[:8], 16) < share * 2**32


def _with_one_drawn(shards: list[StatedShard], share: float) -> list[StatedShard]:
    """The shards, one of them drawn if by chance none is; which one is again the same for everyone."""
    candidates = [shard for shard in shards if shard.is_same_model]
    if not candidates or share <= 0 or any(shard.sample_again for shard in shards):
        return shards
    first = min(candidates, key=lambda shard: shard.stated.sha256)
    return [replace(shard, sample_again=True) if shard is first else shard for shard in shards]


class ShardChecker:
    """An actor that hashes shards and makes some of them again."""

    def __init__(self, work: Work) -> None:
        self.outputs = work.outputs
        self.sampler = work.sampler()
        self.reader = ShardReader()

    def __call__(self, shard: StatedShard) -> Checked | str:
        """Counts, or what is wrong with the shard."""
        output = self.outputs[shard.output]
        uri = storage.join(output.uri, shard.stated.uri)
        digest = storage.file_digest(uri)
        if digest != shard.stated.sha256:
            return f"{uri} {other_digest(digest, shard.stated.sha256)}"
        receipt = receipt_of(uri)
        num_again = num_rounded = 0
        if shard.sample_again:
            rows = self.reader.read(output.prompt_set.shard(shard.index))
            again = samples_table(self.sampler, draw(self.sampler, rows, output.seed, receipt.rejects))
            rounded = self.sampler.output.num_rounded(storage.read_table([uri]), again)
            if rounded is None:
                return f"{uri} is not what this model makes of its prompts (delete it if it was changed)"
            num_again, num_rounded = again.num_rows, rounded
        return Checked(1, receipt.num_rows, int(shard.sample_again), num_again, num_rounded)
