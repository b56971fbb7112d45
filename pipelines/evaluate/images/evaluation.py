"""Images against the reference split."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import ray
from tqdm import tqdm

from ganrnn.metrics.extractors.load import Extractor
from pipelines.cluster import pool
from pipelines.config import Recipe
from pipelines.evaluate.images.blocks import Block
from pipelines.evaluate.images.collector import Collected, Picture
from pipelines.evaluate.images.metrics import group_scores, scores_of
from pipelines.evaluate.images.nearest_training import nearest_training, pictures_of
from pipelines.evaluate.images.protocol import Protocol, protocol_digest
from pipelines.evaluate.images.reference_cache import SPLITS
from pipelines.evaluate.images.set_statistics import IN_DOMAIN, SetScores
from pipelines.evaluate.images.worker import BlockScorer
from pipelines.evaluate.publish import publish
from pipelines.evaluate.tracked_context import champion_beside, training_curves
from pipelines.formats.dataset import shard_uris
from pipelines.formats.manifest import code_revision
from pipelines.report import page, plots


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


def build_report(
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
        "protocol_digest": protocol_digest(protocol, network_digest, subject, counts),
        "samples_manifest_digest": subject["samples_manifest_digest"],
        "model_uri": recipe.generate.model_uri,
        "extractors": {IN_DOMAIN: in_domain} | ({extractor.name: extractor.facts()} if extractor else {}),
        "seed": {"evaluation": protocol.seed, "generation": recipe.generate.seed},
        "config": recipe.as_dict(),
        "code_revision": code_revision(),
    }


def write_report(recipe: Recipe, manifest: dict[str, Any], result: dict[str, Any], collected: Collected) -> None:
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
