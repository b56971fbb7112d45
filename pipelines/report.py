"""The pages of an evaluation: report.html as one self-contained file, the contact sheet, the table on the terminal.

`render(report, shown, real, best, worst)` takes the content of report.json and pictures with their prompts; the
template is report.html.j2. Prompts come from users: everything in the page is escaped, and its policy allows no script.
"""

import base64
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ganrnn import images


@dataclass(frozen=True)
class Shown:
    """One picture of the page. `correct`: attribute name -> whether the picture shows it, None where unknown."""

    sample_id: str
    prompt: str
    png: bytes
    match_score: float
    correct: Mapping[str, bool] | None


@dataclass(frozen=True)
class Sense:
    """What a metric means to a reader, found by its name; `{}` in the texts stands for the pattern's group."""

    pattern: str
    title: str
    meaning: str
    better: str = "higher is better"
    is_accuracy: bool = False


@dataclass(frozen=True)
class Score:
    """One line of the score table. `floor` is what real pictures reach; NaN where nothing is known."""

    name: str
    sense: Sense
    value: float
    interval: tuple[float, float] | None
    std: float
    floor_name: str
    floor: float

    @property
    def spread(self) -> str:
        """The 95 % interval, or plus and minus one standard deviation, or nothing."""
        if self.interval:
            return "–".join(format_number(bound) for bound in self.interval)
        return "" if math.isnan(self.std) else f"± {format_number(self.std)}"


SENSES = (
    Sense(r"fid\d", "Fréchet distance", "how far generated pictures as a whole lie from real ones", "lower is better"),
    Sense(r"kid\d", "Kernel distance", "the same question without assuming a bell shape", "lower is better"),
    Sense(r"is\d", "Inception Score", "each picture clearly one thing, all of them together many things"),
    Sense(r"fid_limit\d", "Fréchet distance, in the limit", "what it would be of endlessly many", "lower is better"),
    Sense(r"precision\d", "Precision", "samples that look like real pictures", "as real is best"),
    Sense(r"recall\d", "Recall", "real pictures that look like samples", "as real is best"),
    Sense(r"density\d", "Density", "how deep samples lie among real pictures", "as real is best"),
    Sense(r"coverage\d", "Coverage", "real pictures that have a sample beside them", "as real is best"),
    Sense(r"near_duplicates\d", "Twins", "samples that have another nearly like them", "as real is best"),
    Sense(r"copied\d", "Copies", "samples nearer to a training picture than its own like is", "as real is best"),
    Sense(r"r_precision_(\d+)_by_judge$", "R-precision, by a judge", "the same, seen by a judge that taught nobody"),
    Sense(r"r_precision_(\d+)", "R-precision", "how often a picture picks its own prompt out of {}"),
    Sense(r"edit_changed$", "Edits made", "how often a picture shows all that was to change"),
    Sense(r"edit_kept$", "Edits without a side effect", "how often a picture shows all that was to stay"),
    Sense(r"pixels_kept$", "Pixels kept", "how many pixels are as before", "as real is best"),
    Sense(r"seam_vs_interior$", "Seam", "the step from edge to edge, beside steps between other columns", "1 is best"),
    Sense(r"loss_test$", "Cross-entropy", "nats that a token of held-out texts costs the model", "lower is better"),
    Sense(r"perplexity_test$", "Perplexity", "how many tokens the model hesitates between", "lower is better"),
    Sense(r"bits_per_character_test$", "Bits per character", "the same for any choice of tokens", "lower is better"),
    Sense(r"bleu$", "BLEU", "how many runs of words are those of a person", "higher is better"),
    Sense(r"chrf$", "chrF", "the same of characters", "higher is better"),
    Sense(r"rouge(\w)$", "ROUGE-{}", "how much of what a person wrote is there, and nothing else"),
    Sense(r"distinct(\d)_\d+$", "Distinct-{}", "how many groups of {} words are said only once", "as real is best"),
    Sense(r"self_bleu_\d+$", "Self-BLEU", "how alike the texts are to each other", "as real is best"),
    Sense(
        r"nats_per_character$", "Likelihood", "nats that a character costs a reader of real texts", "as real is best"
    ),
    Sense(r"reverse_nats_per_character$", "Reverse", "nats of held-out text to a reader of these", "lower is better"),
    Sense(r"frechet\d+_reader$", "Fréchet distance", "of what that reader makes of held-out texts", "lower is better"),
    Sense(r"bleu_test$", "BLEU", "how many runs of words are those of some held-out text", "as real is best"),
    Sense(r"in_training_set$", "In the training set", "texts that were learnt by heart", "as real is best"),
    Sense(r"in_form$", "In form", "poems of exactly the form that was asked for"),
    Sense(r"constraint_nats_per_token$", "Cost of the form", "nats it takes from the likelihood", "lower is better"),
    Sense(r"validity$", "Validity", "texts that are molecules"),
    Sense(r"unique_\d+$", "Uniqueness", "valid ones that differ"),
    Sense(r"novelty$", "Novelty", "different ones that are not in the training set"),
    Sense(r"internal_diversity$", "Internal diversity", "how unlike the molecules are", "as real is best"),
    Sense(r"frechet_fingerprint_\d+$", "Fréchet distance", "of fingerprints from held-out ones", "lower is better"),
    Sense(r"right$", "Right", "verdicts that are true"),
    Sense(r"right_on_(\w+)$", "Right on what is {}", "of statements that are {} of their picture"),
    Sense(r"majority$", "Majority", "what always the commoner answer would reach"),
    Sense(r"(\w+)_accuracy$", "{}", "how often a picture shows the {} its prompt asks for", is_accuracy=True),
)


def contact_sheet(pngs: Sequence[bytes], num_columns: int, zoom: int) -> bytes:
    """Pictures of one size side by side, each pixel drawn `zoom` by `zoom`, as PNG bytes."""
    return images.encode_png(images.grid(images.to_tensor(pngs), num_columns, zoom))


def render(
    report: Mapping[str, Any],
    shown: Sequence[Shown],
    real: Sequence[Shown],
    best: Sequence[Shown],
    worst: Sequence[Shown],
) -> str:
    """The HTML page of a report.json with its pictures; equal input gives equal bytes."""
    pairs, other_real = _pair(shown, real)
    return _page(report, pairs=pairs, other_real=other_real, best=best, worst=worst)


def render_texts(
    report: Mapping[str, Any], texts: Sequence[Mapping[str, str | None]], plot: bytes | None = None
) -> str:
    """The same for texts with their `prompt` and `reference`, and the picture of a sweep where there was one."""
    return _page(report, texts=texts, plot=plot or b"")


def render_verdicts(report: Mapping[str, Any], shown: Sequence[Shown], wrong: Sequence[Shown]) -> str:
    """The same for pictures with a statement and a score each; `wrong` are those that a judge was surest of."""
    return _page(report, verdicts=shown, wrong=wrong)


def _page(report: Mapping[str, Any], **shown: Any) -> str:
    page = Environment(
        loader=PackageLoader("pipelines", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"number": format_number, "data_uri": _data_uri, "pretty": _pretty, "sense": sense}
    lines = scores(report)
    kinds = ("texts", "verdicts", "wrong", "pairs", "other_real", "best", "worst")
    nothing: dict[str, Any] = {"plot": b"", **{kind: [] for kind in kinds}}
    return page.get_template("report.html.j2").render(
        report={"signatures": {}, **report},
        scores=[line for line in lines if not line.sense.is_accuracy],
        accuracies=[line for line in lines if line.sense.is_accuracy],
        **nothing | shown,
    )


def scores(report: Mapping[str, Any]) -> list[Score]:
    """Every metric with its sense, spread and floor, in the order of `SENSES`, then of the report."""
    metrics, floors = report["metrics"], report.get("floors", {})
    found = []
    for name, value in metrics.items():
        if name.endswith("_std") and name.removesuffix("_std") in metrics:
            continue
        interval = report.get("intervals", {}).get(name)
        floor_name = _floor_name(name, floors)
        found.append(
            Score(
                name=name,
                sense=sense(name),
                value=value,
                interval=(float(interval[0]), float(interval[1])) if interval else None,
                std=metrics.get(f"{name}_std", math.nan),
                floor_name=floor_name,
                floor=floors.get(floor_name, math.nan),
            )
        )
    order = [sense.pattern for sense in SENSES]
    return sorted(found, key=lambda s: order.index(s.sense.pattern) if s.sense.pattern in order else len(order))


def score_table(report: Mapping[str, Any]) -> str:
    """The scores as aligned plain text for a terminal, a line each: metric, value, spread, floor."""
    rows = [("metric", "value", "95 % or ± std", "real")]
    for line in scores(report):
        floor = "" if math.isnan(line.floor) else format_number(line.floor)
        other = "" if line.floor_name in ("", line.name) else f" ({line.floor_name})"
        rows.append((line.name, format_number(line.value), line.spread, floor + other))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rows.insert(1, ("-" * widths[0], "-" * widths[1], "-" * widths[2], "-" * widths[3]))
    return "\n".join(
        f"{n:<{widths[0]}}  {v:>{widths[1]}}  {s:>{widths[2]}}  {f:>{widths[3]}}".rstrip() for n, v, s, f in rows
    )


def format_number(value: float) -> str:
    """Counts with thousands separators; other numbers fixed, to three decimals or two significant digits."""
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    size = abs(value)
    if size < 1e-5:
        return f"{value:.1e}"
    num_decimals = 1 if size >= 100 else 2 if size > 1 else 3 if size >= 0.1 else 1 - math.floor(math.log10(size))
    return f"{value:.{num_decimals}f}"


def sense(name: str) -> Sense:
    """Of a metric, by its name; one that nobody has described means what its name says."""
    for held in SENSES:
        if match := re.match(held.pattern, name):
            group = match.group(1).replace("_", " ") if match.re.groups else ""
            title, meaning = held.title.format(group), held.meaning.format(group)
            return Sense(held.pattern, title, meaning, held.better, held.is_accuracy)
    return Sense("", name, "", "")


def _floor_name(name: str, floors: Mapping[str, float]) -> str:
    """The floor of the same metric: of as many pictures, else of another count, else none."""
    if name in floors:
        return name
    kind = re.sub(r"^([a-z]+)\d+k?_", r"\1_", name)
    return next((other for other in floors if re.sub(r"^([a-z]+)\d+k?_", r"\1_", other) == kind), "")


def _pair(shown: Sequence[Shown], real: Sequence[Shown]) -> tuple[list[tuple[Shown, Shown | None]], list[Shown]]:
    """Each generated picture with a real one of its prompt, taken in turn, and the real ones of other prompts."""
    by_prompt: dict[str, list[Shown]] = defaultdict(list)
    for picture in real:
        by_prompt[picture.prompt].append(picture)
    turn = Counter[str]()
    pairs: list[tuple[Shown, Shown | None]] = []
    for picture in shown:
        held = by_prompt.get(picture.prompt)
        pairs.append((picture, held[turn[picture.prompt] % len(held)] if held else None))
        turn[picture.prompt] += 1
    return pairs, [picture for picture in real if picture.prompt not in turn]


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
