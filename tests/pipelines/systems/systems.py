"""The eight systems at a size that trains in seconds: a recipe for each, its way from data to a registered model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import yaml

from ganrnn.checkpoint import load_sampler
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.evaluate.driver import evaluate
from pipelines.formats.manifest import Manifest
from pipelines.generate.driver import generate
from pipelines.ingest.driver import ingest
from pipelines.promote.driver import promote
from pipelines.sampling import model_files
from pipelines.train.driver import train
from tests.pipelines.tiny import NUM_TEST, Run

NUM_TEXTS = 30  # prompts of a system that writes texts


def _images(kind: str) -> dict[str, Any]:
    counts = {"num_train": 300, "num_val": NUM_TEST, "num_test": NUM_TEST, "pair_share": 0.1}
    return {"height": 16, "width": 16, "row_group_rows": 64, "shard_rows": 128, "scenes": {"kind": kind, **counts}}


def _texts(**settings: Any) -> dict[str, Any]:
    return {"row_group_rows": 64, "scenes": {"num_train": 300, "num_val": 20, "num_test": NUM_TEXTS}, **settings}


@dataclass(frozen=True)
class System:
    """A task and what differs from the tiny recipe of text_to_image.

    task:              settings; empty for that recipe itself
    ingest:            the section of the recipe; empty where the data set is that of the tiny recipe
    evaluate:          keys of the section
    metrics:           that its report has at least
    champion_metric:   that promotion compares
    rules:             columns of prompts, whose values take turns, that a sample must depend on as on all of its row
    """

    task: Mapping[str, Any]
    metrics: frozenset[str]
    champion_metric: str
    higher_is_better: bool = True
    ingest: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, list[Any]] = field(default_factory=dict)

    @property
    def num_prompts(self) -> int:
        """Of the test split."""
        return NUM_TEXTS if "kind" in self.ingest else NUM_TEST


_OPTIMISER = {"learning_rate": 0.02, "warmup_steps": 5}
_CAPTIONS = ["a large red circle at the top on a white background", "黑色背景上左边有一个小的红色圆形"]

SYSTEMS: Mapping[str, System] = MappingProxyType(
    {
        "text_to_image": System(
            task={},
            metrics=frozenset({"r_precision_10", "colour_accuracy"}),
            champion_metric="r_precision_10",
        ),
        "image_gan": System(
            task={
                "name": "image_gan",
                "condition": "attributes",
                "height": 16,
                "width": 16,
                "z_dim": 8,
                "style_dim": 16,
                "feature_dim": 16,
                "condition_dim": 8,
                "base_channels": 4,
                "num_steps": 20,
            },
            metrics=frozenset({"r_precision_10", "colour_accuracy"}),
            champion_metric="r_precision_10",
        ),
        "image_to_image": System(
            task={
                "name": "image_to_image",
                "height": 16,
                "width": 16,
                "embedding_dim": 8,
                "hidden_dim": 8,
                "z_dim": 4,
                "style_dim": 16,
                "feature_dim": 16,
                "base_channels": 4,
                "num_steps": 20,
            },
            ingest=_images("edits"),
            evaluate={"captions": "attributes"},
            metrics=frozenset({"edit_changed", "edit_kept", "pixels_kept", "r_precision_10", "colour_accuracy"}),
            champion_metric="edit_changed",
        ),
        "match_judge": System(
            task={
                "name": "match_judge",
                "height": 16,
                "width": 16,
                "base_channels": 4,
                "embedding_dim": 8,
                "dim": 8,
                "num_steps": 20,
            },
            ingest=_images("statements"),
            metrics=frozenset({"loss_test", "right", "right_on_true", "right_on_false", "majority"}),
            champion_metric="right",
        ),
        "language_model": System(
            task={
                "name": "language_model",
                "num_tokens": 40,
                "embedding_dim": 8,
                "hidden_dim": 16,
                "num_steps": 40,
                "optimiser": _OPTIMISER,
            },
            ingest=_texts(kind="texts", prompt_characters=3),
            evaluate={"num_self_bleu": 10},
            metrics=frozenset({"loss_test", "self_bleu_10"}),
            champion_metric="loss_test",
            higher_is_better=False,
            rules={"num_beams": [3, None, None], "temperature": [None, 0.7, 1.3], "top_p": [None, 0.9, 0.9]},
        ),
        "seq2seq": System(
            task={
                "name": "seq2seq",
                "vocabulary": "word",
                "num_source_tokens": 30,
                "num_target_tokens": 40,
                "embedding_dim": 12,
                "hidden_dim": 16,
                "covers": True,
                "num_steps": 30,
                "ema_half_life_steps": 5,
                "optimiser": _OPTIMISER,
            },
            ingest=_texts(kind="pairs"),
            evaluate={"num_self_bleu": 10, "bleu_tokenizer": "zh"},
            metrics=frozenset({"bleu", "chrf", "rouge1", "rouge2", "rougeL"}),
            champion_metric="chrf",
            rules={
                "num_beams": [3, None, None],
                "coverage_penalty": [0.5, None, None],
                "temperature": [None, 0.7, 1.3],
            },
        ),
        "latent_text_gan": System(
            task={
                "name": "latent_text_gan",
                "vocabulary": "word",
                "num_tokens": 24,
                "cell": "gru",
                "embedding_dim": 12,
                "hidden_dim": 16,
                "latent_dim": 8,
                "z_dim": 4,
                "mlp_dim": 16,
                "critic_steps": 2,
                "num_steps": 40,
                "num_autoencoder_steps": 15,
                "ema_half_life_steps": 5,
                "optimiser": _OPTIMISER,
            },
            ingest=_texts(kind="texts"),
            evaluate={"num_self_bleu": 10},
            metrics=frozenset({"loss_test", "self_bleu_10"}),
            champion_metric="loss_test",
            higher_is_better=False,
            rules={
                "from_text": [None, *_CAPTIONS],
                "to_text": [None, _CAPTIONS[1], None],
                "share": [None, 0.4, None],
                "num_beams": [1, 1, 2],
            },
        ),
        "sequence_gan": System(
            task={
                "name": "sequence_gan",
                "num_tokens": 40,
                "embedding_dim": 8,
                "hidden_dim": 16,
                "dropout": 0.1,
                "num_steps": 40,
                "num_pretraining_steps": 25,
                "likelihood_weight": 0.1,
                "optimiser": _OPTIMISER,
            },
            ingest=_texts(kind="texts", prompt_characters=3),
            evaluate={"num_self_bleu": 10},
            metrics=frozenset({"loss_test", "self_bleu_10"}),
            champion_metric="loss_test",
            higher_is_better=False,
            rules={"temperature": [0.7, 1.3], "top_p": [0.9]},
        ),
    }
)


def ingested(name: str, trained: Run, folder: Path) -> Run:
    """A run of a system below a folder, its data set ingested; MLflow's store is that of the trained run."""
    system = SYSTEMS[name]
    sections = yaml.safe_load(trained.path().read_text().replace(str(trained.folder), str(folder)))
    for section in ("task", "ingest"):
        if getattr(system, section):
            sections[section] = dict(getattr(system, section))
    sections["evaluate"] = dict(system.evaluate) if "kind" in system.ingest else sections["evaluate"] | system.evaluate
    if "kind" in system.ingest:
        sections["generate"]["sampling"]["decoding"] = {"max_tokens": 30}
    shared = [setting for setting in trained.shared if setting.startswith("tracking.")]
    if not system.ingest:
        dataset = trained.recipe().ingest.dataset_uri
        shared += [f"ingest.dataset_uri={dataset}", f"generate.prompts_uri={dataset}/prompts.parquet"]
    (folder / "recipe.yaml").write_text(yaml.safe_dump(sections))
    run = Run(folder, (*shared, "train.num_workers=1"))
    if system.ingest:
        ingest(run.recipe())
    return run


def system_run(name: str, trained: Run, folder: Path) -> Run:
    """A run of a system, ingested and trained by one rank in this process; text_to_image is the trained run itself."""
    if name == "text_to_image":
        return trained
    run = ingested(name, trained, folder)
    train(run.recipe())
    return run


@dataclass(frozen=True)
class Promoted:
    """A system whose samples were generated, evaluated and promoted, as `recipe` says."""

    name: str
    run: Run
    recipe: Recipe
    manifest: Manifest
    report: Mapping[str, Any]
    alias: str | None

    @property
    def system(self) -> System:
        """What it is."""
        return SYSTEMS[self.name]

    def task(self) -> Any:
        """The network that samples, from its files."""
        return load_sampler(model_files.fetch_files(self.recipe.generate.model_uri, self.recipe.tracking))


def promoted(name: str, run: Run, folder: Path) -> Promoted:
    """Generate, evaluate and promote a system, with all outputs below a folder."""
    system = SYSTEMS[name]
    recipe = run.recipe(
        f"generate.samples_uri={folder}/samples",
        f"evaluate.report_uri={folder}/report",
        f"promote.registered_model=tiny_{name}",
        f"promote.champion_metric={system.champion_metric}",
        f"promote.higher_is_better={str(system.higher_is_better).lower()}",
    )
    manifest = generate(recipe)
    report = evaluate(recipe).to_json()
    return Promoted(name, run, recipe, manifest, report, promote(recipe).alias)


def generated(recipe: Recipe) -> pa.Table:
    """Generate, or go on; the samples."""
    return storage.read_table([f"{recipe.generate.samples_uri}/{shard.uri}" for shard in generate(recipe).shards])


def samples(run: Run, folder: Path, *settings: str) -> dict[str, dict[str, Any]]:
    """The samples of a generation into a folder of its own, by id."""
    table = generated(run.recipe(f"generate.samples_uri={folder}", *settings))
    return {row["sample_id"]: row for row in table.to_pylist()}


def with_columns(run: Run, path: Path, **columns: list[Any]) -> str:
    """The run's prompts with further columns, whose values take turns; returns the setting that names them."""
    prompts = storage.read_table([run.recipe().generate.prompts_uri])
    for name, values in columns.items():
        prompts = prompts.append_column(name, pa.array([values[i % len(values)] for i in range(prompts.num_rows)]))
    storage.commit_table(str(path), prompts)
    return f"generate.prompts_uri={path}"
