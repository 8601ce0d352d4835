"""Lets a process's own coroutines say that they pass the points, and can kill the process at one of them.

The files that hold points are compiled with a word before and behind each, so that production code knows nothing of it
and everything else runs as fast as ever. `install` comes before the first import of any of them.
"""

import ast
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any, Literal, TypeAlias

from tests.faults.points import PATHS, ROOT, Suspending, points_of

When: TypeAlias = Literal["before", "after"]
"""When the point's line is about to run, or when its coroutine goes on behind it."""
Reached: TypeAlias = Callable[[str, When], None]
"""Is called with a point's name."""

_watched: frozenset[str] = frozenset()
_reached: Reached


def watch(points: Iterable[str], reached: Reached) -> None:
    """Calls `reached` whenever a coroutine of this process passes one of the points, from now on."""
    global _watched, _reached
    _watched, _reached = frozenset(points), reached


def unwatch() -> None:
    global _watched
    _watched = frozenset()


def die() -> None:
    """As by `kill -9`: nothing is cleaned up, no handler runs."""
    os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    """Modules that hold points are compiled with their words from now on. Raises `ImportError` if one is there."""
    files = {path.removesuffix(".py").replace("/", "."): path for path in PATHS}
    if already := files.keys() & sys.modules.keys():
        raise ImportError(f"too late for {min(already)}")
    sys.meta_path.insert(0, _Finder(files))


# What the compiled code calls.


def _before(point: str) -> None:
    if point in _watched:
        _reached(point, "before")


def _after(point: str) -> None:
    if point in _watched:
        _reached(point, "after")


class _Awaited:
    """What is awaited at a point."""

    __slots__ = ("_point", "_what")

    def __init__(self, point: str, what: Awaitable[Any]) -> None:
        self._point = point
        self._what = what

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            return (yield from self._what.__await__())
        finally:
            _after(self._point)


class _Entered:
    """A context manager of an `async with`, which may have several: the first and the last tell of it."""

    __slots__ = ("_enter", "_exit", "_is_first", "_is_last", "_what")

    def __init__(
        self, enter: str, exit_: str, is_first: bool, is_last: bool, what: AbstractAsyncContextManager[Any]
    ) -> None:
        self._enter, self._exit = enter, exit_
        self._is_first, self._is_last = is_first, is_last
        self._what = what

    async def __aenter__(self) -> Any:
        try:
            entered = await self._what.__aenter__()
        except BaseException:
            _after(self._enter)
            raise
        if self._is_last:
            _after(self._enter)
        return entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._is_last:
            _before(self._exit)
        try:
            return await self._what.__aexit__(kind, error, trace)
        finally:
            if self._is_first:
                _after(self._exit)


_WORDS = {"__before__": _before, "__awaited__": _Awaited, "__entered__": _Entered}


# How it is compiled.


class _Finder:
    """Finds the modules that hold points."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self._files:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None and spec.origin == str(ROOT / self._files[name]), f"another {name} than is tested"
        spec.loader = _Loader(name, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """Compiles a module with its words, and leaves nothing of that in the cache of compiled modules."""

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(self.get_data(self.path))
        points: dict[Suspending, list[str]] = defaultdict(list)
        for point, node in points_of(os.path.relpath(self.path, ROOT), tree):
            points[node].append(point.name)
        return compile(ast.fix_missing_locations(_Wording(points).visit(tree)), self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(_WORDS)
        super().exec_module(module)


class _Wording(ast.NodeTransformer):
    """Puts the words in."""

    def __init__(self, points: dict[Suspending, list[str]]) -> None:
        self._points = points

    def visit_Await(self, node: ast.Await) -> ast.Await:
        (point,) = self._points[node]
        self.generic_visit(node)
        node.value = _call("__awaited__", point, _after_a_word(point, node.value))
        return node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AsyncWith:
        enter, exit_ = self._points[node]
        self.generic_visit(node)
        for item in node.items:
            is_first, is_last = item is node.items[0], item is node.items[-1]
            what = _after_a_word(enter, item.context_expr) if is_first else item.context_expr
            item.context_expr = _call("__entered__", enter, exit_, is_first, is_last, what)
        return node


def _after_a_word(point: str, what: ast.expr) -> ast.expr:
    """`__before__(point) or what`: what is said is nothing, so that what is meant is evaluated after it."""
    return ast.copy_location(ast.BoolOp(ast.Or(), [_call("__before__", point, at=what), what]), what)


def _call(word: str, *given: str | bool | ast.expr, at: ast.expr | None = None) -> ast.expr:
    arguments = [one if isinstance(one, ast.expr) else ast.Constant(one) for one in given]
    return ast.copy_location(ast.Call(ast.Name(word, ast.Load()), arguments, []), at or arguments[-1])
