"""How scores are computed: the section `evaluate` of a recipe."""

import re
from dataclasses import dataclass, field
from typing import Literal

from ganrnn.config import at_least
from ganrnn.errors import BadInput
from ganrnn.metrics.extractors.inception import SHA256
from ganrnn.metrics.extractors.indomain import InDomainConfig
from ganrnn.metrics.texts.overlap import Tokenizer
from ganrnn.metrics.texts.text_reader import ReaderConfig
from pipelines.config.uri_fields import MODELS, uri_field


@dataclass(frozen=True)
class SweepConfig:
    """Quality against diversity of texts at several temperatures, plotted in the report.

    All models write as many texts for the same prompts.
    """

    #: Temperatures, above 0 to 100, at which texts are written and scored; empty: no sweep.
    temperatures: tuple[float, ...] = ()
    #: Further models to compare with, name to URI as generate.model_uri has it.
    beside: dict[str, str] = field(default_factory=dict, metadata=MODELS)
    num_texts: int = 1_000  #: Largest number of texts per model and temperature.
    #: A language model of the training texts, which scores the texts of all models.
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
    """Another network that extracts features, from which further scores are computed.

    The published weights of Inception make the FID, KID and IS of papers. Other weights of it, or another network that
    a header of safetensors describes (ganrnn/metrics/extractors/described_network.py), have the beginning of their
    digest in the names of their scores.
    """

    #: Safetensors file of another feature extractor, whose scores are added to those of the in-domain network.
    weights_uri: str = uri_field()
    sha256: str = SHA256  #: Digest of that file; the default is that of the published weights of Inception.

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise BadInput(f"evaluate.extractor.sha256 is {self.sha256!r}; allowed are 64 digits from 0 to f")


MOST_GROUPS = 100
MOST_CANDIDATES, MOST_SPLITS = 100, 10  # where a recipe does not say how many


@dataclass(frozen=True)
class EvaluateConfig:
    """Samples, or prompts and a model, against the reference split."""

    #: Whether images are sampled during the evaluation and not stored, instead of read from samples_uri.
    from_prompts: bool = False
    num_workers: int = 2  #: Number of workers that score.
    #: What the in-domain network reads and R-precision retrieves: the texts, or all attributes.
    captions: Literal["text", "attributes"] = "text"
    #: Number of captions among which R-precision ranks a sample's own; null: 100, or all where there are fewer.
    num_candidates: int | None = None
    #: Number of parts of the samples for the mean Inception Score; null: 10, or fewer where one would be empty.
    num_splits: int | None = None
    num_kid_features: int = 10_000  #: Largest number of samples that the Kernel Inception Distance reads.
    num_self_bleu: int = 500  #: Largest number of texts that Self-BLEU compares with each other.
    #: Model of the task match_judge that scores whether images show their captions.
    judge_uri: str = uri_field(names="model")
    bleu_tokenizer: Tokenizer = "13a"  #: Tokenizer of BLEU, by its name in sacreBLEU.
    molecules: bool = False  #: Whether texts are molecules in SMILES, for validity, uniqueness and novelty.
    #: Quality against diversity of texts at several temperatures.
    sweep: SweepConfig = field(default_factory=SweepConfig)
    #: The network that is trained on the dataset to extract features.
    indomain: InDomainConfig = field(default_factory=InDomainConfig)
    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)  #: A further network that extracts features.
    group_by: str = ""  #: Attribute, or text or label, for each of whose values (100 at most) scores are reported.
    features_uri: str = uri_field()  #: Folder to which the features of samples are written in Parquet.
    #: Folder of report.json, report.html and contact_sheet.png; by default the run's folder.
    report_uri: str = uri_field(below="")

    def __post_init__(self) -> None:
        at_least("evaluate", self, num_workers=1, num_candidates=2, num_splits=1, num_kid_features=2)
        at_least("evaluate", self, num_self_bleu=2)
