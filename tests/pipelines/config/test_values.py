"""Values that no key can hold, and YAML of any kind: accepted, or refused in one sentence that names the key."""

import math
import random
from pathlib import Path
from typing import Any

import pytest

from ganrnn.errors import BadInput
from pipelines.config.keys import Key, recipe_keys, task_keys, task_names
from pipelines.config.loader import load_recipe, parse_recipe
from pipelines.config.plain_yaml import read_yaml
from pipelines.config.recipe import Recipe

KEYS = {"": recipe_keys()} | {task: task_keys(task) for task in task_names()}  # by task; "" is what all have in common
REFUSED = [math.nan, math.inf, -math.inf, 2**70, -(2**70), "a\0b", "\ud800"]


def parsed(task: str, key: str, value: Any) -> Recipe:
    """A recipe of a task that is as short as can be, but for one key."""
    raw: dict[str, Any] = {"name": "x", "run_uri": "x", "task": {"name": task or "language_model"}}
    *sections, last = key.split(".")
    values = raw
    for section in sections:
        values = values.setdefault(section, {})
    values[last] = value
    return parse_recipe(raw, "RECIPE")


def refused(task: str, key: str, value: Any) -> str:
    """The sentence of the refusal; empty where the value is accepted."""
    try:
        parsed(task, key, value)
    except BadInput as error:
        sentence = str(error)
        assert key in sentence and len(sentence) < 1_000 and len(sentence.splitlines()) == 1, sentence
        return sentence
    return ""


@pytest.mark.parametrize("task", KEYS)
def test_what_no_key_can_hold_is_refused_by_every_key(task: str) -> None:
    for key in KEYS[task]:
        for value in REFUSED:
            assert refused(task, key.name, value).startswith(f"RECIPE: {key.name} "), (key.name, value)


def numbers(key: Key) -> bool:
    return "number" in key.type and not key.type.startswith(("mapping", "list"))


@pytest.mark.parametrize("task", KEYS)
def test_every_number_has_bounds_and_an_accepted_one_is_inside(task: str) -> None:
    for key in filter(numbers, KEYS[task]):
        assert key.allowed, f"{key.name} has no bounds"
        if not refused(task, key.name, -(2**40)):
            assert key.allowed.startswith("from -9223372036854775808 to"), key.name
        if not refused(task, key.name, -1):
            assert "-" in key.allowed, key.name
        if not refused(task, key.name, 0):
            assert key.allowed.startswith(("from 0", "from -", "between -")), key.name


@pytest.mark.parametrize("task", KEYS)
def test_values_of_every_kind_are_accepted_or_refused_with_their_key(task: str) -> None:
    for key in KEYS[task]:
        for value in ("", "x" * 10_000, [], [[]], {}, {"": 1}, {"a\nb": {}}, None, True, "@best"):
            refused(task, key.name, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1F", 31),
        ("0o17", 15),
        ("-12", -12),
        ("16_000", 16_000),
        ("1e3", 1e3),
        (".5", 0.5),
        ("-.INF", -math.inf),
        ("True", True),
        ("~", None),
        ("", None),
        *((text, text) for text in ("010", "1:30", "yes", "no", "on", "Off", "y", "tRue", "2026-01-31", "0b1", "=")),
    ],
)
def test_scalars_are_those_of_the_core_schema(text: str, value: Any) -> None:
    plain = read_yaml(text)
    assert plain == value and type(plain) is type(value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("name=&a [*a]", "name.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 is nested too deep; all"),
        ("a." * 200 + "a=1", "a.a.a.a.a."),
        ("task=" + "[" * 1_000, "the value is not YAML (it is nested too deep)"),
        ("seed=" + "9" * 5_000, "the value is not YAML (a number of 5000 characters; allowed are 100)"),
        ("seed=" + "9" * 50, f"seed is {'9' * 50}; allowed are whole numbers of 64 bits"),
        ('name="\\UFFFFFFFF"', "the value is not YAML ("),
        ("seed=!!int a", "the value is not YAML ('a' is no number)"),
        ("seed=!!binary aGk=", "the value is not YAML (could not determine a constructor for the tag"),
        ("generate.model_uri=@best", "the value is not YAML; a text that begins with @ stands in quotes: --set 'gen"),
        ("generate.sampling.decoding.top_k=-1", "generate.sampling.decoding.top_k is -1; allowed are values from 0"),
        ("train..num_workers=1", "give key=value, for example train.num_workers=1"),
        ("train.num_workers=3", "train.global_batch_size is 32; allowed are multiples of train.num_workers (3) from 2"),
    ],
)
def test_a_mistake_in_an_override_is_told_as_one(override: str, sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        load_recipe("demo", ["seed=1", override])
    message = str(error.value)
    assert message.startswith(f"--set {override[:70]}") and len(message) < 400
    assert sentence in message


def test_a_mistake_of_the_recipe_is_told_as_one_of_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nrun_uri: x\ntask: {name: image_gan, num_steps: 0}\n")
    with pytest.raises(BadInput, match=f"^{path}: task.num_steps is 0; allowed are values above 0$"):
        load_recipe(str(path), ["seed=1", "task.z_dim=4"])


def test_an_empty_section_has_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: x\nrun_uri: x\ntask: {name: image_gan}\ntrain:\ngenerate: {sampling: }\npromote: {at_least: }\n"
    )
    recipe, with_override = load_recipe(str(path)), load_recipe(str(path), ["train.num_workers=4"])
    assert recipe.train == parsed("image_gan", "seed", 0).train and recipe.promote.at_least == {}
    assert with_override.train.num_workers == 4


PIECES = (
    *"[]{}:,-&*!|>'\"%@`#?\n \t\\~<=.0123456789",
    *("a", "b", "task", "name", "train", "generate", "&a", "*a", "<<: ", "!!int ", "!!float ", "!!set ", "!!python/x "),
    *(
        "null",
        "true",
        ".nan",
        "1e999",
        "0x",
        "---\n",
        "...\n",
        "%YAML 9.9\n",
        "\\x",
        "\\UFFFFFFFF",
        "\0",
        "\x85",
        "\ud800",
    ),
    *("~a", "é", "\ufeff", "  ", ": ", "- ", "? ", "''", "9" * 200, "[" * 300, "{a: " * 200),
)


def test_yaml_of_any_kind_is_read_or_refused_in_one_sentence(tmp_path: Path) -> None:
    draw = random.Random(0)
    keys = [key.name for keys in KEYS.values() for key in keys]
    short, path = tmp_path / "short.yaml", tmp_path / "recipe.yaml"
    short.write_text("name: x\nrun_uri: x\ntask: {name: image_gan}\n")
    num_refused = 0
    for _ in range(2_000):
        text = "".join(draw.choices(PIECES, k=draw.randint(1, 8)))
        key = draw.choice([draw.choice(keys), "".join(draw.choices(PIECES, k=2)), "a." * draw.randint(1, 2_000) + "a"])
        overrides = [f"{key}={text}"] if draw.random() < 0.8 else []
        if not overrides:
            path.write_text(text, "utf-8", errors="surrogatepass")
        try:
            load_recipe(str(short if overrides else path), overrides)
        except BadInput as error:
            num_refused += 1
            assert len(str(error)) < 1_200
    assert num_refused > 1_000
