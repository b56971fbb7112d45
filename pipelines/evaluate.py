"""Evaluate samples, or prompts and a model, against the reference split: report.json, report.html, contact_sheet.png.

Ray Data scores fixed blocks; their partials merge in a fixed order. Every score stands beside that of real pictures of
the same prompts, the floor that no model can be expected to pass.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import ray
from tqdm import tqdm

from ganrnn import checkpoint
from ganrnn.errors import BadInput
from ganrnn.metrics.frechet import frechet_distance
from ganrnn.metrics.inception_score import InceptionSums
from ganrnn.metrics.kid import FeatureSubset, kernel_distance
from ganrnn.metrics.moments import Moments
from ganrnn.metrics.partials import merge_in_order
from ganrnn.metrics.retrieval import wilson_interval
from ganrnn.metrics.seam import Seam
from ganrnn.text import meaning_key
from pipelines import cluster, indomain, model, prompts, refusals, report, storage
from pipelines.choice import chooser_of, judge_of
from pipelines.config import Recipe, task_type
from pipelines.dataset import read_manifest, shard_uris
from pipelines.evaluate_tables import evaluate_tables
from pipelines.feature_scores import feature_scores
from pipelines.known_scores import KnownScores
from pipelines.report_files import publish
from pipelines.schemas import MANIFEST, code_revision
from pipelines.scoring import Block, BlockScorer, Protocol, blocks_of_files

KID_SUBSETS = 100
KID_SUBSET_ROWS = 1_000


def evaluate(recipe: Recipe) -> dict[str, Any]:
    """Score the recipe's samples and write the report; returns the content of report.json.

    Raises BadInput when the samples, the model or the reference cannot be used.
    """
    manifest = read_manifest(recipe.ingest.dataset_uri)
    gives = task_type(recipe.task.name).gives
    for key, is_asked, whose in (
        ("sweep", recipe.evaluate.sweep.temperatures, "texts"),
        ("judge_uri", recipe.evaluate.judge_uri, "images"),
    ):
        if is_asked and gives != whose:
            raise BadInput(f"evaluate.{key} is for tasks that give {whose}; {recipe.task.name} gives {gives}")
    if gives != "images":
        return evaluate_tables(recipe, manifest)
    subject, blocks, made_by = _subject(recipe)
    judge_files, judged = _judge(recipe, subject)
    made_by, subject = {**made_by, "judge_files": judge_files}, subject | judged
    reference, real = (shard_uris(recipe.ingest.dataset_uri, manifest, split) for split in ("val", "test"))
    protocol = _protocol(recipe, manifest, reference, real)
    with cluster.session():
        cluster.require("evaluate", recipe.evaluate.num_workers, 1, 0)
        network, digest = indomain.ensure(recipe, manifest)
        known = KnownScores(recipe, manifest, digest, protocol, subject.get("judge_digest"))
        blocks += known.missing
        rows = _score_blocks(recipe, blocks, network, digest, protocol, made_by)
    rows = known.completed(rows)
    sets = {name: _merge(name, rows) for name in (*known.SETS, "samples")}
    result = _report(recipe, manifest, sets, subject, digest, protocol)
    _write(recipe, result, rows)
    return result


def _subject(recipe: Recipe) -> tuple[dict[str, Any], list[Block], dict[str, Any]]:
    """What is scored: its digests, its blocks, and the model and who chooses where pictures are made on the way."""
    config = recipe.generate
    if recipe.evaluate.from_prompts:
        uris = prompts.find(config.prompts_uri, config.since, config.where)
        files = model.fetch_files(config.model_uri, recipe.tracking)
        task = checkpoint.load_sampler(files, config.model_uri)
        prompt_set = prompts.plan(list(uris), task.prompt_columns, config.sampling.shard_rows, config.max_reject_share)
        shards = [prompt_set.shard(index) for index in range(prompt_set.num_shards)]
        blocks = [Block("samples", shard.index, shard.num_rows, shard=shard) for shard in shards]
        subject = {
            "model_digest": task.model_digest,
            "prompts_digest": prompt_set.digest,
            "samples_manifest_digest": None,
        }
        chooser = chooser_of(recipe, task)
        return (
            subject | _chosen(chooser.plan() if chooser else None),
            blocks,
            {"model_files": files, "chooser": chooser},
        )
    uri = storage.join(config.samples_uri, MANIFEST)
    if not storage.exists(uri):
        raise BadInput(f"{uri} does not exist; run generate first, or set evaluate.from_prompts=true")
    held = storage.read_json(uri)
    blocks = blocks_of_files("samples", [storage.join(config.samples_uri, shard["uri"]) for shard in held["shards"]])
    subject = {
        "model_digest": held["model_digest"],
        "prompts_digest": held["inputs"]["prompts_digest"],
        "samples_manifest_digest": storage.file_digest(uri),
    }
    return subject | _chosen(held["inputs"].get("choice")), blocks, {"model_files": None, "chooser": None}


def _judge(recipe: Recipe, subject: Mapping[str, Any]) -> tuple[dict[str, bytes] | None, dict[str, str]]:
    """The files of the judge that counts, and what a report says of it; BadInput where it has had a say before."""
    if not (uri := recipe.evaluate.judge_uri):
        return None, {}
    files, digest = judge_of(recipe, uri, "evaluate.judge_uri", recipe.task)
    learnt = recipe.train.judge_uri and judge_of(recipe, recipe.train.judge_uri, "train.judge_uri", recipe.task)[1]
    for other, place in (
        (learnt, "the generator has learnt from it"),
        (_chooser(subject), "it has chosen the samples"),
    ):
        if other == digest:
            raise BadInput(f"evaluate.judge_uri {uri} cannot count: {place}; train one with another seed")
    return files, {"judge_digest": digest}


def _chooser(subject: Mapping[str, Any]) -> str | None:
    found: str | None = json.loads(subject.get("choice", "{}")).get("judge_digest")
    return found


def _chosen(choice: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a report says of a judge's choice: samples that were chosen are not compared with others."""
    return {"choice": json.dumps(choice, sort_keys=True)} if choice else {}


def _protocol(recipe: Recipe, manifest: Mapping[str, Any], reference: Sequence[str], real: Sequence[str]) -> Protocol:
    captions = distinct_captions(recipe, real)
    classes = distinct_captions(recipe, reference)
    chosen = sorted(classes)[:100]
    ingested = manifest["config"]["ingest"]
    if recipe.evaluate.num_candidates > len(captions):
        raise BadInput(
            f"evaluate.num_candidates is {recipe.evaluate.num_candidates}; "
            f"the prompts hold {len(captions)} distinct captions, allowed are 2 to {len(captions)}"
        )
    return Protocol(
        caption_texts=tuple(captions[key] for key in sorted(captions)),
        caption_keys=tuple(sorted(captions)),
        posterior_texts=tuple(classes[key] for key in chosen),
        num_candidates=recipe.evaluate.num_candidates,
        num_splits=recipe.evaluate.num_splits,
        num_kid_features=recipe.evaluate.num_kid_features,
        seed=recipe.seed,
        built_in=ingested["scenes"]["kind"] if ingested["source"] == "scenes" else None,
        captions=recipe.evaluate.captions,
        has_seam=recipe.task.wrap_horizontally,
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


def _score_blocks(
    recipe: Recipe,
    blocks: Sequence[Block],
    network: bytes,
    digest: str,
    protocol: Protocol,
    made_by: Mapping[str, Any],
) -> list[dict[str, Any]]:
    sampling = recipe.generate.sampling
    scored = ray.data.from_items(
        [{"index": index} for index in range(len(blocks))], override_num_blocks=len(blocks)
    ).map(
        BlockScorer,  # type: ignore[arg-type]  # an actor class, whose instances are the function
        fn_constructor_kwargs={
            "blocks": list(blocks),
            "network": network,
            "network_digest": digest,
            "protocol": protocol,
            **made_by,
            "sampling": sampling,
            "run_seed": recipe.generate.seed,
        },
        compute=ray.data.ActorPoolStrategy(size=min(recipe.evaluate.num_workers, len(blocks))),
        num_cpus=sampling.cpus_per_worker if made_by["model_files"] else 1,
        num_gpus=sampling.gpus_per_worker if made_by["model_files"] else 0,
    )
    rows, sizes = [], {block.name: block.num_rows for block in blocks}
    with tqdm(total=sum(sizes.values()), desc="evaluate", unit="row") as bar:
        for row in refusals.rows(scored):
            rows.append(row)
            bar.update(sizes[row["block"]])
    return sorted(rows, key=lambda row: str(row["block"]))


def _merge(set_name: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The statistics of one set from the partials of its blocks."""
    own = {row["block"]: row for row in rows if row["block"].startswith(f"{set_name}/") and row["rows"]}
    counts: dict[str, list[int]] = {}
    for row in own.values():
        for name, (correct, total) in json.loads(row["counts"]).items():
            before = counts.get(name, [0, 0])
            counts[name] = [before[0] + correct, before[1] + total]
    return {
        "moments": merge_in_order({name: Moments.from_bytes(row["moments"]) for name, row in own.items()}),
        "inception": merge_in_order({name: InceptionSums.from_bytes(row["inception"]) for name, row in own.items()}),
        "subset": merge_in_order({name: FeatureSubset.from_bytes(row["subset"]) for name, row in own.items()}),
        "seam": sum((Seam(*row["seam"]) for row in own.values() if "seam" in row), Seam(0, 0.0, 0.0, 0.0)),
        "counts": counts,
    }


def metrics_of(
    subject: Mapping[str, Any], sets: Mapping[str, Mapping[str, Any]], protocol: Protocol
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """All scores of one set against the others, and the 95 % intervals of those that have one."""
    reference = sets["reference"]
    num_samples = subject["moments"].count
    suffix = f"{count_name(num_samples)}_indomain"
    inception_mean, inception_std = subject["inception"].score()
    rows = min(KID_SUBSET_ROWS, len(subject["subset"].features), len(reference["subset"].features))
    kid_mean, kid_std = kernel_distance(
        subject["subset"].features, reference["subset"].features, KID_SUBSETS, rows, protocol.seed
    )
    metrics = {
        f"fid{suffix}": frechet_distance(subject["moments"], reference["moments"]),
        f"kid{suffix}": kid_mean,
        f"kid{suffix}_std": kid_std,
        f"is{suffix}": inception_mean,
        f"is{suffix}_std": inception_std,
    }
    features = subject["subset"].features
    further, intervals = feature_scores(features, sets, f"{count_name(len(features))}_indomain", protocol.seed)
    metrics |= further
    for name, (correct, total) in sorted(subject["counts"].items()):
        kind, _, attribute = name.partition("/")
        metric = f"{attribute}_accuracy" if kind == "attribute" else name
        if kind.startswith("retrieved"):
            metric = kind.replace("retrieved", f"r_precision_{protocol.num_candidates}")
        if total:  # no prompt of one's own need be a caption of the reference
            metrics[metric] = correct / total
            if name != "pixels_kept":  # those of one picture are no independent trials
                intervals[metric] = list(wilson_interval(correct, total))
    if protocol.has_seam:
        metrics["seam_vs_interior"], *intervals["seam_vs_interior"] = subject["seam"].ratio()
    return metrics, intervals


def count_name(count: int) -> str:
    """2000 -> 2k, 951 -> 951, as metric names carry it."""
    return f"{count // 1000}k" if count % 1000 == 0 and count else str(count)


def _report(
    recipe: Recipe,
    manifest: Mapping[str, Any],
    sets: Mapping[str, Mapping[str, Any]],
    subject: Mapping[str, Any],
    network_digest: str,
    protocol: Protocol,
) -> dict[str, Any]:
    metrics, intervals = metrics_of(sets["samples"], sets, protocol)
    floors, _ = metrics_of(sets["real"], sets, protocol)
    return {
        "name": recipe.name,
        "metrics": metrics,
        "intervals": intervals,
        "floors": floors,
        "counts": {name: held["moments"].count for name, held in sets.items()},
        "digests": {**subject, "dataset_digest": manifest["totals"]["dataset_digest"]},
        "model_digest": subject["model_digest"],
        "dataset_digest": manifest["totals"]["dataset_digest"],
        "protocol_digest": _protocol_digest(protocol, network_digest, subject, sets),
        "samples_manifest_digest": subject["samples_manifest_digest"],
        "model_uri": recipe.generate.model_uri,
        "extractor": {
            "name": "indomain",
            "digest": network_digest,
            "retrieval_accuracy": floors[f"r_precision_{protocol.num_candidates}"],
            "image_size": [manifest["totals"]["height"], manifest["totals"]["width"]],
            "resizer": "none: pictures have the size of the data set",
            "classes": len(protocol.posterior_texts),
            **asdict(recipe.evaluate.indomain),
        },
        "seed": {"evaluation": protocol.seed, "generation": recipe.generate.seed},
        "config": recipe.as_dict(),
        "code_revision": code_revision(),
    }


def _protocol_digest(
    protocol: Protocol, network_digest: str, subject: Mapping[str, Any], sets: Mapping[str, Mapping[str, Any]]
) -> str:
    """Equal for two reports whose numbers may be compared, as far as the protocol goes."""
    counts = {name: held["moments"].count for name, held in sets.items()}
    held = [asdict(protocol), network_digest, subject["prompts_digest"], counts]
    held += [subject[name] for name in ("choice", "judge_digest") if name in subject]
    return storage.sha256(json.dumps(held, sort_keys=True).encode())


def _write(recipe: Recipe, result: dict[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """The pages first, report.json last, then the MLflow run."""
    shown = {
        (set_name, kind): [
            report.Shown(
                s["sample_id"],
                s["prompt"],
                s["png"],
                s["match_score"],
                json.loads(s["correct"]) if s["correct"] else None,
            )
            for row in rows
            if row["block"].startswith(f"{set_name}/")
            for s in row["shown"]
            if s["kind"] == kind
        ]
        for set_name in ("real", "samples")
        for kind in ("first", "best", "worst")
    }
    by_score = sorted(shown["samples", "best"], key=lambda s: (-s.match_score, s.sample_id))
    by_lack = sorted(shown["samples", "worst"], key=lambda s: (s.match_score, s.sample_id))
    page = report.render(result, shown["samples", "first"], shown["real", "first"], by_score[:8], by_lack[:8])
    sheet = report.contact_sheet([s.png for s in shown["samples", "first"]], num_columns=8, zoom=3)
    publish(recipe, result, {"contact_sheet.png": sheet, "report.html": page.encode()})
