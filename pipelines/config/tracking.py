"""The section `tracking` of a recipe."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackingConfig:
    """The MLflow server or database that runs and models go to."""

    tracking_uri: str = "sqlite:///runs/mlflow.db"
    artifact_uri: str = "runs/mlartifacts"
    experiment: str = ""
