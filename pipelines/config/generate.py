"""The section `generate` of a recipe."""

from dataclasses import dataclass, field

from ganrnn.errors import BadInput
from pipelines.config.checks import at_least, require_share
from pipelines.config.sampling import SamplingConfig


@dataclass(frozen=True)
class ChoiceConfig:
    """A judge's choice: of `num_candidates` pictures for each sample the one that fits its prompt best.

    `judge_uri` names a model of the task match_judge as generate.model_uri does. A prompt of which a sample scores
    below `least_score` is rejected.
    """

    judge_uri: str = ""
    num_candidates: int = 1
    least_score: float = 0.0

    def __post_init__(self) -> None:
        at_least("generate.choice", self, num_candidates=1)
        if not 0 <= self.least_score <= 1:
            raise BadInput(f"generate.choice.least_score is {self.least_score}; allowed are values from 0 to 1")
        if not self.judge_uri and (self.num_candidates > 1 or self.least_score):
            raise BadInput("generate.choice.judge_uri is missing; give the model that is to choose")


@dataclass(frozen=True)
class GenerateConfig:
    """Prompts Parquet to samples Parquet; `model_uri` is a checkpoint folder, models:/NAME@ALIAS or models:/NAME/N,
    or `@best` for the best checkpoint of the run's own training, whose last it is by default.

    Of Hive partitions KEY=VALUE, `since` takes values from the given one on and `where` those that equal it. With
    `incremental` every prompt file has a folder of its own below `samples_uri`, and finished ones are left alone.
    `--verify` makes `verify_share` of the shards again.
    """

    model_uri: str = ""
    prompts_uri: str = ""
    samples_uri: str = ""
    seed: int | None = None
    since: dict[str, str] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    incremental: bool = False
    max_reject_share: float = 0.01
    verify_share: float = 0.01
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    choice: ChoiceConfig = field(default_factory=ChoiceConfig)

    def __post_init__(self) -> None:
        require_share("generate", self, "max_reject_share")
        if not 0 <= self.verify_share <= 1:
            raise BadInput(f"generate.verify_share is {self.verify_share}; allowed are shares from 0 to 1")
