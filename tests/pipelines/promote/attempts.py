"""Models with scores, one after the other under one registered name, and studies of them."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import mlflow
import pyarrow as pa

from ganrnn import checkpoint
from ganrnn.tasks.text_to_image import TextToImage, TextToImageConfig
from ganrnn.text.captions import Vocabulary
from pipelines import storage
from pipelines.config.promote import PromoteConfig
from pipelines.config.recipe import Recipe
from pipelines.formats.ratings import HumanScore
from pipelines.tracking import registry

PROMPT = "a red circle"
METRICS = {"r_precision_100": 0.6, "colour": 0.96, "fid2k_indomain": 9.0}
THRESHOLDS = PromoteConfig("", {"colour": 0.95}, {"fid2k_indomain": 10.0}, "r_precision_100", True)


def files_of(seed: int) -> dict[str, bytes]:
    config = TextToImageConfig(
        height=16, width=16, max_tokens=6, embedding_dim=4, hidden_dim=4, z_dim=4, style_dim=8, feature_dim=8,
        base_channels=4,
    )  # fmt: skip
    task = TextToImage(config, Vocabulary.build([PROMPT], "word"), seed)
    return checkpoint.pack(task, {}, {"identity": f"training-{seed}"})


def digest_of(seed: int) -> str:
    return str(json.loads(files_of(seed)[checkpoint.DESCRIPTION])["model_digest"])


@dataclass(frozen=True)
class Job:
    """One registered model name on the shared store; each attempt evaluates one model into one report folder."""

    recipe: Recipe

    def attempt(self, seed: int, metrics: dict[str, float], **changes: Any) -> Recipe:
        folder = f"{self.recipe.run_uri}/{seed}"
        storage.commit_files(f"{folder}/checkpoints/step-10", files_of(seed), last=checkpoint.DESCRIPTION)
        storage.commit_table(f"{folder}/prompts.parquet", pa.table({"prompt": [PROMPT]}))
        report = {
            "metrics": metrics,
            "model_digest": digest_of(seed),
            "dataset_digest": "d" * 64,
            "protocol_digest": "p" * 64,
            "samples_manifest_digest": "5" * 64,
            **changes,
        }
        storage.commit_json(f"{folder}/report.json", report)
        generate = replace(
            self.recipe.generate, model_uri=f"{folder}/checkpoints", prompts_uri=f"{folder}/prompts.parquet"
        )
        return replace(self.recipe, generate=generate, evaluate=replace(self.recipe.evaluate, report_uri=folder))

    def aliases(self) -> dict[str, str]:
        """Alias -> version."""
        aliases = {}
        for alias in ("champion", "challenger"):
            version = registry.find_alias(self.recipe.tracking, self.recipe.promote.registered_model, alias)
            if version:
                aliases[alias] = version.version
        return aliases

    def versions(self) -> list[str]:
        name = self.recipe.promote.registered_model
        return [str(made.version) for made in self.client().search_model_versions(f"name = '{name}'")]

    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.recipe.tracking.tracking_uri, self.recipe.tracking.tracking_uri)


def rated(recipe: Recipe, value: float, half: float, metric: str = "human_error_generated", **kind: Any) -> Recipe:
    """The recipe with a study of its model; by answers the interval is half as wide as by raters."""
    report = storage.read_json(f"{recipe.evaluate.report_uri}/report.json")
    bounds = {metric: (value - half, value + half)}
    human = HumanScore(metric, value, bounds[metric], 100, 10, report["model_digest"], "e" * 64, "p" * 64, [])
    ratings = {
        "human": asdict(replace(human, **kind)),
        "metrics": {metric: value, "human_error_real": 0.2},
        "intervals": {metric: [value - half / 2, value + half / 2]},
        "intervals_by_rater": bounds,
    }
    folder = f"{recipe.evaluate.report_uri}/study"
    storage.commit_json(f"{folder}/ratings.json", ratings)
    return replace(recipe, promote=replace(recipe.promote, champion_metric=metric, ratings_uri=folder))
