"""Generates mutants of a module: each changes one place of its syntax tree, and is named by function, kind and number.

Names hold while the code around them changes, so that a mutant can be asked for again (`--only`).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("boundary", "<="),
    ast.LtE: ("boundary", "<"),
    ast.Gt: ("boundary", ">="),
    ast.GtE: ("boundary", ">"),
    ast.Eq: ("negate", "!="),
    ast.NotEq: ("negate", "=="),
    ast.Is: ("negate", "is not"),
    ast.IsNot: ("negate", "is"),
    ast.In: ("negate", "not in"),
    ast.NotIn: ("negate", "in"),
}
OPERATORS: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*"}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
SILENT = {"debug", "info", "warning", "error", "log"}
"""Calls of these names only log: what they say is no promise of behaviour."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: where it stands, and what is written instead."""

    file: str
    function: str
    kind: str
    number: int
    line: int
    begin: int
    end: int
    old: str
    new: str

    @property
    def name(self) -> str:
        """Its name: file, function, kind, and its number among those of the same kind in that function."""
        return f"{self.file}::{self.function}::{self.kind}#{self.number}"

    def apply(self, source: bytes) -> bytes:
        """Return the module with this fault."""
        return source[: self.begin] + self.new.encode() + source[self.end :]


def mutants(file: str, source: bytes) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines."""
    tree = ast.parse(source)
    return list(_Walk(file, source).module(tree))


class _Walk:
    """Goes through a module once."""

    def __init__(self, file: str, source: bytes) -> None:
        self._file = file
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._counts: Counter[tuple[str, str]] = Counter()

    def module(self, tree: ast.Module) -> Iterator[Mutant]:
        """Yield the mutants of all functions."""
        yield from self._functions(tree, "")

    def _functions(self, node: ast.AST, within: str) -> Iterator[Mutant]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                yield from self._functions(child, f"{within}{child.name}.")
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for statement in child.body:
                    yield from self._node(statement, within + child.name)

    def _node(self, node: ast.AST, function: str) -> Iterator[Mutant]:
        if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Constant, ast.Yield, ast.YieldFrom)):
            return  # a docstring; a generator stays one
        if isinstance(node, ast.Call) and _name(node) in SILENT:
            return
        yield from self._here(node, function)
        for child in self._children(node):
            yield from self._node(child, function)

    @staticmethod
    def _children(node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr)):
            return  # the words of an error are no promise of behaviour
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "type_params", "decorator_list"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield child

    def _here(self, node: ast.AST, function: str) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
                kind, new = COMPARISONS[type(op)]
                yield self._mutant(function, kind, node, f"{self._text(left)} {new} {self._text(right)}")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._mutant(function, "not", node, f"({self._text(operand)})")
            case ast.BoolOp(op=op, values=values):
                joint = " or " if isinstance(op, ast.And) else " and "
                yield self._mutant(function, "logic", node, f"({joint.join(f'({self._text(v)})' for v in values)})")
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS and not (
                _is_text(left) or _is_text(right)
            ):
                new = f"({self._text(left)}) {OPERATORS[type(op)]} ({self._text(right)})"
                yield self._mutant(function, "arithmetic", node, new)
            case ast.Call(func=ast.Name(id=name)) if name in SWAPPED:
                yield self._mutant(function, "swap", node.func, SWAPPED[name])
            case ast.Expr(value=ast.Call() as call) if _name(call) not in SILENT:
                yield self._mutant(function, "call", node, "pass")
            case ast.Raise():
                yield self._mutant(function, "raise", node, "pass")
            case ast.Return(value=None) | ast.Continue() | ast.Break():
                yield self._mutant(function, "jump", node, "pass")
            case ast.If(test=test):
                yield self._mutant(function, "guard", test, "False")

    def _mutant(self, function: str, kind: str, node: ast.expr | ast.stmt, new: str) -> Mutant:
        self._counts[function, kind] += 1
        begin, end = self._span(node)
        old, number = self._source[begin:end].decode(), self._counts[function, kind]
        return Mutant(self._file, function, kind, number, node.lineno, begin, end, old, new)

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return the bytes between which a node stands; every node of parsed code has all four numbers."""
        begin = self._starts[node.lineno - 1] + node.col_offset
        return begin, self._starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)

    def _text(self, node: ast.expr) -> str:
        begin, end = self._span(node)
        text = self._source[begin:end].decode()
        is_loose = isinstance(node, (ast.BoolOp, ast.IfExp, ast.Compare, ast.Lambda, ast.NamedExpr))
        return f"({text})" if is_loose else text


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)))
