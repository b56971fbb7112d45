"""The pages of an evaluation: report.html as one self-contained file, the contact sheet, the table on the terminal.

`render(report, shown, real, best, worst)` takes the content of report.json and pictures with their prompts; the
template is report.html.j2. Prompts come from users: everything in the page is escaped, and its policy allows no script.
"""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ganrnn.data import images
from pipelines.report.group_bars import group_bars
from pipelines.report.metric_descriptions import sense
from pipelines.report.scores import format_number, scores


@dataclass(frozen=True)
class ReportPicture:
    """One picture of the page. `correct`: attribute name -> whether the picture shows it, None where unknown."""

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
    """Pictures of one size side by side, each pixel drawn `zoom` by `zoom`, as PNG bytes."""
    return images.encode_png(images.grid(images.to_tensor(pngs), num_columns, zoom))


def render(
    report: Mapping[str, Any],
    shown: Sequence[ReportPicture],
    real: Sequence[ReportPicture],
    best: Sequence[ReportPicture],
    worst: Sequence[ReportPicture],
    neighbours: Sequence[tuple[ReportPicture, ReportPicture, float]] = (),
    course: bytes = b"",
    champion: Champion | None = None,
) -> str:
    """The HTML page of a report.json with its pictures; equal input gives equal bytes.

    neighbours:  generated pictures, the training picture nearest to each, and how far it is in terms of that one's own
    course:      PNG of how the training went
    champion:    whose scores stand beside those of the report
    """
    pairs, other_real = _pair(shown, real)
    held = {"best": best, "worst": worst, "neighbours": neighbours, "course": course, "champion": champion}
    return _page(report, pairs=pairs, other_real=other_real, **held)


def render_texts(
    report: Mapping[str, Any], texts: Sequence[Mapping[str, str | None]], plot: bytes | None = None
) -> str:
    """The same for texts with their `prompt` and `reference`, and the picture of a sweep where there was one."""
    return _page(report, texts=texts, plot=plot or b"")


def render_verdicts(report: Mapping[str, Any], shown: Sequence[ReportPicture], wrong: Sequence[ReportPicture]) -> str:
    """The same for pictures with a statement and a score each; `wrong` are those that a judge was surest of."""
    return _page(report, verdicts=shown, wrong=wrong)


def _page(report: Mapping[str, Any], **shown: Any) -> str:
    page = Environment(
        loader=PackageLoader("pipelines.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"number": format_number, "data_uri": _data_uri, "pretty": _pretty, "sense": sense}
    champion = shown.get("champion")
    lines = scores(report, champion.metrics if champion else None)
    kinds = ("texts", "verdicts", "wrong", "pairs", "other_real", "best", "worst", "neighbours")
    nothing: dict[str, Any] = {"plot": b"", "course": b"", "champion": None, **{kind: [] for kind in kinds}}
    return page.get_template("report.html.j2").render(
        report={"signatures": {}, "marks": {}, "extractors": {}, **report},
        groups=group_bars(report["groups"]) if "groups" in report else [],
        scores=[line for line in lines if not line.sense.is_accuracy],
        accuracies=[line for line in lines if line.sense.is_accuracy],
        **nothing | shown,
    )


def _pair(
    shown: Sequence[ReportPicture], real: Sequence[ReportPicture]
) -> tuple[list[tuple[ReportPicture, ReportPicture | None]], list[ReportPicture]]:
    """Each generated picture with a real one of its prompt, taken in turn, and the real ones of other prompts."""
    by_prompt: dict[str, list[ReportPicture]] = defaultdict(list)
    for picture in real:
        by_prompt[picture.prompt].append(picture)
    turn = Counter[str]()
    pairs: list[tuple[ReportPicture, ReportPicture | None]] = []
    for picture in shown:
        held = by_prompt.get(picture.prompt)
        pairs.append((picture, held[turn[picture.prompt] % len(held)] if held else None))
        turn[picture.prompt] += 1
    return pairs, [picture for picture in real if picture.prompt not in turn]


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
