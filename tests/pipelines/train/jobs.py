"""What `train` hands to its ranks, for tests that run a rank in their own process."""

from dataclasses import asdict

from ganrnn import checkpoint
from pipelines.cluster.messages import Message, Progress, Reports
from pipelines.config.recipe import Recipe
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.tracking import runs
from pipelines.train.checkpoints import Checkpoints
from pipelines.train.driver import build_vocabulary, training_identity
from pipelines.train.job import TrainJob
from pipelines.train.worker import train_worker


class KeptReports(list[Message]):
    """Stands where the bar of the driver is."""

    put = list.append


def job_of(recipe: Recipe, reports: Reports | None = None) -> TrainJob:
    """The job of a recipe whose data set is ingested, in an MLflow run of its own; without `reports` they are kept."""
    manifest = read_manifest(recipe.ingest.dataset_uri)
    uris = shard_uris(recipe.ingest.dataset_uri, manifest, "train")
    return TrainJob(
        recipe=recipe,
        train_uris=tuple(uris),
        val_uris=tuple(shard_uris(recipe.ingest.dataset_uri, manifest, "val")),
        vocabulary=asdict(build_vocabulary(recipe, uris)),
        run_id=runs.start_run(recipe.tracking, "train", recipe.as_dict(), recipe.run_uri, {}, {}),
        identity=training_identity(recipe, manifest)["digest"],
        reports=KeptReports() if reports is None else reports,
    )


def trained(recipe: Recipe) -> tuple[dict[str, bytes], list[str]]:
    """Files of the newest checkpoint, and the text of all messages that are not progress."""
    reports = KeptReports()
    train_worker(job_of(recipe, reports))
    return newest_files(recipe), lines_of(reports)


def newest_files(recipe: Recipe) -> dict[str, bytes]:
    """Files of the newest checkpoint."""
    newest = Checkpoints(recipe.train.checkpoint_uri, 2).newest()
    assert newest
    return newest.read(checkpoint.TRAINING_FILES)


def lines_of(reports: KeptReports) -> list[str]:
    """The text of all messages that are not progress."""
    return [report.text for report in reports if not isinstance(report, Progress)]
