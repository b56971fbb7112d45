"""What the raters say: ratings.json, ratings.parquet with every answer, an MLflow run of both.

    result = report(recipe, samples_uri, reference_uri)         # promotion reads it by human_scores.py

The page may be serving meanwhile; the report is of the answers that are there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from ganrnn.errors import BadInput
from pipelines import storage
from pipelines.code_revision import code_revision
from pipelines.config.rate import REFERENCE, SAMPLES
from pipelines.config.recipe import Recipe
from pipelines.formats.manifest import SCHEMA_VERSION
from pipelines.formats.ratings import REPORT, HumanScore, wider
from pipelines.formats.schemas import RATINGS
from pipelines.rate import store
from pipelines.rate.scores import MAIN, Interval, Judged, Scores, counted, scores
from pipelines.rate.store import Answer
from pipelines.rate.study import open_study, study_folder
from pipelines.report.scores import format_number
from pipelines.tracking import runs

ANSWERS = "ratings.parquet"


def report(recipe: Recipe, samples_uri: str, reference_uri: str) -> dict[str, Any]:
    """Score the study's answers; write and return the content of ratings.json.

    Raises BadInput where there is no study, or no answer that counts.
    """
    if not store.study_exists(study_folder(recipe)):
        raise BadInput(f"{recipe.rate.study_uri} holds no study yet; `ganrnn rate` without --report begins one")
    study = open_study(recipe, samples_uri, reference_uri)
    answers, items, about = study.store.answers(), study.store.items(), study.store.about
    study.store.close()
    counts = counted(answers, recipe.rate.max_failed_checks)
    judged = [
        Judged(answer.rater, tuple(items[item][0] for item in answer.items), answer.choice)
        for answer, is_counted in zip(answers, counts, strict=True)
        if is_counted
    ]
    scored = scores(recipe.rate.task, judged, list(about["sources"]), recipe.rate.half_width, recipe.seed)
    if MAIN[recipe.rate.task] not in scored.metrics:
        raise BadInput(
            f"{recipe.rate.study_uri} holds no answer about samples that counts; raters have to answer first"
        )
    rows = _rows(answers, counts, items)
    answers_digest = storage.commit_table(storage.join(recipe.rate.study_uri, ANSWERS), rows)
    result = _result(recipe, about, scored, rows.to_pylist(), answers_digest)
    storage.commit_json(storage.join(recipe.rate.study_uri, REPORT), result)
    _track(recipe, about, result)
    return result


def table(result: Mapping[str, Any]) -> str:
    """One line per metric: value, both intervals, the number of answers and how many the wanted interval needs."""
    rows = [("metric", "value", "95 % by answer", "95 % by rater", "answers", "needed")]
    for name, value in result["metrics"].items():
        by_answer, by_rater = (_between(result[kind].get(name)) for kind in ("intervals", "intervals_by_rater"))
        num_answers, needed = (result[kind].get(name) for kind in ("answers", "answers_needed"))
        rows.append((name, format_number(value), by_answer, by_rater, _count(num_answers), _count(needed)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [f"{name:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))]
        )
        for name, *cells in rows
    )


def _between(interval: Interval | None) -> str:
    return "" if interval is None else " .. ".join(map(format_number, interval))


def _count(number: int | None) -> str:
    return "" if number is None else format_number(number)


def _rows(answers: Sequence[Answer], counts: Sequence[bool], items: Mapping[int, tuple[str, str, str]]) -> pa.Table:
    """The answers as they are stored for others, with what was shown in place of item numbers."""
    rows: list[dict[str, Any]] = []
    for answer, is_counted in zip(answers, counts, strict=True):
        row = {name: getattr(answer, name) for name in RATINGS.names if hasattr(answer, name)}
        for side, item in zip(("left", "right"), answer.items, strict=False):
            row |= dict(zip((f"{side}_source", f"{side}_key", f"{side}_digest"), items[item], strict=True))
        rows.append(row | {"counts": is_counted, "answered_at": datetime.fromtimestamp(int(answer.at), UTC)})
    return pa.Table.from_pylist(rows, RATINGS)


def _result(
    recipe: Recipe, about: Mapping[str, Any], scored: Scores, rows: Sequence[Mapping[str, Any]], answers_digest: str
) -> dict[str, Any]:
    main, counting = MAIN[recipe.rate.task], [row for row in rows if row["counts"]]
    judged = [row for row in counting if SAMPLES in (row["left_source"], row["right_source"])]
    raters, counting_raters = ({row["rater"] for row in some} for some in (rows, counting))
    digests = {
        row[f"{side}_digest"] for row in judged for side in ("left", "right") if row[f"{side}_source"] == SAMPLES
    }
    made_of = about["identity"]
    protocol = [made_of["rate"], made_of["sources"][REFERENCE]]
    human = HumanScore(
        metric=main,
        value=scored.metrics[main],
        interval=wider(scored.intervals, scored.intervals_by_rater)[main],
        num_answers=scored.answers[main],
        num_raters=len({row["rater"] for row in judged}),
        model_digest=about["model_digest"],
        reference_digest=made_of["sources"][REFERENCE],
        protocol_digest=storage.sha256(json.dumps(protocol, sort_keys=True).encode()),
        item_digests=sorted(digests),
    )
    sources = {f"{name}_source": digest for name, digest in made_of["sources"].items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "verb": "rate",
        "name": recipe.name,
        "task": recipe.rate.task,
        "human": asdict(human),
        **asdict(scored),
        "counts": {
            "raters": len(raters),
            "raters_counted": len(counting_raters),
            "answers": len(rows),
            "answers_counted": len(counting),
            "answers_unseen": sum(not row["seen"] for row in rows),
        },
        "digests": {"study": about["study_id"], "answers": answers_digest, **sources},
        "seed": recipe.seed,
        "config": asdict(recipe.rate),
        "code_revision": code_revision(),
    }


def _track(recipe: Recipe, about: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """A run for each state of the answers."""
    identity = storage.sha256(json.dumps(result["digests"], sort_keys=True).encode())
    datasets = {name: (uri, about["identity"]["sources"][name]) for name, uri in about["sources"].items()}
    tags = {f"ganrnn.{name}": str(value) for name, value in result["digests"].items()}
    if model := about["model_digest"]:
        tags["ganrnn.model_digest"] = model
    run_id = runs.start_run(recipe.tracking, "rate", recipe.as_dict(), identity, datasets, tags)
    runs.log_metrics(recipe.tracking, run_id, _metrics(result), 0)
    for name in (REPORT, ANSWERS):
        runs.log_file(recipe.tracking, run_id, storage.read_bytes(storage.join(recipe.rate.study_uri, name)), name)
    runs.finish_run(recipe.tracking, run_id, "FINISHED")


def _metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """Values, bounds by answer and by rater, and counts, flat as MLflow wants them."""
    flat = dict(result["metrics"])
    for kind, suffix in (("intervals", ""), ("intervals_by_rater", "_by_rater")):
        for name, (low, high) in result[kind].items():
            flat |= {f"{name}{suffix}_low": low, f"{name}{suffix}_high": high}
    flat |= {f"{name}_answers_needed": number for name, number in result["answers_needed"].items()}
    return flat | {f"human_{name}": number for name, number in result["counts"].items()}
