"""Config classes rebuilt from the files that define them, without importing these files: they load torch.

A class is rebuilt from its fields alone, together with the types, constants and functions that these name. The
statements that run here are those of our own files, which an import would run as well.
"""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_OWN = ("ganrnn", "pipelines")


@dataclass(frozen=True)
class Source:
    """A module's lines, and its top-level statements by the names that they define or import."""

    lines: list[str]
    statements: dict[str, ast.stmt]

    def class_of(self, name: str) -> ast.ClassDef:
        """The statement of a class."""
        statement = self.statements[name]
        assert isinstance(statement, ast.ClassDef), name
        return statement


@cache
def read_source(module: str) -> Source:
    """The file of a module of ours."""
    text = path_of(module).read_text(encoding="utf-8")
    return Source(text.splitlines(), {name: node for node in ast.parse(text).body for name in names_of(node)})


@cache
def path_of(module: str) -> Path:
    """The file of a module or package of ours."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    assert spec is not None and spec.origin is not None, top
    path = Path(spec.origin).parent.joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def names_of(statement: ast.stmt) -> list[str]:
    """The names that a statement defines or imports."""
    if isinstance(statement, ast.ImportFrom):
        return [alias.asname or alias.name for alias in statement.names]
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


@cache
def rebuilt(module: str, name: str) -> Any:
    """What a module of ours has under a name: a class without methods, a type, a function, a constant, a module."""
    statement = read_source(module).statements[name]
    if isinstance(statement, ast.ImportFrom):
        (imported,) = [alias.name for alias in statement.names if (alias.asname or alias.name) == name]
        source = statement.module or ""
        if source.split(".")[0] not in _OWN:
            return getattr(importlib.import_module(source), imported)
        is_module = path_of(f"{source}.{imported}").exists()
        return _Module(f"{source}.{imported}") if is_module else rebuilt(source, imported)
    if isinstance(statement, ast.ClassDef):
        fields: list[ast.stmt] = [item for item in statement.body if isinstance(item, ast.AnnAssign)]
        statement = ast.ClassDef(statement.name, statement.bases, [], fields or [ast.Pass()], statement.decorator_list)
    scope = _scope(module, statement, but=name)
    exec(compile(ast.fix_missing_locations(ast.Module([statement], [])), str(path_of(module)), "exec"), scope)
    return scope[name]


def evaluated(module: str, expression: ast.expr) -> Any:
    """The value of an expression of constants in a module of ours."""
    return eval(ast.unparse(expression), _scope(module, expression))


def _scope(module: str, node: ast.AST, but: str = "") -> dict[str, Any]:
    """The names that a statement uses, of those that its module defines or imports."""
    used = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)} - {but}
    return {"__name__": module} | {name: rebuilt(module, name) for name in used & set(read_source(module).statements)}


class _Module:
    """Stands for an imported module of ours; what it defines is rebuilt when it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return rebuilt(self._name, name)


def sources_of(config_type: Any) -> Iterator[tuple[str, ast.ClassDef]]:
    """The module and the statement of a rebuilt class and of those that it inherits from, the class itself first."""
    for base in config_type.__mro__[:-1]:
        yield base.__module__, read_source(base.__module__).class_of(base.__name__)
