"""How a verb runs: one recipe file, one frozen tree of dataclasses, one way to override a value.

    recipe = load_recipe("jobs/recipes/demo.yaml", ["train.num_workers=1"])

Unknown keys, wrong types and values out of range raise BadInput before anything else happens.
"""

import difflib
import importlib
import json
import pkgutil
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ganrnn import tasks
from ganrnn.decoding.poem_constraint import RhymeSets
from ganrnn.decoding.rules import Decoding
from ganrnn.errors import BadInput
from ganrnn.training.guard import GuardConfig
from pipelines import storage
from pipelines.checks import at_least, require_share
from pipelines.dream_config import DreamConfig
from pipelines.evaluate_config import EvaluateConfig
from pipelines.ingest_config import IngestConfig
from pipelines.promote_config import PromoteConfig
from pipelines.rate_config import RateConfig


@dataclass(frozen=True)
class TrainConfig:
    """Data-parallel training under Ray Train; `global_batch_size` rows a step over all workers together.

    After `patience` checkpoints that are no better than the best, a training ends before its time; 0 waits for ever.
    With `judge_uri`, a model of the task match_judge, a generator of task.judge_weight learns from its opinion too.
    """

    num_workers: int = 2
    use_gpu: bool = False
    cpus_per_worker: float = 1
    global_batch_size: int = 32
    window_rows: int = 200_000
    log_every_steps: int = 25
    checkpoint_every_steps: int = 500
    sample_every_steps: int = 1_000
    keep_checkpoints: int = 2
    patience: int = 0
    max_failures: int = 3
    judge_uri: str = ""
    checkpoint_uri: str = ""
    guard: GuardConfig = field(default_factory=GuardConfig)

    def __post_init__(self) -> None:
        at_least("train", self, num_workers=1, global_batch_size=2, window_rows=1, log_every_steps=1)
        at_least("train", self, checkpoint_every_steps=1, sample_every_steps=1, keep_checkpoints=1, max_failures=0)
        at_least("train", self, patience=0)
        if self.patience and not self.guard.enabled:
            raise BadInput("train.patience needs train.guard.enabled: it is the guard that looks at checkpoints")
        if self.global_batch_size % self.num_workers:
            raise BadInput(
                f"train.global_batch_size is {self.global_batch_size}; "
                f"allowed are multiples of train.num_workers ({self.num_workers})"
            )


LEAST_MICRO_BATCH = 8  # of pictures


@dataclass(frozen=True)
class SamplingConfig:
    """Where a model samples: actors of Ray Data, each with a fixed-shape micro-batch.

    The pool starts with `min_workers` (0: all) and grows to `num_workers` as the cluster has room and there is work.
    `gpus_per_worker` may be a fraction. `price_per_worker_hour`, in any currency, turns rows/s into a cost.

    Matrix kernels treat the rows that fill no whole tile differently in the last bit; for pictures `micro_batch_size`
    is a multiple of 8, so that there are none, and a row's sample does not depend on its place in the batch.
    `decoding` is how texts are written, where a prompt has no column of the same name that says otherwise. Its
    `rhymes` may stand in a text file, `rhymes_uri`, a set of characters a line.
    """

    num_workers: int = 2
    min_workers: int = 0
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    micro_batch_size: int = 64
    shard_rows: int = 512
    price_per_worker_hour: float = 0
    decoding: Decoding = field(default_factory=Decoding)
    rhymes_uri: str | None = None

    def __post_init__(self) -> None:
        at_least("sampling", self, num_workers=1, min_workers=0, micro_batch_size=1, shard_rows=1)
        at_least("sampling", self, gpus_per_worker=0, price_per_worker_hour=0)
        if self.min_workers > self.num_workers:
            raise BadInput(
                f"sampling.min_workers is {self.min_workers}; allowed are values up to sampling.num_workers "
                f"({self.num_workers})"
            )
        if self.rhymes_uri and self.decoding.rhymes:
            raise BadInput("sampling.rhymes_uri and sampling.decoding.rhymes are both given; one of them is enough")

    def with_rhymes(self) -> "SamplingConfig":
        """A copy that has the content of `rhymes_uri` in its place."""
        if not self.rhymes_uri:
            return self
        try:
            lines = storage.read_bytes(storage.absolute(self.rhymes_uri)).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise BadInput(f"sampling.rhymes_uri {self.rhymes_uri} is not UTF-8 ({error})") from error
        RhymeSets.read("\n".join(lines))
        return replace(self, decoding=replace(self.decoding, rhymes=tuple(lines)), rhymes_uri=None)


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


@dataclass(frozen=True)
class TrackingConfig:
    """The MLflow server or database that runs and models go to."""

    tracking_uri: str = "sqlite:///runs/mlflow.db"
    artifact_uri: str = "runs/mlartifacts"
    experiment: str = ""


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
            dream=replace(self.dream, recipe=self.dream.recipe and storage.absolute(self.dream.recipe)),
            evaluate=evaluate,
            promote=promote,
            rate=rate,
            tracking=tracking,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as saved beside every output."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def load_recipe(path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply `a.b=value` overrides (values are YAML), check everything, resolve URIs.

    Raises BadInput naming the file and the key.
    """
    try:
        raw = _read_yaml(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(
            f"{path} does not exist; give the path of a recipe, for example jobs/recipes/demo.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise BadInput(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise BadInput(f"{path} holds {type(raw).__name__}; a recipe is a mapping of sections")
    for override in overrides:
        _apply(raw, override)
    return parse_recipe(raw, path)


def bare_recipe(name: str, overrides: Sequence[str]) -> Recipe:
    """A recipe made of overrides alone, below runs/ and without a task, for a verb that trains and samples nothing."""
    raw: dict[str, Any] = {}
    for override in overrides:
        _apply(raw, override)
    recipe: Recipe = _validate(Recipe, {"name": name, "run_uri": "runs", "task": {}, **raw}, "--set", ())
    return recipe.resolved()


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number and 2026-01-31 a string, as in version 1.2; PyYAML has it the other way round."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _read_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # a SafeLoader


def parse_recipe(raw: Mapping[str, Any], place: str) -> Recipe:
    """A checked, resolved recipe from plain values; `place` names their origin in errors."""
    section = raw.get("task")
    name = section.get("name") if isinstance(section, Mapping) else None
    config_type = task_type(name, f"{place}: task.name").config_type
    task = _validate(config_type, section, place, ("task",))
    recipe: Recipe = _validate(Recipe, {**raw, "task": {}}, place, ())
    micro_batch_size = recipe.generate.sampling.micro_batch_size
    if task_type(name).gives != "texts" and micro_batch_size % LEAST_MICRO_BATCH:
        raise BadInput(f"sampling.micro_batch_size is {micro_batch_size}; allowed are multiples of {LEAST_MICRO_BATCH}")
    return replace(recipe, task=task).resolved()


def task_type(name: Any, place: str = "task.name") -> Any:
    """The class of a task by name: each module of ganrnn.tasks defines one under TASK."""
    allowed = sorted(module.name for module in pkgutil.iter_modules(tasks.__path__))
    if name not in allowed:
        raise BadInput(f"{place} is {name!r}; allowed are {', '.join(allowed)}")
    return importlib.import_module(f"ganrnn.tasks.{name}").TASK


def _validate(schema: Any, values: Any, place: str, section: tuple[str, ...]) -> Any:
    if schema is not Recipe:
        schema = type(schema.__name__, (schema,), {"__pydantic_config__": ConfigDict(extra="forbid")})
    try:
        return TypeAdapter(schema).validate_json(json.dumps(values), strict=True)
    except TypeError as error:
        raise BadInput(
            f"{place}: {'.'.join(section) or 'recipe'} holds a value that is no plain YAML: {error}"
        ) from error
    except ValidationError as errors:
        first = errors.errors()[0]
        where = (*section, *(str(part) for part in first["loc"]))
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise BadInput(f"{place}: {'.'.join(where)} is no known key; {_nearest(schema, first['loc'])}") from errors
        value = "" if first["type"].startswith("missing") else f" is {first['input']!r};"
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "value_error":
            raise BadInput(f"{place}: {message}") from errors
        raise BadInput(f"{place}: {'.'.join(where)}{value} {message[0].lower() + message[1:]}") from errors


def _nearest(schema: Any, location: tuple[int | str, ...]) -> str:
    """The keys allowed where an unknown one stood, the most similar first."""
    for part in location[:-1]:
        schema = typing.get_type_hints(schema)[str(part)]
    keys = [f.name for f in fields(schema)] if is_dataclass(schema) else []
    near = difflib.get_close_matches(str(location[-1]), keys, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"allowed are {', '.join(keys)}"


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise BadInput(f"--set {override}: give key=value, for example train.num_workers=1")
    *sections, last = key.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise BadInput(f"--set {override}: {section} is a value, not a section")
    try:
        raw[last] = _read_yaml(value)
    except yaml.YAMLError as error:
        raise BadInput(f"--set {override}: the value is not YAML") from error


def _below(run_uri: str, uri: str, default: str) -> str:
    return storage.absolute(uri) if uri else storage.join(run_uri, default)
