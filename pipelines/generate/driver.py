"""Generate from a prompts Parquet: a pool of actors, exactly one file a shard.

A shard's file is named and filled as a function of (model digest, prompts digest, run seed, shard index) and appears by
one atomic commit. Run again, only shards that are missing or damaged are made; the manifest is written last.

Ray Data's own job checkpoint is not used: it knows the ids of rows, not what they were made from, and holds them all in
memory. Of Ray Data this takes the pool of actors, their restarts and retries, and back-pressure.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import closing
from functools import partial

import pyarrow as pa

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.cluster.progress import say
from pipelines.cluster.runner import Runner
from pipelines.cluster.session import session
from pipelines.config.recipe import Recipe
from pipelines.formats import manifest as manifests
from pipelines.formats.content_check import damaged_shards, listed
from pipelines.formats.manifest import MANIFEST, Manifest, ManifestShard
from pipelines.formats.schemas import REJECTS
from pipelines.generate.crash_isolation import IsolatedShard
from pipelines.generate.folder_state import REJECTS_FILE, FolderState
from pipelines.generate.plan import Output, ShardRange, Work, plan, prompt_files
from pipelines.generate.progress import GenerationProgress
from pipelines.generate.receipts import Receipt
from pipelines.generate.worker import ShardWriter
from pipelines.sampling.rhymes import with_rhymes
from pipelines.storage import lease

# A task of an actor makes up to this many shards, so that one is uploaded while the next is sampled ...
_SHARDS_PER_TASK = 4
# ... unless the driver would have more tasks than this to keep account of.
_MOST_TASKS = 4_096
# How often a task is tried whose actor dies, before its shards are looked into one by one.
_ATTEMPTS = 3

Receipts = dict[int, Receipt]  # by shard index


def generate(recipe: Recipe) -> Manifest:
    """Sample every prompt into one folder; returns the manifest.

    Raises BadInput when the prompts or the model cannot be used, the folder holds samples of another plan, or another
    driver works on it.
    """
    if recipe.generate.incremental:
        raise BadInput("generate.incremental is true; only `ganrnn generate` takes that, evaluate reads one folder")
    return _fill(recipe, prompt_files(recipe))[0]


def generate_increment(recipe: Recipe) -> list[Manifest]:
    """Sample every prompt file into a folder of its own, but those that are done; returns the manifests of the others.

    A file that is done is known again by its size; BadInput where that differs. Its samples are hashed; damaged ones
    are made again by the model that made them, BadInput where the recipe has another one now.
    """
    waiting = {}
    for folder, files in prompt_files(recipe).items():
        uri = storage.join(folder, MANIFEST)
        if not storage.exists(uri) or storage.read_object(uri) is None:
            waiting[folder] = files
            continue
        manifest = manifests.read(folder, "generate")
        if (before := manifest.inputs["prompts_bytes"]) != sum(files.values()):
            raise BadInput(
                f"{next(iter(files))} has {sum(files.values())} bytes and had {before} when {folder} was made; "
                "put new prompts in a new file"
            )
        if damaged := damaged_shards(folder, manifest.shards):
            say(f"{folder} is damaged: {listed(damaged)}")
            waiting[folder] = files
    return _fill(recipe, waiting) if waiting else []


def _fill(recipe: Recipe, sets: Mapping[str, Mapping[str, int]]) -> list[Manifest]:
    """Fill each folder with the samples of its prompt files; returns the manifests."""
    recipe = with_rhymes(recipe)
    work = plan(recipe, sets)
    states = [FolderState.read(output) for output in work.outputs]
    if all(state.is_finished for state in states):
        return [state.manifest for state in states if state.manifest]
    with lease.hold(recipe.generate.samples_uri):
        for state in states:
            state.prepare()
        receipts = _sample(recipe, work)
        sizes = [sum(files.values()) for files in sets.values()]
        return [_finish(recipe, *made) for made in zip(work.outputs, sizes, receipts, strict=True)]


def _sample(recipe: Recipe, work: Work) -> list[Receipts]:
    """Have every shard made that is not there; returns shard index -> receipt for each output."""
    receipts: list[Receipts] = [{} for _ in work.outputs]
    with session() as runner, GenerationProgress(recipe, work.outputs) as progress:
        runner.require("generate.sampling", work.workers)
        with closing(_written(runner, work)) as ranges:  # whoever leaves the loop early leaves no thread behind
            for shards, written in ranges:
                if not any(receipts):
                    for output in work.outputs:
                        _open_run(recipe, output)
                receipts[shards.output] |= dict(enumerate(written, shards.start))
                progress.update(written)
    for output, of_output in zip(work.outputs, receipts, strict=True):
        replaced = {output.shard_name(index): receipt.replaced for index, receipt in sorted(of_output.items())}
        if problems := {name: problem for name, problem in replaced.items() if problem}:
            say(f"{output.uri}: {listed(problems)}; made again")
    return receipts


def _written(runner: Runner, work: Work) -> Generator[tuple[ShardRange, list[Receipt]], None, None]:
    """Ranges of shards from the pool; then, one by one, the shards on which its actors died too often."""
    ranges = _shard_ranges(work)
    returned = set()
    for shards, receipts in runner.map(partial(ShardWriter, work), ranges, work.workers, attempts=_ATTEMPTS):
        returned.add(shards)
        yield shards, receipts
    for shards in ranges:
        if shards not in returned:
            for index in range(shards.start, shards.stop):
                receipt = IsolatedShard(runner, work, shards.output, index).write()
                yield ShardRange(shards.output, index, index + 1), [receipt]


def _shard_ranges(work: Work) -> list[ShardRange]:
    """Runs of shards, each of one output."""
    total = sum(output.prompt_set.num_shards for output in work.outputs)
    few = min(_SHARDS_PER_TASK, total // (4 * work.sampling.num_workers))
    step = max(1, few, -(-total // _MOST_TASKS))
    return [
        ShardRange(number, start, min(start + step, output.prompt_set.num_shards))
        for number, output in enumerate(work.outputs)
        for start in range(0, output.prompt_set.num_shards, step)
    ]


def _finish(recipe: Recipe, output: Output, prompts_bytes: int, receipts: Receipts) -> Manifest:
    """Remove what killed writers left, write the rejects, and the manifest last."""
    storage.delete_unfinished(output.uri)
    ordered = [(index, receipts[index]) for index in range(output.prompt_set.num_shards)]
    uris = output.prompt_set.uris
    rejects = [
        {"place": uris[0] if len(uris) == 1 else recipe.generate.prompts_uri, "id": prompt_id, "reason": reason}
        for _, receipt in ordered
        for prompt_id, reason in sorted(receipt.rejects.items())
    ]
    shards = tuple(
        ManifestShard(output.shard_name(index), receipt.num_rows, receipt.sha256, num_bytes=receipt.num_bytes)
        for index, receipt in ordered
    )
    storage.commit_table(storage.join(output.uri, REJECTS_FILE), pa.Table.from_pylist(rejects, REJECTS))
    manifest = Manifest(
        "generate",
        inputs={"prompts_uri": recipe.generate.prompts_uri, "prompts_bytes": prompts_bytes, **output.plan},
        config=recipe.as_dict(),
        shards=shards,
        totals={
            "samples": sum(shard.num_rows for shard in shards),
            "prompts": output.prompt_set.num_rows,
            "rejects": len(rejects),
            "unknown_tokens": sum(receipt.unknown_tokens for _, receipt in ordered),
        },
        model_digest=output.model_digest,
    )
    digest = manifests.commit(output.uri, manifest)
    _close_run(recipe, output, manifest.counts, digest)
    return manifest


def _open_run(recipe: Recipe, output: Output, **tags: str) -> str:
    """The MLflow run of a folder, the same again after a crash: which model made which samples of which prompts."""
    from pipelines.tracking import runs  # takes seconds, in which the pool is at work already

    return runs.start_run(
        recipe.tracking,
        "generate",
        recipe.as_dict(),
        storage.sha256(json.dumps([output.uri, output.plan], sort_keys=True).encode()),
        {"prompts": (recipe.generate.prompts_uri, output.prompt_set.digest)},
        {"model_digest": output.model_digest, **tags},
    )


def _close_run(recipe: Recipe, output: Output, totals: Mapping[str, int], manifest_digest: str) -> None:
    from pipelines.tracking import runs

    run_id = _open_run(recipe, output, samples_manifest_digest=manifest_digest)
    runs.log_metrics(recipe.tracking, run_id, {name: float(count) for name, count in totals.items()}, 0)
    runs.finish_run(recipe.tracking, run_id, "FINISHED")
