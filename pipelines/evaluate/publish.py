"""What an evaluation leaves behind: its pages, then report.json, then an MLflow run of both."""

import json
from collections.abc import Mapping

from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.formats.evaluation_report import REPORT, EvaluationReport
from pipelines.tracking import runs


def publish(recipe: Recipe, report: EvaluationReport, pages: Mapping[str, bytes]) -> None:
    """Write the pages by name, and the report last."""
    for name, data in pages.items():
        storage.commit_bytes(storage.join(recipe.evaluate.report_uri, name), data)
    storage.commit_json(storage.join(recipe.evaluate.report_uri, REPORT), report.to_json())
    run_id = runs.start_run(
        recipe.tracking,
        "evaluate",
        recipe.as_dict(),
        storage.sha256(json.dumps(report.digests, sort_keys=True).encode()),
        {"reference": (recipe.ingest.dataset_uri, report.dataset_digest)},
        {name: str(value) for name, value in report.digests.items()},
    )
    runs.log_metrics(recipe.tracking, run_id, report.metrics, 0)
    for name, data in pages.items():
        runs.log_file(recipe.tracking, run_id, data, name)
    runs.finish_run(recipe.tracking, run_id, "FINISHED")
