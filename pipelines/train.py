"""Train a task: Ray Train, data-parallel workers, one loop for all tasks.

Run again, a training goes on at its last checkpoint, whether a worker, the driver or the machine was killed: the loop
looks for checkpoints itself. Ray Train's own checkpoint upload is not used, because it drops files in silence when an
object store refuses them; ours are committed and read back by `pipelines.storage`.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import ray.train
import torch
from ray.train.torch import TorchTrainer
from torch import distributed as dist

from ganrnn import checkpoint, cpu, distributed, images
from ganrnn.data_order import RowOrder
from ganrnn.errors import BadInput
from ganrnn.text import Vocabulary
from pipelines import cluster, storage, tracking
from pipelines.checkpoints import Checkpoints
from pipelines.claim import claim, require_unclaimed
from pipelines.config import Recipe, task_type
from pipelines.dataset import TrainingRows, read_manifest, shard_uris
from pipelines.progress import remote_bar

RUN_FILE = "run.json"


def train(recipe: Recipe) -> str:
    """Train until `task.num_steps` steps are done; returns the URI of the last checkpoint.

    Raises BadInput when the data set does not fit the task or the folder holds another training.
    """
    manifest = read_manifest(recipe.ingest.dataset_uri)
    _check_fit(recipe, manifest)
    uris = shard_uris(recipe.ingest.dataset_uri, manifest, "train")
    identity = training_identity(recipe, manifest)
    checkpoints = Checkpoints(recipe.train.checkpoint_uri, recipe.train.keep_checkpoints)
    place = (recipe.train.checkpoint_uri, RUN_FILE, identity, "choose another run_uri")
    require_unclaimed(*place)
    newest = checkpoints.newest()
    if newest and newest.step >= recipe.task.num_steps:
        return newest.uri
    vocabulary = build_vocabulary(recipe, uris)
    with cluster.session():
        cluster.require("train", recipe.train.num_workers, recipe.train.cpus_per_worker, float(recipe.train.use_gpu))
        claim(*place)
        run_id = tracking.start_run(
            recipe.tracking,
            "train",
            recipe.as_dict(),
            identity["digest"],
            {"train": (recipe.ingest.dataset_uri, identity["dataset_digest"])},
            {},
        )
        job = {"uris": uris, "vocabulary": asdict(vocabulary), "run_id": run_id, "identity": identity["digest"]}
        with remote_bar("train", recipe.task.num_steps, "step") as reports:
            _fit({**job, "recipe": recipe, "reports": reports})
    last = checkpoints.newest()
    assert last is not None and last.step == recipe.task.num_steps
    tracking.finish_run(recipe.tracking, run_id, "FINISHED")
    return last.uri


def training_identity(recipe: Recipe, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a training the one it is: everything that its weights are a function of, and the digest of that."""
    identity: dict[str, Any] = {
        "task": asdict(recipe.task),
        "seed": recipe.seed,
        "dataset_digest": manifest["totals"]["dataset_digest"],
        "train": {
            name: getattr(recipe.train, name) for name in ("num_workers", "use_gpu", "global_batch_size", "window_rows")
        },
    }
    return identity | {"digest": storage.sha256(json.dumps(identity, sort_keys=True).encode())}


def build_vocabulary(recipe: Recipe, uris: list[str]) -> Vocabulary:
    """The vocabulary of the training captions."""
    texts = (
        text for uri in uris for batch in storage.read_batches(uri, ["text"]) for text in batch.column(0).to_pylist()
    )
    return Vocabulary.build(texts, recipe.task.vocabulary)


def _check_fit(recipe: Recipe, manifest: Mapping[str, Any]) -> None:
    # Here and not only in the workers: they would be started again as after a crash.
    RowOrder([manifest["totals"]["train"]], recipe.train.global_batch_size, recipe.train.window_rows, recipe.seed)
    for side in ("height", "width"):
        wanted, there = getattr(recipe.task, side), manifest["totals"][side]
        if wanted != there:
            raise BadInput(f"task.{side} is {wanted}; the pictures of {recipe.ingest.dataset_uri} have {side} {there}")


def _fit(job: dict[str, Any]) -> None:
    """Run the workers to the end; those that die are started again from the last checkpoint."""
    recipe: Recipe = job["recipe"]
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=job,
        scaling_config=ray.train.ScalingConfig(
            num_workers=recipe.train.num_workers,
            use_gpu=recipe.train.use_gpu,
            resources_per_worker={"CPU": recipe.train.cpus_per_worker, "GPU": int(recipe.train.use_gpu)},
        ),
        run_config=ray.train.RunConfig(
            name="ray_train",
            storage_path=recipe.train.checkpoint_uri,
            failure_config=ray.train.FailureConfig(
                max_failures=recipe.train.max_failures,
                controller_failure_limit=recipe.train.max_failures,  # type: ignore[call-arg]  # Ray Train V2 has it
            ),
        ),
    )
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        for cause in getattr(error, "worker_failures", {}).values():
            if isinstance(cause, BadInput) or isinstance(getattr(cause, "cause", None), BadInput):
                raise BadInput(str(getattr(cause, "cause", cause))) from error
        raise


def train_worker(job: dict[str, Any]) -> None:
    """One data-parallel worker, from the last checkpoint to the end. Runs under Ray Train and torchrun alike."""
    recipe: Recipe = job["recipe"]
    rank, world_size = distributed.rank(), distributed.world_size()
    device = _prepare_torch(recipe, rank)
    vocabulary = Vocabulary(job["vocabulary"]["level"], tuple(job["vocabulary"]["tokens"]))
    task = task_type(recipe.task.name)(recipe.task, vocabulary, recipe.seed)
    for network in task.networks.values():
        network.to(device)
    checkpoints = Checkpoints(recipe.train.checkpoint_uri, recipe.train.keep_checkpoints)
    _resume(task, checkpoints, recipe.seed, rank, device)
    rows = TrainingRows(
        job["uris"],
        task.input_columns,
        batch_size=recipe.train.global_batch_size,
        window_rows=recipe.train.window_rows,
        seed=recipe.seed,
        rank=rank,
        world_size=world_size,
    )
    log = RankLog(recipe, job, task) if rank == 0 else None
    while task.step_index < recipe.task.num_steps:
        batch = {name: tensor.to(device) for name, tensor in task.collate(rows.at(task.step_index)).items()}
        metrics = task.step(batch)
        if log:
            log.after_step(metrics)
        done = task.step_index == recipe.task.num_steps
        if done or task.step_index % recipe.train.checkpoint_every_steps == 0:
            rng_states = _gather_rng(rank, world_size, device)
            if rank == 0:
                checkpoints.commit(task.step_index, checkpoint.pack(task, rng_states, {"identity": job["identity"]}))


def _prepare_torch(recipe: Recipe, rank: int) -> torch.device:
    cpu.prepare(max(1, int(recipe.train.cpus_per_worker)))
    if recipe.train.use_gpu:
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def _resume(task: Any, checkpoints: Checkpoints, seed: int, rank: int, device: torch.device) -> None:
    """Load the last whole checkpoint, or seed this rank's generators where there is none."""
    torch.manual_seed(seed * 1_000_003 + rank)  # the networks were built before, equal on all ranks
    newest = checkpoints.newest()
    if newest is None:
        return
    rng_states, _ = checkpoint.restore(task, newest.read(checkpoint.TRAINING_FILES), newest.uri)
    torch.set_rng_state(rng_states[f"{rank}.cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(rng_states[f"{rank}.cuda"], device)


def _gather_rng(rank: int, world_size: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Generator states of all ranks, uint8, by name."""
    own = {f"{rank}.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        own[f"{rank}.cuda"] = torch.cuda.get_rng_state(device)
    gathered = [own] * world_size
    if world_size > 1:
        dist.all_gather_object(gathered, own)
    return {name: state for states in gathered for name, state in states.items()}


class RankLog:
    """What rank 0 says while it trains: means since the last line, speed, and pictures of fixed noise."""

    def __init__(self, recipe: Recipe, job: dict[str, Any], task: Any) -> None:
        self.recipe, self.job, self.task = recipe, job, task
        self.prompts = _fixed_prompts(recipe)
        self.sums: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = {}
        self.since = time.monotonic()

    def after_step(self, metrics: Mapping[str, torch.Tensor]) -> None:
        """Collect a step's metrics; log every `log_every_steps` and paint every `sample_every_steps` steps."""
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        step, train = self.task.step_index, self.recipe.train
        if step % train.log_every_steps == 0:
            means = {name: (total / self.counts[name]).item() for name, total in self.sums.items()}
            seconds = time.monotonic() - self.since
            means["images_per_second"] = train.log_every_steps * train.global_batch_size / seconds
            tracking.log_metrics(self.recipe.tracking, self.job["run_id"], means, step)
            self.job["reports"].put((step, {n: means[n] for n in ("loss_d", "loss_g", "images_per_second")}))
            self.sums, self.counts, self.since = {}, {}, time.monotonic()
        if step % train.sample_every_steps == 0 or step == self.recipe.task.num_steps:
            keys = [(self.recipe.seed, f"grid/{i}") for i in range(len(self.prompts))]
            sheet = images.grid(self.task.sample({"prompt": self.prompts}, keys), num_columns=8, zoom=2)
            tracking.log_image(self.recipe.tracking, self.job["run_id"], sheet, f"samples/step-{step:08d}.png")


def _fixed_prompts(recipe: Recipe) -> list[str]:
    """The first 64 held-out prompts, the same at every step and in every attempt."""
    uri = storage.join(recipe.ingest.dataset_uri, "prompts.parquet")
    prompts: list[str] = storage.read_table([uri], ["prompt"]).column("prompt").slice(0, 64).to_pylist()
    return prompts
