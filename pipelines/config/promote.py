"""Which model becomes champion: the section `promote` of a recipe."""

import re
from dataclasses import dataclass, field

from ganrnn.errors import BadInput
from pipelines.config.uri_fields import uri_field


@dataclass(frozen=True)
class PromoteConfig:
    """Thresholds on the report's metrics, and the metric that decides between challenger and champion."""

    registered_model: str = ""  #: Name in the model registry; by default the recipe's name.
    at_least: dict[str, float] = field(default_factory=dict)  #: Thresholds by metric that the model must reach.
    at_most: dict[str, float] = field(default_factory=dict)  #: Thresholds by metric that the model must not exceed.
    #: Metric by which models are compared; empty: r_precision_N, bits_per_character_test or right, by the task.
    champion_metric: str = ""
    #: Whether a higher value of champion_metric is better; null: as its description says.
    higher_is_better: bool | None = None
    #: Folder of a study that `ganrnn rate --report` has scored, whose metrics human_* may have thresholds.
    ratings_uri: str = uri_field()


_REFUSED = re.compile(r"""[/:@'"%`\\\x00-\x1f\x7f]|^\s|\s$|^\.+$""")  # by MLflow, or by URIs models:/NAME@ALIAS
_LONGEST_NAME = 250


def require_registrable(name: str) -> None:
    """BadInput for a name that no registered model can have."""
    if _REFUSED.search(name) or len(name) > _LONGEST_NAME:
        raise BadInput(
            f"promote.registered_model is {name!r:.300}, by default the name of the recipe; allowed is a name of up to "
            f"{_LONGEST_NAME} characters without / : @ % quotes and backslashes, and blanks at its ends"
        )
