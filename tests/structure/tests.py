"""What the tests say of themselves, read without importing them: their tiers, their imports, the table of promises."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.structure import documents
from tests.structure.layout import ROOT

README = ROOT / "tests/README.md"


def tiers(path: Path) -> dict[str, set[str]]:
    """Test function -> its tiers, of which a test with marked parameters has both."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    whole = any(
        isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark" and _has_slow(node.value)
        for node in tree.body
    )
    return {
        node.name: {"slow"} if whole else _tiers_of(node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, of `from a import b` both a and a.b."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def promises() -> Iterator[tuple[int, str, str]]:
    """Number of a promise, tier and node id, for every test that the table of the README names."""
    for promise, quick, slow in documents.rows(README.read_text(encoding="utf-8"), "| promise |"):
        for tier, cell in (("quick", quick), ("slow", slow)):
            for node in cell.split("<br>"):
                yield int(promise.split(".")[0]), tier, node.strip().strip("`")


def _tiers_of(function: ast.FunctionDef) -> set[str]:
    if any(_is_slow(decorator) for decorator in function.decorator_list):
        return {"slow"}
    return {"quick", "slow"} if any(map(_has_slow, function.decorator_list)) else {"quick"}


def _is_slow(node: ast.AST) -> bool:
    return ast.unparse(node).startswith("pytest.mark.slow")


def _has_slow(node: ast.AST) -> bool:
    return any(_is_slow(part) for part in ast.walk(node) if isinstance(part, ast.Attribute))
