"""`ganrnn keys`: every key has a sentence, and what is read from the source files is what the classes have."""

import dataclasses
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from ganrnn.errors import BadInput
from ganrnn.task import task_class
from jobs import cli
from pipelines.config.keys import Key, recipe_keys, task_config, task_keys, task_names
from pipelines.config.loader import parse_recipe
from pipelines.config.rebuilt import rebuilt
from pipelines.config.recipe import Recipe

Captured = pytest.CaptureFixture[str]
KEYS = {"": recipe_keys()} | {task: task_keys(task) for task in task_names()}  # by task; "" is what all have in common


def leaves(config_type: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name, type and default of all fields of a config class and of the classes in it."""
    types_by_name = typing.get_type_hints(config_type)
    for field in dataclasses.fields(config_type):
        factory, kind = field.default_factory, types_by_name[field.name]
        default = field.default if factory is dataclasses.MISSING else factory()
        yield prefix + field.name, kind, default
        if dataclasses.is_dataclass(kind):
            yield from leaves(kind, f"{prefix}{field.name}.")


def plain(name: str, kind: Any, default: Any) -> tuple[str, str, str]:
    """The same for a rebuilt class as for the real one, which are two classes."""
    is_section = dataclasses.is_dataclass(kind)
    return name, kind.__name__ if is_section else str(kind), str(dataclasses.asdict(default) if is_section else default)


@pytest.mark.parametrize("task", KEYS)
def test_rebuilt_classes_are_the_real_ones(task: str) -> None:
    read = rebuilt("pipelines.config.recipe", "Recipe") if not task else task_config(task)
    real = task_class(task).config_type if task else Recipe
    assert read is not real
    expected = [plain(*leaf) for leaf in leaves(real)]
    assert [plain(*leaf) for leaf in leaves(read)] == expected
    assert [key.name.removeprefix("task.") if task else key.name for key in KEYS[task]] == [
        name for name, *_ in expected
    ]


@pytest.mark.parametrize("task", KEYS)
def test_every_key_has_one_sentence(task: str) -> None:
    for key in KEYS[task]:
        assert re.fullmatch(r"[A-Z].{10,}\.", key.meaning), key.name
        assert len(key.meaning) <= 120, key.name
        assert not re.search(r"\.\s+[A-Z]", re.sub(r"et al\. ", "", key.meaning)), f"{key.name}: more than one sentence"


NUMBER = r"(-?[0-9][0-9.e-]*)"


def outside(key: Key) -> list[float]:
    """Numbers just outside the bounds of a key, as far as they do not depend on another key."""
    if match := re.fullmatch(rf"from {NUMBER} up", key.allowed):
        return [float(match[1]) - 1]
    if match := re.fullmatch(rf"multiples of {NUMBER} from {NUMBER} up", key.allowed):
        return [float(match[2]) + 1]
    if match := re.fullmatch(rf"above {NUMBER}", key.allowed):
        return [float(match[1])]
    if match := re.fullmatch(rf"up to {NUMBER}", key.allowed):
        return [float(match[1]) + 1]
    if match := re.fullmatch(rf"from {NUMBER} to {NUMBER}", key.allowed):
        return [float(match[1]) - 1, float(match[2]) + 1]
    if match := re.fullmatch(rf"from 0 to below {NUMBER}", key.allowed):
        return [-1, float(match[1])]
    if match := re.fullmatch(rf"above {NUMBER} to {NUMBER}", key.allowed):
        return [float(match[1]), float(match[2]) + 1]
    if match := re.fullmatch(rf"between {NUMBER} and {NUMBER}", key.allowed):
        return [float(match[1]), float(match[2])]
    return []


def bounded() -> Iterator[tuple[str, Key, float]]:
    for task, keys in KEYS.items():
        for key in keys:
            if "number" in key.type and not key.name.endswith("seed"):
                yield from ((task, key, value) for value in outside(key))


def test_bounds_that_are_printed_are_those_that_are_checked() -> None:
    cases = list(bounded())
    assert len(cases) > 150
    for task, key, value in cases:
        raw: dict[str, Any] = {"name": "x", "run_uri": "x", "task": {"name": task or "language_model"}}
        *sections, last = key.name.split(".")
        values = raw
        for section in sections:
            values = values.setdefault(section, {})
        values[last] = int(value) if key.type.startswith("whole") else float(value)
        sentence = (
            rf"\b{last} is {re.escape(str(values[last]))}; allowed are ((values|shares) )?{re.escape(key.allowed)}$"
        )
        with pytest.raises(BadInput, match=sentence):
            parse_recipe(raw, "x")


def shown(capsys: Captured, *arguments: str) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["keys", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


def test_a_section_is_printed(capsys: Captured) -> None:
    assert shown(capsys, "generate.choice") == [
        "generate.choice",
        "    A judge that chooses among candidates.",
        'generate.choice.judge_uri: URI, default: ""',
        "    Model of the task match_judge that chooses, as generate.model_uri names a model.",
        "generate.choice.num_candidates: whole number, default: 1, allowed: from 1 up",
        "    Number of images per sample, of which the one that fits the prompt best is kept.",
        "generate.choice.least_score: number, default: 0.0, allowed: from 0 to 1",
        "    Match score below which the prompt is rejected.",
    ]
    assert shown(capsys, "generate.samples_uri")[0] == "generate.samples_uri: URI, default: RUN_URI/samples"
    assert shown(capsys, "evaluate.report_uri")[0] == "evaluate.report_uri: URI, default: RUN_URI"
    assert shown(capsys, "ingest.source_uri")[0] == "ingest.source_uri: URI or null, default: null"
    assert shown(capsys, "rate.beside")[0] == "rate.beside: mapping of names to URIs, default: {}"
    assert shown(capsys, "run_uri")[0] == "run_uri: URI, default: none, required"
    assert shown(capsys, "ingest.scenes.languages")[0] == (
        'ingest.scenes.languages: list of texts, default: ["en", "zh"], allowed: en, zh'
    )


def test_keys_of_tasks_are_printed(capsys: Captured) -> None:
    headings = [f"task.name {task}:" for task in task_names()]
    printed = shown(capsys)
    assert [line for line in printed if line.startswith("task.name ")] == headings
    assert len([line for line in printed if line.startswith("    ")]) == sum(map(len, KEYS.values()))
    assert [line for line in shown(capsys, "--task", "seq2seq") if line.startswith("task.name ")] == [headings[5]]
    assert shown(capsys, "task.optimiser.learning_rate", "--task", "match_judge") == [
        "task.name match_judge:",
        "task.optimiser.learning_rate: number, default: 0.002, allowed: above 0",
        "    Largest learning rate of Adam.",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trian"], "trian is no section or key of a recipe; did you mean train?"),
        (
            ["task.heigth", "--task", "image_gan"],
            "task.heigth is no section or key of a recipe; did you mean task.height?",
        ),
        (
            ["task.height", "--task", "language_model"],
            "task.height is a key of image_gan, image_to_image, match_judge, text_to_image alone; "
            "--task is another one",
        ),
        (
            ["task.image_gan"],
            "task.image_gan is no section or key of a recipe; `ganrnn keys task --task image_gan` lists its keys",
        ),
        (["TRAIN"], "TRAIN is no section or key of a recipe; did you mean train?"),
        (["a\nb\x1b"], "a\\nb\\x1b is no section or key of a recipe; `ganrnn keys` lists all keys"),
        (["train", "--task", "image_gan"], "--task is for the section task; SECTION is train"),
        (["--task", ""], f"--task is ''; allowed are {', '.join(task_names())}"),
        (["qqqq"], "qqqq is no section or key of a recipe; `ganrnn keys` lists all keys"),
        (["--task", "gan"], f"--task is 'gan'; allowed are {', '.join(task_names())}"),
    ],
)
def test_an_unknown_section_or_task_is_refused(arguments: list[str], sentence: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["keys", *arguments])
    assert ended.value.code == 2 and capsys.readouterr().err == f"ganrnn: {sentence}\n"
