"""Evaluate samples, or prompts and a model, against the reference split: report.json, report.html, contact_sheet.png.

Ray Data scores fixed blocks; their partials merge in a fixed order. Every score stands beside that of real pictures of
the same prompts, the floor that no model can be expected to pass.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import ray
from tqdm import tqdm

from ganrnn.errors import BadInput
from ganrnn.metrics.extractors.load import Extractor
from ganrnn.task import task_class
from ganrnn.text.captions import meaning_key
from pipelines import indomain, storage
from pipelines.beside import champion_beside, training_curves
from pipelines.cluster import pool, session
from pipelines.collected import Collected, Picture
from pipelines.config import Recipe
from pipelines.config.evaluate import MOST_GROUPS
from pipelines.evaluate_tables import evaluate_tables
from pipelines.formats.dataset import read_manifest, shard_uris
from pipelines.formats.manifest import code_revision
from pipelines.known_scores import SPLITS, KnownScores
from pipelines.nearest_training import nearest_training, pictures_of
from pipelines.picture_scores import group_scores, scores_of
from pipelines.report import page, plots
from pipelines.report_files import publish
from pipelines.scoring import Block, BlockScorer, Protocol, load
from pipelines.set_scores import IN_DOMAIN, SetScores
from pipelines.subject import counting_judge, subject_of


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
        network, digest = indomain.ensure(recipe, manifest)
        known = KnownScores(recipe, manifest, digest, protocol, subject.get("judge_digest"))
        names = ["samples", *([] if known.is_known else SPLITS)]
        collected = Collected(names, config.num_kid_features)
        score_blocks(recipe, [*blocks, *known.missing], network, digest, protocol, made_by, collected)
    collected.finish()
    known.complete(collected)
    result = _report(recipe, manifest, collected.sets, subject, digest, protocol, extractor)
    _write(recipe, manifest, result, collected)
    return result


def protocol_of(
    recipe: Recipe,
    manifest: Mapping[str, Any],
    reference: Sequence[str],
    real: Sequence[str],
    extractor: Extractor | None,
) -> Protocol:
    """What scores of this recipe depend on; BadInput where the data set cannot give it."""
    captions = distinct_captions(recipe, real)
    classes = distinct_captions(recipe, reference)
    chosen = sorted(classes)[:100]
    ingested = manifest["config"]["ingest"]
    if recipe.evaluate.num_candidates > len(captions):
        raise BadInput(
            f"evaluate.num_candidates is {recipe.evaluate.num_candidates}; "
            f"the prompts hold {len(captions)} distinct captions, allowed are 2 to {len(captions)}"
        )
    _require_groups(recipe.evaluate.group_by, real)
    return Protocol(
        caption_texts=tuple(captions[key] for key in sorted(captions)),
        caption_keys=tuple(sorted(captions)),
        posterior_texts=tuple(classes[key] for key in chosen),
        num_candidates=recipe.evaluate.num_candidates,
        num_splits=recipe.evaluate.num_splits,
        num_kid_features=recipe.evaluate.num_kid_features,
        seed=recipe.seed,
        group_by=recipe.evaluate.group_by,
        extractor_digest=extractor.digest if extractor else "",
        built_in=ingested["scenes"]["kind"] if ingested["source"] == "scenes" else None,
        captions=recipe.evaluate.captions,
        has_seam=recipe.task.wrap_horizontally,
    )


def _require_groups(group_by: str, uris: Sequence[str]) -> None:
    """Raises BadInput where real pictures have no such groups, or more than a page can show."""
    if not group_by:
        return
    values, names = set[str](), {"text", "label"}
    for uri in uris:
        for batch in storage.read_batches(uri, ["text", "label", "attributes"]):
            for row in batch.to_pylist():
                attributes = dict(row["attributes"] or {})
                names |= {*attributes}
                value = (attributes | {"text": row["text"], "label": row["label"]}).get(group_by)
                values |= set() if value is None else {str(value)}
    if not 0 < len(values) <= MOST_GROUPS:
        raise BadInput(
            f"evaluate.group_by is {group_by!r}, of which the test split has {len(values)} values; "
            f"1 to {MOST_GROUPS} are needed, of {', '.join(sorted(names))}"
        )


def distinct_captions(recipe: Recipe, uris: Sequence[str]) -> dict[str, str]:
    """One text for each meaning, the first in code point order."""
    found: dict[str, str] = {}
    for uri in uris:
        for batch in storage.read_batches(uri, ["text", "attributes"]):
            texts, held = (column.to_pylist() for column in batch.columns)
            captions = indomain.captions(recipe.evaluate.captions, texts, held)
            for text, caption, attributes in zip(texts, captions, held, strict=True):
                key = str(meaning_key(text, attributes))
                found[key] = min(found.get(key, caption), caption)
    return found


def score_blocks(
    recipe: Recipe,
    blocks: Sequence[Block],
    network: bytes,
    digest: str,
    protocol: Protocol,
    made_by: Mapping[str, Any],
    collected: Collected,
) -> None:
    """The one pass: what is said of each block goes to `collected` as it comes."""
    sampling, config = recipe.generate.sampling, recipe.evaluate
    is_heavy = made_by["model_files"] or config.extractor.weights_uri
    scored = ray.data.from_items(
        [{"index": index} for index in range(len(blocks))], override_num_blocks=len(blocks)
    ).map(
        BlockScorer,  # type: ignore[arg-type]  # an actor class, whose instances are the function
        fn_constructor_kwargs={
            "blocks": list(blocks),
            "network": network,
            "network_digest": digest,
            "extractor": config.extractor,
            "protocol": protocol,
            **made_by,
            "sampling": sampling,
            "run_seed": recipe.generate.seed,
            "features_uri": config.features_uri,
        },
        compute=ray.data.ActorPoolStrategy(size=min(config.num_workers, len(blocks))),
        num_cpus=sampling.cpus_per_worker if is_heavy else 1,
        num_gpus=sampling.gpus_per_worker if is_heavy else 0,
    )
    sizes = {block.name: block.num_rows for block in blocks}
    with tqdm(total=sum(sizes.values()), desc="evaluate", unit="row") as bar:
        for row in pool.rows(scored):
            collected.add(row)
            bar.update(sizes[row["block"]])


def _report(
    recipe: Recipe,
    manifest: Mapping[str, Any],
    sets: Mapping[str, SetScores],
    subject: Mapping[str, Any],
    network_digest: str,
    protocol: Protocol,
    extractor: Extractor | None,
) -> dict[str, Any]:
    scores, floors = (scores_of(sets[name], sets, protocol) for name in ("samples", "real"))
    counts = {name: sets[name].num_pictures for name in (*SPLITS, "samples")}
    in_domain = {
        "name": IN_DOMAIN,
        "digest": network_digest,
        "retrieval_accuracy": floors.metrics[f"r_precision_{protocol.num_candidates}"],
        "image_size": [manifest["totals"]["height"], manifest["totals"]["width"]],
        "resizer": "none: pictures have the size of the data set",
        "classes": len(protocol.posterior_texts),
        **asdict(recipe.evaluate.indomain),
    }
    by_group = {name: group_scores(sets[name], sets, protocol) for name in ("samples", "real") if protocol.group_by}
    return {
        "name": recipe.name,
        "metrics": scores.metrics,
        "intervals": scores.intervals,
        "marks": scores.marks,
        "floors": floors.metrics,
        **({"groups": {"by": protocol.group_by, **by_group}} if by_group else {}),
        "counts": counts,
        "digests": {**subject, "dataset_digest": manifest["totals"]["dataset_digest"]},
        "model_digest": subject["model_digest"],
        "dataset_digest": manifest["totals"]["dataset_digest"],
        "protocol_digest": _protocol_digest(protocol, network_digest, subject, counts),
        "samples_manifest_digest": subject["samples_manifest_digest"],
        "model_uri": recipe.generate.model_uri,
        "extractors": {IN_DOMAIN: in_domain} | ({extractor.name: extractor.facts()} if extractor else {}),
        "seed": {"evaluation": protocol.seed, "generation": recipe.generate.seed},
        "config": recipe.as_dict(),
        "code_revision": code_revision(),
    }


def _protocol_digest(
    protocol: Protocol, network_digest: str, subject: Mapping[str, Any], counts: Mapping[str, int]
) -> str:
    """Equal for two reports whose numbers may be compared, as far as the protocol goes."""
    held = [asdict(protocol), network_digest, subject["prompts_digest"], counts]
    held += [subject[name] for name in ("choice", "judge_digest") if name in subject]
    return storage.sha256(json.dumps(held, sort_keys=True).encode())


def _write(recipe: Recipe, manifest: dict[str, Any], result: dict[str, Any], collected: Collected) -> None:
    """The pages first, report.json last, then the MLflow run."""
    real, held = collected.pictures["real"], collected.pictures["samples"]
    first, of_real, best, worst = (
        [_shown(picture) for picture in pictures]
        for pictures in (held["first"], real["first"], held["best"], held["worst"])
    )
    curves = training_curves(recipe, result["model_digest"])
    html = page.render(
        result,
        first,
        of_real,
        best,
        worst,
        _neighbours(recipe, manifest, collected),
        plots.draw_training(curves) if curves else b"",
        champion_beside(recipe, result),
    )
    sheet = page.contact_sheet([s.png for s in first], num_columns=8, zoom=3)
    publish(recipe, result, {"contact_sheet.png": sheet, "report.html": html.encode()})


def _shown(picture: Picture) -> page.Shown:
    correct = json.loads(picture["correct"]) if picture["correct"] else None
    return page.Shown(picture["sample_id"], picture["prompt"], picture["png"], picture["match_score"], correct)


def _neighbours(
    recipe: Recipe, manifest: dict[str, Any], collected: Collected
) -> list[tuple[page.Shown, page.Shown, float]]:
    """Generated pictures, the training picture nearest to each in the in-domain network's eyes, and how near."""
    pictures = [picture for kind in collected.pictures["samples"].values() for picture in kind]
    samples, training = (collected.sets[name].features[IN_DOMAIN].subset for name in ("samples", "training"))
    found = nearest_training(pictures, samples, training)
    uris = shard_uris(recipe.ingest.dataset_uri, manifest, "train")
    rows = pictures_of(uris, {neighbour.training_id for neighbour in found})
    shown = []
    for neighbour in found:
        row = rows[neighbour.training_id]
        other = page.Shown(row["id"], row["text"], row["image"]["bytes"], math.nan, None)
        shown.append((_shown(neighbour.sample), other, neighbour.ratio))
    return shown
