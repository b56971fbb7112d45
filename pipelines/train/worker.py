"""One data-parallel rank of a training, from the last checkpoint to the end. Runs under Ray Train and torchrun alike.

Where the monitor finds that training has gone wrong, all ranks go back to a checkpoint and on from there with lower
learning rates, higher penalties and the rows in another order.
"""

from contextlib import nullcontext

import torch
from torch import distributed as dist

from ganrnn import checkpoint, cpu, distributed
from ganrnn.config import from_plain
from ganrnn.errors import BadInput
from ganrnn.task import BackoffState, JudgedTask, task_class
from ganrnn.training.activation_memory import SavedBytes
from ganrnn.training.guard import GuardState, Verdict
from pipelines.cluster.messages import Line
from pipelines.config.recipe import Recipe
from pipelines.config.train import TrainConfig
from pipelines.tracking import runs
from pipelines.train.batches import training_batches
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.job import TrainJob
from pipelines.train.log import TrainLog, fixed_prompts
from pipelines.train.monitor import Monitor
from pipelines.train.validation import ImageQuality, LikelihoodQuality, Validation


def is_over(train: TrainConfig, num_steps: int, step: int, state: GuardState) -> bool:
    """Whether a training is done at the checkpoint of a step: all its steps are, or patience has run out."""
    is_stale = train.patience > 0 and state.is_stale(step, train.patience * train.checkpoint_every_steps)
    return step >= num_steps or is_stale


def validation_of(recipe: Recipe, val_uris: tuple[str, ...]) -> Validation:
    """What measures a training of this recipe."""
    num_samples = recipe.train.guard.num_samples
    if task_class(recipe.task.name).output_modality == "images":
        return ImageQuality(val_uris, num_samples, recipe.seed)
    return LikelihoodQuality(val_uris, num_samples)


def train_worker(job: TrainJob) -> None:
    """Train to the end, set back as often as the guard allows.

    Raises BadInput where the training cannot go on. One rank may raise it alone: the runner ends the others, which may
    wait for this one in an exchange of gradients, and never starts a refused training again.
    """
    cpu.prepare(max(1, int(job.recipe.train.cpus_per_worker)))
    backoff = None
    while (verdict := (attempt := Attempt(job, backoff)).run()) is not None:
        backoff = attempt.set_back(verdict)


class Attempt:
    """A training resumed at its newest checkpoint, or begun; `backoff` replaces that of the checkpoint."""

    def __init__(self, job: TrainJob, backoff: BackoffState | None) -> None:
        self.job, self.recipe, self.train = job, job.recipe, job.recipe.train
        recipe, train = self.recipe, self.train
        self.rank, self.world_size = distributed.rank(), distributed.world_size()
        self.device = torch.device("cuda", torch.cuda.current_device()) if train.use_gpu else torch.device("cpu")
        task_type = task_class(recipe.task.name)
        self.task = task_type(recipe.task, from_plain(task_type.vocabulary_type, job.vocabulary), recipe.seed)
        for network in self.task.networks.values():
            network.to(self.device)
        if job.judge_files:
            judged: JudgedTask = self.task
            judged.attach_judge(checkpoint.load_sampler(job.judge_files))
        self.checkpoints = Checkpoints(train.checkpoint_uri, train.keep_checkpoints)
        validation = validation_of(recipe, job.val_uris)
        self.monitor = Monitor(train.guard, self._resume(), validation, recipe.tracking, job.run_id)
        if backoff is not None:
            self.task.backoff = backoff
        # After a setback the rows come in another order.
        seed = recipe.seed + (self.task.backoff.times << 32)
        self.batches = training_batches(self.task, job.train_uris, train, seed, self.rank, self.world_size)
        self.log: TrainLog | None = None
        if self.rank == 0:
            prompts = fixed_prompts(recipe.ingest.dataset_uri, self.task, recipe.generate.sampling)
            self.log = TrainLog(self.task, train, prompts, recipe.seed, recipe.tracking, job.run_id, job.reports)

    def run(self) -> Verdict | None:
        """Steps and checkpoints up to the last one, or up to the verdict that training has gone wrong."""
        task, num_steps = self.task, self.recipe.task.num_steps
        # torch.compile chooses what to save for backward, so that the measurement would not mean anything.
        measured = not getattr(self.recipe.task, "compile", False)
        if not task.step_index:
            self.monitor.before_first_step(task)
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
            ends = task.step_index == num_steps or task.step_index % self.train.checkpoint_every_steps == 0
            if verdict := self.monitor.after_step(task, metrics, before_checkpoint=ends):
                return verdict
            if ends:
                self._commit()
                is_over = self._is_over()
        if self.rank == 0 and (warning := self.monitor.state.warning):
            self.job.reports.put(Line(f"guard: warning: {warning}"))
            runs.log_file(self.recipe.tracking, self.job.run_id, warning.encode(), "guard/warning.txt")
        return None

    def _is_over(self) -> bool:
        """Whether training is done; the same on all ranks."""
        step, num_steps = self.task.step_index, self.recipe.task.num_steps
        return distributed.from_rank_0(is_over(self.train, num_steps, step, self.monitor.state))

    def set_back(self, verdict: Verdict) -> BackoffState:
        """Choose the checkpoint to go back to, remove those after it, and return the backoff to go on with.

        It is the newest after a first transient cause, else the best: a lasting cause may be older than it shows. A
        training that has not learnt anything yet begins again.
        """
        step, config = self.task.step_index, self.train.guard
        until = step + self.train.checkpoint_every_steps
        backoff: BackoffState = self.task.backoff.after(verdict.is_transient, until)
        best = self.monitor.state.best_step
        if backoff.times > config.max_interventions:
            best_one = f"checkpoint step-{best:08d} is its best" if best is not None else "there is no checkpoint"
            raise BadInput(
                f"{self.train.checkpoint_uri}: stopped at step {step} after {config.max_interventions} "
                f"interventions, because {verdict.reason}; {best_one}; lower the learning rates, raise "
                "task.penalty_weight or set train.guard.max_interventions, and choose another run_uri"
            )
        if self.rank == 0:
            back_to = best if self.monitor.state.has_learnt else 0
            target = self.checkpoints.go_back(None if backoff.until_step else back_to)
            times = backoff.at(target)
            line = (
                f"guard: step {step}: {verdict.reason}; back to step {target}, learning rates x {0.25**times:g}, "
                f"penalties x {2**times}{f' until step {until}' if backoff.until_step else ''}"
            )
            self.job.reports.put(Line(line))
            runs.log_metrics(self.recipe.tracking, self.job.run_id, {"guard_interventions": backoff.times}, step)
            runs.log_file(self.recipe.tracking, self.job.run_id, line.encode(), f"guard/{backoff.times}.txt")
        return distributed.from_rank_0(backoff)  # nobody reads checkpoints before rank 0 has removed some

    def _resume(self) -> GuardState:
        """Load the newest whole checkpoint and the state of its guard, or seed this rank's generators."""
        # The networks were built before, equal on all ranks.
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.rank + 2**63) % 2**64 - 2**63)  # torch takes 64 bits
        # Rank 0 chooses: a rank that can read fewer checkpoints than the others must not go on from an older one.
        newest = distributed.from_rank_0(self.checkpoints.newest() if self.rank == 0 else None)
        if newest is None:
            return GuardState()
        states, position = checkpoint.restore(self.task, newest.read(checkpoint.TRAINING_FILES), newest.uri)
        if f"{self.rank}.cpu" not in states:
            raise BadInput(f"{newest.uri} was written with fewer workers than train.num_workers, {self.world_size}")
        torch.set_rng_state(states[f"{self.rank}.cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(states[f"{self.rank}.cuda"], self.device)
        prefix = f"{self.rank}.carried."
        self.task.carried = {
            name.removeprefix(prefix): tensor.to(self.device)
            for name, tensor in states.items()
            if name.startswith(prefix)
        }
        return GuardState.from_dict(position["guard"])

    def _commit(self) -> None:
        """A checkpoint of all ranks, written by rank 0."""
        states = self._gather_states()
        if self.rank == 0:
            position = {"identity": self.job.identity, "guard": self.monitor.state.as_dict()}
            files = checkpoint.pack(self.task, states, position)
            self.checkpoints.commit(self.task.step_index, files, self.monitor.state.best_step)

    def _gather_states(self) -> dict[str, torch.Tensor]:
        """What differs between ranks, by name: the states of their generators, uint8, and what they carry along."""
        states = {f"{self.rank}.cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states[f"{self.rank}.cuda"] = torch.cuda.get_rng_state(self.device)
        states |= {f"{self.rank}.carried.{name}": tensor for name, tensor in self.task.carried.items()}
        gathered = [states] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(gathered, states)
        return {name: state for states in gathered for name, state in states.items()}
