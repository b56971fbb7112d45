"""One data-parallel worker of a training, from the last checkpoint to the end. Runs under Ray Train and torchrun alike.

Where the watch sees trouble, all workers go back to a checkpoint and on from there with more caution: lower learning
rates, higher penalties, the rows in another order.
"""

from contextlib import nullcontext

import torch
from torch import distributed as dist

from ganrnn import checkpoint, cpu, distributed
from ganrnn.config import from_plain
from ganrnn.errors import BadInput
from ganrnn.task import BackoffState, task_class
from ganrnn.training.activation_memory import SavedBytes
from ganrnn.training.guard import Accident, Memory
from pipelines.cluster.messages import Line
from pipelines.config import Recipe
from pipelines.tracking import runs
from pipelines.train.batches import training_batches
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.job import TrainJob
from pipelines.train.log import TrainLog
from pipelines.train.monitor import Watch


def is_over(recipe: Recipe, step: int, memory: Memory) -> bool:
    """Whether a training that has come to a checkpoint is done: all its steps are, or there is no more patience."""
    train = recipe.train
    is_stale = train.patience > 0 and memory.is_stale(step, train.patience * train.checkpoint_every_steps)
    return step >= recipe.task.num_steps or is_stale


def train_worker(job: TrainJob) -> None:
    """Train to the end, set back as often as the guard allows.

    Raises BadInput where the training cannot go on. One rank may raise it alone: the runner ends the others, which may
    wait for this one in an exchange of gradients, and never starts a refused training again.
    """
    cpu.prepare(max(1, int(job.recipe.train.cpus_per_worker)))
    caution = None
    while (trouble := (attempt := Attempt(job, caution)).run()) is not None:
        caution = attempt.set_back(trouble)


class Attempt:
    """A training taken up at its newest checkpoint, or begun; `caution` replaces that of the checkpoint."""

    def __init__(self, job: TrainJob, caution: BackoffState | None) -> None:
        self.job = job
        self.recipe = job.recipe
        train = self.recipe.train
        self.rank, self.world_size = distributed.rank(), distributed.world_size()
        self.device = torch.device("cuda", torch.cuda.current_device()) if train.use_gpu else torch.device("cpu")
        task_type = task_class(self.recipe.task.name)
        vocabulary = from_plain(task_type.vocabulary_type, job.vocabulary)
        self.task = task_type(self.recipe.task, vocabulary, self.recipe.seed)
        if job.judge_files:
            self.task.judge = checkpoint.load_sampler(job.judge_files)
            self.task.judge.average.to(self.device)
        for network in self.task.networks.values():
            network.to(self.device)
        self.checkpoints = Checkpoints(train.checkpoint_uri, train.keep_checkpoints)
        self.watch = Watch(self.recipe, job, self._resume())
        if caution is not None:
            self.task.backoff = caution
        # The rows that led astray come in another order.
        seed = self.recipe.seed + (self.task.backoff.times << 32)
        self.batches = training_batches(self.task, job.train_uris, train, seed, self.rank, self.world_size)
        self.log = TrainLog(self.recipe, job, self.task) if self.rank == 0 else None

    def run(self) -> str | None:
        """Steps and checkpoints up to the last one, or up to what is wrong with them."""
        task, num_steps = self.task, self.recipe.task.num_steps
        measured = not getattr(self.recipe.task, "compile", False)  # compiled, it saves what it likes
        if not task.step_index:
            self.watch.before_first_step(task)
        is_over = self._is_over()
        while not is_over:
            batch = {name: tensor.to(self.device) for name, tensor in self.batches.at(task.step_index).items()}
            with SavedBytes() if measured else nullcontext() as saved:
                metrics = task.step(batch)
            if saved:
                metrics["activation_bytes"] = torch.tensor(float(saved.peak))
            measured = False
            if self.log:
                self.log.after_step(metrics)
            ends = task.step_index == num_steps or task.step_index % self.recipe.train.checkpoint_every_steps == 0
            if trouble := self.watch.after_step(task, metrics, before_checkpoint=ends):
                return trouble
            if ends:
                self._commit()
                is_over = self._is_over()
        return None

    def _is_over(self) -> bool:
        """All steps are done, or there is no more patience; the same on all ranks."""
        return distributed.from_rank_0(is_over(self.recipe, self.task.step_index, self.watch.memory))

    def set_back(self, trouble: str) -> BackoffState:
        """Choose the checkpoint to go back to, remove those after it, and return the caution to go on with.

        It is the newest after a first accident, else the best: what has to be undone may be older than it shows. A
        training that has not learnt anything yet begins again.
        """
        step, config = self.task.step_index, self.recipe.train.guard
        until = step + self.recipe.train.checkpoint_every_steps
        caution = self.task.backoff.after(isinstance(trouble, Accident), until)
        best = self.watch.memory.best_step
        if caution.times > config.max_interventions:
            there = f"checkpoint step-{best:08d} is its best" if best is not None else "there is no checkpoint"
            raise BadInput(
                f"{self.recipe.train.checkpoint_uri}: stopped at step {step} after {config.max_interventions} "
                f"interventions, because {trouble}; {there}; lower the learning rates, raise task.penalty_weight or "
                "set train.guard.max_interventions, and choose another run_uri"
            )
        if self.rank == 0:
            back_to = best if self.watch.memory.has_learnt else 0
            target = self.checkpoints.go_back(None if caution.until_step else back_to)
            times = caution.at(target)
            line = (
                f"guard: step {step}: {trouble}; back to step {target}, learning rates x {0.25**times:g}, "
                f"penalties x {2**times}{f' until step {until}' if caution.until_step else ''}"
            )
            self.job.reports.put(Line(line))
            runs.log_metrics(self.recipe.tracking, self.job.run_id, {"guard_interventions": caution.times}, step)
            runs.log_file(self.recipe.tracking, self.job.run_id, line.encode(), f"guard/{caution.times}.txt")
        return distributed.from_rank_0(caution)  # nobody reads checkpoints before rank 0 has removed some

    def _resume(self) -> Memory:
        """Load the newest whole checkpoint and what its guard knew, or seed this rank's generators."""
        torch.manual_seed(
            self.recipe.seed * 1_000_003 + self.rank
        )  # the networks were built before, equal on all ranks
        # Rank 0 chooses: a rank that can read fewer checkpoints than the others must not go on from an older one.
        newest = distributed.from_rank_0(self.checkpoints.newest() if self.rank == 0 else None)
        if newest is None:
            return Memory()
        rng_states, position = checkpoint.restore(self.task, newest.read(checkpoint.TRAINING_FILES), newest.uri)
        if f"{self.rank}.cpu" not in rng_states:
            raise BadInput(f"{newest.uri} was written with fewer workers than train.num_workers, {self.world_size}")
        torch.set_rng_state(rng_states[f"{self.rank}.cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(rng_states[f"{self.rank}.cuda"], self.device)
        own = f"{self.rank}.carried."
        carried = {name.removeprefix(own): held for name, held in rng_states.items() if name.startswith(own)}
        self.task.carried = {name: held.to(self.device) for name, held in carried.items()}
        return Memory.from_dict(position["guard"])

    def _commit(self) -> None:
        """A checkpoint of all ranks, written by rank 0."""
        rng_states = self._gather_own()
        if self.rank == 0:
            position = {"identity": self.job.identity, "guard": self.watch.memory.as_dict()}
            files = checkpoint.pack(self.task, rng_states, position)
            self.checkpoints.commit(self.task.step_index, files, self.watch.memory.best_step)

    def _gather_own(self) -> dict[str, torch.Tensor]:
        """What each rank has for itself, by name: its generators' states, uint8, and what it carries along."""
        own = {f"{self.rank}.cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            own[f"{self.rank}.cuda"] = torch.cuda.get_rng_state(self.device)
        own |= {f"{self.rank}.carried.{name}": tensor for name, tensor in self.task.carried.items()}
        gathered = [own] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(gathered, own)
        return {name: state for states in gathered for name, state in states.items()}
