"""The folders of the project as a graph: widths, levels, imports between them, circles.

python -m tests.structure.layout
"""

import ast
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
PACKAGES = ("ganrnn", "pipelines", "jobs")

Graph = Mapping[str, set[str]]


def tracked(*patterns: str) -> list[Path]:
    """The files of the project that git knows or would take, relative to its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [Path(name) for name in sorted(set(names)) if (ROOT / name).exists()]


def widths(paths: Iterable[Path]) -> dict[str, int]:
    """Files that lie directly in each folder, its package line `__init__.py` not counted."""
    counts: dict[str, int] = defaultdict(int)
    for path in paths:
        counts[str(path.parent)] += path.name != "__init__.py"
    return dict(counts)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Every function of a file and its number of lines, decorators included."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield node.name, (node.end_lineno or first) - first + 1


def folder_imports(package: str, depth: int | None = None) -> dict[str, set[str]]:
    """Folder -> folders that its files import from, within a package; of folders no more than `depth` names count."""
    graph = grimp.build_graph(package)
    folders: dict[str, set[str]] = {}
    for module in graph.modules:
        own = _folder(graph, module, depth)
        imported = {_folder(graph, other, depth) for other in graph.find_modules_directly_imported_by(module)}
        folders.setdefault(own, set()).update(imported - {own})
    # Files that lie at the top of a package are the ground on which its folders stand.
    return {folder: {other for other in others if other != package} for folder, others in folders.items()}


def _folder(graph: grimp.ImportGraph, module: str, depth: int | None) -> str:
    folder = module if graph.find_children(module) else module.rpartition(".")[0]
    return ".".join(folder.split(".")[:depth])


def circle(graph: Graph) -> list[str]:
    """Folders that need each other in a circle; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def levels(graph: Graph) -> list[list[str]]:
    """Folders by the longest way down to one that imports no other, lowest first."""
    height: dict[str, int] = {}
    for folder in TopologicalSorter(graph).static_order():
        height[folder] = max((height[other] + 1 for other in graph.get(folder, ())), default=0)
    return [sorted(folder for folder in height if height[folder] == level) for level in range(max(height.values()) + 1)]


def main() -> None:
    """Print it all."""
    wide = sorted(widths(tracked("*.py")).items(), key=lambda item: (-item[1], item[0]))
    print("widest folders (Python files)")
    for folder, count in wide[:10]:
        print(f"  {count:3d}  {folder}")
    for package in PACKAGES:
        whole = folder_imports(package)
        print(f"{package}: {len(whole)} folders, circle: {circle(whole) or 'none'}")
    verbs = {folder: others for folder, others in folder_imports("pipelines", 2).items() if folder != "pipelines"}
    print(f"pipelines: {len(verbs)} folders below it, {sum(map(len, verbs.values()))} imports between them, by level:")
    for level in reversed(levels(verbs)):
        print("  " + "  ".join(name.removeprefix("pipelines.") for name in level))


if __name__ == "__main__":
    main()
