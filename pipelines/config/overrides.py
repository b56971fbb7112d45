"""YAML as recipes use it, and values that the command line overrides: `--set a.b=value`."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from ganrnn.errors import BadInput


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number and 2026-01-31 a string, as in version 1.2; PyYAML has it the other way round.

    To PyYAML 010 is 8 and 10:30 is 630; both are strings here, which a key that wants a number refuses. A key that
    stands twice is refused, as the standard asks for; PyYAML drops the first one in silence.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Where keys still stand as they were written: a merge (`<<`) may well give a key that the mapping has."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                raise BadInput(
                    f"line {line}: {key.value!r} stands twice, first in line {first[key.value]}; leave one of them out"
                )
            first[key.value] = line
        return node


_OCTAL_OR_SEXAGESIMAL = re.compile(r"^[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)$")
_Loader.yaml_implicit_resolvers = {
    first: [("tag:yaml.org,2002:str", _OCTAL_OR_SEXAGESIMAL)]
    + [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:
    """Plain values. Raises YAMLError, and BadInput for a key that stands twice in a mapping."""
    return yaml.load(text, Loader=_Loader)  # a SafeLoader


def parse_override(override: str) -> tuple[Sequence[str], Any]:
    """The key of `a.b=value`, in parts, and its value, which is YAML. Raises BadInput where it is anything else."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise BadInput(f"--set {override}: give key=value, for example train.num_workers=1")
    try:
        _refuse_comment(value)
        return key.split("."), read_yaml(value)
    except yaml.YAMLError as error:
        raise BadInput(f"--set {override}: the value is not YAML") from error
    except BadInput as error:
        raise BadInput(f"--set {override}: {error}") from error


def _refuse_comment(value: str) -> None:
    """BadInput for a value that YAML would cut at a comment without a word."""
    node = yaml.compose(value, Loader=_Loader)
    end = node.end_mark.index if node else 0
    if comment := value[end:].strip():
        raise BadInput(
            f"YAML takes {comment!r} for a comment and would leave it out; "
            "put the value in quotes that the shell passes on, such as --set 'a.b=\"runs/my run #1\"'"
        )


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set `a.b=value` in the plain values of a recipe."""
    (*sections, last), value = parse_override(override)
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise BadInput(f"--set {override}: {section} is a value, not a section")
    values[last] = value
