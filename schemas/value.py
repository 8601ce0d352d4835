"""`@value`: a frozen dataclass whose freezing is the type checker's work.

`dataclass(frozen=True)` pays 0.2 µs a field for a check that mypy has already made; the values that every input passes
through have some fifty fields together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """A dataclass with slots, equality and a hash. Setting a field afterwards is an error that mypy reports."""
    return dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
