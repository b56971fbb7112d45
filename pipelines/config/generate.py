"""What is sampled from which prompts: the section `generate` of a recipe."""

from dataclasses import dataclass, field

from ganrnn.config import at_least, require_share, within
from ganrnn.errors import BadInput
from pipelines.config.sampling import SamplingConfig
from pipelines.config.uri_fields import uri_field

SEEDS = (-(2**63), 2**63 - 1)  # samples hold their seeds as int64


@dataclass(frozen=True)
class ChoiceConfig:
    """A judge's choice among several images for each sample."""

    #: Model of the task match_judge that chooses, as generate.model_uri names a model.
    judge_uri: str = uri_field(names="model")
    num_candidates: int = 1  #: Number of images per sample, of which the one that fits the prompt best is kept.
    least_score: float = 0.0  #: Match score below which the prompt is rejected.

    def __post_init__(self) -> None:
        at_least("generate.choice", self, num_candidates=1)
        within("generate.choice", self, least_score=(0, 1))
        if not self.judge_uri and (self.num_candidates > 1 or self.least_score):
            raise BadInput("generate.choice.judge_uri is missing; give the model that is to choose")


@dataclass(frozen=True)
class GenerateConfig:
    """Prompts in Parquet to samples in Parquet."""

    #: Checkpoint folder, models:/NAME@ALIAS or models:/NAME/N; empty: the run's last checkpoint, @best: its best.
    model_uri: str = uri_field(names="model")
    #: Parquet file or folder of prompts; by default the prompts of the dataset.
    prompts_uri: str = uri_field(below="dataset/prompts.parquet")
    samples_uri: str = uri_field(below="samples")  #: Folder of the samples.
    seed: int | None = None  #: Seed of sampling; null takes the recipe's seed.
    #: Hive partitions KEY=VALUE to read, by key: those from this value on; numbers and dates compare as such.
    since: dict[str, str | int | float] = field(default_factory=dict)
    #: Hive partitions KEY=VALUE to read, by key: those with exactly this value.
    where: dict[str, str | int | float] = field(default_factory=dict)
    #: Whether each prompt file has a folder of its own below samples_uri, so that finished ones are skipped.
    incremental: bool = False
    max_reject_share: float = 0.01  #: Share of rejected prompts above which generate fails.
    verify_share: float = 0.01  #: Share of the shards, from 0 to 1, that `ganrnn generate --verify` makes again.
    #: The pool of workers that samples, and how texts are decoded.
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    choice: ChoiceConfig = field(default_factory=ChoiceConfig)  #: A judge that chooses among candidates.

    def __post_init__(self) -> None:
        require_share("generate", self, "max_reject_share")
        within("generate", self, verify_share=(0, 1))
        if self.seed is not None:
            within("generate", self, seed=SEEDS)
