"""Where runs and models are kept: the section `tracking` of a recipe."""

from dataclasses import dataclass

from pipelines.config.uri_fields import uri_field


@dataclass(frozen=True)
class TrackingConfig:
    """The MLflow server or database of runs and models."""

    tracking_uri: str = uri_field(
        "sqlite:///runs/mlflow.db", names="database"
    )  #: MLflow server, or database such as sqlite:///FILE.
    artifact_uri: str = uri_field("runs/mlartifacts")  #: Folder of artifacts, where tracking_uri is a database.
    experiment: str = ""  #: MLflow experiment; by default the recipe's name.
