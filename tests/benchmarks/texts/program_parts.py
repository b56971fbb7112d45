"""Parts of a program that cannot be imported, because importing it runs it: its functions as they stand.

space = parts("train.py", ["get_lr"], {"learning_rate": 1e-3})
space["get_lr"](0)
"""

import ast
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def parts(path: str, functions: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """The program's global names: literals that it sets them to, what is `given` instead or besides, its functions."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    space: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with suppress(ValueError):  # no literal
                space[node.targets[0].id] = ast.literal_eval(node.value)
    space |= given
    wanted = set(functions)
    found: list[ast.stmt] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    assert len(found) == len(wanted), f"{path} lacks one of {sorted(wanted)}"
    exec(compile(ast.Module(found, []), path, "exec"), space)
    return space
