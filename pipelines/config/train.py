"""Training on Ray: the section `train` of a recipe."""

from dataclasses import dataclass, field

from ganrnn.config import at_least, multiples
from ganrnn.errors import BadInput
from ganrnn.training.guard import GuardConfig
from pipelines.config.uri_fields import uri_field


@dataclass(frozen=True)
class TrainConfig:
    """Data-parallel training under Ray Train."""

    num_workers: int = 2  #: Number of data-parallel workers, each with a replica of the networks.
    use_gpu: bool = False  #: Whether each worker has a GPU.
    cpus_per_worker: float = 1  #: CPUs that Ray reserves for a worker.
    global_batch_size: int = 32  #: Rows of a step over all workers together.
    window_rows: int = 200_000  #: Number of rows that are in memory and shuffled at a time.
    log_every_steps: int = 25  #: Steps between two points of the metrics in MLflow.
    checkpoint_every_steps: int = 500  #: Steps between two checkpoints.
    sample_every_steps: int = 1_000  #: Steps between two grids of samples, or lists of texts, in MLflow.
    keep_checkpoints: int = 2  #: Number of newest checkpoints that are kept, apart from the best one.
    patience: int = 0  #: Number of checkpoints without a new best after which training ends early; 0 never does.
    max_failures: int = 3  #: Restarts after a crash of a worker before training fails.
    #: Model of the task match_judge from which a generator with task.judge_weight learns.
    judge_uri: str = uri_field(names="model")
    checkpoint_uri: str = uri_field(below="checkpoints")  #: Folder of the checkpoints.
    guard: GuardConfig = field(default_factory=GuardConfig)  #: What counts as trouble in training.

    def __post_init__(self) -> None:
        at_least("train", self, num_workers=1, window_rows=1, log_every_steps=1)
        at_least("train", self, checkpoint_every_steps=1, sample_every_steps=1, keep_checkpoints=1, max_failures=0)
        at_least("train", self, patience=0, cpus_per_worker=0)
        if self.patience and not self.guard.enabled:
            raise BadInput("train.patience needs train.guard.enabled: it is the guard that looks at checkpoints")
        multiples("train", self, global_batch_size=("num_workers", 2))
