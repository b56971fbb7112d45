"""A judge with all that its choice among candidates depends on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.config import ChoiceConfig


@dataclass(frozen=True)
class Chooser:
    """The judge's files, and how it is asked."""

    files: Mapping[str, bytes]
    digest: str
    config: ChoiceConfig

    def plan(self) -> dict[str, Any]:
        """What samples are a function of."""
        asked = {name: value for name, value in asdict(self.config).items() if name != "judge_uri"}
        return {"judge_digest": self.digest, **asked}
