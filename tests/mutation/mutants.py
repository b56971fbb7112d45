"""Small faults that a program might have, drawn by seed: a comparison turned round, a statement left out, a number off.

No library serves: those that are kept (mutmut, cosmic-ray) mutate everything in turn, which takes days here, and pick
neither mutants by seed nor tests by what they cover.
"""

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


@dataclass(frozen=True)
class Mutant:
    """One fault: in a file, the text from byte `start` to `end` becomes another text.

    line:       in which that text begins
    statement:  first and last line of the statement that holds it
    """

    path: str
    line: int
    statement: tuple[int, int]
    start: int
    end: int
    before: str
    after: str

    def apply(self, source: bytes) -> bytes:
        """The file with the fault."""
        assert source[self.start : self.end] == self.before.encode(), self
        return source[: self.start] + self.after.encode() + source[self.end :]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before!r} -> {self.after!r}"


def draw(root: Path, paths: Sequence[Path], number: int, seed: int) -> list[Mutant]:
    """So many of all faults that the files could have, each with the same chance, in the order of files and lines."""
    faults = [fault for path in paths for fault in mutants_of(path, (root / path).read_bytes())]
    chosen = random.Random(seed).sample(range(len(faults)), min(number, len(faults)))
    return [faults[index] for index in sorted(chosen)]


def mutants_of(path: Path, source: bytes) -> Iterator[Mutant]:
    """All faults of a file, inside its functions: defaults of settings are no code."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                for node, replacement in _faults(statement):
                    start = lines[node.lineno - 1] + node.col_offset
                    assert node.end_lineno is not None and node.end_col_offset is not None
                    end = lines[node.end_lineno - 1] + node.end_col_offset
                    after = ast.unparse(replacement)
                    if isinstance(replacement, ast.expr):
                        after = f"({after})"
                    span = (statement.lineno, statement.end_lineno or statement.lineno)
                    yield Mutant(str(path), node.lineno, span, start, end, source[start:end].decode(), after)


def _faults(statement: ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, ast.expr | ast.stmt]]:
    """What may take the place of a statement, or of an expression in it; functions within it come by themselves."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.JoinedStr):  # messages are no code either
            continue
        if isinstance(node, ast.expr | ast.stmt):
            yield from ((node, replacement) for replacement in _replacements(node))
        waiting += [child for name, child in _children(node) if name != "annotation"]


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield name, child


def _replacements(node: ast.expr | ast.stmt) -> Iterator[ast.expr | ast.stmt]:
    match node:
        case ast.Compare(left, [operator], comparators) if type(operator) in _COMPARISONS:
            yield ast.Compare(left, [_COMPARISONS[type(operator)]()], comparators)
        case ast.BinOp(left, operator, right) if type(operator) in _ARITHMETIC:
            yield ast.BinOp(left, _ARITHMETIC[type(operator)](), right)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.UnaryOp(ast.USub(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.AugAssign(target, operator, value) if type(operator) in _ARITHMETIC:
            yield ast.AugAssign(target, _ARITHMETIC[type(operator)](), value)
        case ast.Expr(ast.Call()) | ast.Raise() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Return(ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
