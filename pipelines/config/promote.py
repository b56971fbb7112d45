"""Which model becomes champion: the section `promote` of a recipe."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PromoteConfig:
    """Thresholds on the report's metrics, and which metric decides between challenger and champion.

    With `ratings_uri`, the folder of a study that `ganrnn rate --report` has scored, metrics `human_*` are there too.
    """

    registered_model: str = ""
    at_least: dict[str, float] = field(default_factory=dict)
    at_most: dict[str, float] = field(default_factory=dict)
    champion_metric: str = "r_precision_100"
    higher_is_better: bool = True
    ratings_uri: str = ""
