"""The pages of an evaluation: report.html as one self-contained file, and the contact sheet.

`render(report, shown, real, best, worst)` takes a report and images with their prompts; the template is report.html.j2.
Prompts come from users: everything in the page is escaped, and its policy allows no script.
"""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ganrnn.data import images
from pipelines.formats.evaluation_report import EvaluationReport
from pipelines.formats.metric_descriptions import description_of
from pipelines.report.group_bars import group_bars
from pipelines.report.scores import by_reason, format_number, scores


@dataclass(frozen=True)
class ReportPicture:
    """One image of the page. `correct`: attribute name -> whether the image shows it, None where unknown."""

    sample_id: str
    prompt: str
    png: bytes
    match_score: float
    correct: Mapping[str, bool] | None


@dataclass(frozen=True)
class Champion:
    """The registered model's champion, scored under the same protocol as the report."""

    version: str
    metrics: Mapping[str, float]


def contact_sheet(pngs: Sequence[bytes], num_columns: int, zoom: int) -> bytes:
    """Images of one size side by side, each pixel drawn `zoom` by `zoom`, as PNG bytes."""
    return images.encode_png(images.grid(images.to_tensor(pngs), num_columns, zoom))


def render(
    report: EvaluationReport,
    shown: Sequence[ReportPicture],
    real: Sequence[ReportPicture],
    best: Sequence[ReportPicture],
    worst: Sequence[ReportPicture],
    neighbours: Sequence[tuple[ReportPicture, ReportPicture, float]] = (),
    training_plot: bytes = b"",
    champion: Champion | None = None,
    training_samples: Mapping[int, bytes] | None = None,
) -> str:
    """The HTML page of a report with its images; equal input gives equal bytes.

    neighbours:     generated images, the training image nearest to each, and their distance relative to that from the
                    training image to its own nearest neighbour
    training_plot:  PNG of the curves that the guard logged in training
    champion:       gets a column of the table
    training_samples:  by step, a PNG of pictures for the same prompts and noise, one below another
    """
    pairs, other_real = _pair(shown, real)
    return _page(
        report,
        pairs=pairs,
        other_real=other_real,
        best=best,
        worst=worst,
        neighbours=neighbours,
        training_plot=training_plot,
        champion=champion,
        training_samples=training_samples or {},
    )


def render_texts(report: EvaluationReport, texts: Sequence[Mapping[str, str | None]], plot: bytes | None = None) -> str:
    """The same for texts with their `prompt` and `reference`, and the plot of a sweep if there was one."""
    return _page(report, texts=texts, plot=plot or b"")


def render_verdicts(report: EvaluationReport, shown: Sequence[ReportPicture], wrong: Sequence[ReportPicture]) -> str:
    """The same for images with a statement and a score each; `wrong` are the most confident mistakes."""
    return _page(report, verdicts=shown, wrong=wrong)


def _page(report: EvaluationReport, **shown: Any) -> str:
    page = Environment(
        loader=PackageLoader("pipelines.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"number": format_number, "data_uri": _data_uri, "pretty": _pretty, "description": description_of}
    champion = shown.get("champion")
    lines = scores(report, champion.metrics if champion else None)
    kinds = ("texts", "verdicts", "wrong", "pairs", "other_real", "best", "worst", "neighbours")
    nothing: dict[str, Any] = {
        "plot": b"",
        "training_plot": b"",
        "training_samples": {},
        "champion": None,
        **{kind: [] for kind in kinds},
    }
    return page.get_template("report.html.j2").render(
        report=report,
        marks=report.marks or {},
        does_not_separate=report.does_not_separate or {},
        reasons=by_reason(report),
        groups=group_bars(report.groups) if report.groups else [],
        scores=[line for line in lines if not line.description.is_accuracy],
        accuracies=[line for line in lines if line.description.is_accuracy],
        **nothing | shown,
    )


def _pair(
    shown: Sequence[ReportPicture], real: Sequence[ReportPicture]
) -> tuple[list[tuple[ReportPicture, ReportPicture | None]], list[ReportPicture]]:
    """Each generated image with a real one of its prompt, taken in turn, and the real ones of other prompts."""
    by_prompt: dict[str, list[ReportPicture]] = defaultdict(list)
    for picture in real:
        by_prompt[picture.prompt].append(picture)
    turn = Counter[str]()
    pairs: list[tuple[ReportPicture, ReportPicture | None]] = []
    for picture in shown:
        same_prompt = by_prompt.get(picture.prompt)
        pairs.append((picture, same_prompt[turn[picture.prompt] % len(same_prompt)] if same_prompt else None))
        turn[picture.prompt] += 1
    return pairs, [picture for picture in real if picture.prompt not in turn]


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
