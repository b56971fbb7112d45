"""How people judge: the section `rate` of a recipe."""

from dataclasses import dataclass, field
from typing import Literal

from ganrnn.config import above_to, at_least, between, within
from ganrnn.errors import BadInput
from pipelines.config.uri_fields import URI, uri_field

Language = Literal["en", "zh"]
# Names of the sources that the command line gives; rate.beside has names of its own.
SAMPLES, REFERENCE = "samples", "reference"


@dataclass(frozen=True)
class RateConfig:
    """A study: what raters are asked, how often, and where the page is served.

    `turing` asks whether an item is real or generated, `preference` which of two models' items for the same prompt is
    better, `fit` whether an image fits its prompt.
    """

    #: The question: real or generated, which of two models is better, or whether an image fits its prompt.
    task: Literal["turing", "preference", "fit"] = "turing"
    #: Folder of the study, on a disk of this machine, since it holds an SQLite database.
    study_uri: str = uri_field(below="rate")
    #: Further models for task preference, name to URI of their samples.
    beside: dict[str, str] = field(default_factory=dict, metadata=URI)
    split: Literal["test", "val", "train"] = "test"  #: Split of the dataset from which real items are drawn.
    num_pool: int = 400  #: Number of items that are drawn of each source, once for all raters.
    num_items: int = 60  #: Number of items per rater that count.
    num_practice: int = 4  #: Number of first items per rater that do not count.
    #: Number of instructions among the items that show whether a rater pays attention.
    num_checks: int = 3
    exposure_seconds: float = 0  #: Seconds after which an item vanishes; 0 never does.
    #: Whether each generated text is paired with a real text of its length.
    text_length: Literal["as_is", "matched"] = "as_is"
    language: Language = "en"  #: Language of the page.
    host: str = "127.0.0.1"  #: Address at which the page is served.
    port: int = 8321  #: Port at which the page is served; 0 takes any that is free.
    public_url: str = ""  #: Beginning of invite links, where raters reach the page at another address.
    invite_days: float = 30  #: Days after which an invite link ends.
    requests_per_second: float = 10  #: Requests of one rater that are answered per second.
    max_failed_checks: int = 1  #: Number of failed checks above which a rater is left out of the report.
    half_width: float = 0.05  #: Half width of the interval for which the report says how many answers are needed.

    def __post_init__(self) -> None:
        at_least("rate", self, num_pool=1, num_items=1, num_practice=0, exposure_seconds=0)
        at_least("rate", self, requests_per_second=1, max_failed_checks=0)
        within("rate", self, port=(0, 65_535), num_checks=(0, "num_items"))
        above_to("rate", self, invite_days=(0, 3_650))
        between("rate", self, half_width=(0, 0.5))
        if self.beside and self.task != "preference":
            raise BadInput(f"rate.beside is for rate.task preference; here it is {self.task}")
        if taken := {SAMPLES, REFERENCE} & set(self.beside):
            raise BadInput(f"rate.beside holds {taken.pop()!r}, which the command line gives; choose another name")
