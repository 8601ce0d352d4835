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

Suspending: TypeAlias = ast.Await | ast.AsyncWith
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

    @property
    def name(self) -> str:
        number = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.file}: {self.function}: {self.kind} {self.source}{number}"


def find_points() -> list[Point]:
    """All points of the crash paths, in the order of the source."""
    return [point for path in PATHS for point, _ in points_of(path, ast.parse((ROOT / path).read_text()))]


def points_of(path: str, tree: ast.Module) -> Iterator[tuple[Point, Suspending]]:
    """The points of a file, each with the node of its tree."""
    seen: Counter[tuple[str, Kind, str]] = Counter()
    for function, node in _suspending(tree, ()):
        for kind, source in _places(node):
            seen[function, kind, source] += 1
            yield Point(path, function, kind, source, seen[function, kind, source]), node


def _places(node: Suspending) -> Iterator[tuple[Kind, str]]:
    if isinstance(node, ast.Await):
        yield "await", _short(node.value)
        return
    source = ", ".join(_short(item.context_expr) for item in node.items)
    yield "enter", source
    yield "exit", source


def _short(node: ast.expr) -> str:
    """The expression's source on one line, without what is passed to it."""
    return " ".join(ast.unparse(node.func if isinstance(node, ast.Call) else node).split())


def _suspending(node: ast.AST, inside: tuple[str, ...]) -> Iterator[tuple[str, Suspending]]:
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
