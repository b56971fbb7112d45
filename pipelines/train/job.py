"""What the driver of a training hands to its ranks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.cluster.messages import Reports
from pipelines.config.recipe import Recipe


@dataclass(frozen=True)
class TrainJob:
    """One training, the same for all ranks.

    train_uris, val_uris:  shards of the two splits
    vocabulary:    plain values of the task's vocabulary, a dataclass
    run_id:        of the MLflow run
    identity:      digest of all that the weights are a function of
    reports:       where messages to the driver go
    judge_files:   the files of the judge that the generator learns from, if there is one
    """

    recipe: Recipe
    train_uris: tuple[str, ...]
    val_uris: tuple[str, ...]
    vocabulary: Mapping[str, Any]
    run_id: str
    identity: str
    reports: Reports
    judge_files: Mapping[str, bytes] | None = None
