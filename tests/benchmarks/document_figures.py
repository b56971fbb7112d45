"""Writes measured numbers into the documents, from the JSON files of tests/benchmarks/results.

    python -m tests.benchmarks.document_figures           (at the root of the project)

A number in a page names its source in a comment after it; the author chooses the digits, the script the value:

    BLEU 34.8<!-- rnn_text/multi30k_bleu -->, 86.1 %<!-- hybrids/dreamt_right --> of the captions

A block between `<!-- table: NAME -->` and `<!-- /table -->` is filled from the section NAME of document_tables.md, and
below it stands which commit and command its numbers are of. tests/structure/test_documents.py fails where a page and
the JSON files differ.
"""

import functools
import json
import re
import statistics
import subprocess
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from tests.benchmarks.record import GOALS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests/benchmarks/results"
TEMPLATES = ROOT / "tests/benchmarks/document_tables.md"
# A number with its unit, and the path of its source: file/figure, or file/figure/part/part.
NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d+)?)( ?%| minutes)?<!-- (\w+/[^>]+?) -->")
BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
# {path .2}, {path %.1}, {path ,}, {path e}, {path text}, {mean path .1}: a value of a table, and how it is written.
# {goal NAME}: the goal of a figure.
FIELD = re.compile(r"\{(?:(min|max|mean|list) )?(\w+/[^{}]+?) (%?)(,|e|text|\.\d)\}")
GOAL = re.compile(r"\{goal (\w+)\}")
UNITS = {"": Decimal(1), "%": Decimal(100), "minutes": Decimal(1) / Decimal(60)}
SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {"min": min, "max": max, "mean": statistics.fmean}


def pages() -> list[Path]:
    """The documents of the project, as git knows them, but for what earlier commits wrote."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", ":!tests/fixtures"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split("\n") if name and ROOT / name != TEMPLATES]


def filled(text: str) -> str:
    """The text with every number and table as the JSON files have them; KeyError for a source that is not there."""
    text = BLOCK.sub(lambda match: f"{match[1]}{_block(match[2])}{match[3]}", text)
    return NUMBER.sub(_number, text)


def value(path: str) -> Any:
    """What stands at `file/figure`, or at a place in the figure's details."""
    file, figure, *parts = path.split("/")
    results = _results(file)
    if not parts:
        return results["figures"][figure]
    return functools.reduce(lambda node, part: node[int(part) if isinstance(node, list) else part], parts,
                            results["details"][figure])  # fmt: skip


def origins(paths: Sequence[str]) -> list[str]:
    """One line for each command that measured one of these figures: the command, its commit and day."""
    return list(dict.fromkeys(_origin(*path.split("/")[:2]) for path in paths))


def template(name: str) -> str:
    """A section of document_tables.md."""
    sections = re.split(r"^## (.+)\n", TEMPLATES.read_text(), flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True))[name].strip("\n")


def _number(match: re.Match[str]) -> str:
    digits, unit, path = match[1], match[2] or "", match[3]
    places = len(digits.partition(".")[2])
    shown = _shown(Decimal(str(value(path))) * UNITS[unit.strip()], places, "," if "," in digits else "")
    return f"{shown}{unit}<!-- {path} -->"


def _block(name: str) -> str:
    if name == "sources":
        return f"{_sources()}\n"
    text = template(name)
    lines = "\n".join(f"- {line}" for line in origins([match[2] for match in FIELD.finditer(text)]))
    shown = GOAL.sub(_goal, FIELD.sub(_field, text))
    return f"{shown}\n\nMeasured by:\n\n{lines}\n"


def _field(match: re.Match[str]) -> str:
    summary, path, percent, style = match.groups()
    found = value(path)
    if style == "text":
        return str(found)
    numbers = [float(number) for number in found] if summary else [found]
    if summary in SUMMARIES:
        numbers = [SUMMARIES[summary](numbers)]
    if style == "e":
        return ", ".join(f"{number:.1e}" for number in numbers)
    places, scale = (0 if style == "," else int(style[1:])), Decimal(100 if percent else 1)
    shown = [_shown(Decimal(str(number)) * scale, places, "," if style == "," else "") for number in numbers]
    return ", ".join(shown) + (" %" if percent else "")


def _goal(match: re.Match[str]) -> str:
    goal = GOALS[match[1]][1]
    return f"{goal:g}" if goal < 1_000 else f"{goal:,.0f}"


def _shown(number: Decimal, places: int, separator: str) -> str:
    rounded = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return f"{rounded if rounded else abs(rounded):{separator}f}"


def _sources() -> str:
    """Every command that measured something, and the figures that it left."""
    rows = ["| file | command, commit, date | figures |", "| --- | --- | --- |"]
    for file in sorted(path.stem for path in RESULTS.glob("*.json")):
        by_origin: dict[str, list[str]] = {}
        for figure in _results(file)["details"]:
            by_origin.setdefault(_origin(file, figure), []).append(f"`{figure}`")
        rows += [f"| `{file}` | {origin} | {', '.join(names)} |" for origin, names in by_origin.items()]
    return "\n".join(rows)


def _origin(file: str, figure: str) -> str:
    details = _results(file)["details"][figure]
    commit, _, changes = details["commit"].partition(" ")
    command = re.sub(r"^(PYTHONPATH=\. )?(python )?(tests/benchmarks/)?", "", details["command"])
    day = f", {details['date'][:10]}" if "date" in details else ""
    return f"`{command}`, commit `{commit[:7]}`{f' {changes}' if changes else ''}{day}"


@functools.cache
def _results(file: str) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((RESULTS / f"{file}.json").read_text())
    return results


def main() -> None:
    """Fill every page, and name those that changed."""
    for page in pages():
        text = page.read_text()
        if (new := filled(text)) != text:
            page.write_text(new)
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
