"""Scores of a judge: its verdicts against the truth of the statements."""

import pyarrow as pa
import pyarrow.compute as pc

from ganrnn.errors import BadInput
from ganrnn.metrics.statistics.share import Share
from pipelines.evaluate.texts.metrics import TextScores
from pipelines.report.page import ReportPicture

_EVEN = 0.5  # above it the judge takes a statement to be true


def scores(samples: pa.Table, total: float, num_pairs: int) -> TextScores:
    """How often the verdict is right, and how often the more frequent answer would be; `total` nats for all of test.

    Raises BadInput if no prompt has a `label`.
    """
    scores = TextScores()
    scores.metrics["loss_test"] = total / num_pairs
    is_true, is_right = _answers(samples)
    if not len(is_true):
        raise BadInput("the samples have no label; a judge is scored on prompts that have one, 1 for true, 0 for false")
    num_true = pc.sum(is_true).as_py()
    scores.add_share("right", Share(pc.sum(is_right).as_py(), len(is_right)))
    for name, statements in (("right_on_true", is_true), ("right_on_false", pc.invert(is_true))):
        if num_statements := pc.sum(statements).as_py():
            scores.add_share(name, Share(pc.sum(pc.and_(is_right, statements)).as_py(), num_statements))
    scores.metrics["majority"] = max(num_true, len(is_true) - num_true) / len(is_true)
    return scores


def shown(samples: pa.Table, number: int) -> tuple[list[ReportPicture], list[ReportPicture]]:
    """The first verdicts, and the most confident ones among the wrong."""
    samples = samples.filter(pc.is_valid(samples["label"])).combine_chunks()
    is_right = _answers(samples)[1]
    sure = pc.abs(pc.subtract(samples["match_score"], _EVEN))
    wrong = samples.append_column("sure", sure).filter(pc.invert(is_right)).sort_by([("sure", "descending")])
    return _pictures(samples.slice(0, number)), _pictures(wrong.slice(0, number))


def _answers(samples: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Of the samples with a label, whether the statement is true and whether the verdict is right."""
    if "label" not in samples.column_names:
        return pa.array([], pa.bool_()), pa.array([], pa.bool_())
    labelled = samples.filter(pc.is_valid(samples["label"]))
    is_true = pc.not_equal(labelled["label"], 0)
    return is_true, pc.equal(is_true, pc.greater(labelled["match_score"], _EVEN))


def _pictures(samples: pa.Table) -> list[ReportPicture]:
    return [
        ReportPicture(
            row["sample_id"],
            row["prompt"],
            row["source_image"]["bytes"],
            row["match_score"],
            {"right": (row["match_score"] > _EVEN) == bool(row["label"])},
        )
        for row in samples.select(["sample_id", "prompt", "source_image", "match_score", "label"]).to_pylist()
    ]
