"""The section `train` of a recipe."""

from dataclasses import dataclass, field

from ganrnn.errors import BadInput
from ganrnn.training.guard import GuardConfig
from pipelines.config.checks import at_least


@dataclass(frozen=True)
class TrainConfig:
    """Data-parallel training under Ray Train; `global_batch_size` rows a step over all workers together.

    After `patience` checkpoints that are no better than the best, a training ends before its time; 0 waits for ever.
    With `judge_uri`, a model of the task match_judge, a generator of task.judge_weight learns from its opinion too.
    """

    num_workers: int = 2
    use_gpu: bool = False
    cpus_per_worker: float = 1
    global_batch_size: int = 32
    window_rows: int = 200_000
    log_every_steps: int = 25
    checkpoint_every_steps: int = 500
    sample_every_steps: int = 1_000
    keep_checkpoints: int = 2
    patience: int = 0
    max_failures: int = 3
    judge_uri: str = ""
    checkpoint_uri: str = ""
    guard: GuardConfig = field(default_factory=GuardConfig)

    def __post_init__(self) -> None:
        at_least("train", self, num_workers=1, global_batch_size=2, window_rows=1, log_every_steps=1)
        at_least("train", self, checkpoint_every_steps=1, sample_every_steps=1, keep_checkpoints=1, max_failures=0)
        at_least("train", self, patience=0)
        if self.patience and not self.guard.enabled:
            raise BadInput("train.patience needs train.guard.enabled: it is the guard that looks at checkpoints")
        if self.global_batch_size % self.num_workers:
            raise BadInput(
                f"train.global_batch_size is {self.global_batch_size}; "
                f"allowed are multiples of train.num_workers ({self.num_workers})"
            )
