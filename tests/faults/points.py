"""Where a process may die: every `await` and `async with` of the crash paths, found by reading their source.

A point is named by its function and its own source, not by its line, so that a list of points survives edits above it.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

ROOT = Path(__file__).parents[2]

PATHS = (
    *(f"service/engine/{name}.py" for name in ("deadlines", "door", "expiry", "jobs", "queue", "signals", "tail")),
    *(f"service/kafka/{name}.py" for name in ("consume", "relay", "watch", "work")),
    *(
        f"service/store/{name}.py"
        for name in (
            "attempts",
            "consequences",
            "credentials",
            "data_keys",
            "due",
            "expiry",
            "imports",
            "log",
            "openings",
            "partitions",
            "postgres",
            "probes",
            "refreshes",
            "sharing",
            "tokens",
            "write",
        )
    ),
    *(
        f"service/oauth/{name}.py"
        for name in (
            "flow",
            "grant",
            "handing_on",
            "holders",
            "importing",
            "keeper",
            "limits",
            "outbound",
            "probe",
            "reading",
            "refresh",
            "retire",
            "returning",
            "rewrap",
            "saved",
            "sharing",
            "token_claims",
            "tokens",
            "verification",
            "verify",
        )
    ),
)
"""The consumer, callback, job, relay and timer paths."""

Kind: TypeAlias = Literal["await", "enter", "exit"]
"""An `async with` has two points: entering it, and leaving it (which commits a transaction)."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place where a coroutine may be suspended."""

    file: str
    function: str
    kind: Kind
    source: str
    nth: int
    """Which of the points with the same source in the same function."""
    lines: tuple[int, int]
    """The first and the last line of the await, or of the head of the `async with`."""
    body: tuple[int, int]
    """The lines of the body of an `async with`; none for an await."""

    @property
    def name(self) -> str:
        number = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.file}: {self.function}: {self.kind} {self.source}{number}"


def find_points() -> list[Point]:
    """All points of the crash paths, in the order of the source."""
    return [point for path in PATHS for point in _points_of(path)]


def _points_of(path: str) -> Iterator[Point]:
    seen: Counter[tuple[str, str, str]] = Counter()
    for function, node in _suspending(ast.parse((ROOT / path).read_text()), ()):
        for kind, source, lines, body in _places(node):
            seen[function, kind, source] += 1
            yield Point(path, function, kind, source, seen[function, kind, source], lines, body)


def _places(node: ast.Await | ast.AsyncWith) -> Iterator[tuple[Kind, str, tuple[int, int], tuple[int, int]]]:
    if isinstance(node, ast.Await):
        yield "await", _short(node.value), (node.lineno, node.end_lineno or node.lineno), (0, -1)
        return
    source = ", ".join(_short(item.context_expr) for item in node.items)
    head = (node.lineno, node.body[0].lineno - 1)
    body = (node.body[0].lineno, node.end_lineno or node.lineno)
    yield "enter", source, head, body
    yield "exit", source, head, body


def _short(node: ast.expr) -> str:
    """The expression's source on one line, without what is passed to it."""
    return " ".join(ast.unparse(node.func if isinstance(node, ast.Call) else node).split())


def _suspending(node: ast.AST, inside: tuple[str, ...]) -> Iterator[tuple[str, ast.Await | ast.AsyncWith]]:
    """Every await and `async with`, with the qualified name of the function that it is in."""
    for child in ast.iter_child_nodes(node):
        assert not isinstance(child, ast.AsyncFor), "say here what a point of an `async for` is"
        if isinstance(child, ast.Await | ast.AsyncWith):
            yield ".".join(inside).removesuffix(".<locals>"), child
        match child:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield from _suspending(child, (*inside, name, "<locals>"))
            case ast.ClassDef(name=name):
                yield from _suspending(child, (*inside, name))
            case _:
                yield from _suspending(child, inside)
