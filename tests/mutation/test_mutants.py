"""The faults themselves: what they change, that they are Python, that a seed draws the same again."""

from pathlib import Path

import pytest

from tests.mutation.mutants import draw, mutants_of


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("return a < b", ["(a <= b)", "return None"]),
        ("return a in b", ["(a not in b)", "return None"]),
        ("return a + 1", ["(a - 1)", "(2)", "return None"]),
        ("return not a", ["(a)", "return None"]),
        ("return a and b", ["(a or b)", "return None"]),
        ("return a if b else True", ["(True if b else a)", "(False)", "return None"]),
        ("a += b", ["a -= b"]),
        ("print(a)", ["pass"]),
        ('raise ValueError(f"{a + 1} is wrong")', ["pass"]),
        ("return None", []),
        ("a: int = b", []),
    ],
)
def test_a_line_has_these_faults(line: str, faults: list[str]) -> None:
    source = f"LIMIT = 3\n\n\ndef f(a: int = 1, b=2):\n    {line}\n".encode()
    mutants = list(mutants_of(Path("f.py"), source))
    assert sorted(mutant.after for mutant in mutants) == sorted(faults)
    for mutant in mutants:
        changed = mutant.apply(source)
        compile(changed, "f.py", "exec")
        assert changed != source and mutant.line == 5


def test_bytes_are_counted_not_characters() -> None:
    source = 'def f(a):\n    return "é" + a\n'.encode()
    changed = {mutant.apply(source).decode() for mutant in mutants_of(Path("f.py"), source)}
    assert changed == {"def f(a):\n    return ('é' - a)\n", "def f(a):\n    return None\n"}


def test_a_seed_draws_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def f(a):\n    return a < 1 and a + 2 > 3\n")
    one, again, other = (draw(tmp_path, [Path("f.py")], 3, seed) for seed in (1, 1, 2))
    assert one == again != other and len(one) == 3
    assert len(draw(tmp_path, [Path("f.py")], 100, 1)) == 8
