"""Train a task: Ray Train, data-parallel workers, one loop for all tasks.

Run again, a training resumes at its newest checkpoint, whether a worker, the driver or the machine was killed. Ray
Train's own checkpoint upload is not used, because it drops files in silence when an object store refuses them;
`pipelines.storage` commits ours and reads them back.
"""

from dataclasses import asdict
from typing import Any

from ganrnn import checkpoint
from ganrnn.data.row_order import RowOrder
from ganrnn.errors import BadInput
from ganrnn.task import task_class
from ganrnn.text.batches import require_rows
from ganrnn.training.gan_config import GanConfig
from ganrnn.training.guard import GuardState
from pipelines import storage
from pipelines.cluster.progress import say
from pipelines.cluster.runner import Workers
from pipelines.cluster.session import session
from pipelines.config.recipe import Recipe
from pipelines.formats.dataset import read_manifest, require_intact_splits, shard_uris
from pipelines.formats.manifest import Manifest
from pipelines.sampling.judge import Judge, judge_of
from pipelines.sampling.rhymes import with_rhymes
from pipelines.tracking import runs
from pipelines.train.checkpoints import Checkpoints, SavedCheckpoint
from pipelines.train.job import TrainJob
from pipelines.train.run_record import RunRecord, identity_digest
from pipelines.train.worker import is_over, train_worker


def train(recipe: Recipe) -> str:
    """Train until `task.num_steps` steps are done or patience has run out; returns the URI of the last checkpoint.

    Raises BadInput when the data set is damaged or does not fit the task, the folder belongs to another training, a
    rank cannot read its batches or a checkpoint, a checkpoint cannot be written, or the guard has given up.
    """
    recipe = with_rhymes(recipe)  # for the texts that MLflow shows on the way
    manifest = read_manifest(recipe.ingest.dataset_uri)
    check_fit(recipe, manifest)
    uris = shard_uris(recipe.ingest.dataset_uri, manifest, "train")
    judge = judge_to_learn_from(recipe)
    identity = training_identity(recipe, manifest, judge.digest if judge else None)
    checkpoints = Checkpoints(recipe.train.checkpoint_uri, recipe.train.keep_checkpoints)
    record = RunRecord(recipe.train.checkpoint_uri, identity)
    newest = checkpoints.newest(tell=say)
    if newest and _is_done(recipe, newest, identity["digest"]):
        record.write(has_checkpoint=True)
        return newest.uri
    require_intact_splits(recipe.ingest.dataset_uri, manifest, ("train", "val"))
    vocabulary = build_vocabulary(recipe, uris)
    workers = Workers(recipe.train.num_workers, recipe.train.cpus_per_worker, float(recipe.train.use_gpu))
    with session() as runner:
        runner.require("train", workers)
        record.write(has_checkpoint=newest is not None)
        run_id = runs.start_run(
            recipe.tracking,
            "train",
            recipe.as_dict(),
            identity["digest"],
            {"train": (recipe.ingest.dataset_uri, identity["dataset_digest"])},
            {},
        )
        with runner.bar("train", recipe.task.num_steps, "step") as bar:
            job = TrainJob(
                recipe=recipe,
                train_uris=tuple(uris),
                val_uris=tuple(shard_uris(recipe.ingest.dataset_uri, manifest, "val")),
                vocabulary=asdict(vocabulary),
                run_id=run_id,
                identity=identity["digest"],
                reports=bar.reports,
                judge_files=judge.files if judge else None,
            )
            runner.train(train_worker, job, workers, recipe.train.checkpoint_uri, recipe.train.max_failures)
    newest = checkpoints.newest()
    assert newest is not None
    assert _is_done(recipe, newest, identity["digest"])
    runs.finish_run(recipe.tracking, run_id, "FINISHED")
    return newest.uri


def _is_done(recipe: Recipe, newest: SavedCheckpoint, identity: str) -> bool:
    """Whether a training is done at its newest checkpoint.

    Raises BadInput where the checkpoint cannot be read, or is one of another training.
    """
    description = checkpoint.describe(newest.read(())[checkpoint.DESCRIPTION], newest.uri)
    checkpoint.require_config(description, recipe.task, newest.uri)
    stated = description.position.get("identity")
    if stated != identity or description.step != newest.step:
        raise BadInput(
            f"{newest.uri} is step {description.step} of training {str(stated)[:12]}, expected is step {newest.step} "
            f"of {identity[:12]}: data set, seed, workers or settings differ, or its description was changed; remove "
            "this checkpoint, or choose another run_uri"
        )
    state = GuardState.from_dict(description.position["guard"])
    return is_over(recipe.train, recipe.task.num_steps, newest.step, state)


def require_judge_and_weight(recipe: Recipe) -> None:
    """BadInput where a judge to learn from has no weight, or a weight no judge."""
    weight, uri = getattr(recipe.task, "judge_weight", 0.0), recipe.train.judge_uri
    if bool(weight) != bool(uri):
        raise BadInput(
            f"train.judge_uri is {uri or 'missing'} and task.judge_weight {weight:g}; "
            "a judge needs a weight above 0 in a task that has it (text_to_image), and a weight a judge"
        )


def judge_to_learn_from(recipe: Recipe) -> Judge | None:
    """The judge that the generator learns from, if there is one."""
    require_judge_and_weight(recipe)
    uri = recipe.train.judge_uri
    return judge_of(recipe, uri, "train.judge_uri", recipe.task) if uri else None


def training_identity(recipe: Recipe, manifest: Manifest, judge_digest: str | None = None) -> dict[str, Any]:
    """What makes a training the one it is: everything that its weights are a function of, and the digest of that."""
    identity: dict[str, Any] = {
        "task": asdict(recipe.task),
        "seed": recipe.seed,
        "dataset_digest": manifest.dataset_digest,
        "train": {
            name: getattr(recipe.train, name) for name in ("num_workers", "use_gpu", "global_batch_size", "window_rows")
        },
        "guard": asdict(recipe.train.guard),
        **({"judge_digest": judge_digest} if judge_digest else {}),
    }
    return identity | {"digest": identity_digest(identity)}


def build_vocabulary(recipe: Recipe, uris: list[str]) -> Any:
    """The task's vocabulary of the training rows."""
    task = task_class(recipe.task.name)
    columns = task.vocabulary_columns(recipe.task)
    rows = (
        row
        for uri in uris
        for batch in storage.read_batches(uri, columns)
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    )
    return task.build_vocabulary(recipe.task, rows)


def check_fit(recipe: Recipe, manifest: Manifest) -> None:
    """Raise BadInput for what ranks would refuse by the recipe and the manifest alone, before any rank is started."""
    uri, task, config, counts = recipe.ingest.dataset_uri, recipe.task, recipe.train, manifest.counts
    kind = task_class(task.name).dataset_kind
    if kind != manifest.dataset_kind:
        raise BadInput(f"task.name is {task.name}, which learns from {kind}; {uri} holds {manifest.dataset_kind}")
    if isinstance(task, GanConfig):
        task.rows_per_piece(config.global_batch_size // config.num_workers)
    if kind != "images":
        if not getattr(task, "stream", False):  # whose workers share the lanes of one long text
            require_rows(counts["train"], config.num_workers)
        return
    RowOrder([counts["train"]], config.global_batch_size, config.window_rows, recipe.seed)
    for side in ("height", "width"):
        if getattr(task, side) != counts[side]:
            raise BadInput(f"task.{side} is {getattr(task, side)}; the pictures of {uri} have {side} {counts[side]}")
