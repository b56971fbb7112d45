"""Every promise of the design is proved in both tiers by tests that exist; tests share modules, not each other."""

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.structure import layout, tests
from tests.tiers import QUICK_RAY_FILE, RAY_FIXTURE, refusal

TEST_FILES = [path for path in layout.tracked("tests/*.py") if path.name != "__init__.py"]
NUMBERS = range(1, 10)
tiers_of = cache(tests.tiers)


@pytest.mark.parametrize("tier", ["quick", "slow"])
def test_every_promise_has_a_test(tier: str) -> None:
    assert sorted({number for number, column, _ in tests.promises() if column == tier}) == [*NUMBERS]


@pytest.mark.parametrize(("number", "tier", "node"), tests.promises())
def test_a_test_of_the_table_is_in_its_tier(number: int, tier: str, node: str) -> None:
    path, _, name = node.partition("::")
    assert (layout.ROOT / path).exists(), f"promise {number}: {path} does not exist"
    tiers = tiers_of(Path(path))
    assert name in tiers, f"promise {number}: {path} has no {name}"
    assert tier in tiers[name], f"promise {number}: {node} is not {tier}"


def test_no_test_module_is_imported_by_another() -> None:
    module = re.compile(r"tests\.(?:\w+\.)*test_\w+")
    imports = {str(path): [name for name in tests.imported(path) if module.match(name)] for path in TEST_FILES}
    assert {path: names for path, names in imports.items() if names} == {}


def test_tiers_are_read_off_markers(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import pytest\n"
        "def test_a(): ...\n"
        "@pytest.mark.slow('why')\ndef test_b(): ...\n"
        "@pytest.mark.parametrize('x', [1, pytest.param(2, marks=pytest.mark.slow('why'))])\ndef test_c(x): ...\n"
    )
    assert tests.tiers(tmp_path / "test_a.py") == {"test_a": {"quick"}, "test_b": {"slow"}, "test_c": {"quick", "slow"}}
    (tmp_path / "test_b.py").write_text("pytestmark = [pytest.mark.slow('why')]\ndef test_a(): ...\n")
    assert tests.tiers(tmp_path / "test_b.py") == {"test_a": {"slow"}}


@pytest.mark.parametrize(
    ("arguments", "options", "is_refused"),
    [((), {}, True), (("",), {}, True), ((1,), {}, True), (("why",), {}, False), ((), {"reason": "why"}, False)],
)
def test_a_slow_test_says_why(arguments: tuple[object, ...], options: dict[str, str], is_refused: bool) -> None:
    mark = SimpleNamespace(args=arguments, kwargs=options)
    assert (refusal(mark, (), "test_a.py") is not None) == is_refused


def test_one_quick_file_starts_ray() -> None:
    assert refusal(None, (RAY_FIXTURE,), QUICK_RAY_FILE) is None
    assert "starts Ray" in (refusal(None, (RAY_FIXTURE,), "test_a.py") or "")
    assert refusal(SimpleNamespace(args=("why",), kwargs={}), (RAY_FIXTURE,), "test_a.py") is None
