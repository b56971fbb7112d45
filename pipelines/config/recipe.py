"""A recipe: everything a run needs, in one frozen tree of sections."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import ConfigDict

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.config.closed_loop import DreamConfig
from pipelines.config.evaluate import EvaluateConfig
from pipelines.config.generate import GenerateConfig
from pipelines.config.ingest import IngestConfig
from pipelines.config.packaged import packaged_recipes
from pipelines.config.promote import PromoteConfig
from pipelines.config.rate import RateConfig
from pipelines.config.tracking import TrackingConfig
from pipelines.config.train import TrainConfig


@dataclass(frozen=True)
class Recipe:
    """Everything a run needs. URIs left empty lie below `run_uri`; `resolved` fills them in."""

    name: str
    run_uri: str
    task: Any
    seed: int = 0
    ingest: IngestConfig = field(default_factory=IngestConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    dream: DreamConfig = field(default_factory=DreamConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    promote: PromoteConfig = field(default_factory=PromoteConfig)
    rate: RateConfig = field(default_factory=RateConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        for name in ("name", "run_uri"):
            if not getattr(self, name):
                raise BadInput(f"{name} is empty; every recipe has a name and a folder or URI that its run lives in")

    def resolved(self) -> "Recipe":
        """A copy in which every URI is absolute and every name is given."""
        run_uri = storage.absolute(self.run_uri)
        ingest = replace(
            self.ingest,
            source_uri=self.ingest.source_uri and storage.absolute(self.ingest.source_uri),
            holdout_uri=self.ingest.holdout_uri and storage.absolute(self.ingest.holdout_uri),
            test_uri=self.ingest.test_uri and storage.absolute(self.ingest.test_uri),
            dataset_uri=_below(run_uri, self.ingest.dataset_uri, "dataset"),
        )
        train = replace(
            self.train,
            judge_uri=self.train.judge_uri and storage.absolute(self.train.judge_uri),
            checkpoint_uri=_below(run_uri, self.train.checkpoint_uri, "checkpoints"),
        )
        choice, sweep, extractor = self.generate.choice, self.evaluate.sweep, self.evaluate.extractor
        generate = replace(
            self.generate,
            model_uri=(
                train.checkpoint_uri + self.generate.model_uri
                if self.generate.model_uri in ("", "@best")
                else storage.absolute(self.generate.model_uri)
            ),
            prompts_uri=_below(run_uri, self.generate.prompts_uri, "dataset/prompts.parquet"),
            samples_uri=_below(run_uri, self.generate.samples_uri, "samples"),
            seed=self.seed if self.generate.seed is None else self.generate.seed,
            sampling=self.generate.sampling.with_rhymes(),
            choice=replace(choice, judge_uri=choice.judge_uri and storage.absolute(choice.judge_uri)),
        )
        evaluate = replace(
            self.evaluate,
            judge_uri=self.evaluate.judge_uri and storage.absolute(self.evaluate.judge_uri),
            sweep=replace(sweep, beside={name: storage.absolute(uri) for name, uri in sweep.beside.items()}),
            extractor=replace(extractor, weights_uri=extractor.weights_uri and storage.absolute(extractor.weights_uri)),
            features_uri=self.evaluate.features_uri and storage.absolute(self.evaluate.features_uri),
            report_uri=_below(run_uri, self.evaluate.report_uri, ""),
        )
        promote = replace(
            self.promote,
            registered_model=self.promote.registered_model or self.name,
            ratings_uri=self.promote.ratings_uri and storage.absolute(self.promote.ratings_uri),
        )
        rate = replace(
            self.rate,
            study_uri=_below(run_uri, self.rate.study_uri, "rate"),
            beside={name: storage.absolute(uri) for name, uri in self.rate.beside.items()},
        )
        tracking = replace(
            self.tracking,
            tracking_uri=storage.absolute(self.tracking.tracking_uri),
            artifact_uri=storage.absolute(self.tracking.artifact_uri),
            experiment=self.tracking.experiment or self.name,
        )
        return replace(
            self,
            run_uri=run_uri,
            ingest=ingest,
            train=train,
            generate=generate,
            dream=replace(self.dream, recipe=self.dream.recipe and _recipe_file(self.dream.recipe)),
            evaluate=evaluate,
            promote=promote,
            rate=rate,
            tracking=tracking,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as saved beside every output."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def _below(run_uri: str, uri: str, default: str) -> str:
    return storage.absolute(uri) if uri else storage.join(run_uri, default)


def _recipe_file(recipe: str) -> str:
    packaged = packaged_recipes()
    return str(packaged[recipe]) if recipe in packaged else storage.absolute(recipe)
