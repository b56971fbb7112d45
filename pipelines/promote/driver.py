"""Promote a model: register it with its scores, then let thresholds and the present champion decide about its alias.

    decision = promote(load_recipe("jobs/recipes/demo.yaml"))

A model becomes `champion` when every threshold of the recipe holds and it beats the present champion on
`promote.champion_metric`, measured under the same protocol on the same data set, by more than chance where the metric
has an interval; else it becomes `challenger`, with the reasons. With `promote.ratings_uri`, a study that `ganrnn rate`
reported on, thresholds and the comparison may use the ratings of people (metrics `human_*`). The alias moves only after
the registered version was loaded back and gave the same sample as its checkpoint. A version has one of the two aliases:
a champion that fails raised thresholds becomes a challenger. promotion.json, next to the
report, holds the decision and the lineage from the data set over run and version to the samples.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from ganrnn.checkpoint import DESCRIPTION, SAMPLER_FILES, Description, describe, load_sampler
from ganrnn.errors import BadInput
from ganrnn.task import Task
from pipelines import storage
from pipelines.config.recipe import Recipe
from pipelines.formats.evaluation_report import REPORT
from pipelines.formats.ratings import read_human_scores
from pipelines.promote.decision import Decision, compare, failed_thresholds, with_champion_metric
from pipelines.promote.scored_report import ScoredReport, read_report, with_people
from pipelines.sampling import model_files
from pipelines.tracking import registry, runs
from pipelines.tracking.registry import RegisteredVersion
from pipelines.tracking.tags import DATASET, INTERVAL, LIKELIHOOD, MODEL, PROTOCOL, RATINGS_PROTOCOL, SAMPLES_MANIFEST

PROMOTION = "promotion.json"


def promote(recipe: Recipe) -> Decision:
    """Register the evaluated model and decide about its alias; the same model and report again give the same decision.

    Raises BadInput when the report is missing or incomplete, lacks a metric that the recipe names, or speaks of another
    model than `generate.model_uri`.
    """
    report = read_report(storage.join(recipe.evaluate.report_uri, REPORT))
    if recipe.promote.ratings_uri:
        report = with_people(report, read_human_scores(recipe.promote.ratings_uri, report.model_digest))
    recipe = replace(recipe, promote=with_champion_metric(recipe.promote, report.metrics))
    config, name = recipe.promote, recipe.promote.registered_model
    failures = failed_thresholds(config, report)
    report.value(config.champion_metric, "promote.champion_metric")
    with TemporaryDirectory() as scratch:
        folder = model_files.fetch(recipe.generate.model_uri, recipe.tracking, Path(scratch))
        description = describe((folder / DESCRIPTION).read_bytes(), recipe.generate.model_uri)
        if description.model_digest != report.model_digest:
            raise BadInput(
                f"{report.uri} scores model {report.model_digest[:12]}, {recipe.generate.model_uri} holds "
                f"{description.model_digest[:12]}; evaluate this model first"
            )
        version = registry.find_version(recipe.tracking, name, _digests(report))
        if version and (settled := _settled(recipe, version)):
            return settled
        champion = registry.find_alias(recipe.tracking, name, "champion")
        won, comparison = compare(config, report, champion, version)
        alias: Literal["champion", "challenger"] = "champion" if won and not failures else "challenger"
        run_id = _start(recipe, report)
        version = version or _register(recipe, report, folder, description, run_id)
    reasons = [*failures, comparison]
    other: Literal["champion", "challenger"] = "challenger" if alias == "champion" else "champion"
    if failures and champion and champion.version == version.version:
        reasons[-1] = f"version {version.version} was the champion until now; there is none until another one passes"
    decision = Decision(version.version, alias, reasons)
    registry.set_alias(recipe.tracking, name, alias, version.version)
    registry.drop_alias(recipe.tracking, name, other, version.version)
    _write(recipe, report, decision, version, run_id)
    runs.finish_run(recipe.tracking, run_id, "FINISHED")
    return decision


def _settled(recipe: Recipe, version: RegisteredVersion) -> Decision | None:
    """The decision on this version, where it was written down for the same thresholds and its alias still stands."""
    uri = storage.join(recipe.evaluate.report_uri, PROMOTION)
    if not storage.exists(uri):
        return None
    written = storage.read_json(uri)
    decision = Decision(**written["decision"])
    standing = registry.find_alias(recipe.tracking, recipe.promote.registered_model, decision.alias)
    same = written["promote"] == asdict(recipe.promote) and decision.version == version.version
    return decision if same and standing == version else None


def _digests(report: ScoredReport) -> dict[str, str]:
    """Tags by which a version and a run are known."""
    ratings = report.people.digest if report.people else "none"
    return {MODEL: report.model_digest, "ganrnn.report_digest": report.digest, "ganrnn.ratings_digest": ratings}


def _start(recipe: Recipe, report: ScoredReport) -> str:
    digests = _digests(report)
    identity = storage.sha256(json.dumps(sorted(digests.items())).encode())
    datasets = {"reference": (recipe.ingest.dataset_uri, report.evaluation.dataset_digest)}
    run_id = runs.start_run(recipe.tracking, "promote", recipe.as_dict(), identity, datasets, digests)
    runs.log_file(recipe.tracking, run_id, storage.read_bytes(report.uri), REPORT)
    return run_id


def _register(
    recipe: Recipe, report: ScoredReport, folder: Path, description: Description, run_id: str
) -> RegisteredVersion:
    """A version that belongs to the run that trained it, or to this one where that run is not known here."""
    training, likelihood = description.position.get("identity"), report.evaluation.likelihood
    trained = runs.find_run(recipe.tracking, "train", {"ganrnn.identity": training}) if training else None
    tags = {
        DATASET: report.evaluation.dataset_digest,
        PROTOCOL: report.evaluation.protocol_digest,
        **_digests(report),
        RATINGS_PROTOCOL: report.people.main.protocol_digest if report.people else "none",
        SAMPLES_MANIFEST: report.evaluation.samples_manifest_digest or "none",
        **({LIKELIHOOD: json.dumps(asdict(likelihood))} if likelihood else {}),
        **{INTERVAL + metric: json.dumps(interval) for metric, interval in report.intervals.items()},
    }
    files = {file: (folder / file).read_bytes() for file in SAMPLER_FILES}
    example = _first_prompt(recipe.generate.prompts_uri, load_sampler(files))
    name = recipe.promote.registered_model
    return registry.register(recipe.tracking, trained or run_id, name, folder, report.metrics, tags, example)


def _first_prompt(uri: str, task: Task) -> dict[str, Any]:
    """The example that the registry shows and on which the version is tried: what the model reads of a prompt."""
    files = storage.list_files(uri, ".parquet")
    if not files:
        raise BadInput(f"{uri} holds no Parquet file; generate.prompts_uri names the prompts that were evaluated")
    groups = storage.RowGroups(files[0])
    storage.require_columns(files[0], groups.schema, task.prompt_columns)
    columns = [*task.prompt_columns, *(name for name in task.optional_columns if name in groups.schema.names)]
    if sum(groups.sizes):
        first = next(index for index, num_rows in enumerate(groups.sizes) if num_rows)
        rows = groups.read(first, columns)
        return {name: rows.column(name)[0].as_py() for name in columns}
    raise BadInput(f"{files[0]} holds no row; generate.prompts_uri names the prompts that were evaluated")


def _write(recipe: Recipe, report: ScoredReport, decision: Decision, version: RegisteredVersion, run_id: str) -> None:
    name = recipe.promote.registered_model
    promotion = {
        "decision": asdict(decision),
        "promote": asdict(recipe.promote),
        "model_uri": f"models:/{name}/{decision.version}",
        "metrics": dict(report.metrics),
        "lineage": {
            "dataset_digest": report.evaluation.dataset_digest,
            "run_id": version.run_id,
            "promote_run_id": run_id,
            "registered_model": name,
            "version": decision.version,
            "model_digest": report.model_digest,
            "report_digest": report.digest,
            "ratings_digest": report.people.digest if report.people else None,
            "samples_manifest_digest": report.evaluation.samples_manifest_digest,
        },
    }
    uri = storage.join(recipe.evaluate.report_uri, PROMOTION)
    storage.commit_json(uri, promotion)
    runs.log_file(recipe.tracking, run_id, storage.read_bytes(uri), PROMOTION)
