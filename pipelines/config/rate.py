"""How people judge: the section `rate` of a recipe."""

from dataclasses import dataclass, field
from typing import Literal

from ganrnn.errors import BadInput
from pipelines.config.checks import at_least

Language = Literal["en", "zh"]
# Names of sources that the command line gives; rate.beside has those of its own.
SAMPLES, REFERENCE = "samples", "reference"


@dataclass(frozen=True)
class RateConfig:
    """A study: what raters are asked, how often, and where the page is served.

    `turing` asks whether an item is real or generated, `preference` which of two models' items for the same prompt is
    better (`beside` holds further models, name -> URI of samples), `fit` whether a picture fits its prompt. Of each
    source `num_pool` items are drawn once; every rater gets `num_practice` of them that do not count, `num_items` that
    do, and `num_checks` instructions among these. With `exposure_seconds` an item vanishes after that time.

    Texts are drawn as they are, or each generated one with a real one of its length (`matched`). A rater who fails more
    than `max_failed_checks` checks is left out of the report, which says how many answers would give an interval of
    plus and minus `half_width`. `study_uri` is a folder of this machine, since SQLite needs one. Invite links begin
    with `public_url`, where that is not where the page is served, and end after `invite_days`.
    """

    task: Literal["turing", "preference", "fit"] = "turing"
    study_uri: str = ""
    beside: dict[str, str] = field(default_factory=dict)
    split: Literal["test", "val", "train"] = "test"
    num_pool: int = 400
    num_items: int = 60
    num_practice: int = 4
    num_checks: int = 3
    exposure_seconds: float = 0
    text_length: Literal["as_is", "matched"] = "as_is"
    language: Language = "en"
    host: str = "127.0.0.1"
    port: int = 8321
    public_url: str = ""
    invite_days: float = 30
    requests_per_second: float = 10
    max_failed_checks: int = 1
    half_width: float = 0.05

    def __post_init__(self) -> None:
        at_least("rate", self, num_pool=1, num_items=1, num_practice=0, num_checks=0, exposure_seconds=0)
        at_least("rate", self, requests_per_second=1, max_failed_checks=0, port=0)
        if self.port > 65_535:
            raise BadInput(f"rate.port is {self.port}; allowed are values up to 65535, and 0 for any that is free")
        if not 0 < self.invite_days <= 3_650:
            raise BadInput(f"rate.invite_days is {self.invite_days}; allowed are values above 0 to 3650")
        if not 0 < self.half_width < 0.5:
            raise BadInput(f"rate.half_width is {self.half_width}; allowed are values between 0 and 0.5")
        if self.num_checks > self.num_items:
            raise BadInput(f"rate.num_checks is {self.num_checks}; allowed are values up to rate.num_items")
        if self.beside and self.task != "preference":
            raise BadInput(f"rate.beside is for rate.task preference; here it is {self.task}")
        if taken := {SAMPLES, REFERENCE} & set(self.beside):
            raise BadInput(f"rate.beside holds {taken.pop()!r}, which the command line gives; choose another name")
