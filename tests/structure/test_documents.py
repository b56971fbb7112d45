"""The documents say what is so: measured numbers, links, tables of files, systems, commands and recipes."""

import importlib.util
import inspect
import json
import re
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ganrnn.data import scenes
from ganrnn.metrics.extractors import inception
from ganrnn.task import Task, task_class
from ganrnn.training.guard import GuardConfig
from jobs import cli
from jobs.verbs import VERBS
from pipelines.config.evaluate import MOST_CANDIDATES
from pipelines.config.loader import load_recipe
from pipelines.config.recipe import Recipe
from pipelines.evaluate.images.metrics import FEWEST_ROWS_PER_FEATURE
from pipelines.formats import schemas
from pipelines.storage import s3
from tests.benchmarks import document_figures
from tests.structure import documents
from tests.structure.documents import PAGES, ROOT

MOST_LINES_OF_README, WIDEST_LINE = 250, 120
# Numbers that no benchmark of the project measured, by page: what states them, or where they are published.
NOT_MEASURED = {
    "tests/benchmarks/README.md": {
        *("250,000", "1,000", "4,000", "3,500", "5,500"),  # the estimate for a thousand GPUs; the S3 user guide
        *("1,584,663", "30,000"),  # Polykovskiy et al. 2020
        *("0.56", "0.58"),  # Suhr et al. 2017 and after
        *("0.6", "0.8"),  # temperatures of hybrids.py
        *("2,000", "5,500"),  # jobs/recipes/demo.yaml and the recipes of the table
    },
    "pipelines/evaluate/README.md": {
        "95,628,359",  # the file that ganrnn/metrics/extractors/inception.py has the digest of
        "1,656",  # pinned below
        "95 %",
    },
    "pipelines/formats/README.md": {"95 %"},
    "README.md": {
        *("3.11", "3.12", "3.13", "2.0"),  # versions of Python and of the licence
        "2,000",  # jobs/recipes/demo.yaml
    },
    "CONTRIBUTING.md": {"3.11", "3.13"},  # of Python
    "infra/README.md": {"1.7"},  # of KubeRay
}
SYSTEMS = {path.stem for path in (ROOT / "ganrnn/tasks").glob("*.py")} - {"__init__"}
SECTIONS = "task|" + "|".join(field.name for field in fields(Recipe) if is_dataclass(field.type))
FIGURE = re.compile(r"(?<![\w.])\d[\d,]*\.\d+(?![\w.])|\b\d{1,3}(?:,\d{3})+\b|\b\d+ %")


@pytest.mark.parametrize("name", PAGES)
def test_numbers_and_tables_are_those_of_the_results(name: str) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    assert document_figures.filled(text) == text, "run: python -m tests.benchmarks.document_figures"


def test_a_wrong_number_is_corrected_with_its_digits_and_unit() -> None:
    source = "evaluation/answers_acknowledged"
    assert document_figures.value(source) == 3_424
    assert document_figures.filled(f"7<!-- {source} -->") == f"3424<!-- {source} -->"
    assert document_figures.filled(f"7,000.0 %<!-- {source} -->") == f"342,400.0 %<!-- {source} -->"
    assert document_figures.filled(f"1 minutes<!-- {source} -->") == f"57 minutes<!-- {source} -->"
    with pytest.raises(KeyError, match="no_such_figure"):
        document_figures.filled("1<!-- evaluation/no_such_figure -->")
    with pytest.raises(KeyError, match="no-such-table"):
        document_figures.filled("<!-- table: no-such-table -->\n<!-- /table -->")


@pytest.mark.parametrize("name", PAGES)
def test_no_measured_number_is_typed(name: str) -> None:
    found = set(FIGURE.findall(documents.typed(PAGES[name].read_text(encoding="utf-8"))))
    assert found - NOT_MEASURED.get(name, set()) == set()


def test_results_of_recipe_headers_are_those_of_the_headers() -> None:
    for name, details in json.loads((document_figures.RESULTS / "recipe_runs.json").read_text())["details"].items():
        header = (ROOT / details["read_from"].removeprefix("header of ")).read_text(encoding="utf-8")
        assert details["commit"] in header, name
        for number in _numbers(details):
            ways = {f"{number:,}", f"{number:.5f}", f"{number:.2f}", f"{100 * number:.1f} %"}
            assert any(way in header for way in ways), f"{name}: {number}"


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    broken = []
    for link in documents.links(PAGES[name].read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if path.startswith("https://"):
            continue
        target = (PAGES[name].parent / path).resolve() if path else PAGES[name]
        page = target / "README.md" if (target / "README.md").exists() else target
        if not page.exists() or (anchor and anchor not in documents.anchors(page)):
            broken.append(link)
    assert broken == []


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_README


@pytest.mark.parametrize("name", PAGES)
def test_lines_are_short_but_those_of_tables(name: str) -> None:
    lines = document_figures.BLOCK.sub("", PAGES[name].read_text(encoding="utf-8")).splitlines()
    assert [line for line in lines if len(line) > WIDEST_LINE and line.lstrip()[:1] != "|" and "](" not in line] == []


def test_every_column_of_every_file_is_in_the_table() -> None:
    text = PAGES["pipelines/formats/README.md"].read_text(encoding="utf-8")
    expected = [
        *(schemas.dataset(kind, has_sources=False) for kind in ("images", "texts", "pairs")),
        *(schemas.prompts(kind, has_sources=False) for kind in ("images", "texts")),
        *(schemas.SAMPLES, schemas.TEXT_SAMPLES, schemas.SCORES, schemas.RATINGS, schemas.REJECTS),
    ]
    written = [columns for _, columns in documents.rows(text, "| file | columns")]
    assert written == [", ".join(map(_column, schema)) for schema in expected]


def test_every_system_has_a_row_in_both_tables() -> None:
    for name, header in (("README.md", "| system"), ("ganrnn/tasks/README.md", "| task |")):
        cells = [row[0] for row in documents.rows(PAGES[name].read_text(encoding="utf-8"), header)]
        assert {re.findall(r"`(\w+)`", cell)[0] for cell in cells} == SYSTEMS


def test_every_command_has_a_row() -> None:
    rows = documents.rows(PAGES["jobs/README.md"].read_text(encoding="utf-8"), "| command")
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row[0])} == set(VERBS)


def test_every_recipe_has_a_row() -> None:
    rows = documents.rows(PAGES["jobs/recipes/README.md"].read_text(encoding="utf-8"), "| recipe")
    folder = ROOT / "jobs/recipes"
    linked = [str(Path(re.findall(r"\((.+)\)", row[0])[0])) for row in rows]
    assert sorted(linked) == sorted(str(path.relative_to(folder)) for path in folder.rglob("*.yaml"))


def test_sizes_that_pages_state_are_those_of_the_code() -> None:
    renderings = len(scenes.single_combinations()) + len(scenes.pair_combinations())
    guard, words = GuardConfig(), ("", "one", "two", "three", "four", "five", "six")
    demo = load_recipe(str(ROOT / "jobs/recipes/demo.yaml"))
    stated = {
        "README.md": (f"{demo.ingest.scenes.num_test:,} held-out prompts",),
        "pipelines/evaluate/README.md": (
            f"all {renderings:,} renderings",
            f"({inception.NUM_BYTES:,} bytes;",
            f"{MOST_CANDIDATES - 1} others",
            f"fewer than {words[FEWEST_ROWS_PER_FEATURE]} images per feature",
        ),
        "pipelines/rate/README.md": (f"http://127.0.0.1:{demo.rate.port}",),
        "pipelines/generate/README.md": (
            f"requests are tried {words[int(s3._DEFAULTS['AWS_MAX_ATTEMPTS'])]} times or more",
        ),
        "ganrnn/tasks/README.md": tuple(f"`{name}`" for name in vars(guard) if name.startswith(("most_", "least_"))),
    }
    for name, sentences in stated.items():
        text = " ".join(PAGES[name].read_text(encoding="utf-8").split())
        assert [sentence for sentence in sentences if sentence not in text] == [], name


def test_contributing_names_all_that_a_task_has() -> None:
    text = PAGES["CONTRIBUTING.md"].read_text(encoding="utf-8")
    methods = {name for name, member in vars(Task).items() if inspect.isroutine(member) and not name.startswith("_")}
    assert {name for name in methods | set(Task.__annotations__) if not re.search(rf"`{name}\b", text)} == set()


def test_exit_codes_are_those_of_the_command_line() -> None:
    rows = documents.rows(PAGES["pipelines/config/README.md"].read_text(encoding="utf-8"), "| exit code")
    assert sorted(code for code, _ in rows) == re.findall(r"^  (\d)", cli.EXIT_CODES, re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_keys_of_recipes_exist(name: str) -> None:
    keys = re.findall(rf"`(?:--set )?({SECTIONS})\.([\w.]+)[^`\n]*`", PAGES[name].read_text(encoding="utf-8"))
    unknown = [f"{section}.{key}" for section, key in keys if key != "py" and not _has_key(section, key.split("."))]
    assert unknown == []


def test_an_unknown_key_is_found() -> None:
    assert _has_key("task", ["penalty_weight"]) and _has_key("generate", ["since", "KEY"])
    assert not _has_key("task", ["penalty_wait"]) and not _has_key("train", ["guard", "enable"])


def test_modules_that_the_changelog_names_exist() -> None:
    rows = documents.rows(PAGES["CHANGELOG.md"].read_text(encoding="utf-8").replace("\n  |", "\n|"), "| before")
    names = [name for row in rows for name in re.findall(r"`((?:ganrnn|pipelines)[\w.]+)`", row[1])]
    assert len(names) > len(rows) and [name for name in names if not importlib.util.find_spec(name)] == []


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in _numbers(part)]
    return [] if isinstance(value, str) else [value]


def _has_key(section: str, key: Sequence[str]) -> bool:
    """Whether a section of a recipe, or of any task's config, has a key."""
    if section == "task":
        return any(_has_field(task_class(system).config_type, key) for system in SYSTEMS)
    return _has_field(Recipe, [section, *key])


def _has_field(schema: Any, key: Sequence[str]) -> bool:
    if not key or key[0] == "KEY" or typing.get_origin(schema) is dict:
        return True
    hints = typing.get_type_hints(schema) if is_dataclass(schema) else {}
    return key[0] in hints and _has_field(hints[key[0]], key[1:])


def _column(field: pa.Field) -> str:
    name = field.name if field.nullable else f"**{field.name}**"
    if field.type == schemas.IMAGE:
        return name
    kind = "map" if field.type == schemas.ATTRIBUTES else str(field.type).partition("[")[0]
    return f"{name} {kind}"
