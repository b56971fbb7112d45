"""Is the file of a change found by somebody who does not know the code?

changes.json holds twenty changes, asked for in the words of the field before the files had their present places by
somebody who had not seen the project; `files`, any of which is the right one to open; `words`, what the same kind of
reader would search paths for; `opened`, the two files that this reader chose from the bare list of paths.
"""

import json
import re
from pathlib import Path

from tests.structure.layout import ROOT, tracked

CHANGES = json.loads(Path(__file__).with_name("changes.json").read_text(encoding="utf-8"))
PATHS = [str(path) for path in tracked("ganrnn", "pipelines", "jobs", "infra") if path.name != "__init__.py"]
FOUND_BY_READER, FOUND_BY_SEARCH = 20, 11


def found_by_reader() -> int:
    """Changes whose file is among the two that the reader chose from the list of paths."""
    return sum(not set(change["files"]).isdisjoint(change["opened"]) for change in CHANGES)


def found_by_search() -> int:
    """Changes whose file is among the first two by words of the search that the path, or else the file, holds."""
    return sum(not set(change["files"]).isdisjoint(search(change["words"])[:2]) for change in CHANGES)


def search(words: str) -> list[str]:
    """Paths that hold most of the words; where no path holds one, files whose text holds most of them most often."""
    stems = [re.sub(r"(y|ies|s|ing)$", "", word) for word in words.split()]
    by_path = {path: sum(stem in path.lower() for stem in stems) for path in PATHS}
    if not any(by_path.values()):
        texts = {path: (ROOT / path).read_text(encoding="utf-8").lower() for path in PATHS}
        by_path = {path: sum(min(text.count(stem), 100) for stem in stems) for path, text in texts.items()}
    return sorted((path for path in PATHS if by_path[path]), key=lambda path: (-by_path[path], len(path), path))


if __name__ == "__main__":
    print(f"{found_by_reader()} of {len(CHANGES)} by a reader of the paths, {found_by_search()} by a search over them")
    for change in CHANGES:
        print(f"{change['words']:<20} {search(change['words'])[:2]}")
