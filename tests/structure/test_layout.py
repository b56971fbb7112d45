"""The layout holds: narrow folders, short files and functions, no circles, as many levels as the design draws."""

import pytest

from tests.structure import layout

WIDEST_FOLDER, LONGEST_FILE, LONGEST_FUNCTION = 20, 400, 60
LEVELS, IMPORTS_BETWEEN_FOLDERS = 5, 45
PYTHON = layout.tracked("*.py")


def test_no_folder_is_wide() -> None:
    wide = {folder: count for folder, count in layout.widths(layout.tracked()).items() if count > WIDEST_FOLDER}
    assert wide == {}


@pytest.mark.parametrize("package", layout.PACKAGES)
def test_no_folders_need_each_other_in_a_circle(package: str) -> None:
    assert layout.circle(layout.folder_imports(package)) == []


def test_folders_of_the_pipelines_stand_on_few_levels() -> None:
    folders = layout.folder_imports("pipelines", 2)
    del folders["pipelines"]
    assert len(layout.levels(folders)) <= LEVELS
    assert sum(map(len, folders.values())) <= IMPORTS_BETWEEN_FOLDERS


def test_every_package_says_what_it_holds() -> None:
    folders = {path.parent for path in PYTHON if path.parts[0] in layout.PACKAGES}
    for folder in folders:
        first = (layout.ROOT / folder / "__init__.py").read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith('"""') and len(first) > 20, folder


def test_no_file_is_long() -> None:
    lines = {str(path): len((layout.ROOT / path).read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE} == {}


def test_no_function_is_long() -> None:
    long = {
        f"{path}: {name}": count
        for path in PYTHON
        for name, count in layout.functions(path)
        if count > LONGEST_FUNCTION
    }
    assert long == {}


def test_a_circle_is_found() -> None:
    assert layout.circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(layout.circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
    assert layout.levels({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == [["c"], ["b"], ["a"]]
