"""What must always hold, read from the outside: the database and the topics, nothing of the program that wrote them.

Owns the invariants I1 to I11, a legal table and a reader of input records of its own. Must not know `service`,
`statemachine` or `schemas`: what they say of themselves proves nothing.
"""

from tests.checker.check import Unreachable, check
from tests.checker.report import Report, Violation

__all__ = ["Report", "Unreachable", "Violation", "check"]
