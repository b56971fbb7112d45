"""Values that the command line overrides: `--set a.b=value`."""

from collections.abc import Sequence
from typing import Any

import yaml

from ganrnn.errors import BadInput
from pipelines.config.plain_yaml import end_of_value, excerpt_of, read_yaml


def parse_override(override: str) -> tuple[Sequence[str], Any]:
    """The key of `a.b=value`, in parts, and its value, which is YAML. Raises BadInput where it is anything else."""
    key, equals, value = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise BadInput(f"--set {excerpt_of(override)}: give key=value, for example train.num_workers=1")
    try:
        plain = read_yaml(value)
        _refuse_comment(value)
    except yaml.YAMLError as error:
        raise BadInput(f"--set {excerpt_of(override)}: the value is not YAML{_advice(key, value, error)}") from error
    except BadInput as error:
        raise BadInput(f"--set {excerpt_of(override)}: {error}") from error
    return parts, plain


def _advice(key: str, value: str, error: yaml.YAMLError) -> str:
    if value[0] in "@`%":
        return (
            f"; a text that begins with {value[0]} stands in quotes: --set '{excerpt_of(key)}=\"{excerpt_of(value)}\"'"
        )
    problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error).partition("\n")[0]
    return f" ({problem})"


def _refuse_comment(value: str) -> None:
    """BadInput for a value that YAML would cut at a comment without a word."""
    if comment := value[end_of_value(value) :].strip():
        raise BadInput(
            f"YAML takes {comment!r} for a comment and would leave it out; "
            "put the value in quotes that the shell passes on, such as --set 'a.b=\"runs/my run #1\"'"
        )


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set `a.b=value` in the plain values of a recipe."""
    (*sections, last), value = parse_override(override)
    for section in sections:
        if values.get(section) is None:  # as in `train:` without keys
            values[section] = {}
        values = values[section]
        if not isinstance(values, dict):
            raise BadInput(f"--set {excerpt_of(override)}: {section} is a value, not a section")
    values[last] = value
