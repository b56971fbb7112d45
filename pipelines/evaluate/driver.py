"""Evaluate samples, or prompts and a model, against the reference split: report.json, report.html, contact_sheet.png.

Ray Data scores fixed blocks; their partials merge in a fixed order. Every score stands beside that of real pictures of
the same prompts, the floor that no model can be expected to pass.
"""

from typing import Any

from ganrnn.errors import BadInput
from ganrnn.task import task_class
from pipelines.cluster import session
from pipelines.config import Recipe
from pipelines.evaluate.images import indomain_network
from pipelines.evaluate.images.collector import Collected
from pipelines.evaluate.images.evaluation import build_report, score_blocks, write_report
from pipelines.evaluate.images.protocol import protocol_of
from pipelines.evaluate.images.reference_cache import SPLITS, KnownScores
from pipelines.evaluate.images.worker import load
from pipelines.evaluate.inputs import counting_judge, subject_of
from pipelines.evaluate.texts.evaluation import evaluate_tables
from pipelines.formats.dataset import read_manifest, shard_uris


def evaluate(recipe: Recipe) -> dict[str, Any]:
    """Score the recipe's samples and write the report; returns the content of report.json.

    Raises BadInput when the samples, the model or the reference cannot be used.
    """
    manifest = read_manifest(recipe.ingest.dataset_uri)
    config, gives = recipe.evaluate, task_class(recipe.task.name).gives
    for key, is_asked, whose in (
        ("sweep", config.sweep.temperatures, "texts"),
        ("judge_uri", config.judge_uri, "images"),
        ("extractor", config.extractor.weights_uri, "images"),
        ("group_by", config.group_by, "images"),
        ("features_uri", config.features_uri, "images"),
    ):
        if is_asked and gives != whose:
            raise BadInput(f"evaluate.{key} is for tasks that give {whose}; {recipe.task.name} gives {gives}")
    if gives != "images":
        return evaluate_tables(recipe, manifest)
    extractor = load(config.extractor)
    subject, blocks, made_by = subject_of(recipe)
    judge_files, judged = counting_judge(recipe, subject)
    made_by, subject = {**made_by, "judge_files": judge_files}, subject | judged
    reference, real = (shard_uris(recipe.ingest.dataset_uri, manifest, split) for split in ("val", "test"))
    protocol = protocol_of(recipe, manifest, reference, real, extractor)
    with session.session():
        session.require("evaluate", config.num_workers, 1, 0)
        network, digest = indomain_network.ensure(recipe, manifest)
        known = KnownScores(recipe, manifest, digest, protocol, subject.get("judge_digest"))
        names = ["samples", *([] if known.is_known else SPLITS)]
        collected = Collected(names, config.num_kid_features)
        score_blocks(recipe, [*blocks, *known.missing], network, digest, protocol, made_by, collected)
    collected.finish()
    known.complete(collected)
    result = build_report(recipe, manifest, collected.sets, subject, digest, protocol, extractor)
    write_report(recipe, manifest, result, collected)
    return result
