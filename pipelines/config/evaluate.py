"""How scores are made: the section `evaluate` of a recipe."""

from dataclasses import dataclass, field
from typing import Literal

from ganrnn.errors import BadInput
from ganrnn.metrics.extractors.inception import SHA256
from ganrnn.metrics.extractors.indomain import InDomainConfig
from ganrnn.metrics.texts.overlap import Tokenizer
from ganrnn.metrics.texts.text_reader import ReaderConfig
from pipelines.config.checks import at_least


@dataclass(frozen=True)
class SweepConfig:
    """Quality against diversity of texts, at each of `temperatures`: a plot in the report.

    `beside` holds further models, name -> URI as generate.model_uri has it, which write for the same prompts, as many
    texts each as there are, `num_texts` at most. A language model of the training texts, `reader`, reads them all.
    """

    temperatures: tuple[float, ...] = ()
    beside: dict[str, str] = field(default_factory=dict)
    num_texts: int = 1_000
    reader: ReaderConfig = field(default_factory=ReaderConfig)

    def __post_init__(self) -> None:
        at_least("evaluate.sweep", self, num_texts=2)
        for temperature in self.temperatures:
            if not 0 < temperature <= 100:
                raise BadInput(f"evaluate.sweep.temperatures holds {temperature}; allowed are values above 0 to 100")
        if self.beside and not self.temperatures:
            raise BadInput("evaluate.sweep.temperatures is empty; give those at which models stand beside each other")


@dataclass(frozen=True)
class ExtractorConfig:
    """A further network whose features count, with scores of its own: a file of weights and its digest.

    The published weights of Inception, which have the digest that is set here, make the FID, KID and IS that papers
    have. Other weights of it, or another network that a header of safetensors describes
    (ganrnn/metrics/extractors/described_network.py), carry the beginning of their digest in the names of their scores.
    """

    weights_uri: str = ""
    sha256: str = SHA256


MOST_GROUPS = 100


@dataclass(frozen=True)
class EvaluateConfig:
    """Samples, or prompts and a model, against the reference split.

    With `from_prompts` the pictures are made on the way and not stored. `captions` are what the in-domain network reads
    and R-precision looks for: the data set's texts, or all attributes, where texts tell only what is to change.
    A judge of `judge_uri`, a model of the task match_judge, looks for captions as well.
    `group_by` is text, label or the name of an attribute: scores of each value apart, of 100 at most. With
    `features_uri` features go to Parquet files there, one for each block of pictures.
    Of texts, `num_self_bleu` are compared with each other; `molecules` says that they are SMILES.
    """

    from_prompts: bool = False
    num_workers: int = 2
    captions: Literal["text", "attributes"] = "text"
    num_candidates: int = 100
    num_splits: int = 10
    num_kid_features: int = 10_000
    num_self_bleu: int = 500
    judge_uri: str = ""
    bleu_tokenizer: Tokenizer = "13a"
    molecules: bool = False
    sweep: SweepConfig = field(default_factory=SweepConfig)
    indomain: InDomainConfig = field(default_factory=InDomainConfig)
    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)
    group_by: str = ""
    features_uri: str = ""
    report_uri: str = ""

    def __post_init__(self) -> None:
        at_least("evaluate", self, num_workers=1, num_candidates=2, num_splits=1, num_kid_features=2)
        at_least("evaluate", self, num_self_bleu=2)
